"""Whether a difference between two models is more than chance, fold by fold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from benchmarks.quality.blocks import (
    BLOCKS,
    FOREST,
    LAST,
    MEAN,
    NETWORK,
    RMSE,
    TREES,
    VALIDATED,
    VERSION,
    Figure,
    seeds_of,
    values_of,
)
from benchmarks.quality.results import Cell
from scipy.stats import wilcoxon

RESAMPLINGS = 2_000
LEAST_PAIRS = 4


@dataclass(frozen=True)
class Difference:
    """Ours less another's over paired folds, in units of the figure or as a share of it.

    low, high: 95 % of means of folds drawn anew, within each set, with replacement, and of the
    seeds of each side on each fold. p_value: Wilcoxon's signed ranks (1945), None for fewer than
    `LEAST_PAIRS` folds. Folds of one set share most of what is learned from, so both are somewhat
    too sure.
    """

    pairs: int
    better: int
    mean: float
    low: float
    high: float
    p_value: float | None


def best_tree(cells: Sequence[Cell], figure: Figure) -> str | None:
    """The tree model of the best mean, known in hindsight: the hardest to beat. A tie goes to
    the first. None where not all were measured."""
    means = {
        name: float(np.mean(list(found.values())))
        for name in TREES
        if (found := values_of(cells, name, figure))
    }
    if len(means) < len(TREES):
        return None
    return (max if figure.more_is_better else min)(means, key=lambda name: means[name])


def validated(cells: Sequence[Cell]) -> list[Cell]:
    """What the tree comes to that was best on rows to tune by, as the cells of a model.

    Of risks the best average precision chooses, of lives the least error; a cell each place and
    seed where more than one tree was measured and told what it came to there.
    """
    places: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in cells:
        if cell.model in TREES and "held_ap" in cell.note:
            places.setdefault((cell.set, cell.fold, cell.seed), []).append(cell)
    return [_validated(found) for found in places.values() if len(found) > 1]


def _validated(trees: Sequence[Cell]) -> Cell:
    risk = max(trees, key=lambda cell: float(cell.note["held_ap"]))
    life = min(trees, key=lambda cell: float(cell.note.get("held_rmse", 0.0)))
    figures = {
        name: value
        for source, lives in ((risk, False), (life, True))
        for name, value in source.figures.items()
        if name.startswith("rmse") == lives
    }
    seconds = round(sum(cell.seconds for cell in trees), 1)
    note: dict[str, float | str] = {"risk": risk.model, "life": life.model}
    return replace(risk, model=VALIDATED, figures=figures, seconds=seconds, note=note)


# Of a set: our figure and another's on one fold, a number, or one a seed.
Pair = tuple[str, float | Sequence[float], float | Sequence[float]]


def compare(pairs: Sequence[Pair], *, more_is_better: bool, seed: int = 0) -> Difference:
    """Ours against another's over folds."""
    apart = np.array([np.mean(ours) - np.mean(other) for _, ours, other in pairs])
    rng = np.random.default_rng(seed)
    sets = np.array([name for name, _, _ in pairs])
    drawn = np.concatenate(
        [
            rng.choice(np.flatnonzero(sets == name), (RESAMPLINGS, int(np.sum(sets == name))))
            for name in sorted(set(sets.tolist()))
        ],
        axis=1,
    )
    seeds = np.array([_draw(ours, rng) - _draw(other, rng) for _, ours, other in pairs])
    means = seeds[drawn, np.arange(RESAMPLINGS)[:, None]].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    tested = len(apart) >= LEAST_PAIRS and bool(np.any(apart != 0))
    return Difference(
        pairs=len(apart),
        better=int(np.sum(apart > 0 if more_is_better else apart < 0)),
        mean=float(apart.mean()),
        low=float(low),
        high=float(high),
        p_value=_signed_ranks(apart) if tested else None,
    )


def paired(
    cells: Sequence[Cell],
    figure: Figure,
    other: Callable[[list[Cell]], str | None],
    ours: str = VERSION,
) -> list[Pair]:
    """Folds on which both ours and another, chosen block by block, were measured.

    Errors of lives as logarithms, so that hours and seconds can be told together: a difference
    is then a share.
    """
    found = []
    for block in BLOCKS:
        inside = block.cells(cells)
        name = other(inside)
        if name is None or figure not in block.figures:
            continue
        mine, theirs = (seeds_of(inside, model, figure) for model in (ours, name))
        for key in sorted(set(mine) & set(theirs)):
            pair = (mine[key], theirs[key])
            if figure in (RMSE, LAST):
                pair = tuple(tuple(np.log(side).tolist()) for side in pair)
            found.append((block.title, *pair))
    return found


# A figure gives the rule that names, among the cells of a block, whom a version is held against.
RIVALS: dict[str, Callable[[Figure], Callable[[list[Cell]], str | None]]] = {
    "the tree that validation chose": lambda figure: lambda inside: VALIDATED,
    "the best single tree model of each set": lambda figure: lambda i: best_tree(i, figure),
    "the mean of the three boosters": lambda figure: lambda inside: MEAN,
    "its forest alone": lambda figure: lambda inside: FOREST,
    "its network alone": lambda figure: lambda inside: NETWORK,
}


def _draw(values: float | Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Means of seeds drawn anew with replacement, (`RESAMPLINGS`,)."""
    seeds = np.atleast_1d(values)
    return seeds[rng.integers(len(seeds), size=(RESAMPLINGS, len(seeds)))].mean(axis=1)


def _signed_ranks(apart: np.ndarray) -> float:
    """Wilcoxon's p-value: exact where no two differences are alike and none is 0."""
    plain = len(np.unique(np.abs(apart))) == len(apart) and bool(np.all(apart != 0))
    return float(wilcoxon(apart, method="exact" if plain else "asymptotic").pvalue)
