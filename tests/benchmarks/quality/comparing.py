"""Whether a difference between two models is more than chance, fold by fold."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.quality.blocks import AUTO, BLOCKS, CONTROL, MEAN, TREES, Figure, values_of
from benchmarks.quality.results import Cell
from scipy.stats import wilcoxon

RESAMPLINGS = 2_000
LEAST_PAIRS = 4


@dataclass(frozen=True)
class Difference:
    """Ours less another's over paired folds, in units of the figure or as a share of it.

    low, high: 95 % of means of folds drawn anew, within each set, with replacement; p_value:
    Wilcoxon's signed ranks (1945), None for fewer than `LEAST_PAIRS` folds. Folds of one set
    share most of what is learned from, so both are somewhat too sure.
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


def compare(
    pairs: Sequence[tuple[str, float, float]], *, more_is_better: bool, seed: int = 0
) -> Difference:
    """Ours against another's over folds: (set, ours, other)."""
    apart = np.array([ours - other for _, ours, other in pairs])
    rng = np.random.default_rng(seed)
    sets = np.array([name for name, _, _ in pairs])
    drawn = np.concatenate(
        [
            rng.choice(np.flatnonzero(sets == name), (RESAMPLINGS, int(np.sum(sets == name))))
            for name in sorted(set(sets.tolist()))
        ],
        axis=1,
    )
    low, high = np.quantile(apart[drawn].mean(axis=1), (0.025, 0.975))
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
    cells: Sequence[Cell], figure: Figure, other: Callable[[list[Cell]], str | None]
) -> list[tuple[str, float, float]]:
    """Folds on which both `auto` and another, chosen block by block, were measured.

    Errors as logarithms, so that hours and seconds can be told together: a difference is then
    a share.
    """
    found = []
    for block in BLOCKS:
        inside = block.cells(cells)
        name = other(inside)
        if name is None or figure not in block.figures:
            continue
        ours, theirs = (values_of(inside, model, figure) for model in (AUTO, name))
        for key in sorted(set(ours) & set(theirs)):
            pair = (ours[key], theirs[key])
            if not figure.more_is_better:
                pair = (float(np.log(pair[0])), float(np.log(pair[1])))
            found.append((block.title, *pair))
    return found


# A figure gives the rule that names, among the cells of a block, whom `auto` is held against.
RIVALS: dict[str, Callable[[Figure], Callable[[list[Cell]], str | None]]] = {
    "the uniform control": lambda figure: lambda inside: CONTROL,
    "the best single tree model of each set": lambda figure: lambda i: best_tree(i, figure),
    "the mean of the three boosters": lambda figure: lambda inside: MEAN,
}


def _signed_ranks(apart: np.ndarray) -> float:
    """Wilcoxon's p-value: exact where no two differences are alike and none is 0."""
    plain = len(np.unique(np.abs(apart))) == len(apart) and bool(np.all(apart != 0))
    return float(wilcoxon(apart, method="exact" if plain else "asymptotic").pvalue)
