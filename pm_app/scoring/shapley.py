"""Shapley values of one row's risk: what each sensor adds; the sum is the whole difference."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from typing import Final

import numpy as np

from pm_app.records.readings import Flags, Float32, Float64, Index
from pm_app.scoring.contributions import Explained

# Up to so many sensors every coalition is asked: 1,024 rows. Of more, orders are drawn.
MOST_EXACT: Final = 10
# Half of them are the other half backwards, which takes most of the chance out.
ORDERS: Final = 256
_BLOCK_CELLS: Final = 2_000_000


@dataclass(frozen=True, eq=False)
class Explanation:
    """What each sensor adds to a signal, beginning at the reference and ending at the row.

    added: (n_sensors,), in the unit of the signal; adds up to `signal - base`. error: its
    standard error, 0 where every coalition was asked.
    """

    sensors: tuple[str, ...]
    added: Float64
    error: Float64
    base: float
    signal: float


def explain(
    model: Explained,
    row: Float32,
    sensor_of: Sequence[str],
    reference: Sequence[float],
    *,
    seed: int = 0,
) -> tuple[Explanation, ...]:
    """Shapley values of a row's sensors, shape (n_features,), against a healthy reference: of
    every signal of the model.

    All features of a sensor come and go together (Shapley 1953; Lundberg & Lee 2017, with a
    single reference). Exact for up to MOST_EXACT sensors, else the mean over ORDERS orders in
    which sensors join (Castro, Gómez & Tejada 2009), each backwards as well (Mitchell et al.
    2022): every order adds up, and so does their mean.
    """
    sensors = tuple(dict.fromkeys(sensor_of))
    owner = np.array([sensors.index(sensor) for sensor in sensor_of])
    ask = _CoalitionSignal(model, row, np.asarray(reference, dtype=np.float32), owner)
    count = len(sensors)
    if count <= MOST_EXACT:
        added = _exact(ask, count)
        error = np.zeros_like(added)
    else:
        added, error = _sampled(ask, count, seed)
    ends = ask(np.array([np.zeros(count), np.ones(count)], dtype=np.bool_))
    return tuple(
        Explanation(sensors, added[:, at], error[:, at], float(ends[0, at]), float(ends[1, at]))
        for at in range(ends.shape[1])
    )


@dataclass(frozen=True, eq=False)
class _CoalitionSignal:
    """The signals of coalitions, (n, n_signals): sensors in one are as in the row, the others at
    the reference."""

    model: Explained
    row: Float32
    reference: Float32
    owner: Index

    def __call__(self, coalitions: Flags) -> Float64:
        step = max(1, _BLOCK_CELLS // len(self.owner))
        blocks = (coalitions[at : at + step] for at in range(0, len(coalitions), step))
        rows = (np.where(block[:, self.owner], self.row, self.reference) for block in blocks)
        signals = np.concatenate([self.model.signal(each) for each in rows])
        return signals.reshape(len(coalitions), -1)


def _exact(ask: _CoalitionSignal, count: int) -> Float64:
    numbers = np.arange(2**count)
    members = (numbers[:, None] >> np.arange(count) & 1).astype(np.bool_)
    signal = ask(members)
    size = members.sum(axis=1)
    weight = np.array(
        [factorial(k) * factorial(count - k - 1) / factorial(count) for k in range(count)]
    )
    added = np.empty((count, signal.shape[1]))
    for sensor in range(count):
        without = np.flatnonzero(~members[:, sensor])
        gain = signal[without + 2**sensor] - signal[without]
        added[sensor] = weight[size[without]] @ gain
    return added


def _sampled(ask: _CoalitionSignal, count: int, seed: int) -> tuple[Float64, Float64]:
    rng = np.random.default_rng(seed)
    orders = (rng.permutation(count) for _ in range(ORDERS // 2))
    pairs = np.array([(_along(ask, order) + _along(ask, order[::-1])) / 2 for order in orders])
    return pairs.mean(axis=0), pairs.std(axis=0, ddof=1) / np.sqrt(len(pairs))


def _along(ask: _CoalitionSignal, order: Index) -> Float64:
    """What each sensor adds where they join in this order."""
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    joined = place < np.arange(len(order) + 1)[:, None]
    steps = np.diff(ask(joined), axis=0)
    added = np.empty_like(steps)
    added[order] = steps
    return added
