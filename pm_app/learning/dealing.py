"""Dealing items into parts so that every part is like the others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pm_app.records.readings import Float64


def deal(
    level: Float64, newness: Float64, shares: Sequence[float], rng: np.random.Generator
) -> NDArray[np.int64]:
    """A part per item: the newest to the test, the others spread evenly over `level`.

    Equal newness everywhere says nothing, and the test is dealt like the others.
    """
    count = len(level)
    sizes = _sizes(count, shares)
    part = np.full(count, -1, dtype=np.int64)
    if count and newness.min() < newness.max():
        order = np.lexsort([rng.random(count), newness])
        part[order[count - sizes[-1] :]] = len(shares) - 1
        sizes[-1] = 0
    rest = np.flatnonzero(part < 0)
    order = rest[np.lexsort([rng.random(len(rest)), level[rest]])]
    part[order] = _spread_evenly(sizes, rng)
    return part


def _sizes(count: int, shares: Sequence[float]) -> list[int]:
    """Items per part: none below one where there are enough, the first takes the rest."""
    least = 1 if count >= len(shares) else 0
    rest = [max(least, round(count * share)) for share in shares[1:]]
    return [count - sum(rest), *rest]


def _spread_evenly(sizes: Sequence[int], rng: np.random.Generator) -> NDArray[np.int64]:
    """Part numbers in a sequence where each part comes at even distances."""
    places = [(np.arange(size) + rng.random()) / size for size in sizes if size]
    numbers = [np.full(size, number) for number, size in enumerate(sizes) if size]
    if not places:
        return np.empty(0, dtype=np.int64)
    order = np.argsort(np.concatenate(places), kind="stable")
    return np.concatenate(numbers)[order].astype(np.int64)
