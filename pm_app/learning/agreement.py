"""How alike rankings are where it counts: at the top."""

import numpy as np
from numpy.typing import NDArray

from pm_app.records.readings import Float64

# Cells of pairwise comparisons held in memory at once.
CELLS = 4_000_000


def weighted_tau(first: Float64, second: Float64) -> Float64:
    """Weighted Kendall tau of each pair of rows, shape (n_pairs,); 1 where a row is all ties.

    first, second: shares, shape (n_pairs, n_items). Hyperbolic additive weights, averaged over
    the order of either row (Vigna 2015), as `scipy.stats.weightedtau` has it, but for
    thousands of pairs at once.
    """
    step = max(1, CELLS // max(first.shape[1] ** 2, 1))
    parts = [
        0.5 * (_tau(x, y, _ranks(x, y)) + _tau(x, y, _ranks(y, x)))
        for x, y in (
            (first[at : at + step], second[at : at + step]) for at in range(0, len(first), step)
        )
    ]
    return np.concatenate(parts)


def _ranks(leading: Float64, other: Float64) -> NDArray[np.intp]:
    """Ranks from 0 by descending share, ties by the other row's."""
    order = np.lexsort((other, leading), axis=1)[:, ::-1]
    return np.argsort(order, axis=1, kind="stable")


def _tau(first: Float64, second: Float64, ranks: NDArray[np.intp]) -> Float64:
    worth = 1.0 / (1.0 + ranks)
    weight = worth[:, :, None] + worth[:, None, :]
    above = np.sign(first[:, :, None] - first[:, None, :])
    also = np.sign(second[:, :, None] - second[:, None, :])
    agree = (above * also * weight).sum(axis=(1, 2))
    own, its = (np.abs(sign * weight).sum(axis=(1, 2)) for sign in (above, also))
    norm = np.sqrt(own * its)
    result: Float64 = np.ones(len(first))
    np.divide(agree, norm, out=result, where=norm > 0)
    return np.clip(result, -1.0, 1.0)
