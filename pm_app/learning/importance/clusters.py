"""Clusters of correlated sensors, so that neither hides the other; agreement of rankings."""

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
    columns = columns_of(sensor_of)
    sensors = tuple(columns)
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


def columns_of(sensor_of: Sequence[str]) -> dict[str, NDArray[np.intp]]:
    """The columns of each sensor, in order of first appearance."""
    owner = np.array(sensor_of)
    return {name: np.flatnonzero(owner == name) for name in dict.fromkeys(sensor_of)}


def _compare(ranks: Float64, place: NDArray[np.intp]) -> Float64:
    """Median |rho| over features, shape (n, n), of n sensors with features place[sensor]."""
    layers = [_correlate(ranks[:, place[:, at]]) for at in range(place.shape[1])]
    # A feature that never changes is no evidence that its sensors are twins.
    stack = np.stack(layers)
    finite = np.isfinite(stack)
    ordered = np.sort(np.where(finite, stack, np.inf), axis=0)
    count = finite.sum(axis=0)
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


def weighted_tau(first: Float64, second: Float64) -> float:
    """Weighted Kendall tau of two rankings by shares, (n_items,) each; 1 where one is all ties.

    Hyperbolic additive weights, averaged over the order of either (Vigna 2015), as
    `scipy.stats.weightedtau` has it.
    """
    either = _tau(first, second, _ranks(first, second)), _tau(first, second, _ranks(second, first))
    return 0.5 * (either[0] + either[1])


def _ranks(leading: Float64, other: Float64) -> NDArray[np.intp]:
    """Ranks from 0 by descending share, ties by the other's."""
    return np.argsort(np.lexsort((other, leading))[::-1], kind="stable")


def _tau(first: Float64, second: Float64, ranks: NDArray[np.intp]) -> float:
    worth = 1.0 / (1.0 + ranks)
    weight = worth[:, None] + worth
    above, also = (np.sign(side[:, None] - side) for side in (first, second))
    norm = np.sqrt(np.abs(above * weight).sum() * np.abs(also * weight).sum())
    return float(np.clip((above * also * weight).sum() / norm, -1.0, 1.0)) if norm > 0 else 1.0
