"""The champion: the version that scores, verified on its golden rows."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from pm_app.errors import BadVersion, TerminalError
from pm_app.jobs.plant import Plant
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.learning import VersionCard
from pm_app.records.scores import with_shares
from pm_app.scoring.deviation import DeviationPredictor, add_deviation
from pm_app.scoring.predictor import Predictor
from pm_app.state.registry import Registry, Version
from pm_app.store import VersionRow
from pm_app.store.lineage import Lineage
from pm_app.times import NS

log = logging.getLogger(__name__)

# ONNX Runtime may order sums differently on another processor; a damaged graph is far off.
GOLDEN_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Champion:
    """A version verified to score.

    stands_in: why the champion cannot, where this is one before it; else "". normal: what says the
    deviation that is one of its features, None where none is.
    """

    number: int
    card: VersionCard
    predictor: Predictor
    stands_in: str = ""
    normal: DeviationPredictor | None = None

    @property
    def specs(self) -> tuple[FeatureSpec, ...]:
        """Specifications of the frames it reads: its own, and that of its normal behaviour."""
        own = (self.card.spec,)
        return own if self.normal is None else (*own, self.normal.card.spec)

    def read(self, built: Sequence[Frame]) -> Frame:
        """The frame it answers to, of frames of the same rows built by its `specs`."""
        return built[0] if self.normal is None else add_deviation(built[0], built[1], self.normal)


def load_champion(plant: Plant) -> Champion | None:
    """The champion, None before the first, and of other panes than the plant's.

    Where it is damaged or fails its own checks, the newest one before it that does not stands
    in: a plant is not left without a word for that. Raises BadVersion where none can.
    """
    number = plant.store.lineage.champion()
    champion = None
    if number is not None:
        champion = _load_or_stand_in(plant.store.lineage, plant.registry, number)
    if champion is not None and champion.card.spec.pane_ns != plant.history.pane_ns:
        log.warning(
            "version %d reads panes of %g s, features.pane says %g s: retrain first",
            champion.number,
            champion.card.spec.pane_ns / NS,
            plant.history.pane_ns / NS,
        )
        return None
    return champion


def _load_or_stand_in(lineage: Lineage, registry: Registry, number: int) -> Champion:
    try:
        return load_recorded(lineage, registry, number)
    except BadVersion as error:
        moves = lineage.promotions()
        before = dict.fromkeys(move.version for move in moves[::-1] if move.version != number)
        for other in before:
            with suppress(BadVersion):
                return replace(load_recorded(lineage, registry, other), stands_in=str(error))
        raise


def load_recorded(lineage: Lineage, registry: Registry, number: int) -> Champion:
    """A version of the store, verified to score.

    Raises BadVersion where its files are not those that were recorded or fail their golden
    rows, TerminalError where the store has no such version.
    """
    require_recorded(lineage, registry, number)
    return verified(registry.load(number))


def require_recorded(lineage: Lineage, registry: Registry, number: int) -> VersionRow:
    """The row of a version whose files are those that were recorded. Raises as `load_recorded`."""
    row = lineage.version(number)
    if row is None:
        versions = ", ".join(str(v.version) for v in lineage.versions()) or "none"
        raise TerminalError(f"there is no version {number}; there are: {versions}")
    found = registry.digest(number)
    if found != row.digest:
        raise BadVersion(
            f"{registry.path(number)}: another version than was recorded: "
            f"SHA-256 {row.digest} of its manifest was, {found} found"
        )
    return row


def verified(version: Version) -> Champion:
    """A version whose graph repeats what it said when it was trained.

    Raises BadVersion with the difference.
    """
    card = version.card
    predictor = Predictor(
        version.onnx, head=card.head, calibration=card.calibration, features=card.features
    )
    rows = version.golden.rows
    outputs = with_shares(predictor.outputs(rows), predictor.mode_shares(rows))
    scale = 1.0 + float(np.abs(version.golden.outputs).max(initial=0.0))
    apart = float(np.abs(outputs - version.golden.outputs).max(initial=0.0)) / scale
    if not apart <= GOLDEN_TOLERANCE:
        raise BadVersion(
            f"version {version.number} answers its golden rows differently than when it was "
            f"trained: by {apart:.3g}, at most {GOLDEN_TOLERANCE:g} is rounding"
        )
    kept = version.normal
    normal = None if kept is None else DeviationPredictor(kept.onnx, kept.card)
    return Champion(version.number, card, predictor, normal=normal)
