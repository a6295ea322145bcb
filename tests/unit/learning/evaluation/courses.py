"""Courses of scores and labels of assets, in the shapes that plants have."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

MEMORY = 0.95


@dataclass(frozen=True, eq=False)
class Courses:
    """Rows of a held-out part, shape (n_rows,) each; scores know nothing of the labels."""

    asset: np.ndarray
    cutoff: np.ndarray
    score: np.ndarray
    truth: np.ndarray


def wander(rows: int, rng: np.random.Generator) -> np.ndarray:
    """A stationary series whose neighbours are nearly the same, of variance 1."""
    noise = rng.normal(size=rows + 100) * np.sqrt(1 - MEMORY**2)
    return lfilter([1.0], [1.0, -MEMORY], noise)[100:]


def warned(rows: int, ends: np.ndarray, horizon: int) -> np.ndarray:
    """1.0 in the rows of the horizon before each end."""
    left = np.asarray(ends)[:, None] - np.arange(rows)
    return ((left > 0) & (left <= horizon)).any(axis=0).astype(float)


def one_machine(rng: np.random.Generator, rows: int = 400, horizon: int = 24) -> Courses:
    """A machine that fails four times."""
    truth = warned(rows, rng.integers(horizon, rows + 1, size=4), horizon)
    return Courses(np.zeros(rows, dtype=int), np.arange(rows), wander(rows, rng), truth)


def fleet(rng: np.random.Generator, assets: int = 20, rows: int = 100) -> Courses:
    """Machines side by side, one in four of which fails, most of these in the same storm;
    their scores have a level of their own and a course in common. Some rows are missing."""
    storm, common, parts = rng.integers(10, rows + 1), wander(rows, rng), []
    for asset in range(assets):
        score = 0.7 * common + 0.7 * wander(rows, rng) + rng.normal()
        end = storm if rng.random() < 0.6 else rng.integers(10, rows + 1)
        truth = warned(rows, np.array([end]), 10) * (asset % 4 == 0)
        kept = rng.random(rows) > 0.1
        parts.append((np.full(rows, asset)[kept], np.arange(rows)[kept], score[kept], truth[kept]))
    return Courses(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def four_machines(rng: np.random.Generator) -> Courses:
    """As `fleet`, so few that there are hardly ways to deal one failure among them."""
    return fleet(rng, assets=4, rows=150)


def lives(rng: np.random.Generator, assets: int = 12, horizon: int = 20) -> Courses:
    """Machines that ran one after the other, each to its failure."""
    begun, parts = 0, []
    for asset in range(assets):
        rows = int(rng.integers(50, 150))
        truth = warned(rows, np.array([rows]), horizon)
        score = wander(rows, rng) + 0.5 * rng.normal()
        parts.append((np.full(rows, asset), begun + np.arange(rows), score, truth))
        begun += rows
    return Courses(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def table(rng: np.random.Generator, rows: int = 300) -> Courses:
    """Rows without asset and time, a tenth of them of the second class."""
    truth = (rng.random(rows) < 0.1).astype(float)
    return Courses(np.arange(rows), np.zeros(rows, dtype=int), rng.normal(size=rows), truth)


LAYOUTS = {
    "one machine": one_machine,
    "a fleet": fleet,
    "four machines": four_machines,
    "lives one after the other": lives,
    "a table": table,
}
