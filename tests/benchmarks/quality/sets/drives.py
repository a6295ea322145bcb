"""Simulated disk drives: one reading a day, counters that are mostly zero, failures that are rare.

What a drive counts stays 0 for most of them and for most of their days; some have old counts that
mean nothing, and hours powered on only grow. Of the failures 60 % are announced by several
counters, 20 % by one and weakly, 20 % by none. A drive that failed is gone.

The first days of all drives teach, dealt by drive; the rest of their time is judged.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from benchmarks.quality.sets.folds import Fold, QualitySet, Task, make_fold, part_by_group
from benchmarks.quality.sets.plants import gather, lay_out
from benchmarks.quality.sets.seeds import plant_seeds

from pm_app.times import HOUR_NS

DAY_NS = 24 * HOUR_NS
LIFE = Task("life", horizon_hours=14 * 24.0, cap_hours=60 * 24.0)
PLANT_TOML = """\
[features]
pane = "1d"
windows = ["7d", "28d"]

[target]
horizons = ["14d"]
rul_cap = "60d"
"""
COUNTERS = ("reallocated", "pending", "uncorrectable", "timeouts", "crc_errors", "spin_retries")
# How much louder each counter becomes: (announced by several, announced by one).
_LOUDNESS = np.array([[3.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.6, 1.0], [0.0, 0.0], [0.0, 0.0]])
_ANNOUNCED, _WEAKLY = 0.6, 0.2
# Of sound drives that have old counts, and their counts a day.
_MARKED, _MARKED_A_DAY = 0.12, 0.02


@dataclass(frozen=True)
class DrivesPlan:
    """A hall of drives. failures_a_month: as a share of the drives. learned: share of the days."""

    assets: int = 5_000
    days: int = 120
    failures_a_month: float = 1 / 200
    warning_days: float = 14.0
    learned: float = 0.7
    seed: int = 0
    start_ns: int = 1_704_067_200_000_000_000


@dataclass(frozen=True, eq=False)
class Drives:
    """Readings of a plan, by drive, then day; failures.

    values: (n_sensors, n_assets, n_days). fails: (n_assets,), the day, inf for never.
    """

    plan: DrivesPlan
    sensors: tuple[str, ...]
    values: np.ndarray
    fails: np.ndarray

    def readings(self) -> pa.Table:
        """Wide readings up to each drive's failure, by day, then drive; noon of each day."""
        days = np.arange(self.plan.days)
        day, asset = np.nonzero(days[:, None] + 0.5 < self.fails)
        time = self.plan.start_ns + day * DAY_NS + DAY_NS // 2
        columns = {
            "asset_id": _names(asset),
            "timestamp": pa.array(time, pa.timestamp("ns", "UTC")),
        }
        for name, values in zip(self.sensors, self.values, strict=True):
            columns[name] = pa.array(values[asset, day].astype(np.float32))
        return pa.table(columns)

    def events(self) -> pa.Table:
        """One failure of each drive that failed."""
        failed = np.flatnonzero(np.isfinite(self.fails))
        time = self.plan.start_ns + (self.fails[failed] * DAY_NS).astype(np.int64)
        return pa.table(
            {
                "asset_id": _names(failed),
                "timestamp": pa.array(time, pa.timestamp("ns", "UTC")),
                "kind": pa.array(["failure"] * len(failed)),
                "code": pa.array(["drive"] * len(failed)),
            }
        )


def simulate_drives(plan: DrivesPlan) -> Drives:
    """The drives of a plan; the same plan gives the same drives, to the bit."""
    rng = np.random.default_rng([plan.seed, 77])
    shape = (plan.assets, plan.days)
    fails = 1.0 + rng.exponential(30.0 / plan.failures_a_month, plan.assets)
    fails = np.where(fails < plan.days, fails, np.inf)
    kind = np.searchsorted([_ANNOUNCED, _ANNOUNCED + _WEAKLY], rng.random(plan.assets))
    warning = plan.warning_days * rng.lognormal(0.0, 0.5, plan.assets)
    left = fails[:, None] - np.arange(plan.days)
    growth = np.clip(1.0 - left / warning[:, None], 0.0, 1.0) ** 2
    counts = [_count(growth, kind, loudness, rng) for loudness in _LOUDNESS]
    hours = rng.integers(0, 40_000, (plan.assets, 1)) + 24.0 * np.arange(plan.days)
    daily = rng.gamma(2.0, 8.0, (plan.assets, 1)) * rng.lognormal(0.0, 0.6, shape)
    others = {
        "power_on_hours": hours,
        "starts": np.cumsum(rng.random(shape) < 0.02, axis=1) + rng.integers(0, 60, (shape[0], 1)),
        "temperature": 34 + 4 * rng.standard_normal((shape[0], 1)) + rng.standard_normal(shape),
        "read_gigabytes": daily,
        "written_gigabytes": daily * rng.lognormal(-0.7, 0.4, shape),
    }
    values = np.stack([*counts, *others.values()])
    return Drives(plan, (*COUNTERS, *others), values, fails)


@dataclass(frozen=True)
class DriveFolds:
    """The folds of a plan: one a seed."""

    plan: DrivesPlan

    def __call__(self, open_data: Path, work: Path) -> Iterator[Fold]:
        """One hall a seed, its first days to learn from, dealt by drive."""
        for name, plan in plant_seeds(self.plan):
            drives = simulate_drives(plan)
            known = gather(lay_out(work / name, PLANT_TOML, drives.readings(), drives.events()))
            frame, labels = known.chosen, known.labels
            rows = np.flatnonzero(labels.usable)
            border = plan.start_ns + round(plan.learned * plan.days) * DAY_NS
            early = frame.cutoff[rows] <= border
            failing = np.bincount(
                frame.asset, labels.failed & (frame.cutoff <= border), len(frame.assets)
            )
            split = part_by_group(
                frame.asset, rows[early], rows[~early], "first days, by drive",
                level=np.sign(failing)[frame.asset], seed=plan.seed,
            )  # fmt: skip
            yield make_fold(name, frame, labels, split, known.paces)


def _count(
    growth: np.ndarray, kind: np.ndarray, loudness: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A counter, (n_assets, n_days): old counts of a few, a few more a day, and what announces."""
    marked = rng.random(len(growth)) < _MARKED
    before = np.where(marked, np.floor(rng.pareto(1.0, len(growth)) * 4), 0)
    loud = np.append(loudness, 0.0)[kind] * rng.lognormal(0.0, 0.7, len(growth))
    rate = _MARKED_A_DAY * marked[:, None] + loud[:, None] * growth
    return np.minimum(before, 5_000)[:, None] + np.cumsum(rng.poisson(rate), axis=1)


def _names(numbers: np.ndarray) -> pa.Array:
    return pa.array([f"drive-{number:05d}" for number in numbers.tolist()], pa.string())


DRIVES = QualitySet(
    "drives", "5,000 drives, counters mostly zero, 1 in 200 fails a month", LIFE,
    DriveFolds(DrivesPlan()),
)  # fmt: skip
