"""Which models, figures and folds are told together, and in which order."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from benchmarks.quality.results import Cell
from benchmarks.quality.sets.folds import FRESH, OFFICIAL

from pm_app.learning.allocation.feature_selection import SELECTION_CONTROLS
from pm_app.settings.strategies import STRATEGY_NAMES

# What would be published. Beside it, of the same fit: its members by themselves, and the network
# without guidance, of as many parameters.
VERSION = "pm-app"
NETWORK, FOREST = "pm-app network alone", "pm-app forest alone"
UNGUIDED = "pm-app network unguided"
# Networks of one strategy each, all as large and as the control was tuned.
PREFIX = "pm-app "
CONTROL = f"{PREFIX}uniform"
GUIDED = tuple(f"{PREFIX}{name}" for name in STRATEGY_NAMES if f"{PREFIX}{name}" != CONTROL)
# Of `selected`, with features of the same number that importance did not name.
SELECTED = f"{PREFIX}selected"
SELECTION = tuple(f"{PREFIX}{name}" for name in SELECTION_CONTROLS)
MEAN = "mean of the three boosters"
TREES = ("random forest", "LightGBM", "XGBoost", "CatBoost")
# On each fold that of TREES which was best on the rows to tune by, known before it is judged.
VALIDATED = "tree that validation chose"
PEERS = ("plain network", "logistic / ridge", *TREES, MEAN, VALIDATED)
OURS = (VERSION, NETWORK, FOREST, UNGUIDED)
MODELS = (*OURS, CONTROL, *GUIDED, *SELECTION, *PEERS)


@dataclass(frozen=True)
class Figure:
    """A column: how it is told, and whether more of it is better (None: neither)."""

    name: str
    title: str
    form: str
    more_is_better: bool | None


AP = Figure("ap", "AP", ".3f", True)
F1 = Figure("f1", "F1", ".3f", True)
RMSE = Figure("rmse", "RMSE", ".2f", False)
LAST = Figure("rmse_last", "RMSE, last row", ".2f", False)
BRIER = Figure("brier", "Brier", ".4f", False)
ECE = Figure("ece", "ECE", ".3f", False)
COVERAGE = Figure("coverage", "90 % interval holds", ".3f", None)


@dataclass(frozen=True)
class Block:
    """Folds that are told together.

    kept_aside: no choice of the product was made on them. fresh: of plants whose seeds were drawn
    when all was built.
    """

    title: str
    sets: tuple[str, ...]
    figures: tuple[Figure, ...]
    official: bool = False
    kept_aside: bool = False
    unit: str = "h"
    fresh: bool = False

    def cells(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of the block."""
        return [
            cell
            for cell in cells
            if cell.set in self.sets
            and (cell.fold == OFFICIAL) == self.official
            and cell.fold.startswith(FRESH) == self.fresh
        ]


_LIFE = (AP, RMSE, BRIER, ECE, COVERAGE)
_TEST = (AP, LAST, RMSE, BRIER, ECE, COVERAGE)
_SIMULATED = ("pumps, demo", "pumps, seals", "pumps, mixed", "single machine", "drives")
BLOCKS = (
    Block("FD001", ("C-MAPSS FD001",), _LIFE),
    Block("FD001, official test engines", ("C-MAPSS FD001",), _TEST, official=True),
    Block("FD003", ("C-MAPSS FD003",), _LIFE, kept_aside=True),
    Block("FD003, official test engines", ("C-MAPSS FD003",), _TEST, True, kept_aside=True),
    Block("AI4I 2020", ("AI4I 2020",), (AP, F1, BRIER, ECE)),
    Block("UR3 CobotOps", ("UR3 CobotOps",), _LIFE, unit="s"),
    *(Block(name, (name,), _LIFE) for name in _SIMULATED),
    *(
        Block(f"{name}, fresh plants", (name,), _LIFE, kept_aside=True, fresh=True)
        for name in _SIMULATED
    ),
)

# The quoted block has room for the pumps as one.
_PUMPS = ("pumps, demo", "pumps, seals", "pumps, mixed")
SHORT = (
    *(block for block in BLOCKS if not block.title.startswith("pumps")),
    Block("pumps", _PUMPS, _LIFE),
    Block("pumps, fresh plants", _PUMPS, _LIFE, kept_aside=True, fresh=True),
)
SHORT_MODELS = (*OURS, *PEERS)


def seeds_of(
    cells: Iterable[Cell], model: str, figure: Figure
) -> dict[tuple[str, str], tuple[float, ...]]:
    """A figure of a model by set and fold, of each seed it was measured from, in their order."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for c in cells:
        if c.model == model and figure.name in c.figures:
            found.setdefault((c.set, c.fold), {})[c.seed] = c.figures[figure.name]
    return {place: tuple(values[n] for n in sorted(values)) for place, values in found.items()}


def values_of(cells: Iterable[Cell], model: str, figure: Figure) -> dict[tuple[str, str], float]:
    """A figure of a model by set and fold, where it was measured: the mean over seeds."""
    found = seeds_of(cells, model, figure)
    return {place: float(np.mean(values)) for place, values in found.items()}
