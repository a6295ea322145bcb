"""Which models, figures and folds are told together, and in which order."""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.quality.results import Cell
from benchmarks.quality.sets.folds import OFFICIAL

AUTO, CONTROL, MEAN = "pm-app auto", "pm-app uniform", "mean of the three boosters"
STRATEGIES = ("tiers", "regularized", "tiers+regularized", "attention")
TREES = ("random forest", "LightGBM", "XGBoost", "CatBoost")
PEERS = ("plain network", "logistic / ridge", *TREES, MEAN)
MODELS = (AUTO, CONTROL, *(f"pm-app {name}" for name in STRATEGIES), *PEERS)


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
ECE = Figure("ece", "ECE", ".3f", False)
COVERAGE = Figure("coverage", "90 % interval holds", ".3f", None)


@dataclass(frozen=True)
class Block:
    """Folds that are told together. kept_aside: no choice of the product was made on them."""

    title: str
    sets: tuple[str, ...]
    figures: tuple[Figure, ...]
    official: bool = False
    kept_aside: bool = False
    unit: str = "h"

    def cells(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of the block."""
        return [c for c in cells if c.set in self.sets and (c.fold == OFFICIAL) == self.official]


_LIFE, _TEST = (AP, RMSE, ECE, COVERAGE), (AP, LAST, RMSE, ECE, COVERAGE)
BLOCKS = (
    Block("FD001", ("C-MAPSS FD001",), _LIFE),
    Block("FD001, official test engines", ("C-MAPSS FD001",), _TEST, official=True),
    Block("FD003", ("C-MAPSS FD003",), _LIFE, kept_aside=True),
    Block("FD003, official test engines", ("C-MAPSS FD003",), _TEST, True, kept_aside=True),
    Block("AI4I 2020", ("AI4I 2020",), (AP, F1, ECE)),
    Block("UR3 CobotOps", ("UR3 CobotOps",), _LIFE, unit="s"),
    Block("pumps, demo", ("pumps, demo",), _LIFE),
    Block("pumps, seals", ("pumps, seals",), _LIFE),
    Block("pumps, mixed", ("pumps, mixed",), _LIFE),
)

# The quoted block has room for the pumps as one.
PUMPS = Block("pumps", ("pumps, demo", "pumps, seals", "pumps, mixed"), _LIFE)
SHORT = (*(block for block in BLOCKS if not block.title.startswith("pumps")), PUMPS)
SHORT_MODELS = (AUTO, CONTROL, *PEERS)


def values_of(cells: Iterable[Cell], model: str, figure: Figure) -> dict[tuple[str, str], float]:
    """A figure of a model by set and fold, where it was measured."""
    return {
        (c.set, c.fold): c.figures[figure.name]
        for c in cells
        if c.model == model and figure.name in c.figures
    }
