"""Shares of regimes in a pane, from the mean and second moment of its settings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pm_app.records.features import Regimes
from pm_app.records.readings import Float64, Index

# A regime that the extremes of the settings rule out; squared ranges of the settings are 1.
RULED_OUT = 1.0


@dataclass(frozen=True, eq=False)
class Moments:
    """Of each setting in each pane, (n_panes, n_columns), NaN missing; variance per reading."""

    mean: Float64
    variance: Float64
    minimum: Float64
    maximum: Float64


@dataclass(frozen=True, eq=False)
class _RegimeMixture:
    """Points of the regimes in the plane (or space) of moments, and where each pane lies.

    points: (k, n_moments); target: (n_panes, n_moments); there: 1 where the pane has that
    moment, 0 where not. cost: what naming a regime costs a pane, (n_panes, k); gain: what
    leaving out its first or last one does, (n_panes, k).
    """

    points: Float64
    target: Float64
    there: Float64
    cost: Float64
    gain: Float64

    def dot(self, a: Sequence[Float64], b: Sequence[Float64]) -> Float64:
        """Sum over the moments that are there, one after another: the same for any rows."""
        total = np.zeros(len(self.target))
        for number, (x, y) in enumerate(zip(a, b, strict=True)):
            total = total + self.there[:, number] * (x * y)
        return total


def regime_shares(moments: Moments, regimes: Regimes, begins: Index, ends: Index) -> Float64:
    """Shares of the regimes in each pane: non-negative, summing to 1, (n_panes, k).

    Non-negative least squares over every choice of at most three regimes, which is all that a
    mean and a second moment can tell apart (Carathéodory's theorem). Of choices that fit
    alike within the noise of the settings the one with fewer regimes, and with those of the
    first and last reading (begins, ends: shape (n_panes,)), is taken.
    """
    problem = _pose(moments, regimes, begins, ends)
    rows = len(problem.target)
    share = np.zeros((rows, len(regimes.centres)))
    least = np.full(rows, np.inf)
    for members, parts, misfit in _solutions(problem):
        better = misfit < least
        least[better] = misfit[better]
        share[better] = 0.0
        for member, part in zip(members, parts, strict=True):
            share[better, member] = part[better]
    return share


def _pose(moments: Moments, regimes: Regimes, begins: Index, ends: Index) -> _RegimeMixture:
    centres = np.array(regimes.centres)
    scale = np.array(regimes.scale)
    middle = 0.5 * (centres.max(axis=0) + centres.min(axis=0))
    reach = np.maximum(0.5 * (centres.max(axis=0) - centres.min(axis=0)), scale)
    place, noise = (centres - middle) / reach, scale / reach
    mean = (moments.mean - middle) / reach
    variance = np.maximum(moments.variance / (reach * reach) - noise * noise, 0.0)
    missing = np.isnan(mean)
    number = np.arange(len(centres))
    low, high = moments.minimum[:, None, :], moments.maximum[:, None, :]
    # Half way to the next level is decided elsewhere: here only the clearly impossible goes.
    slack = 3.0 * scale
    outside = ((centres < low - slack) | (centres > high + slack)).any(axis=2)
    tell = float(noise.max() ** 2)
    is_edge = (number == begins[:, None]).astype(float) + (number == ends[:, None])
    target = np.hstack([mean, mean * mean + variance])
    return _RegimeMixture(
        points=np.hstack([place, place * place]),
        target=np.where(np.hstack([missing, missing]), 0.0, target),
        there=(~np.hstack([missing, missing])).astype(float),
        cost=np.where(outside, tell + RULED_OUT, tell),
        gain=tell * is_edge,
    )


def _solutions(problem: _RegimeMixture) -> Iterator[tuple[tuple[int, ...], list[Float64], Float64]]:
    """Choices of regimes with their shares and what they miss, the simplest first."""
    points = range(len(problem.points))
    for pair in combinations(points, 2):
        yield pair, *_pair(problem, *pair)
    for three in combinations(points, 3):
        yield three, *_three(problem, *three)


def _pair(problem: _RegimeMixture, a: int, b: int) -> tuple[list[Float64], Float64]:
    step, off = _steps(problem, a, b), _offsets(problem, a)
    length = problem.dot(step, step)
    part = np.clip(problem.dot(off, step) / np.where(length > 0, length, 1.0), 0.0, 1.0)
    miss = [x - part * d for x, d in zip(off, step, strict=True)]
    return [1.0 - part, part], problem.dot(miss, miss) + _price(problem, (a, b))


def _three(problem: _RegimeMixture, a: int, b: int, c: int) -> tuple[list[Float64], Float64]:
    """Shares inside the triangle; outside it a pair is better, and these miss by infinity."""
    first, second, off = _steps(problem, a, b), _steps(problem, a, c), _offsets(problem, a)
    aa, ab, bb = (problem.dot(x, y) for x, y in ((first, first), (first, second), (second, second)))
    xa, xb = problem.dot(off, first), problem.dot(off, second)
    area = aa * bb - ab * ab
    flat = area <= 1e-9 * aa * bb
    area = np.where(flat, 1.0, area)
    u, v = (xa * bb - xb * ab) / area, (xb * aa - xa * ab) / area
    inside = ~flat & (u >= 0) & (v >= 0) & (u + v <= 1)
    miss = [x - u * d - v * e for x, d, e in zip(off, first, second, strict=True)]
    misfit = problem.dot(miss, miss) + _price(problem, (a, b, c))
    return [1.0 - u - v, u, v], np.where(inside, misfit, np.inf)


def _steps(problem: _RegimeMixture, a: int, b: int) -> list[Float64]:
    return [np.asarray(d) for d in problem.points[b] - problem.points[a]]


def _offsets(problem: _RegimeMixture, a: int) -> list[Float64]:
    return [problem.target[:, number] - at for number, at in enumerate(problem.points[a])]


def _price(problem: _RegimeMixture, members: tuple[int, ...]) -> Float64:
    total = np.zeros(len(problem.target))
    for member in members:
        total = total + problem.cost[:, member] - problem.gain[:, member]
    return total
