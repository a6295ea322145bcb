"""Findings of `pm-app check` on readings: sensors by name, columns left, span, gaps, zone, assets.

Files are looked at as a sample over the whole span: the first, the last and evenly between.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from time import process_time
from zoneinfo import ZoneInfo

import numpy as np

from pm_app.cli.look.checks.finding import Finding, counted, local_text, some_names
from pm_app.errors import PmAppError, SourceUnavailable, TornBatch
from pm_app.jobs.ingest.left_files import count_left
from pm_app.ports import ReadingsSource
from pm_app.records.readings import Batch, Float64, Int64, LeftColumn, Readings, ReadingsChunk
from pm_app.settings.plant import Settings
from pm_app.settings.sensors import sensor_text, unknown_sensors
from pm_app.times import NS, format_duration
from pm_app.wiring import readings_source

# Enough files to see a pattern, and of each enough readings, to be done in a moment.
FILES_LOOKED_AT = 20
MOST_CELLS_A_FILE = 4_000_000
MOST_MISSING = 0.5
_ONE_BY_ONE = 40
# The format of samples of what databases have.
_DATABASE = "sql"
_FAILURES_SHOWN = 10
# So many usual intervals without any reading are a gap.
_GAP_INTERVALS = 20
_ZONE = re.compile(r"tz=([^\]]+)\]")


@dataclass(eq=False)
class SensorSurvey:
    """A sensor in the files looked at: rows and values, range, places of the files it is in."""

    rows: int = 0
    missing: int = 0
    low: float = inf
    high: float = -inf
    files: list[int] = field(default_factory=list)

    def add(self, values: Float64, file: int) -> None:
        """Note more values of a file."""
        there = values[~np.isnan(values)]
        self.rows += len(values)
        self.missing += len(values) - len(there)
        if len(there):
            self.low = min(self.low, float(there.min()))
            self.high = max(self.high, float(there.max()))
        if self.files[-1:] != [file]:
            self.files.append(file)


@dataclass(eq=False)
class ReadingsSurvey:
    """What a sample of the files holds.

    batches: all there are, by name; looked: names of those looked at. rejected: by reason how
    many rows, and the first file. steps: the usual interval of each file, in nanoseconds, and
    intervals that of one asset; gaps: length and start of the longest of each file, and of those
    between files. failed: by outcome and reason, which files. seconds: what reading those looked
    at took of a processor.
    """

    batches: list[Batch] = field(default_factory=list)
    looked: list[str] = field(default_factory=list)
    failed: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    in_part: list[str] = field(default_factory=list)
    rejected: dict[str, tuple[int, str]] = field(default_factory=dict)
    rows: int = 0
    sensors: dict[str, SensorSurvey] = field(default_factory=dict)
    left: dict[str, tuple[LeftColumn, list[int]]] = field(default_factory=dict)
    assets: set[str] = field(default_factory=set)
    zones: set[str] = field(default_factory=set)
    first: int | None = None
    last: int | None = None
    steps: list[float] = field(default_factory=list)
    intervals: list[float] = field(default_factory=list)
    seconds: float = 0.0
    gaps: list[tuple[int, int]] = field(default_factory=list)

    def add(self, chunk: ReadingsChunk, file: int) -> None:
        """Note a part of a file that is read."""
        readings = chunk.readings
        self.rows += len(readings.time)
        self.assets.update(readings.assets)
        self.intervals += _intervals(readings)
        for sensor, values in zip(readings.sensors, readings.values, strict=True):
            self.sensors.setdefault(sensor, SensorSurvey()).add(values, file)
        for column in chunk.left:
            self.left.setdefault(column.name, (column, []))[1].append(file)
        for each in chunk.rejections:
            rows, name = self.rejected.get(each.reason, (0, self.looked[file]))
            self.rejected[each.reason] = rows + each.rows, name

    @property
    def interval_ns(self) -> int | None:
        """The usual time between readings of an asset, None where that is not to be seen.

        Of files of one moment each, it is that from file to file.
        """
        if self.intervals:
            return int(np.median(self.intervals))
        if self.steps or self.first is None or self.last is None or self.last == self.first:
            return None
        return (self.last - self.first) // (len(self.batches) - 1)

    def add_failure(self, outcome: str, batch: Batch, error: PmAppError) -> None:
        """Note a file that gives nothing; files of one reason are told of together."""
        reason = str(error).removeprefix(f"{batch.name}: ")
        self.failed.setdefault((outcome, reason), []).append(batch.name)

    def add_times(self, times: Int64, *, after: int | None) -> None:
        """Note the times of a file; after: the last of the file before, where none is between."""
        moments = np.unique(times)
        if not len(moments):
            return
        low, high = int(moments[0]), int(moments[-1])
        self.first = low if self.first is None else min(low, self.first)
        self.last = high if self.last is None else max(high, self.last)
        if len(moments) > 1:
            steps = np.diff(moments)
            self.steps.append(float(np.median(steps)))
            longest = int(np.argmax(steps))
            self.gaps.append((int(steps[longest]), int(moments[longest])))
        if after is not None and low > after:
            self.gaps.append((low - after, after))


def _intervals(readings: Readings) -> list[float]:
    """The usual time between readings of an asset, in nanoseconds; nothing where each has one."""
    order = np.lexsort((readings.time, readings.asset))
    steps = np.diff(readings.time[order])
    steps = steps[(np.diff(readings.asset[order]) == 0) & (steps > 0)]
    return [float(np.median(steps))] if len(steps) else []


def survey_readings(
    source: ReadingsSource, survey: ReadingsSurvey, batches: Iterable[Batch]
) -> None:
    """Look at a sample of these files. Raises SourceUnavailable where they cannot be listed."""
    survey.batches = sorted(batches, key=lambda batch: batch.name)
    count = len(survey.batches)
    chosen = np.unique(np.linspace(0, count - 1, min(count, FILES_LOOKED_AT)).round().astype(int))
    last: tuple[int, int] | None = None
    for place in chosen.tolist() if count else ():
        batch = survey.batches[place]
        began = process_time()
        try:
            times = _look_at(source, batch, survey)
        except SourceUnavailable as error:
            survey.add_failure("cannot be read now", batch, error)
        except TornBatch as error:
            survey.add_failure("may still be on its way", batch, error)
        except PmAppError as error:
            survey.add_failure("would be quarantined", batch, error)
        else:
            survey.add_times(times, after=last[1] if last and last[0] == place - 1 else None)
            last = (place, int(times.max())) if len(times) else None
        survey.seconds += process_time() - began


def _look_at(source: ReadingsSource, batch: Batch, survey: ReadingsSurvey) -> Int64:
    """The times of a file's readings, of the first MOST_CELLS_A_FILE alone where it has more."""
    described = source.describe(batch)
    times: list[Int64] = []
    cells = rows = 0
    for chunk in source.read(batch):
        if not times:
            survey.looked.append(batch.name)
            survey.zones.update(zone for _, kind in described.columns for zone in _zone_of(kind))
        survey.add(chunk, len(survey.looked) - 1)
        times.append(chunk.readings.time)
        cells += chunk.readings.values.size
        rows += len(chunk.readings.time) + sum(each.rows for each in chunk.rejections)
        if cells >= MOST_CELLS_A_FILE and rows < described.rows:
            survey.in_part.append(batch.name)
            break
    return np.concatenate(times) if times else np.empty(0, dtype=np.int64)


def _zone_of(kind: str) -> list[str]:
    if not kind.startswith("timestamp"):
        return []
    found = _ZONE.search(kind)
    return [found.group(1) if found else ""]


def check_readings(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """Findings on what lies in the folder of readings; what was seen is noted in `survey`."""
    source = readings_source(settings)
    uri = settings.readings.uri
    left = count_left("readings", source)
    for each in left:
        yield Finding("note", "readings", each.words)
    survey_readings(source, survey, source.list())
    if not survey.batches:
        others = sum(each.files for each in left)
        text = f"no {source.contents} in {uri!r} yet"
        if others:
            text = f"no {source.contents} in {uri!r}, only {counted(others, 'other file')}"
        yield Finding("note", "readings", text)
        return
    failed = list(survey.failed.items())
    database = settings.readings.format == _DATABASE
    for (outcome, reason), names in failed[:_FAILURES_SHOWN]:
        also = f" and {counted(len(names) - 1, 'more file')}" if len(names) > 1 else ""
        what = "what the query gives" if database else f"{names[0]}{also}"
        yield Finding("fails", "readings", f"{outcome}: {what}: {reason}")
    more = sum(len(names) for _, names in failed[_FAILURES_SHOWN:])
    if more:
        text = f"{counted(more, 'more file')} cannot be read for other reasons"
        yield Finding("fails", "readings", text)
    if not survey.looked:
        return
    yield from _totals(survey, uri, database=database)
    yield from _times(survey, settings)
    yield from _sensors(survey, settings)
    yield from _left_columns(survey)


def _totals(survey: ReadingsSurvey, uri: str, *, database: bool) -> Iterator[Finding]:
    looked, count = survey.looked, len(survey.batches)
    some = f"{len(looked)} of {counted(count, 'file')} in {uri!r}"
    text = f"{some} looked at, {looked[0]} to {looked[-1]}" if count > 1 else f"{some}: {looked[0]}"
    text = f"the first rows that {uri!r} gives" if database else text
    sensors = counted(len(survey.sensors), "sensor")
    assets = counted(len(survey.assets), "asset")
    yield Finding("ok", "readings", f"{text}: {counted(survey.rows, 'row')}, {sensors}, {assets}")
    if survey.in_part:
        text = f"only the beginning was looked at of {some_names(survey.in_part)}"
        yield Finding("ok", "readings", text)
    for reason, (count, name) in [*survey.rejected.items()][:_FAILURES_SHOWN]:
        what = f"{counted(count, 'row')} would be rejected: {reason}" if count else reason
        yield Finding("note", "readings", f"{what} (first in {name})")
    yield Finding("ok", "assets", some_names(sorted(survey.assets), 20))
    alike: dict[str, list[str]] = {}
    for name in sorted(survey.assets):
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    for names in [names for names in alike.values() if len(names) > 1][:_FAILURES_SHOWN]:
        text = f"{some_names(names)} differ in case or spaces alone: one machine or several?"
        yield Finding("note", "assets", text)


def _times(survey: ReadingsSurvey, settings: Settings) -> Iterator[Finding]:
    if survey.first is None or survey.last is None or settings.target.kind == "column":
        return
    zone = ZoneInfo(settings.plant.timezone)
    span = f"{local_text(survey.first, zone)} to {local_text(survey.last, zone)} ({zone.key})"
    given = sorted(survey.zones - {""})
    written = [f"times carry the zone {', '.join(given)}"] if given else []
    if settings.readings.counts is not None:
        written.append(f"times are numbers of {settings.readings.counts} from 2000-01-01 on")
    elif "" in survey.zones and settings.readings.timezone is not None:
        written.append(f"times without a zone are read as {settings.readings.timezone}")
    usual = float(np.median(survey.steps)) if survey.steps else 0.0
    every = f"a row every {format_duration(usual / NS)}" if usual else "one moment a file"
    yield Finding("ok", "times", "; ".join([span, every, *written]))
    gaps = [gap for gap in survey.gaps if usual and gap[0] > _GAP_INTERVALS * usual]
    if gaps:
        length, start = max(gaps)
        yield Finding(
            "note",
            "times",
            f"{counted(len(gaps), 'gap')} in the files looked at, the longest of "
            f"{format_duration(length / NS)} from {local_text(start, zone)} on",
        )


def _sensors(survey: ReadingsSurvey, settings: Settings) -> Iterator[Finding]:
    odd = {name: _oddity(sensor, survey.looked) for name, sensor in survey.sensors.items()}
    names = sorted(survey.sensors)
    if len(names) > _ONE_BY_ONE:
        plain = [name for name in names if not odd[name]]
        yield Finding("ok", "sensors", ", ".join(plain))
        names = [name for name in names if odd[name]]
    for name in names:
        sensor = survey.sensors[name]
        share = sensor.missing / max(sensor.rows, 1)
        between = f"{sensor.low:.4g} to {sensor.high:.4g}"
        if sensor.low >= sensor.high:
            between = "no value" if sensor.low > sensor.high else f"always {sensor.low:.4g}"
        parts = [_called(name, settings), between, f"{share:.0%} missing", odd[name]]
        verdict = "note" if odd[name] else "ok"
        yield Finding(verdict, "sensor", f"{name}: {', '.join(part for part in parts if part)}")
    for words in unknown_sensors(settings.sensors, survey.sensors):
        yield Finding("note", "sensors", words)


def _called(name: str, settings: Settings) -> str:
    """A sensor's display name and unit, "" where it has none."""
    shown = sensor_text(name, settings.sensors)
    return "" if shown == name else shown


def _oddity(sensor: SensorSurvey, looked: Sequence[str]) -> str:
    """What a person has to know of a sensor, "" where nothing."""
    there, count = sensor.files, len(looked)
    some = f"in {len(there)} of {counted(count, 'file')} looked at"
    if len(there) < count:
        if there == [*range(there[0], count)]:
            return f"only from {looked[there[0]]} on, {some}"
        if there == [*range(there[-1] + 1)]:
            return f"not after {looked[there[-1]]}, {some}"
        return f"only {some}, {looked[there[0]]} to {looked[there[-1]]}"
    if sensor.missing > MOST_MISSING * sensor.rows:
        return "mostly missing"
    return ""


def _left_columns(survey: ReadingsSurvey) -> Iterator[Finding]:
    asked = sorted(name for name, (why, _) in survey.left.items() if why.cause == "settings")
    if asked:
        yield Finding("ok", "columns", f"left as the settings say: {some_names(asked, 20)}")
    for name, (why, files) in survey.left.items():
        if why.cause == "settings":
            continue
        count, all_files = len(files), len(survey.looked)
        where = "" if count == all_files else f" (in {count} of {counted(all_files, 'file')})"
        yield Finding("note", "columns", f"{name!r} is left: it {why.reason}{where}")
