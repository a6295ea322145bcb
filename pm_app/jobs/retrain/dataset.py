"""Dataset of a retraining: features and labels of all that is recorded up to a moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pm_app.errors import NotEnoughData
from pm_app.features.frame import build_frame
from pm_app.features.limits import feed_paces, heard_until
from pm_app.features.panes.panes import select_sensors
from pm_app.features.regimes.search import RegimeSearch, followers, settle_regimes
from pm_app.features.sharing import have_equal_values
from pm_app.jobs.retrain.extent import (
    Past,
    asset_groups,
    past_until,
    search_plant_regimes,
    sensors_of,
)
from pm_app.jobs.retrain.feature_spec import informative_features, make_spec
from pm_app.learning.data.failures import (
    ConfirmedEvents,
    ConfirmedFailure,
    RepairRule,
    join_failures,
)
from pm_app.learning.data.labels import (
    classes_ahead,
    column_labels,
    failures_ahead,
    failures_learned,
    life_labels,
    while_running,
)
from pm_app.learning.data.modes import choose_modes
from pm_app.learning.data.renewal_weights import with_renewal_weights
from pm_app.learning.data.sufficiency import missed_failures_text, too_fine_for_float32
from pm_app.learning.dataset import Dataset
from pm_app.records.features import FeatureSpec, Frame, Panes
from pm_app.records.labels import Labels
from pm_app.records.readings import Events, Float64, no_events, take_events
from pm_app.settings.plant import Settings
from pm_app.state.panes import History
from pm_app.times import HOUR_NS

# Rows of one asset repeat each other: beyond this many, time teaches less than it costs.
MOST_ROWS = 200_000


@dataclass(frozen=True, eq=False)
class DatasetSource:
    """Records of a plant: panes in these segments, events, and each asset's first reading.

    first_seen: nanoseconds UTC. confirmed_failures: failures that verdicts confirm; they are in
    labels, features look at events alone. indices: columns of files that number rows.
    """

    history: History
    segments: Sequence[str]
    events: Events
    first_seen: Mapping[str, int]
    confirmed_failures: Sequence[ConfirmedFailure] = ()
    indices: Sequence[str] = ()


def gather_dataset(
    source: DatasetSource, settings: Settings, *, as_of_ns: int, champion: FeatureSpec | None = None
) -> Dataset:
    """Every cutoff up to `as_of_ns`, thinned evenly in time where there are too many.

    champion: the features of the version that scores; its regimes stay where they are found
    again. Raises NotEnoughData when there are no readings, BadSettings when the label column
    or a named regime column is not among the sensors.
    """
    source = replace(source, events=take_events(source.events, source.events.time <= as_of_ns))
    past = past_until(source.history, source.segments, as_of_ns // source.history.pane_ns - 1)
    if not len(past.keys.pane):
        raise NotEnoughData("not enough data: no readings yet, some are needed to learn from")
    spec, regimes = choose_features(source, past, settings, champion)
    specs = [spec]
    if champion is not None and not have_equal_values(champion, spec):
        specs.append(replace(champion, pane_ns=spec.pane_ns, limits=None))
    built = _build(source, past, settings, specs)
    frame, confirmed = built.frames[0], source.confirmed_failures
    failures = all_failures(source.events, confirmed, settings, known_until=as_of_ns)
    until = heard_until(failures.events, as_of_ns)
    extent = _LabelExtent(until, _newest_cutoffs(past.keys, spec.pane_ns))
    labels = _label(frame, failures.events, built.labels, settings, extent)
    too_fine = too_fine_for_float32(*built.ranges)
    dataset = Dataset(
        spec,
        frame,
        labels,
        informative_features(frame, labels),
        missed=missed_failures_text(frame, failures.events),
        too_fine=tuple(name for name, fine in zip(spec.sensors, too_fine, strict=True) if fine),
        regimes=regimes.reason,
        champion_frame=next(iter(built.frames[1:]), None),
        failures_from_verdicts=failures_learned(
            frame, labels, failures.events, failures.from_verdict, known_until=until
        ),
        paces=feed_paces(source.events),
        heard_until=until if until < as_of_ns and settings.target.column is None else None,
    )
    return _with_modes(dataset, failures.events, built.labels, settings)


def _with_modes(dataset: Dataset, events: Events, column: Float64, settings: Settings) -> Dataset:
    """The dataset with codes and modes of the failures that rows come before, or of classes."""
    target = settings.target
    if target.kind == "column" and target.task == "classification":
        ahead = classes_ahead(column, dataset.labels)
    else:
        ahead = failures_ahead(dataset.frame, dataset.labels, events)
    minimum = settings.retraining.minimum_failures
    modes = choose_modes(ahead.codes, settings.modes, minimum=minimum)
    labels = replace(dataset.labels, mode=modes.of_rows(ahead.number))
    return replace(dataset, labels=labels, codes=ahead.first_codes, modes=modes)


def choose_features(
    source: DatasetSource, past: Past, settings: Settings, champion: FeatureSpec | None
) -> tuple[FeatureSpec, RegimeSearch]:
    """The features there are, by regimes that stay the champion's where they are found again."""
    seen = sensors_of(past)
    spec = make_spec(seen, source.events, settings, keys=past.keys, indices=source.indices)
    before = champion.regimes if champion is not None else None
    search = search_plant_regimes(past, settings, spec, before=before)
    regimes = settle_regimes(search.regimes, before)
    beside = followers(regimes) if regimes is not None else ()
    return replace(spec, regimes=regimes if beside else None, beside=beside), search


def all_failures(
    events: Events, confirmed: Sequence[ConfirmedFailure], settings: Settings, *, known_until: int
) -> ConfirmedEvents:
    """Events and what verdicts confirm, each failure once, as the plant's horizons have it."""
    horizons = settings.target.horizons_hours
    return join_failures(
        events,
        confirmed,
        near_ns=round(horizons[0] * HOUR_NS),
        known_until=known_until,
        rule=RepairRule(settings.renewals, round(horizons[-1] * HOUR_NS)),
    )


@dataclass(frozen=True, eq=False)
class _Built:
    """A frame a spec, the label column of its rows, least and greatest pane of a sensor."""

    frames: Sequence[Frame]
    labels: Float64
    ranges: tuple[Float64, Float64]


def _build(
    source: DatasetSource, past: Past, settings: Settings, specs: Sequence[FeatureSpec]
) -> _Built:
    """Some assets at a time; ranges are those of the first spec's sensors."""
    stride = -(-len(past.keys.pane) // MOST_ROWS)
    frames: list[list[Frame]] = [[] for _ in specs]
    labels_read, ranges = [], []
    for assets in asset_groups(past.keys, max(len(each.seen) for each in specs)):
        panes = past.read(set(assets))
        stays = np.flatnonzero(panes.pane % stride == 0)
        for each, built in zip(specs, frames, strict=True):
            built.append(
                build_frame(panes, source.events, each, first_seen=source.first_seen, wanted=stays)
            )
        labels_read.append(_label_column(panes, settings)[stays])
        ranges.append(_ranges(panes, specs[0].sensors))
    low, high = np.fmin.reduce(ranges) * ((1.0,), (-1.0,))
    joined = [join_frames(built) for built in frames]
    return _Built(joined, np.concatenate(labels_read), (low, high))


def search_regimes(
    history: History, segments: Sequence[str], settings: Settings, *, as_of_ns: int
) -> RegimeSearch:
    """Regimes that the readings up to `as_of_ns` show, or why none. Raises as `gather_dataset`."""
    past = past_until(history, segments, as_of_ns // history.pane_ns - 1)
    if not len(past.keys.pane):
        return RegimeSearch(None, "no readings yet")
    spec = make_spec(sensors_of(past), no_events(), settings, keys=past.keys)
    return search_plant_regimes(past, settings, spec)


def _label_column(panes: Panes, settings: Settings) -> Float64:
    """The value of the label column at the end of each pane, NaN without one."""
    column = settings.target.column
    if column is None:
        return np.full(len(panes.pane), np.nan)
    return np.asarray(select_sensors(panes, (column,)).last[:, 0])


def _ranges(panes: Panes, sensors: tuple[str, ...]) -> Float64:
    """Lowest value of each sensor and minus its highest, (2, n_sensors); NaN without any."""
    chosen = select_sensors(panes, sensors)
    return np.stack([np.fmin.reduce(chosen.minimum), np.fmin.reduce(-chosen.maximum)])


@dataclass(frozen=True)
class _LabelExtent:
    """Until when events are known, and each asset's newest cutoff, nanoseconds UTC."""

    until: int
    newest: Mapping[str, int]


def _newest_cutoffs(keys: Panes, pane_ns: int) -> dict[str, int]:
    """The newest cutoff of each asset that has panes, nanoseconds UTC."""
    newest = np.full(len(keys.assets), np.iinfo(np.int64).min)
    np.maximum.at(newest, keys.asset, (keys.pane + 1) * pane_ns)
    return dict(zip(keys.assets, newest.tolist(), strict=True))


def _label(
    frame: Frame, events: Events, column: Float64, settings: Settings, extent: _LabelExtent
) -> Labels:
    if settings.target.column is None:
        labels = life_labels(
            frame,
            events,
            known_until=extent.until,
            horizons_hours=settings.target.horizons_hours,
            newest=extent.newest,
            renewals=settings.renewals,
        )
        labels = while_running(frame, labels)
        return with_renewal_weights(frame, labels, settings.target.horizons_hours)
    return column_labels(frame, column, column=settings.target.column, task=settings.target.task)


def join_frames(frames: list[Frame]) -> Frame:
    """Frames of different assets under one list of those that have rows.

    The list is emptied on the way: values of all rows are there once, and not twice.
    """
    present = {frame.assets[number] for frame in frames for number in np.unique(frame.asset)}
    assets = tuple(sorted(present))
    place = {name: number for number, name in enumerate(assets)}
    numbers = [
        np.array([place.get(name, -1) for name in frame.assets], dtype=np.int32)[frame.asset]
        for frame in frames
    ]
    off, waited, lived = (
        [fact for fact in facts if fact is not None]
        for facts in zip(*((each.off, each.waited, each.lived) for each in frames), strict=True)
    )
    cutoff, first = np.concatenate([frame.cutoff for frame in frames]), frames[0]
    values = np.empty((len(cutoff), len(first.features)), dtype=np.float32)
    end = len(values)
    while frames:
        part = frames.pop().values
        values[end - len(part) : end] = part
        end -= len(part)
    return replace(
        first,
        assets=assets,
        asset=np.concatenate(numbers),
        cutoff=cutoff,
        values=values,
        off=np.concatenate(off) if off else None,
        waited=np.concatenate(waited) if waited else None,
        lived=np.concatenate(lived) if lived else None,
    )
