"""The ablation as a picture: what each ingredient is worth, a column a set and figure."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from benchmarks.quality.ablation.ingredients import FULL, VARIANTS
from benchmarks.quality.ablation.tables import ablated_sets, differences
from benchmarks.quality.blocks import AP, RMSE, Figure
from benchmarks.quality.results import Cell

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

WORSE, BETTER, GRID_COLOUR = "#c2410c", "#0f766e", "#e2e8f0"


def draw_ablation(cells: Sequence[Cell], path: Path) -> None:
    """Write the picture: a dot a fold, a bar their mean; orange is worse than the full network."""
    sets = ablated_sets(cells)
    variants = [name for name in VARIANTS if name != FULL]
    if not sets:
        return
    size = (2 * 2.7 * len(sets) + 2.4, 0.27 * len(variants) + 1.5)
    figure, axes = pyplot.subplots(1, 2 * len(sets), figsize=size, sharey=True, squeeze=False)
    for column, name in enumerate(sets):
        for at, shown in enumerate((AP, RMSE)):
            _panel(axes[0][2 * column + at], cells, name, variants, shown)
    axes[0][0].set_yticks(range(len(variants)), variants, fontsize=8)
    axes[0][0].invert_yaxis()
    figure.suptitle("Difference to the full network: dots are folds, bars their mean", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _panel(
    axes: Axes, cells: Sequence[Cell], name: str, variants: Sequence[str], shown: Figure
) -> None:
    scale = 100.0 if shown is RMSE else 1.0
    for place, variant in enumerate(variants):
        pairs = differences(cells, name, variant, shown)
        apart = scale * np.array([ours - full for _, ours, full in pairs])
        if not len(apart):
            continue
        better = apart.mean() > 0 if shown.more_is_better else apart.mean() < 0
        colour = BETTER if better else WORSE
        axes.barh(place, apart.mean(), height=0.55, color=colour, alpha=0.55)
        axes.plot(apart, np.full(len(apart), place), "o", ms=3.5, color=colour, mew=0)
    axes.axvline(0.0, color="#475569", lw=0.8)
    told = "RMSE [%], ← better" if shown is RMSE else f"{shown.title}, better →"
    axes.set_xlabel(told, fontsize=8)
    axes.set_title(name, fontsize=9)
    axes.tick_params(labelsize=7, length=0)
    axes.locator_params(axis="x", nbins=4)
    axes.grid(axis="x", color=GRID_COLOUR, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
