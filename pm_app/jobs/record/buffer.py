"""Buffer of a recorder on disk: what was delivered, until it stands in a file of readings.

Journals grow by a line a delivery, durable before the delivery is acknowledged, and become files
of readings once they are old or large. A file bears its journal's name: whoever was killed
between writing the one and removing the other finds that it is there. Lines carry a checksum:
one that was cut off was never acknowledged, and comes again.

What comes again is recognised by its key, by the time and value of its sensor's newest, and by the
digests of the MOST_RECENT values before; they outlive the process.
"""

import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from hashlib import blake2b
from math import isnan, nan
from pathlib import Path
from sys import intern
from typing import Final
from uuid import uuid4

from pm_app.durable import append_bytes, make_folder, open_growing, remove_file, write_bytes
from pm_app.errors import TransientError
from pm_app.records.recording import FeedDelivery, MeasuredValue
from pm_app.times import Stamp, seconds_between

MARKS: Final = "marks.json"
ENDING: Final = ".journal"
MOST_RECENT: Final = 100_000
_DIGEST_BYTES: Final = 8
# Brokers hand out 65,535 numbers before one comes again; unacknowledged are far fewer.
MOST_KEYS: Final = 2_000

Series = tuple[str, str]
WriteFile = Callable[[str, Sequence[MeasuredValue]], None]


class BufferFull(TransientError):
    """The buffer has no room before files of readings can be written again."""


@dataclass(frozen=True)
class Appended:
    """How many values were new, and how many had come before."""

    recorded: int = 0
    repeated: int = 0


@dataclass
class _Journal:
    """A file of lines: its durable bytes, values, and since when it grows.

    handle: None once it grows no more.
    """

    path: Path
    handle: int | None = None
    length: int = 0
    values: int = 0
    since: Stamp | None = None

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(ENDING)

    def close(self) -> None:
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None


@dataclass
class _Marks:
    """What has come, as far as is needed to recognise it: newest value a sensor, keys, recent."""

    newest: dict[Series, tuple[int, float]] = field(default_factory=dict)
    keys: dict[str, None] = field(default_factory=dict)
    recent: dict[bytes, None] = field(default_factory=dict)

    def note(self, delivery: FeedDelivery) -> None:
        if delivery.key:
            self.keys.pop(delivery.key, None)
            self.keys[delivery.key] = None
            while len(self.keys) > MOST_KEYS:
                del self.keys[next(iter(self.keys))]
        for value in delivery.values:
            series = value.asset, value.sensor
            if series not in self.newest or value.time >= self.newest[series][0]:
                self.newest[series] = value.time, value.value
            self.recent[_digest(value)] = None
            while len(self.recent) > MOST_RECENT:
                del self.recent[next(iter(self.recent))]

    def is_news(self, value: MeasuredValue, digest: bytes, *, newer_only: bool) -> bool:
        time, last = self.newest.get((value.asset, value.sensor), (-1, nan))
        if newer_only and value.time <= time:
            return False
        return (value.time, value.value) != (time, last) and digest not in self.recent

    def dump(self) -> bytes:
        newest = [[*series, time, _number(value)] for series, (time, value) in self.newest.items()]
        recent = b"".join(self.recent).hex()
        return json.dumps({"newest": newest, "keys": [*self.keys], "recent": recent}).encode()

    def load(self, content: bytes) -> None:
        found = json.loads(content)
        for asset, sensor, time, value in found["newest"]:
            self.newest[intern(asset), intern(sensor)] = time, nan if value is None else value
        self.keys.update(dict.fromkeys(found["keys"]))
        recent = bytes.fromhex(found["recent"])
        for start in range(0, len(recent), _DIGEST_BYTES):
            self.recent[recent[start : start + _DIGEST_BYTES]] = None


class Buffer:
    """The buffer in a folder of its own, which nobody else writes to.

    damaged: lines that were durable and cannot be read any more. Methods raise TransientError.
    """

    def __init__(self, folder: Path, *, most_bytes: int) -> None:
        self.folder, self.most_bytes = folder, most_bytes
        self.damaged = 0
        self._marks = _Marks()
        make_folder(folder)
        self._load_marks()
        self._waiting = [_Journal(path) for path in sorted(folder.glob(f"*{ENDING}"))]
        self._growing: _Journal | None = None
        for journal in self._waiting:
            self._replay(journal)

    @property
    def newest(self) -> dict[Series, int]:
        """Nanoseconds UTC of the newest durable value, by asset and sensor."""
        return {series: time for series, (time, _) in self._marks.newest.items()}

    @property
    def size_bytes(self) -> int:
        """What waits on disk to become files of readings."""
        return sum(journal.length for journal in self._journals())

    @property
    def values(self) -> int:
        """How many values wait to become files of readings."""
        return sum(journal.values for journal in self._journals())

    def append(self, deliveries: Iterable[FeedDelivery], now: Stamp) -> Appended:
        """Make deliveries durable, but for what has come before.

        Raises BufferFull: nothing of it is kept.
        """
        fresh, count, given = [], 0, 0
        beside: set[bytes] = set()
        for delivery in deliveries:
            given += len(delivery.values)
            kept = self._news(delivery, beside)
            if kept is not None:
                fresh.append(kept)
                count += len(kept.values)
        if fresh:
            self._write(fresh, count, now)
        return Appended(count, given - count)

    def due(self, now: Stamp, *, every_seconds: float, most_values: int) -> bool:
        """Whether anything is to become a file of readings by now."""
        if self._waiting:
            return True
        growing = self._growing
        if growing is None or growing.since is None:
            return False
        old = seconds_between(growing.since, now) >= every_seconds
        return old or growing.values >= most_values

    def rotate(self, write: WriteFile) -> int:
        """Make files of readings of all that waits, the oldest first; how many there are.

        write: makes a file of that name, if there is none.
        """
        if self._growing is not None:
            self._growing.close()
            self._waiting.append(self._growing)
            self._growing = None
        done = 0
        while self._waiting:
            journal = self._waiting[0]
            values = [value for each in self._read(journal) for value in each.values]
            if values:
                write(journal.name, values)
            write_bytes(self.folder / MARKS, self._marks.dump())
            remove_file(journal.path)
            del self._waiting[0]
            done += bool(values)
        return done

    def close(self) -> None:
        """Let go of the file that grows; what is in it waits for the next start."""
        if self._growing is not None:
            self._growing.close()

    def _load_marks(self) -> None:
        try:
            self._marks.load((self.folder / MARKS).read_bytes())
        except FileNotFoundError:
            pass
        except (OSError, ValueError, LookupError, TypeError):
            self.damaged += 1
            self._marks = _Marks()

    def _journals(self) -> list[_Journal]:
        return [*self._waiting, *([self._growing] if self._growing else [])]

    def _news(self, delivery: FeedDelivery, beside: set[bytes]) -> FeedDelivery | None:
        """What of a delivery has not come before; None where nothing has to be kept.

        beside: digests of what comes with it, added to.
        """
        if delivery.again and delivery.key in self._marks.keys:
            return None
        values = []
        for value in delivery.values:
            digest = _digest(value)
            if digest not in beside and self._marks.is_news(
                value, digest, newer_only=delivery.newer_only
            ):
                beside.add(digest)
                values.append(value)
        return FeedDelivery(tuple(values), delivery.key) if values else None

    def _write(self, deliveries: Sequence[FeedDelivery], count: int, now: Stamp) -> None:
        content = b"".join(map(_line, deliveries))
        if self.size_bytes + len(content) > self.most_bytes:
            raise BufferFull(
                f"{self.folder}: the buffer is full ({self.size_bytes / 1e6:,.0f} of "
                f"{self.most_bytes / 1e6:,.0f} MB): files of readings must be writable again, or "
                "buffer_megabytes larger"
            )
        journal = self._growing or self._begin(now)
        assert journal.handle is not None
        try:
            journal.length = append_bytes(
                journal.handle, journal.path, content, length=journal.length
            )
        except TransientError:
            # Nobody knows what the disk has of it: it grows no more.
            journal.close()
            self._waiting.append(journal)
            self._growing = None
            raise
        journal.values += count
        for delivery in deliveries:
            self._marks.note(delivery)

    def _begin(self, now: Stamp) -> _Journal:
        name = f"{now.at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{uuid4().hex[:12]}"
        path = self.folder / f"{name}{ENDING}"
        self._growing = _Journal(path, open_growing(path), since=now)
        return self._growing

    def _replay(self, journal: _Journal) -> None:
        """Note what an earlier process has left."""
        journal.length = journal.path.stat().st_size
        for delivery in self._read(journal, counting=True):
            journal.values += len(delivery.values)
            self._marks.note(delivery)

    def _read(self, journal: _Journal, *, counting: bool = False) -> Iterator[FeedDelivery]:
        left = journal.length
        with journal.path.open("rb") as file:
            for line in file:
                left -= len(line)
                if left < 0:
                    return
                delivery = _delivery(line)
                if delivery is not None:
                    yield delivery
                elif line.endswith(b"\n"):
                    self.damaged += counting


def _line(delivery: FeedDelivery) -> bytes:
    rows = [[v.asset, v.sensor, v.time, _number(v.value), v.quality] for v in delivery.values]
    content = json.dumps([delivery.key, rows], separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(content), content)


def _delivery(line: bytes) -> FeedDelivery | None:
    """A delivery as it was written; None where the line is not whole."""
    check, _, content = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or check != b"%08x" % zlib.crc32(content):
        return None
    key, rows = json.loads(content)
    return FeedDelivery(
        tuple(
            MeasuredValue(
                intern(asset), intern(sensor), time, nan if value is None else value, quality
            )
            for asset, sensor, time, value, quality in rows
        ),
        key,
    )


def _digest(value: MeasuredValue) -> bytes:
    text = f"{value.asset}\0{value.sensor}\0{value.time}\0{value.value!r}\0{value.quality}"
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


def _number(value: float) -> float | None:
    return None if isnan(value) else value
