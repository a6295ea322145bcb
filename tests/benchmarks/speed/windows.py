"""Windows over panes: mean, deviation, extremes, slope and missing share of three lengths."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
from benchmarks.speed.rows import Row, interleaved, middle

from pm_app.features.frame import asset_chunks
from pm_app.features.panes.panes import build_panes
from pm_app.features.windows import roll_windows
from pm_app.records.features import Panes
from pm_app.records.readings import Readings
from pm_app.threads import threads
from pm_app.times import HOUR_NS

ASSETS, PANES, SENSORS = 100, 8_760, 8
HOURS = (6, 24, 168)
TIMES = 2


def measure(folder: Path) -> list[Row]:
    """A year of hourly panes of 100 assets."""
    panes = panes_of(ASSETS)
    means = panes.total / panes.count + panes.first
    frame = _frame(panes, means)
    table = pl.from_pandas(frame)
    _agree(panes, table)
    calls = {
        "ours": lambda: ours(panes),
        "polars": lambda: [by_polars(table, hours) for hours in HOURS],
        "pandas": lambda: [by_pandas(frame, hours) for hours in HOURS],
    }
    taken = interleaved(calls, times=TIMES)
    seconds = middle(taken)
    mine = seconds.pop("ours")
    kept = seconds["pandas"] >= 5 * mine and seconds["polars"] >= 1.5 * mine
    return [
        Row(
            "Windows",
            f"{ASSETS} assets × {PANES:,} panes × {SENSORS} sensors × {len(HOURS)} windows",
            mine,
            "s",
            (min(taken["ours"]), max(taken["ours"])),
            "at least 5 × pandas, 1.5 × polars",
            kept,
            seconds,
            None,
            f"{seconds['pandas'] / mine:.1f} × pandas, {seconds['polars'] / mine:.1f} × polars "
            "(two threads)",
            "a window is a merge of two running sides, dozens of passes of numpy over memory; "
            "numba would need few, and puts a compiler into every process that scores",
        )
    ]


def panes_of(assets: int) -> Panes:
    """A year of hourly panes of so many assets."""
    rng = np.random.default_rng(0)
    rows = assets * PANES
    hour = np.tile(np.arange(PANES, dtype=np.int64), assets) + 480_000
    values = rng.normal(100, 5, (SENSORS, rows))
    readings = Readings(
        assets=tuple(f"pump-{number:03d}" for number in range(assets)),
        sensors=tuple(f"sensor_{number}" for number in range(SENSORS)),
        asset=np.repeat(np.arange(assets, dtype=np.int32), PANES),
        time=hour * HOUR_NS,
        values=values,
    )
    return build_panes(readings, pane_ns=HOUR_NS)


def _frame(panes: Panes, means: np.ndarray) -> pd.DataFrame:
    frame = pd.DataFrame(means, columns=list(panes.sensors))
    frame["asset"] = panes.asset
    frame["time"] = pd.to_datetime(panes.pane * panes.pane_ns)
    return frame


def ours(panes: Panes) -> None:
    """As a frame is made: some assets at a time, two chunks at once."""

    def roll(rows: range) -> None:
        some = panes.take(np.arange(rows.start, rows.stop))
        for _ in roll_windows(some, windows_ns=[hours * HOUR_NS for hours in HOURS]):
            pass

    with ThreadPoolExecutor(threads()) as pool:
        list(pool.map(roll, asset_chunks(panes)))


def by_polars(table: pl.DataFrame, hours: int) -> pl.DataFrame:
    """All statistics of each sensor by rolling_*_by, an asset at a time."""
    size, parts = f"{hours}h", []
    at = (pl.col("time").dt.epoch("s") / 3600.0 - 480_000.0).alias("at")
    table = table.with_columns(at)
    length = pl.col("at").rolling_sum_by("time", size).over("asset")
    square = (pl.col("at") ** 2).rolling_sum_by("time", size).over("asset")
    count = (pl.col("at") * 0 + 1).rolling_sum_by("time", size).over("asset")
    for name in (f"sensor_{number}" for number in range(SENSORS)):
        value = pl.col(name)
        parts += [
            value.rolling_mean_by("time", size).over("asset").alias(f"{name}_mean"),
            value.rolling_std_by("time", size, ddof=0).over("asset").alias(f"{name}_std"),
            value.rolling_min_by("time", size).over("asset").alias(f"{name}_min"),
            value.rolling_max_by("time", size).over("asset").alias(f"{name}_max"),
            (
                (
                    (value * pl.col("at")).rolling_sum_by("time", size).over("asset") * count
                    - length * value.rolling_sum_by("time", size).over("asset")
                )
                / (square * count - length**2)
            ).alias(f"{name}_slope"),
            value.is_null()
            .cast(pl.Float64)
            .rolling_mean_by("time", size)
            .over("asset")
            .alias(f"{name}_missing"),
        ]
    return table.select(parts)


def by_pandas(frame: pd.DataFrame, hours: int) -> pd.DataFrame:
    """The same by groupby.rolling."""
    names, size = [f"sensor_{number}" for number in range(SENSORS)], f"{hours}h"
    at = frame["time"].astype("int64") / 3.6e12 - 480_000.0
    indexed = frame.set_index("time")
    groups = indexed.groupby("asset")[names].rolling(size)
    parts = [groups.mean(), groups.std(ddof=0), groups.min(), groups.max()]
    times = indexed[names].mul(at.to_numpy(), axis=0).assign(asset=indexed["asset"])
    hours_of = pd.DataFrame({"at": at.to_numpy(), "asset": indexed["asset"].to_numpy()})
    hours_of.index = indexed.index
    own = hours_of.groupby("asset")["at"].rolling(size)
    length, spread = own.mean(), own.var(ddof=0)
    crossed = times.groupby("asset")[names].rolling(size).mean()
    parts.append((crossed - parts[0].mul(length, axis=0)).div(spread, axis=0))
    gone = indexed[names].isna().astype(float).assign(asset=indexed["asset"])
    parts.append(gone.groupby("asset")[names].rolling(size).mean())
    return pd.concat(parts, axis=1)


def _agree(panes: Panes, table: pl.DataFrame) -> None:
    (mine,) = roll_windows(panes, windows_ns=[HOURS[0] * HOUR_NS])
    theirs = by_polars(table, HOURS[0])
    for name, values in (
        ("mean", mine.mean),
        ("std", mine.deviation),
        ("max", mine.maximum),
        ("slope", mine.slope),
    ):
        column = theirs[f"sensor_3_{name}"].to_numpy()
        assert np.allclose(values[:, 3], column, rtol=1e-4, atol=1e-4, equal_nan=True), name
