"""The budget curves as a picture: a column a set; precision, error and cost over parameters."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from benchmarks.quality.blocks import AP, RMSE, Figure
from benchmarks.quality.curves.budget import BOOSTER, COST, CURVES
from benchmarks.quality.curves.tables import cost_of, points_of, sets_of
from benchmarks.quality.results import Cell

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

COLOURS = dict(zip(CURVES, ("#475569", "#c2410c", "#0f766e", "#7c3aed"), strict=True))
MARKS = dict(zip(CURVES, "osD^", strict=True))
# Curves are drawn beside each other at one budget, else their dots hide each other.
SIDE_STEP = 1.06
BOOSTER_COLOUR, GRID_COLOUR = "#94a3b8", "#e2e8f0"


def draw_curves(cells: Sequence[Cell], path: Path) -> None:
    """Write the picture: faint dots are splits, lines their means."""
    sets = sets_of(cells)
    if not sets:
        return
    size = (3.6 * len(sets) + 0.8, 8.2)
    figure, axes = pyplot.subplots(3, len(sets), figsize=size, squeeze=False, sharex=True)
    for column, name in enumerate(sets):
        _accuracy(axes[0][column], cells, name, AP)
        _accuracy(axes[1][column], cells, name, RMSE)
        _costs(axes[2][column], cells, name)
        axes[0][column].set_title(name.replace(" + ", "\n+ "), fontsize=9)
        axes[2][column].set_xlabel("parameter budget", fontsize=8)
    for row, label in zip(axes, ("AP ↑", "RMSE [h] ↓", "scoring [µs a row] ↓"), strict=True):
        row[0].set_ylabel(label, fontsize=8)
    handles, names = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="lower center", ncols=len(names), fontsize=8, frameon=False)
    figure.suptitle("Faint dots are splits, lines their means", fontsize=10)
    figure.tight_layout(rect=(0, 0.035, 1, 1))
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _accuracy(axes: Axes, cells: Sequence[Cell], name: str, shown: Figure) -> None:
    for at, strategy in enumerate(CURVES):
        points = points_of(cells, name, strategy, shown)
        budgets = sorted({budget for _, budget in points})
        shift = SIDE_STEP ** (at - (len(CURVES) - 1) / 2)
        colour, mark = COLOURS[strategy], MARKS[strategy]
        means = [np.mean([v for (_, b), v in points.items() if b == each]) for each in budgets]
        axes.plot(
            [budget * shift for _, budget in points],
            list(points.values()),
            mark, ms=3, color=colour, alpha=0.35, mew=0,
        )  # fmt: skip
        axes.plot(
            [each * shift for each in budgets], means, f"-{mark}", ms=4, lw=1.3, color=colour,
            label=strategy,
        )  # fmt: skip
    found = list(points_of(cells, name, BOOSTER, shown).values())
    level = np.mean(found) if found else np.nan
    axes.axhline(level, color=BOOSTER_COLOUR, lw=1.2, ls="--", label=BOOSTER)
    _dress(axes)


def _costs(axes: Axes, cells: Sequence[Cell], name: str) -> None:
    for strategy in CURVES:
        budgets = sorted(
            float(cell.note["budget"])
            for cell in cells
            if (cell.set, cell.fold) == (name, COST) and cell.note["strategy"] == strategy
        )
        found = [cost_of(cells, name, strategy, budget) for budget in budgets]
        values = [cell.figures["microseconds"] for cell in found if cell is not None]
        axes.plot(budgets, values, f"-{MARKS[strategy]}", ms=4, lw=1.3, color=COLOURS[strategy])
    _dress(axes)


def _dress(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.tick_params(labelsize=7, length=0)
    axes.grid(color=GRID_COLOUR, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
