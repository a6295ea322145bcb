"""The version that scores, loaded and proven on its own golden rows."""

from dataclasses import dataclass

import numpy as np

from pm_app.errors import BadVersion
from pm_app.jobs.site import Site
from pm_app.records.learning import VersionCard
from pm_app.registry import Version
from pm_app.scoring.predictor import Predictor

# ONNX Runtime may order sums differently on another processor; a damaged graph is far off.
GOLDEN_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Champion:
    """A version ready to score."""

    number: int
    card: VersionCard
    predictor: Predictor


def load_champion(site: Site) -> Champion | None:
    """The champion, None before the first. Raises BadVersion."""
    number = site.store.lineage.champion()
    return None if number is None else ready(site.registry.load(number))


def ready(version: Version) -> Champion:
    """A version whose graph repeats what it said when it was trained.

    Raises BadVersion with the difference.
    """
    card = version.card
    predictor = Predictor(
        version.onnx, head=card.head, calibration=card.calibration, features=card.features
    )
    said = predictor.outputs(version.golden.rows)
    scale = 1.0 + float(np.abs(version.golden.outputs).max(initial=0.0))
    apart = float(np.abs(said - version.golden.outputs).max(initial=0.0)) / scale
    if not apart <= GOLDEN_TOLERANCE:
        raise BadVersion(
            f"version {version.number} answers its golden rows differently than when it was "
            f"trained: by {apart:.3g}, at most {GOLDEN_TOLERANCE:g} is rounding"
        )
    return Champion(version.number, card, predictor)
