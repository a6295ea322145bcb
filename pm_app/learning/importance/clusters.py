"""Sensors that move together, so that neither hides the other."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from pm_app.records.readings import Float64

# |rho| above which two sensors are one source of news.
TWINS = 0.9


def cluster_sensors(
    values: NDArray[np.floating], sensor_of: Sequence[str], *, at_least: float = TWINS
) -> tuple[tuple[str, ...], ...]:
    """Groups of sensors whose features rise and fall together, in column order.

    values: shape (n_rows, n_features), finite. Two sensors are compared feature by feature
    (mean with mean, slope with slope) by the absolute Spearman correlation, and the median
    over features counts: a trend they share makes means alike, only twins have like slopes
    and deviations too. Sensors with unlike numbers of features are never clustered. Average
    linkage, cut at `at_least`.
    """
    sensors = tuple(dict.fromkeys(sensor_of))
    columns = {name: np.flatnonzero(np.array(sensor_of) == name) for name in sensors}
    alike = np.eye(len(sensors))
    sizes = np.array([len(columns[name]) for name in sensors])
    ranks = rankdata(values, axis=0)
    for size in np.unique(sizes):
        same = np.flatnonzero(sizes == size)
        place = np.stack([columns[sensors[at]] for at in same])
        alike[np.ix_(same, same)] = _compare(ranks, place)
    labels = _cut(alike, at_least)
    first = {label: at for at, label in reversed(list(enumerate(labels)))}
    return tuple(
        tuple(name for name, label in zip(sensors, labels, strict=True) if label == cluster)
        for cluster in sorted(first, key=lambda label: first[label])
    )


def _compare(ranks: Float64, place: NDArray[np.intp]) -> Float64:
    """Median |rho| over features, shape (n, n), of n sensors with features place[sensor]."""
    layers = [_correlate(ranks[:, place[:, at]]) for at in range(place.shape[1])]
    # A feature that never changes tells nothing about whether its sensors are twins.
    stack = np.stack(layers)
    known = np.isfinite(stack)
    ordered = np.sort(np.where(known, stack, np.inf), axis=0)
    count = known.sum(axis=0)
    middle = np.maximum(count - 1, 0) // 2
    median = np.take_along_axis(ordered, middle[None], axis=0)[0]
    return np.where(count > 0, median, 0.0)


def _correlate(ranks: Float64) -> Float64:
    centred = ranks - ranks.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    norm = np.outer(length, length)
    product = np.abs(centred.T @ centred)
    result: Float64 = np.full_like(norm, np.nan)
    np.divide(product, norm, out=result, where=norm > 0)
    return result


def _cut(alike: Float64, at_least: float) -> NDArray[np.intp]:
    if len(alike) < 2:
        return np.zeros(len(alike), dtype=np.intp)
    distance = np.clip(1.0 - (alike + alike.T) / 2, 0.0, 1.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="average")
    return np.asarray(fcluster(tree, t=1.0 - at_least, criterion="distance"), dtype=np.intp)


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
