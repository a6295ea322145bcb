"""Readings of a file folded into panes: count, mean, deviation, extremes, first and last."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.speed.rows import Row, interleaved, middle

from connectors.parquet import ParquetReadings
from pm_app.features.panes.panes import build_panes, pane_mean
from pm_app.jobs.ingest.panes import prefetch
from pm_app.records.features import Panes

ASSETS, SENSORS, SECONDS, PANE_SECONDS = 20, 16, 86_400, 600
TIMES = 7


def measure(folder: Path) -> list[Row]:
    """1 Hz of 20 assets over a day, rows interleaved as a historian writes them."""
    path = folder / "readings"
    path.mkdir()
    file = path / "day.parquet"
    pq.write_table(readings(seconds=SECONDS), file, row_group_size=250_000)
    calls = {
        "ours": lambda: ours(path),
        "polars": lambda: by_polars(file),
        "DuckDB": lambda: by_duckdb(file),
        "pandas": lambda: by_pandas(file),
        "floor": lambda: pq.read_table(file),
    }
    _agree(ours(path), by_polars(file))
    taken = interleaved(calls, times=TIMES)
    seconds = middle(taken)
    floor, mine = seconds.pop("floor"), seconds.pop("ours")
    return [
        Row(
            "Panes",
            f"{ASSETS * SECONDS / 1e6:.1f} M rows × {SENSORS} sensors into 10-minute panes",
            mine,
            "s",
            (min(taken["ours"]), max(taken["ours"])),
            "at most 1.5 × the floor (pyarrow reading the columns)",
            mine <= 1.5 * floor,
            seconds,
            floor,
            f"{mine / floor:.1f} × the floor",
            "pages are proven, values judged, repeats dropped and sums folded in strict order, "
            "so that a pane can be continued to the bit; less would take compiled code of our own",
        )
    ]


def readings(*, seconds: int) -> pa.Table:
    """Wide readings of 20 assets, one a second each."""
    rng = np.random.default_rng(0)
    rows = ASSETS * seconds
    second = np.repeat(np.arange(seconds), ASSETS)
    names = [f"pump-{number:02d}" for number in range(ASSETS)]
    columns = {
        "asset_id": pa.array(np.tile(names, seconds)),
        "timestamp": pa.array((second + 1_700_006_400) * 1_000_000, pa.timestamp("us", tz="UTC")),
    }
    for number in range(SENSORS):
        columns[f"sensor_{number:02d}"] = pa.array(rng.normal(100, 5, rows))
    return pa.table(columns)


def ours(folder: Path, *, keep: bool = True) -> list[Panes]:
    """As the daemon reads a file: checked, chunk by chunk. keep: the panes, as the store does."""
    source = ParquetReadings(str(folder))
    (batch,) = source.list()
    kept = []
    for chunk in prefetch(source.read(batch)):
        panes = build_panes(chunk.readings, pane_ns=PANE_SECONDS * 10**9)
        if keep:
            kept.append(panes)
    return kept


def by_polars(file: Path) -> pl.DataFrame:
    """The same statistics, as polars is used."""
    values = pl.col("^sensor_.*$")
    return (
        pl.scan_parquet(file)
        .with_columns(pl.col("timestamp").dt.truncate("10m").alias("pane"))
        .group_by("asset_id", "pane")
        .agg(
            values.count().name.suffix("_count"),
            values.mean().name.suffix("_mean"),
            values.std().name.suffix("_std"),
            values.min().name.suffix("_min"),
            values.max().name.suffix("_max"),
            values.first().name.suffix("_first"),
            values.last().name.suffix("_last"),
        )
        .collect()
    )


def by_duckdb(file: Path) -> pa.Table:
    """The same in SQL."""
    columns = ", ".join(
        f"count({name}), avg({name}), stddev({name}), min({name}), max({name}), "
        f"arg_min({name}, timestamp), arg_max({name}, timestamp)"
        for name in (f"sensor_{number:02d}" for number in range(SENSORS))
    )
    query = (
        "SELECT asset_id, time_bucket(INTERVAL '10 minutes', timestamp) AS pane, "
        f"{columns} FROM read_parquet('{file}') GROUP BY ALL"
    )
    return duckdb.sql(query).to_arrow_table()


def by_pandas(file: Path) -> pd.DataFrame:
    """The same with groupby."""
    table = pd.read_parquet(file)
    pane = table["timestamp"].dt.floor("10min").rename("pane")
    groups = table.drop(columns="timestamp").groupby(["asset_id", pane], observed=True)
    return groups.agg(["count", "mean", "std", "min", "max", "first", "last"])


def _agree(mine: list[Panes], theirs: pl.DataFrame) -> None:
    """Counts and means are the same before anything is timed."""
    # The chunks of a file share the panes at their seams.
    total = sum(int(panes.count.sum()) for panes in mine)
    assert total == ASSETS * SECONDS * SENSORS
    panes = len({(a, p) for part in mine for a, p in zip(part.asset, part.pane, strict=True)})
    assert panes == len(theirs) == ASSETS * SECONDS // PANE_SECONDS
    whole = sum(float(np.nansum(pane_mean(part) * part.count)) for part in mine)
    means = theirs.select(pl.col("^sensor_.*_mean$")).to_numpy() * PANE_SECONDS
    assert np.isclose(whole, means.sum(), rtol=1e-9)
