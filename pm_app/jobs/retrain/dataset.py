"""All that a retraining may look at: features and labels up to a moment."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pm_app.errors import BadSettings, NotEnoughData
from pm_app.features.frame import build_frame, is_rolled
from pm_app.features.panes.panes import merge_panes, select_sensors
from pm_app.features.regimes.search import RegimeSearch, settle_regimes
from pm_app.jobs.retrain.extent import (
    Past,
    asset_groups,
    past_until,
    search_plant_regimes,
    sensors_of,
)
from pm_app.learning.data.failures import ConfirmedEvents, ConfirmedFailure, join_failures
from pm_app.learning.data.labels import (
    column_labels,
    failures_learned,
    life_labels,
    while_running,
)
from pm_app.learning.data.sufficiency import missed_failures_text, name_some, too_fine_for_float32
from pm_app.records.features import FeatureSpec, Frame, Panes, RunningRule
from pm_app.records.labels import Labels
from pm_app.records.readings import Events, Float64, no_events, take_events
from pm_app.settings.plant import Settings
from pm_app.settings.values import read_running
from pm_app.state.panes import History
from pm_app.times import HOUR_NS

# Rows of one asset repeat each other: beyond this many, time teaches less than it costs.
MOST_ROWS = 200_000
# A code seen less often than this cannot be told from chance.
LEAST_CODES = 3


@dataclass(frozen=True, eq=False)
class Dataset:
    """Features at cutoffs up to a moment, with their labels.

    informative: the features of the frame that are worth learning from, in its order.
    missed: words on failures that came but teach nothing, "" without any. too_fine:
    sensors that change by less than 32-bit numbers of their size can tell.
    regimes: in words, what regimes there are or why none. before: the same cutoffs as the
    champion sees them, None where features of one name have the same values in `frame`.
    told: how many of the failures that teach came from verdicts.
    """

    spec: FeatureSpec
    frame: Frame
    labels: Labels
    informative: tuple[str, ...]
    missed: str = ""
    too_fine: tuple[str, ...] = ()
    regimes: str = ""
    before: Frame | None = None
    told: int = 0


def gather_dataset(
    history: History,
    segments: Sequence[str],
    events: Events,
    settings: Settings,
    *,
    first_seen: Mapping[str, int],
    as_of_ns: int,
    champion: FeatureSpec | None = None,
    told: Sequence[ConfirmedFailure] = (),
) -> Dataset:
    """Every cutoff up to `as_of_ns`, thinned evenly in time where there are too many.

    told: failures that verdicts confirm; they are in labels, features know only events.
    champion: the features of the version that scores; its regimes stay where they are found
    again. Raises NotEnoughData when there are no readings, BadSettings when the label column
    or a named regime column is not among the sensors.
    """
    events = _until(events, as_of_ns)
    last_pane = as_of_ns // history.pane_ns - 1
    past = past_until(history, segments, last_pane)
    segments, keys = past.segments, past.keys
    rows = len(keys.pane)
    if not rows:
        raise NotEnoughData("not enough data: no readings yet, some are needed to learn from")
    spec = make_spec(sensors_of(history, past, last_pane), events, settings, keys=keys)
    before = champion.regimes if champion is not None else None
    search = search_plant_regimes(
        history, segments, settings, spec, keys=keys, last_pane=last_pane, before=before
    )
    spec = replace(spec, regimes=settle_regimes(search.regimes, before))
    specs = [spec]
    if champion is not None and not _mean_the_same(champion, spec):
        specs.append(replace(champion, pane_ns=spec.pane_ns))
    built = _build(
        history, past, events, settings, specs, first_seen=first_seen, last_pane=last_pane
    )
    frame = built.frames[0]
    failures = all_failures(events, told, settings, known_until=as_of_ns)
    labels = _label(frame, failures.events, built.labels, settings, as_of_ns)
    fine = too_fine_for_float32(*built.ranges)
    return Dataset(
        spec,
        frame,
        labels,
        informative_features(frame, labels),
        missed=missed_failures_text(frame, failures.events),
        too_fine=tuple(name for name, unseen in zip(spec.sensors, fine, strict=True) if unseen),
        regimes=search.reason,
        before=next(iter(built.frames[1:]), None),
        told=failures_learned(frame, labels, failures.events, failures.told, known_until=as_of_ns),
    )


def all_failures(
    events: Events, told: Sequence[ConfirmedFailure], settings: Settings, *, known_until: int
) -> ConfirmedEvents:
    """Events and what verdicts confirm, each failure once, as the plant's horizons have it."""
    near_ns = round(settings.target.horizons_hours[0] * HOUR_NS)
    return join_failures(events, told, near_ns=near_ns, known_until=known_until)


@dataclass(frozen=True, eq=False)
class _Built:
    """A frame a spec, the label column of its rows, least and greatest pane of a sensor."""

    frames: Sequence[Frame]
    labels: Float64
    ranges: tuple[Float64, Float64]


def _build(
    history: History,
    past: Past,
    events: Events,
    settings: Settings,
    specs: Sequence[FeatureSpec],
    *,
    first_seen: Mapping[str, int],
    last_pane: int,
) -> _Built:
    """Some assets at a time; ranges are those of the first spec's sensors."""
    stride = -(-len(past.keys.pane) // MOST_ROWS)
    frames: list[list[Frame]] = [[] for _ in specs]
    labels_read, ranges = [], []
    for assets in asset_groups(past.keys, max(len(each.sensors) for each in specs)):
        parts = history.read(past.segments, assets=set(assets), until_pane=last_pane)
        panes = merge_panes(list(parts), pane_ns=history.pane_ns)
        stays = np.flatnonzero(panes.pane % stride == 0)
        for each, built in zip(specs, frames, strict=True):
            built.append(build_frame(panes, events, each, first_seen=first_seen).take(stays))
        labels_read.append(_label_column(panes, settings)[stays])
        ranges.append(_ranges(panes, specs[0].sensors))
    low, high = np.fmin.reduce(ranges) * ((1.0,), (-1.0,))
    return _Built([_join(built) for built in frames], np.concatenate(labels_read), (low, high))


def search_regimes(
    history: History, segments: Sequence[str], settings: Settings, *, as_of_ns: int
) -> RegimeSearch:
    """What regimes the readings up to `as_of_ns` show, or why none. Raises as `gather_dataset`."""
    last_pane = as_of_ns // history.pane_ns - 1
    past = past_until(history, segments, last_pane)
    if not len(past.keys.pane):
        return RegimeSearch(None, "no readings yet")
    sensors = sensors_of(history, past, last_pane)
    spec = make_spec(sensors, no_events(), settings, keys=past.keys)
    return search_plant_regimes(
        history, past.segments, settings, spec, keys=past.keys, last_pane=last_pane
    )


def _mean_the_same(champion: FeatureSpec, spec: FeatureSpec) -> bool:
    """Whether features of one name have the same values by both."""
    if champion.regimes is None or spec.regimes is None:
        return champion.regimes == spec.regimes
    # Sensors that are new since change nothing for those before.
    known = len(champion.regimes.sensors)
    return champion.regimes == replace(
        spec.regimes,
        sensors=spec.regimes.sensors[:known],
        levels=tuple(row[:known] for row in spec.regimes.levels),
        spreads=tuple(row[:known] for row in spec.regimes.spreads),
    )


def make_spec(
    seen: Sequence[str], events: Events, settings: Settings, *, keys: Panes
) -> FeatureSpec:
    """Which features there are, from settings and from the sensors, events and panes seen."""
    sensors = settings.readings.sensors or tuple(seen)
    column = settings.target.column
    if column is not None and column not in seen:
        raise BadSettings(
            f"target.column: {column!r} is no numeric column of the readings, "
            f"which have {name_some([name for name in seen if name != column])}; "
            "text is written as numbers, classes as 0 and 1"
        )
    # One pane an asset is a table: windows and memory would only repeat the row.
    is_table = len(keys.pane) == len(keys.assets)
    features = settings.features
    return FeatureSpec(
        sensors=tuple(name for name in sensors if name != column),
        pane_ns=keys.pane_ns,
        windows_ns=() if is_table else features.windows_ns,
        maintenance_codes=_codes(events, "maintenance"),
        error_codes=_codes(events, "error"),
        clock=settings.plant.timezone if features.clock else None,
        life=features.life and not is_table,
        change=features.change and not is_table,
        scaled_change=features.scaled_change and not is_table,
        beginning_ns=None if is_table else features.beginning_ns,
        smooth_ns=() if is_table else features.smooth_ns,
        running=_running(settings.readings.running, seen),
    )


def _running(told: str | None, seen: Sequence[str]) -> RunningRule | None:
    if told is None:
        return None
    sensor, above = read_running(told)
    if sensor not in seen:
        raise BadSettings(
            f"readings.running: {sensor!r} is no numeric column of the readings, "
            f"which have {name_some(seen)}"
        )
    return RunningRule(sensor, above)


def informative_features(frame: Frame, labels: Labels) -> tuple[str, ...]:
    """The features that change; of a sensor that never does, its last.

    Every sensor keeps a place: what is constant today may speak tomorrow. Of what is now
    there and now missing, windows tell the share: no statistic of theirs or of memory counts as
    changing for that alone, or a constant sensor's slope would, which needs two panes.
    """
    values = frame.values[labels.usable]
    with np.errstate(invalid="ignore"):
        low = np.fmin.reduce(values, axis=0, initial=np.inf)
        high = np.fmax.reduce(values, axis=0, initial=-np.inf)
    rolled = np.array([is_rolled(name) for name in frame.features])
    comes_and_goes = np.isnan(values).any(axis=0) & np.isfinite(low) & ~rolled
    changes = (high > low) | comes_and_goes
    speaks = {frame.sensor_of[number] for number in np.flatnonzero(changes)}
    return tuple(
        name
        for name, sensor, change in zip(frame.features, frame.sensor_of, changes, strict=True)
        if change or (sensor not in speaks and name.endswith(".last"))
    )


def _until(events: Events, as_of_ns: int) -> Events:
    return take_events(events, events.time <= as_of_ns)


def _codes(events: Events, kind: str) -> tuple[str, ...]:
    counts = Counter(events.code[events.kind == kind].tolist())
    return tuple(sorted(code for code, count in counts.items() if count >= LEAST_CODES))


def _label_column(panes: Panes, settings: Settings) -> Float64:
    """The value of the label column at the end of each pane, NaN without one."""
    column = settings.target.column
    if column is None:
        return np.full(len(panes.pane), np.nan)
    return np.asarray(select_sensors(panes, (column,)).last[:, 0])


def _ranges(panes: Panes, sensors: tuple[str, ...]) -> Float64:
    """Lowest value of each sensor and minus its highest, (2, n_sensors); NaN without any."""
    chosen = select_sensors(panes, sensors)
    return np.stack(
        [np.fmin.reduce(chosen.minimum), np.fmin.reduce(-chosen.maximum)],
    )


def _label(
    frame: Frame, events: Events, column: Float64, settings: Settings, as_of_ns: int
) -> Labels:
    if settings.target.column is None:
        horizons = settings.target.horizons_hours
        labels = life_labels(frame, events, known_until=as_of_ns, horizons_hours=horizons)
        return while_running(frame, labels)
    return column_labels(frame, column, column=settings.target.column, task=settings.target.task)


def _join(frames: Sequence[Frame]) -> Frame:
    """Frames of different assets under one list of those that have rows."""
    present = {frame.assets[number] for frame in frames for number in np.unique(frame.asset)}
    assets = tuple(sorted(present))
    place = {name: number for number, name in enumerate(assets)}
    numbers: list[NDArray[np.int32]] = []
    for frame in frames:
        own = np.array([place.get(name, -1) for name in frame.assets], dtype=np.int32)
        numbers.append(own[frame.asset])
    return replace(
        frames[0],
        assets=assets,
        asset=np.concatenate(numbers),
        cutoff=np.concatenate([frame.cutoff for frame in frames]),
        values=np.concatenate([frame.values for frame in frames]),
        off=_put_end_to_end([frame.off for frame in frames]),
    )


def _put_end_to_end(parts: Sequence[NDArray[np.bool_] | None]) -> NDArray[np.bool_] | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None
