"""Features at cutoffs: the one path that training and scoring share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from pm_app.features.events import (
    Keys,
    clock_features,
    events_within,
    hours_since,
    hours_waited,
)
from pm_app.features.limits import limit_features
from pm_app.features.lives import age_hours, life_starts
from pm_app.features.memory import AssetMemories, no_memory, recall
from pm_app.features.panes.panes import panes_in_windows, select_sensors
from pm_app.features.regimes.normalise import normalise_beside, normalise_panes
from pm_app.features.runs import run_ends
from pm_app.features.windows import WINDOW_STATISTICS, last_values, roll_windows
from pm_app.records.features import IN_REGIME, FeatureSpec, Frame, Panes, RunningRule
from pm_app.records.memory import Memory
from pm_app.records.readings import Events, Flags, Float32, Float64, Index, Int64
from pm_app.threads import on_threads
from pm_app.times import HOUR_NS, duration_text

# Arrays of about this many cells stay in cache: measured 5 times faster than one large pass.
CHUNK_CELLS = 60_000
LIFE_STATISTICS = ("mean", "deviation", "minimum", "maximum")
_CHANGE = ("change", "change.scaled")
_SMOOTH = ("smooth", "above")


def feature_names(spec: FeatureSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of the features of a spec in their order, and the sensor or group of each."""
    windows = [duration_text(window) for window in spec.windows_ns]
    own = ("last", *(f"{s}.{w}" for w in windows for s in WINDOW_STATISTICS), *memory_names(spec))
    pairs = [(f"{sensor}.{name}", sensor) for sensor in spec.sensors for name in own]
    pairs += [(f"{sensor}.{name}{IN_REGIME}", sensor) for sensor in spec.beside for name in own]
    pairs += [("age", "age"), ("since.failure", "maintenance")]
    pairs += [(f"since.maintenance.{code}", "maintenance") for code in spec.maintenance_codes]
    pairs += [(f"since.renewal.{mode}", "maintenance") for mode, _ in spec.mode_renewals]
    pairs += [(f"errors.{code}.{w}", "errors") for code in spec.error_codes for w in windows]
    if spec.inspections:
        pairs += [("since.inspection", "inspections")]
    pairs += [(f"since.inspection.{code}", "inspections") for code in spec.inspection_codes]
    if spec.clock is not None:
        pairs += [
            (name, "clock") for name in ("hour.sin", "hour.cos", "weekday.sin", "weekday.cos")
        ]
    return tuple(name for name, _ in pairs), tuple(group for _, group in pairs)


def memory_names(spec: FeatureSpec) -> tuple[str, ...]:
    """What the features of long memory are called, behind the name of their sensor."""
    names = [f"{statistic}.life" for statistic in LIFE_STATISTICS] if spec.life else []
    names += ["change"] if spec.change else []
    names += ["change.scaled"] if spec.scaled_change else []
    names += [f"{s}.{duration_text(half_life)}" for half_life in spec.smooth_ns for s in _SMOOTH]
    return tuple(names)


def is_rolled(feature: str) -> bool:
    """Whether it is a statistic of a sensor's values over a window or a life."""
    feature = feature.removesuffix(IN_REGIME)
    parts = feature.rsplit(".", 2)
    rolled = (*WINDOW_STATISTICS, *_SMOOTH)
    return feature.endswith(tuple(f".{name}" for name in _CHANGE)) or (
        len(parts) == 3 and parts[1] in rolled
    )


def build_frame(
    panes: Panes,
    events: Events,
    spec: FeatureSpec,
    *,
    first_seen: Mapping[str, int],
    memory: Memory | None = None,
    wanted: Index | None = None,
) -> Frame:
    """Every feature of the spec at the end of every pane, or of these: ascending rows.

    panes must reach back the longest window before the first cutoff that will be used, and
    where the spec remembers, to the boundary that the asset has in `memory`, or to the first
    pane of its life. first_seen: nanoseconds UTC of each asset's first reading ever. A
    cutoff's features depend on nothing later than it, and on no pane outside its windows and
    its life. What is beyond the spec's limits is missing (see `limit_features`).
    """
    rows = np.arange(len(panes.pane)) if wanted is None else wanted
    off = None if spec.running is None else machine_off(panes, spec.running)[rows]
    panes = select_sensors(panes, spec.sensors)
    features, sensor_of = feature_names(spec)
    values = np.empty((len(rows), len(features)), dtype=np.float32)
    keys = _keys(panes, rows)
    lived = _lived_hours(keys, events, spec, first_seen) if spec.remembers else None
    waited = hours_waited(keys, events, first_seen)
    chunks = list(asset_chunks(panes))
    given = _Given(events, spec, first_seen, memory or no_memory(spec))

    def fill(chunk: range) -> None:
        low, high = np.searchsorted(rows, [chunk.start, chunk.stop]).tolist()
        some = panes.take(slice(chunk.start, chunk.stop))
        _fill(values[low:high], some, rows[low:high] - chunk.start, given)

    # Each has rows of its own, so whichever ends first changes nothing.
    on_threads(fill, chunks, least=2)
    frame = Frame(*keys, features, sensor_of, values, off, waited, lived)
    return limit_features(frame, spec.limits)


def _lived_hours(
    keys: Keys, events: Events, spec: FeatureSpec, first_seen: Mapping[str, int]
) -> Float64:
    """Hours since the life of each cutoff began, (n_rows,)."""
    start = _life_starts(keys, events, spec, first_seen)
    return np.asarray((keys[2] - start * spec.pane_ns) / HOUR_NS)


def _life_starts(
    keys: Keys, events: Events, spec: FeatureSpec, first_seen: Mapping[str, int]
) -> Int64:
    return life_starts(
        keys, events, first_seen=first_seen, pane_ns=spec.pane_ns, renewals=spec.renewals
    )


@dataclass(frozen=True, eq=False)
class _Given:
    """What features are made of besides panes, as `build_frame` has it."""

    events: Events
    spec: FeatureSpec
    first_seen: Mapping[str, int]
    memory: Memory


def _keys(panes: Panes, rows: Index) -> Keys:
    return panes.assets, panes.asset[rows], (panes.pane[rows] + 1) * panes.pane_ns


def _fill(block: Float32, panes: Panes, rows: Index, given: _Given) -> None:
    """All features of these rows of panes, whole assets, into (n_rows, n_features)."""
    events, spec, first_seen = given.events, given.spec, given.first_seen
    part = see_panes(panes, spec)
    columns = _sensor_columns(part, spec, rows)
    if spec.remembers:
        every = _keys(panes, np.arange(len(panes.pane)))
        start = _life_starts(every, events, spec, first_seen)
        recalled = recall(part, start, spec, before=given.memory, wanted=rows)
        columns += _memory_columns(recalled, columns[1], spec)
    for number, column in enumerate(columns):
        block[:, number :: len(columns)][:, : len(spec.seen)] = column
    for number, column in enumerate(_event_columns(_keys(panes, rows), events, spec, first_seen)):
        block[:, len(columns) * len(spec.seen) + number] = column


def see_panes(panes: Panes, spec: FeatureSpec) -> Panes:
    """Panes as the spec's windows and memory see them, with the sensors that `spec.seen` names."""
    panes = select_sensors(panes, spec.sensors)
    if spec.regimes is None:
        return panes
    if not spec.beside:
        return normalise_panes(panes, spec.regimes)
    return normalise_beside(panes, spec.regimes, spec.beside)


def select_features(frame: Frame, features: tuple[str, ...]) -> Frame:
    """The same frame with exactly these features, by name and in this order."""
    place = {name: number for number, name in enumerate(frame.features)}
    columns = [place[name] for name in features]
    return replace(
        frame,
        features=features,
        sensor_of=tuple(frame.sensor_of[column] for column in columns),
        values=np.take(frame.values, columns, axis=1),
    )


def machine_off(panes: Panes, running: RunningRule) -> Flags:
    """Panes that end with the machine off; one without a reading of what tells it does not."""
    last = select_sensors(panes, (running.sensor,)).last[:, 0]
    with np.errstate(invalid="ignore"):
        return np.asarray(last <= running.above)


def asset_chunks(panes: Panes) -> Iterator[range]:
    """Rows, whole assets together, a cache-sized number at a time."""
    rows_each = max(CHUNK_CELLS // max(len(panes.sensors), 1), 1)
    begin = 0
    for end in (np.flatnonzero(run_ends(panes.asset)) + 1).tolist():
        if end - begin >= rows_each or end == len(panes.pane):
            yield range(begin, end)
            begin = end


def _sensor_columns(panes: Panes, spec: FeatureSpec, rows: Index) -> list[Float64]:
    """Each of the columns a sensor gets, for all sensors: (n_rows, n_sensors) arrays."""
    longest = spec.windows_ns[-1] if spec.windows_ns else spec.pane_ns
    panes, rows = panes_in_windows(panes, rows, window_ns=longest)
    columns = [last_values(panes, window_ns=longest)[rows]]
    rolled = list(roll_windows(panes, windows_ns=spec.windows_ns, wanted=rows))
    if not spec.own_minima:
        rolled = [replace(windows, minimum=rolled[-1].minimum) for windows in rolled]
    for windows in rolled:
        columns += [getattr(windows, name) for name in WINDOW_STATISTICS]
    return columns


def _memory_columns(recalled: AssetMemories, recent: Float64, spec: FeatureSpec) -> list[Float64]:
    """As `memory_names` has them; recent is the mean of the shortest window."""
    columns = [*recalled.life] if spec.life else []
    mean, deviation = recalled.beginning
    if spec.change:
        columns.append(recent - mean)
    if spec.scaled_change:
        columns.append((recent - mean) / np.where(deviation > 0, deviation, np.nan))
    for smooth in recalled.smooth:
        columns += [smooth, recent - smooth]
    return columns


def _event_columns(
    keys: Keys, events: Events, spec: FeatureSpec, first_seen: Mapping[str, int]
) -> Iterator[Float64]:
    yield age_hours(keys, events, first_seen, renewals=spec.renewals)
    yield hours_since(keys, events, kind="failure", code=None)
    for code in spec.maintenance_codes:
        yield hours_since(keys, events, kind="maintenance", code=code)
    for _, patterns in spec.mode_renewals:
        # What no work has made new yet is as old as the asset.
        own = (*spec.renewals, *patterns)
        yield age_hours(keys, events, first_seen, renewals=own)
    for code in spec.error_codes:
        for window_ns in spec.windows_ns:
            yield events_within(keys, events, kind="error", code=code, window_ns=window_ns)
    if spec.inspections:
        yield hours_since(keys, events, kind="inspection", code=None)
    for code in spec.inspection_codes:
        yield hours_since(keys, events, kind="inspection", code=code)
    if spec.clock is not None:
        yield from clock_features(keys[2], spec.clock).values()
