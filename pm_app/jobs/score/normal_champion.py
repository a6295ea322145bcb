"""The champion of normal behaviour: the version that says deviations, verified on golden rows."""

import logging
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from pm_app.errors import BadVersion, TerminalError
from pm_app.jobs.plant import Plant
from pm_app.jobs.score.champion import GOLDEN_TOLERANCE, require_recorded
from pm_app.records.features import Frame
from pm_app.records.normality import NormalCard
from pm_app.records.readings import Float32, Float64, Text
from pm_app.scoring.deviation import (
    DeviationPredictor,
    deviation_features,
    deviation_sensors_text,
)
from pm_app.scoring.watching import may_be_watched, watched_statuses
from pm_app.state.registry import NormalVersion, Registry
from pm_app.store.lineage import Lineage
from pm_app.times import NS

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class NormalChampion:
    """A version of normal behaviour verified to say deviations.

    stands_in: why the champion cannot, where this is one before it; else "".
    """

    number: int
    card: NormalCard
    predictor: DeviationPredictor
    stands_in: str = ""


@dataclass(frozen=True, eq=False)
class NormalSpeaker:
    """What says deviations, None where nothing does, and what is wrong with it, "" if nothing."""

    champion: NormalChampion | None
    trouble: str = ""


def load_normal_champion(plant: Plant) -> NormalSpeaker:
    """The champion, nothing before the first, of other panes, or where deviations are off.

    Where it is damaged, the newest one before it that is not stands in. A plant is not left
    without risks for that: where none can, that is told as trouble.
    """
    lineage = plant.store.lineage
    number = lineage.champion(kind="normal") if plant.settings.deviation.enabled else None
    if number is None:
        return NormalSpeaker(None)
    try:
        champion = _load_or_stand_in(lineage, plant.registry, number)
    except (BadVersion, TerminalError) as error:
        return NormalSpeaker(None, f"{error}; nothing is said of deviations")
    if champion.card.spec.pane_ns != plant.history.pane_ns:
        log.warning(
            "version %d reads panes of %g s, features.pane says %g s: learn what is normal first",
            champion.number,
            champion.card.spec.pane_ns / NS,
            plant.history.pane_ns / NS,
        )
        return NormalSpeaker(None)
    if champion.stands_in:
        words = f"version {champion.number} says deviations in its place"
        return NormalSpeaker(champion, f"{champion.stands_in}; {words}")
    return NormalSpeaker(champion)


def _load_or_stand_in(lineage: Lineage, registry: Registry, number: int) -> NormalChampion:
    try:
        return load_recorded_normal(lineage, registry, number)
    except BadVersion as error:
        moves = lineage.promotions(kind="normal")
        before = dict.fromkeys(move.version for move in moves[::-1] if move.version != number)
        for other in before:
            with suppress(BadVersion):
                found = load_recorded_normal(lineage, registry, other)
                return replace(found, stands_in=str(error))
        raise


def load_recorded_normal(lineage: Lineage, registry: Registry, number: int) -> NormalChampion:
    """A version of normal behaviour of the store, verified. Raises as `load_recorded`."""
    require_recorded(lineage, registry, number)
    return verified_normal(registry.load_normal(number))


def verified_normal(version: NormalVersion) -> NormalChampion:
    """A version whose graph repeats what it said when it was learned.

    Raises BadVersion with the difference.
    """
    predictor = DeviationPredictor(version.onnx, version.card)
    found, golden = predictor.raw(version.golden.rows), version.golden.outputs
    apart = _furthest(found, golden)
    if not apart <= GOLDEN_TOLERANCE:
        raise BadVersion(
            f"version {version.number} answers its golden rows differently than when it was "
            f"learned: by {apart:.3g}, at most {GOLDEN_TOLERANCE:g} is rounding"
        )
    return NormalChampion(version.number, version.card, predictor)


def _furthest(found: Float32, golden: Float32) -> float:
    """The largest difference as a share of each column's size; infinite where one is missing."""
    if found.shape != golden.shape or not np.array_equal(np.isnan(found), np.isnan(golden)):
        return np.inf
    size = 1.0 + np.nan_to_num(np.abs(golden)).max(axis=0, initial=0.0)
    apart = np.nan_to_num(np.abs(found - golden), posinf=np.inf) / size
    return float(apart.max(initial=0.0))


@dataclass(frozen=True, eq=False)
class RowDeviations:
    """What the normal champion says of rows, each (n_rows,).

    status: as `watched_statuses`. deviation: NaN where nothing is said. sensors: behind it, ""
    where nothing is said of them.
    """

    status: Text
    deviation: Float64
    sensors: Text


# Below half of the alarm level nobody asks for the sensors behind a deviation.
LEAST_EXPLAINED = 0.5


def row_deviations(frame: Frame, champion: NormalChampion) -> RowDeviations:
    """What the normal champion says of every row of a frame built by its own specification."""
    card, size = champion.card, len(frame.cutoff)
    asked = np.flatnonzero(may_be_watched(frame, card))
    found = champion.predictor.deviations(deviation_features(frame, card)[asked])
    deviation, sensors = np.full(size, np.nan), np.full(size, "", dtype=object)
    deviation[asked] = found.deviation
    with np.errstate(invalid="ignore"):
        loud = np.flatnonzero(found.deviation >= LEAST_EXPLAINED)
    for at in loud.tolist():
        sensors[asked[at]] = deviation_sensors_text(found.residuals[at], found.shares[at], card)
    return RowDeviations(watched_statuses(frame, card, deviation), deviation, sensors)
