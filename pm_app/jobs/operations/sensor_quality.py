"""Looks at the quality of sensors: some assets a turn, from the newest panes, round after round."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from pm_app.features.panes.panes import merge_panes
from pm_app.features.sensor_quality.clocks import NO_STAMP, Arrivals, shifted_stamps
from pm_app.features.sensor_quality.grading import QualityRules, grade_sensors, look_back
from pm_app.jobs.plant import LedgerView
from pm_app.records.features import RunningRule
from pm_app.records.sensor_quality import AssetQuality, SensorRemark, worst_first
from pm_app.settings.plant import Settings
from pm_app.settings.values import read_running
from pm_app.state.panes import History
from pm_app.state.segments import MissingSegment
from pm_app.state.sensor_quality import SensorCounts, SensorReport, read_quality, write_quality
from pm_app.store import BatchRow, segments_of
from pm_app.times import HOUR_NS, to_moment, to_nanoseconds

# Panes times sensors that are read at once: some 80 MB while they are judged.
GROUP_CELLS: Final = 300_000
# A round begins so long after the one before, at the earliest.
ROUND_EVERY_NS: Final = HOUR_NS
MOST_REMARKS: Final = 2_000
# Of an asset that has sent nothing for so long, silence is told and nothing else.
_SILENT_NS: Final = 48 * HOUR_NS
_FILES: Final = 24
_FILES_OF: Final = timedelta(days=2)
# Segments of the newest files tell how many sensors there are.
_LOOKED_INTO: Final = 3


@dataclass(frozen=True, eq=False)
class QualitySource:
    """What sensors are judged by: settings, panes, and which of them count."""

    settings: Settings
    history: History
    ledger: LedgerView


@dataclass(frozen=True, eq=False)
class QualityExtent:
    """What there is to look at: assets that still send, sorted, files of the time looked at, the
    first pane of it, and how many assets are read at once."""

    assets: tuple[str, ...]
    rows: Sequence[BatchRow]
    first_pane: int
    at_once: int


def look_at_sensors(source: QualitySource, *, now: datetime) -> str:
    """Grade the sensors of the next assets and keep what is found; the outcome in words.

    Each turn reads GROUP_CELLS of history or one asset's, however many assets there are.
    """
    settings = source.settings
    if settings.target.kind == "column":
        return "a table without a time axis has no course to judge sensors by"
    before = read_quality(settings.state) or SensorReport()
    moment = to_nanoseconds(now)
    due = before.began + ROUND_EVERY_NS
    if not before.following and before.began <= moment < due:
        return "all assets were looked at within the hour"
    try:
        extent = quality_extent(source, now=now)
        if not extent.assets:
            return "no readings yet"
        starts = not before.following
        clocks = tuple(clock_remarks(source, extent)) if starts else before.clocks
        group = [name for name in extent.assets if name >= before.following][: extent.at_once]
        found = list(grade_assets(source, extent, group, now=now))
    except MissingSegment:
        return "files are being joined; the next turn looks again"
    rest = [name for name in extent.assets if group and name > group[-1]]
    began = moment if starts else before.began
    after = SensorReport(began, moment, rest[0] if rest else "", clocks=clocks)
    report = _joined(after, before, set(extent.assets).difference(group), found)
    write_quality(settings.state, report)
    bad, doubtful = (report.by_grade()[grade] for grade in ("bad", "doubtful"))
    words = f"{len(group)} assets looked at, {len(rest)} to come in this round"
    return f"{words}; in all {bad} sensors bad, {doubtful} in doubt"


def _joined(
    after: SensorReport, before: SensorReport, others: set[str], found: Sequence[AssetQuality]
) -> SensorReport:
    """What was found now, and of the other assets what was found before."""
    counts = {name: each for name, each in before.assets.items() if name in others}
    counts |= {each.asset: _counts(each) for each in found}
    remarks = [each for each in before.remarks if each.asset in others]
    remarks += [remark for each in found for remark in each.remarks]
    return replace(after, assets=counts, remarks=tuple(worst_first(remarks)[:MOST_REMARKS]))


def _counts(quality: AssetQuality) -> SensorCounts:
    bad = {each.sensor for each in quality.remarks if each.grade == "bad" and each.sensor}
    doubtful = {each.sensor for each in quality.remarks if each.sensor} - bad
    return SensorCounts(quality.sensors, quality.judged, len(bad), len(doubtful))


def quality_extent(source: QualitySource, *, now: datetime) -> QualityExtent:
    """What there is to look at by the newest readings, and those of the future by the clock."""
    pane_ns = source.history.pane_ns
    seen = source.ledger.seen()
    newest = min(int(seen.last.max(initial=0)), to_nanoseconds(now))
    still = seen.last >= newest - _SILENT_NS
    assets = tuple(np.array(seen.assets, dtype=object)[still].tolist())
    first_pane = newest // pane_ns - look_back(pane_ns) + 1
    since = to_moment(max(first_pane, 0) * pane_ns)
    until = to_moment(int(seen.last.max(initial=0)))
    rows = source.ledger.batches_overlapping("readings", since, until)
    sensors = {
        name
        for segment in segments_of(rows)[-_LOOKED_INTO:]
        for name in source.history.sensors(segment)
    }
    begun = int(seen.first.min(initial=newest)) // pane_ns
    panes = newest // pane_ns - max(begun, first_pane) + 1
    at_once = max(GROUP_CELLS // max(panes * len(sensors), 1), 1)
    return QualityExtent(assets, rows, first_pane, at_once)


def grade_assets(
    source: QualitySource, extent: QualityExtent, assets: Collection[str], *, now: datetime
) -> Iterator[AssetQuality]:
    """What is wrong with the sensors of these assets. Raises MissingSegment."""
    # A cache of its own: what scoring has at hand stays there.
    history = History(source.history.folder, pane_ns=source.history.pane_ns)
    names = segments_of(extent.rows)
    parts = history.read(names, assets=assets, since_pane=extent.first_pane)
    panes = merge_panes(list(parts), pane_ns=history.pane_ns)
    yield from grade_sensors(panes, _rules(source.settings), now=to_nanoseconds(now))


def clock_remarks(source: QualitySource, extent: QualityExtent) -> list[SensorRemark]:
    """Clocks that are off by how files came in the last two days. Raises MissingSegment."""
    return list(shifted_stamps(_arrivals(source, extent)))


def _rules(settings: Settings) -> QualityRules:
    running = settings.readings.running
    limits = {
        name: (sensor.low, sensor.high)
        for name, sensor in settings.sensors.items()
        if sensor.limits
    }
    rule = RunningRule(*read_running(running)) if running else None
    return QualityRules(rule, limits, ZoneInfo(settings.plant.timezone))


def _arrivals(source: QualitySource, extent: QualityExtent) -> Arrivals:
    """Newest stamps of each asset in files of the last two days, evenly chosen."""
    dated = [(row, row.last_time) for row in extent.rows if row.last_time is not None]
    since = max((last for _, last in dated), default=None)
    recent = [each for each in dated if since is not None and each[1] >= since - _FILES_OF]
    chosen = np.unique(
        np.linspace(0, len(recent) - 1, min(len(recent), _FILES)).round().astype(int)
    )
    rows = [recent[at] for at in chosen.tolist()] if recent else []
    newest = np.full((len(rows), len(extent.assets)), NO_STAMP, dtype=np.int64)
    place = {name: number for number, name in enumerate(extent.assets)}
    pane_ns = source.history.pane_ns
    for at, (row, _) in enumerate(rows):
        for keys in source.history.keys(row.segments, batch=row.digest):
            numbers = np.array([place.get(name, -1) for name in keys.assets], dtype=np.int64)
            own = numbers[keys.asset]
            np.maximum.at(newest[at], own[own >= 0], (keys.pane[own >= 0] + 1) * pane_ns)
    return Arrivals(
        extent.assets,
        np.array([to_nanoseconds(row.ingested_at) for row, _ in rows], dtype=np.int64),
        np.array([to_nanoseconds(last) for _, last in rows], dtype=np.int64),
        newest,
        pane_ns,
    )
