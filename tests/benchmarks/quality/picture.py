"""One picture of the results: a panel a set, a row a model, a dot a fold."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from benchmarks.quality.blocks import (
    AP,
    CONTROL,
    F1,
    LAST,
    MODELS,
    RMSE,
    SHORT,
    VERSION,
    Block,
    Figure,
    values_of,
)
from benchmarks.quality.comparing import validated
from benchmarks.quality.results import Cell

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

OURS_COLOUR, PEER_COLOUR, GRID_COLOUR = "#c2410c", "#475569", "#e2e8f0"


def draw(cells: Sequence[Cell], path: Path) -> None:
    """Write the picture: average precision above, errors below, ours in colour."""
    cells = [*cells, *validated(cells)]
    blocks = [block for block in SHORT if block.cells(cells)]
    models = [name for name in MODELS if any(cell.model == name for cell in cells)]
    if not blocks:
        return
    size = (2.1 * len(blocks) + 2.2, 2 * (0.24 * len(models) + 1.2))
    figure, axes = pyplot.subplots(2, len(blocks), figsize=size, sharey=True, squeeze=False)
    for column, block in enumerate(blocks):
        below = LAST if block.official else (RMSE if RMSE in block.figures else F1)
        for row, shown in enumerate((AP, below)):
            _panel(axes[row][column], block, block.cells(cells), models, shown)
        name, _, part = block.title.partition(", ")
        told = [name, part, "kept aside" if block.kept_aside else ""]
        axes[0][column].set_title("\n".join(filter(None, told)), fontsize=9)
    for row in axes:
        row[0].set_yticks(range(len(models)), models, fontsize=8)
        for label, name in zip(row[0].get_yticklabels(), models, strict=True):
            label.set_color(_colour(name))
            label.set_fontweight("bold" if name == VERSION else "normal")
    axes[0][0].invert_yaxis()
    figure.suptitle("One dot a fold, the bar their mean; arrows point to better", fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _panel(
    axes: Axes, block: Block, cells: list[Cell], models: Sequence[str], shown: Figure
) -> None:
    means = {}
    for place, model in enumerate(models):
        found = np.array(list(values_of(cells, model, shown).values()))
        if not len(found):
            continue
        whole = len(found) == len({(cell.set, cell.fold) for cell in cells})
        colour = _colour(model)
        axes.plot(found, np.full(len(found), place), "o", ms=3, color=colour, alpha=0.35, mew=0)
        if not whole:
            continue
        means[model] = found.mean()
        axes.plot([found.mean()], [place], "|", ms=12, mew=2.4, color=colour)
    if means:
        best = (max if shown.more_is_better else min)(means.values())
        axes.axvline(best, color=PEER_COLOUR, lw=0.6, ls=":", zorder=0)
    unit = f" [{block.unit}]" if shown in (RMSE, LAST) else ""
    arrow = "→" if shown.more_is_better else "←"
    axes.set_xlabel(f"{shown.title}{unit} {arrow}", fontsize=8)
    axes.tick_params(labelsize=7, length=0)
    axes.grid(axis="x", color=GRID_COLOUR, lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _colour(model: str) -> str:
    if model == CONTROL:
        return "#ea9a6a"
    return OURS_COLOUR if model.startswith("pm-app") else PEER_COLOUR
