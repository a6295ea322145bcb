"""A broker in a file, which keeps what was not acknowledged, also where its client is killed."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from pm_app.errors import SourceUnavailable
from pm_app.jobs.record.batch import BatchFolder
from pm_app.jobs.record.run import Recorder, make_recorder
from pm_app.records.recording import FeedDelivery, MeasuredValue
from pm_app.settings.recorders import RecorderSettings
from pm_app.settings.sources import ReadingsSettings
from pm_app.times import NS, Stamp, to_nanoseconds

START = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = RecorderSettings(topics=("{asset}/{sensor}",), every="10s")


def at(seconds: float) -> Stamp:
    """So many seconds after the beginning, on both clocks."""
    return Stamp(START + timedelta(seconds=seconds), "boot", seconds)


def measured(number: int, *, asset="p1", sensor="vib", second=None) -> MeasuredValue:
    """A value that tells its number."""
    time = to_nanoseconds(START) + (number if second is None else second) * NS
    return MeasuredValue(asset, sensor, time, float(number))


class FileBroker:
    """Fulfils `Feed`: messages of one value, each until it is acknowledged in a file.

    away: whether it cannot be reached. at_once: how many are unacknowledged at most.
    """

    def __init__(self, file: Path, values: Sequence[MeasuredValue], *, at_once: int = 3) -> None:
        self.file, self.values, self.at_once = file, list(values), at_once
        self.away = False
        self.closed = 0
        self._taken: set[int] = set()
        self._before: set[int] = set()
        file.touch()

    def left(self) -> list[int]:
        """The numbers of messages that were not acknowledged."""
        gone = set(map(int, self.file.read_text().split()))
        return [number for number in range(len(self.values)) if number not in gone]

    def open(self, newest) -> None:
        """See Feed.open."""
        self._require()
        self._before |= self._taken | self._noted()
        self._taken = set()

    def take(self, seconds: float) -> Sequence[FeedDelivery]:
        """See Feed.take."""
        self._require()
        numbers = [each for each in self.left() if each not in self._taken]
        numbers = numbers[: self.at_once - len(self._taken & set(self.left()))]
        self._taken.update(numbers)
        # The next process has to know which it was given before.
        with open(self.file.with_suffix(".given"), "a") as given:
            given.write("".join(f"{number}\n" for number in numbers))
        return [
            FeedDelivery((self.values[each],), key=f"{each}:x", again=each in self._before)
            for each in numbers
        ]

    def acknowledge(self, deliveries: Sequence[FeedDelivery]) -> None:
        """See Feed.acknowledge."""
        self._require()
        for delivery in deliveries:
            handle = os.open(self.file, os.O_WRONLY | os.O_APPEND)
            os.write(handle, f"{delivery.key.partition(':')[0]}\n".encode())
            os.close(handle)

    def remarks(self) -> tuple[str, ...]:
        """See Feed.remarks."""
        return ()

    def close(self) -> None:
        """See Feed.close."""
        self.closed += 1

    def _noted(self) -> set[int]:
        given = self.file.with_suffix(".given")
        return set(map(int, given.read_text().split())) if given.exists() else set()

    def _require(self) -> None:
        if self.away:
            raise SourceUnavailable("the broker is away")


def recorder_in(
    folder: Path,
    feed,
    settings: RecorderSettings = SETTINGS,
    readings: ReadingsSettings | None = None,
) -> Recorder:
    """A recorder with its buffer and its files below a folder."""
    files = BatchFolder(folder / "readings", readings or ReadingsSettings())
    return make_recorder("line", settings, feed, folder=folder / "state", files=files, now=at(0))


def recorded(folder: Path) -> list[tuple[str, str, int, float]]:
    """Every value in wide files below a folder: asset, sensor, nanoseconds, value; sorted."""
    found = []
    for path in folder.rglob("*.parquet"):
        table = pq.read_table(path)
        times = table.column("timestamp").cast("int64").to_pylist()
        assets = table.column("asset_id").to_pylist()
        for name in set(table.column_names) - {"timestamp", "asset_id"}:
            column = table.column(name).to_pylist()
            found += [
                (asset, name, time, value)
                for asset, time, value in zip(assets, times, column, strict=True)
                if value is not None
            ]
    return sorted(found)


def rows_of(values: Sequence[MeasuredValue]) -> list[tuple[str, str, int, float]]:
    """What `recorded` finds of these."""
    return sorted((each.asset, each.sensor, each.time, each.value) for each in values)
