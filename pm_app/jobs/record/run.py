"""A recorder at work: take, make durable, acknowledge, and complete files of readings.

At least once from a broker, exactly once into files: what comes again is recognised. Whatever
fails, on either side, ends in a new connection after a pause: what was not acknowledged comes
again.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pm_app.errors import TransientError
from pm_app.jobs.record.batch import BatchFolder
from pm_app.jobs.record.buffer import Buffer
from pm_app.jobs.record.health import RecorderHealth, begin_health, write_health
from pm_app.ports import Feed
from pm_app.records.recording import GOOD, FeedDelivery
from pm_app.settings.recorders import RecorderSettings
from pm_app.times import Clock, Stamp, seconds_between

log = logging.getLogger(__name__)
TAKE_SECONDS: Final = 0.5
HEALTH_SECONDS: Final = 5.0
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
# A device that sends rubbish every second is worth a line an hour.
REFUSED_SECONDS: Final = 3600.0


@dataclass(eq=False)
class Recorder:
    """One recorder: a feed into a buffer, and from there into files."""

    name: str
    settings: RecorderSettings
    feed: Feed
    buffer: Buffer
    files: BatchFolder
    health: RecorderHealth
    open: bool = False
    _health_written: Stamp | None = None
    _refused_logged: Stamp | None = None

    def turn(self, now: Stamp, *, wait: float = TAKE_SECONDS) -> None:
        """Complete files that are due, take what came, make it durable, acknowledge it.

        Raises TransientError: the feed is to be let go (`let_go`) and the turn tried again; and
        BadSettings.
        """
        self.complete_files(now)
        if not self.open:
            self.feed.open(self.buffer.newest)
            self.open = True
            log.info("%s: connected to %s", self.name, self.settings.url)
        deliveries = self.feed.take(wait)
        self._connected(now)
        if deliveries:
            self._record(deliveries, now)
            self.feed.acknowledge(deliveries)
        self.note_health(now)

    def complete_files(self, now: Stamp, *, anyway: bool = False) -> None:
        """Make files of what is old or large enough, or of all; that it fails is noted alone."""
        due = self.buffer.due(
            now,
            every_seconds=self.settings.every_seconds,
            most_values=self.settings.most_values,
        )
        if not due and not anyway:
            return
        try:
            files = self.health.files + self.buffer.rotate(self.files.write)
            self.health = replace(self.health, files=files, full="")
        except TransientError as error:
            if not self.health.full:
                log.warning("%s: files of readings cannot be completed: %s", self.name, error)
            self.health = replace(self.health, full=str(error))

    def let_go(self, error: TransientError, now: Stamp) -> None:
        """Note why a turn failed, and leave the connection: what is unacknowledged comes again."""
        self.feed.close()
        self.open = False
        if self.health.away != str(error):
            log.warning("%s: %s", self.name, error)
        changed = now if not self.health.away else self.health.changed
        self.health = replace(self.health, away=str(error), changed=changed)
        self.note_health(now, anyway=True)

    def end(self, now: Stamp) -> None:
        """Let go of everything, completing files of what is buffered."""
        self.feed.close()
        self.open = False
        self.complete_files(now, anyway=True)
        self.buffer.close()
        self.health = replace(self.health, stopped=True)
        self.note_health(now, anyway=True)
        log.info(
            "%s: stopped; %d values recorded, %d had come before, %d refused, %d files",
            *(self.name, self.health.recorded, self.health.repeated),
            *(self.health.refused, self.health.files),
        )

    def note_health(self, now: Stamp, *, anyway: bool = False) -> None:
        """Write how it is, every few seconds; a disk that takes no file lets it grow old."""
        last = self._health_written
        if not anyway and last and seconds_between(last, now) < HEALTH_SECONDS:
            return
        self._health_written = now
        self.health = replace(
            self.health,
            waiting_values=self.buffer.values,
            waiting_bytes=self.buffer.size_bytes,
            most_bytes=self.buffer.most_bytes,
            damaged=self.buffer.damaged,
            remarks=self.feed.remarks(),
        )
        try:
            write_health(self.buffer.folder, self.health, now)
        except TransientError as error:
            log.warning("%s: health cannot be told: %s", self.name, error)

    def _record(self, deliveries: Sequence[FeedDelivery], now: Stamp) -> None:
        """What can be used becomes durable, what cannot is counted with an example."""
        usable, not_good = self._usable(deliveries)
        done = self.buffer.append(usable, now)
        refused = [reason for delivery in deliveries for reason in delivery.refused]
        health = self.health
        self.health = replace(
            health,
            recorded=health.recorded + done.recorded,
            repeated=health.repeated + done.repeated,
            refused=health.refused + len(refused),
            not_good=health.not_good + not_good,
            example=refused[-1] if refused else health.example,
            newest=now if any(delivery.values for delivery in usable) else health.newest,
        )
        last = self._refused_logged
        if refused and (last is None or seconds_between(last, now) >= REFUSED_SECONDS):
            self._refused_logged = now
            log.warning("%s: %d values refused: %s", self.name, self.health.refused, refused[-1])

    def _usable(self, deliveries: Sequence[FeedDelivery]) -> tuple[list[FeedDelivery], int]:
        """In wide files there is no place for a quality: what is not good is left out of them."""
        if self.files.readings.layout == "long":
            return list(deliveries), 0
        kept = [
            replace(each, values=tuple(v for v in each.values if v.quality == GOOD))
            for each in deliveries
        ]
        values, good = (sum(len(each.values) for each in some) for some in (deliveries, kept))
        return kept, values - good

    def _connected(self, now: Stamp) -> None:
        if self.health.away:
            self.health = replace(self.health, away="", changed=now)
            self.note_health(now, anyway=True)


def make_recorder(
    name: str,
    settings: RecorderSettings,
    feed: Feed,
    *,
    folder: Path,
    files: BatchFolder,
    now: Stamp,
) -> Recorder:
    """A recorder with its buffer in this folder, which is held by the caller.

    Raises TransientError.
    """
    buffer = Buffer(folder, most_bytes=settings.buffer_megabytes * 1_000_000)
    return Recorder(name, settings, feed, buffer, files, begin_health(now))


def run_recorder(
    recorder: Recorder, *, stop: threading.Event, clock: Clock, beat: "threading.Event"
) -> None:
    """Turn after turn until `stop`, with pauses that double where one fails; then end well.

    beat: set after every turn. Raises BadSettings.
    """
    pause = FIRST_PAUSE_SECONDS
    recorder.note_health(clock(), anyway=True)
    try:
        while not stop.is_set():
            try:
                recorder.turn(clock())
                pause = FIRST_PAUSE_SECONDS
            except TransientError as error:
                recorder.let_go(error, clock())
                stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            beat.set()
    finally:
        recorder.end(clock())
