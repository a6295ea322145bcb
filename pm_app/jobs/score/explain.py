"""Provenance of one prediction: its version, its files, and the sensors behind it."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Any

from pm_app.errors import BadSettings
from pm_app.features.frame import select_features
from pm_app.features.limits import silence_text
from pm_app.jobs.plant import Plant
from pm_app.jobs.score.champion import Champion, load_recorded
from pm_app.jobs.score.frames import PaneSpan, frames_of
from pm_app.jobs.score.normal_champion import NormalChampion, load_recorded_normal
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.normality import AlarmLevel
from pm_app.scoring.deviation import deviation_features
from pm_app.scoring.modes import SignalsByMode
from pm_app.scoring.shapley import Explanation, explain
from pm_app.state.memory import Memories
from pm_app.store import BatchRow, Store, VersionRow
from pm_app.store.ledger.ledger import Ledger
from pm_app.store.lineage import Lineage
from pm_app.times import to_moment, to_nanoseconds
from pm_app.wording import nearest_names


@dataclass(frozen=True)
class Feature:
    """One value that the version saw, and what is usual in health; NaN where it is missing."""

    name: str
    sensor: str
    value: float
    usual: float


@dataclass(frozen=True)
class SensorResidual:
    """What a sensor reads beyond what the others explain, signed, and usually; in its unit.

    share: of the deviation. together: the other sensors that move with it.
    """

    sensor: str
    residual: float
    usual: float
    share: float
    together: tuple[str, ...]


@dataclass(frozen=True)
class DeviationProvenance:
    """What a deviation rests on: its version, its level, and its sensors, the most first."""

    version: VersionRow
    level: AlarmLevel
    sensors: tuple[SensorResidual, ...]


@dataclass(frozen=True, eq=False)
class Provenance:
    """A prediction and all that it rests on.

    predictions: its rows, one a horizon, as the table has them. version: None where no model spoke.
    batches: files with readings of any asset in the time that its windows see, in order of
    ingestion; older ones reach it by what an asset remembers, where `remembers`.
    explanation: of the log-odds of the longest horizon's risk, or the value; modes: the same of
    the risk of each failure mode. silence: which feeds of events were silent by then, in words, so
    that what rests on them is missing; "" if none. deviation: None where nothing is said of it.
    """

    predictions: tuple[dict[str, Any], ...]
    version: VersionRow | None
    batches: tuple[BatchRow, ...]
    remembers: bool
    features: tuple[Feature, ...]
    explanation: Explanation | None
    modes: Mapping[str, Explanation] = field(default_factory=dict)
    silence: str = ""
    deviation: DeviationProvenance | None = None


def provenance(plant: Plant, *, asset: str, cutoff: datetime) -> Provenance:
    """Everything behind what is said of this asset at the newest cutoff up to then.

    Writes nothing. Raises BadSettings where nothing is said of it, BadVersion, MissingSegment,
    and TerminalError where the version is not there any more.
    """
    predictions = _predictions_at(plant.store, asset, cutoff)
    newest = predictions[-1]
    lineage, registry = plant.store.lineage, plant.registry
    failure, normal = (int(str(newest[name])) for name in ("model_version", "normal_version"))
    champion = load_recorded(lineage, registry, failure) if failure else None
    watching = load_recorded_normal(lineage, registry, normal) if normal else None
    specs = champion.specs if champion is not None else ()
    specs += (watching.card.spec,) if watching is not None else ()
    if not specs:
        return Provenance(predictions, None, (), False, (), None)
    pane = to_nanoseconds(newest["cutoff"]) // plant.history.pane_ns - 1
    with tempfile.TemporaryDirectory(prefix="pm-app-explain-") as folder:
        beside = replace(plant.view, memories=Memories(Path(folder)))
        (built,) = frames_of(beside, specs, {asset: PaneSpan(pane, pane)})
    deviation = None
    if watching is not None and newest["deviation"] is not None:
        deviation = _deviation(lineage, watching, built[-1])
    behind = _behind(plant.ledger, specs[0], pane, plant.history.pane_ns)
    remembers = any(spec.remembers for spec in specs)
    if champion is None:
        return Provenance(predictions, None, behind, remembers, (), None, deviation=deviation)
    found = _explain(predictions, champion, champion.read(built))
    version = lineage.version(champion.number)
    return replace(found, version=version, batches=behind, remembers=remembers, deviation=deviation)


def _explain(
    predictions: tuple[dict[str, Any], ...], champion: Champion, frame: Frame
) -> Provenance:
    """What the failure model says of the one row of a frame, and why."""
    card = champion.card
    chosen = select_features(frame, card.features)
    modes = card.head.modes
    model = SignalsByMode(champion.predictor) if modes else champion.predictor
    whole, *each = explain(model, chosen.values[0], chosen.sensor_of, card.reference)
    return Provenance(
        predictions,
        None,
        (),
        card.spec.remembers,
        _features(chosen, card.reference),
        whole,
        dict(zip(modes, each, strict=True)),
        _silence(frame, card.spec),
    )


def _deviation(
    lineage: Lineage, watching: NormalChampion, frame: Frame
) -> DeviationProvenance | None:
    """What the normal behaviour says of the one row of a frame, by sensor."""
    card, version = watching.card, lineage.version(watching.number)
    found = watching.predictor.deviations(deviation_features(frame, card))
    together = {
        sensor: tuple(other for other in group if other != sensor)
        for group in card.groups
        for sensor in group
    }
    columns = card.sensors, found.residuals[0].tolist(), card.usual, found.shares[0].tolist()
    sensors = [
        SensorResidual(sensor, residual, usual, share, together.get(sensor, ()))
        for sensor, residual, usual, share in zip(*columns, strict=True)
        if isfinite(residual)
    ]
    sensors.sort(key=lambda each: -each.share)
    return None if version is None else DeviationProvenance(version, card.level, tuple(sensors))


def _silence(frame: Frame, spec: FeatureSpec) -> str:
    if frame.waited is None or spec.limits is None:
        return ""
    return silence_text(frame.waited[0].tolist(), spec.limits.feeds)


def _predictions_at(store: Store, asset: str, cutoff: datetime) -> tuple[dict[str, Any], ...]:
    newest: list[dict[str, Any]] = []
    # Until is exclusive; times are kept to the microsecond.
    after = to_moment(to_nanoseconds(cutoff) + 1000)
    for table in store.tables.predictions(asset=asset, until=after):
        rows = table.to_pylist()
        newest = [row for row in [*newest, *rows] if row["cutoff"] == rows[-1]["cutoff"]]
    if not newest:
        assets = store.ledger.first_seen()
        raise BadSettings(
            f"nothing is said of {asset!r} up to {cutoff.isoformat()}"
            if asset in assets
            else f"there is no asset {asset!r}; {nearest_names(asset, assets)}"
        )
    return tuple(newest)


def _behind(ledger: Ledger, spec: FeatureSpec, pane: int, pane_ns: int) -> tuple[BatchRow, ...]:
    reach = spec.windows_ns[-1] if spec.windows_ns else pane_ns
    end = (pane + 1) * pane_ns
    first, last = to_moment(end - max(reach, pane_ns)), to_moment(end - 1000)
    return tuple(ledger.batches_overlapping("readings", first, last))


def _features(chosen: Frame, reference: Sequence[float]) -> tuple[Feature, ...]:
    rows = zip(chosen.features, chosen.sensor_of, chosen.values[0], reference, strict=True)
    return tuple(
        Feature(name, sensor, float(value), float(usual)) for name, sensor, value, usual in rows
    )
