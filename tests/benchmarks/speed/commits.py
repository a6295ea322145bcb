"""A file of readings on disk to rows that a reader sees, beside the scripts a plant would write.

All know the same statistics over the readings of three windows (ours their slopes too) and say
two risks and the life left. The scripts are given what flatters them: they read the new file
alone, so that their windows know nothing of yesterday, explain nothing, raise no alarm, note
nothing of what they read, check nothing, and have their model in memory.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import psycopg
import pyarrow as pa
import sqlalchemy
from benchmarks.speed.rows import Row, interleaved, middle
from factories import (
    HOUR,
    NOW,
    START,
    drop,
    make_card,
    make_plant,
    make_spec,
    opened,
    promote_handmade,
)

from pm_app.jobs.plant import Plant
from pm_app.jobs.score.run import score

ASSETS, SENSORS, HOURS, SECONDS, PANE = 50, 16, 24, 10, "10min"
LENGTHS, WIDTHS = ("1h", "8h", "24h"), (6, 48, 144)
CUTOFFS, HORIZONS = ASSETS * HOURS * 6, 2
DAYS = 2
TOML = """\
[plant]
name = "Fleet"

[features]
pane = "10min"
windows = ["1h", "8h", "24h"]
memory = []

[target]
horizons = ["72h"]
rul_cap = "10d"
"""
COLUMNS = [f"sensor-{number}" for number in range(SENSORS)]
FIRST, SECOND = "pandas, Keras, to_sql", "polars, LightGBM, upsert"
FEATURES = SENSORS * (1 + 5 * len(LENGTHS))
SAID = ("risk_24", "risk_72", "hours")
Predict = Callable[[np.ndarray], dict[str, np.ndarray]]


def measure(folder: Path, postgresql: Callable[[], str]) -> list[Row]:
    """A day of 50 assets read every ten seconds: 16 sensors, 10-minute panes, three windows."""
    network, trees = _network(), _trees()
    tables = [_day(day) for day in range(DAYS + 1)]
    rows = []
    for kind, url in (("SQLite", ""), ("PostgreSQL", postgresql())):
        config = make_plant(folder / kind, toml=TOML + _store(url))
        theirs = postgresql() if url else f"{folder / kind}/scripts.sqlite"
        days = iter(enumerate(tables))
        files: list[Path] = []

        def come(config: Path = config, days=days, files: list[Path] = files) -> None:
            day, table = next(days)
            files.append(drop(config, f"{day}.parquet", table))

        with opened(config) as plant:
            promote_handmade(plant, card=make_card(make_spec(plant.settings, sensors=SENSORS)))
            come()
            _score(plant)
            calls = {
                "ours": lambda plant=plant: _score(plant),
                FIRST: lambda files=files, theirs=theirs: by_pandas(files[-1], network, theirs),
                SECOND: lambda files=files, theirs=theirs: by_polars(files[-1], trees, theirs),
            }
            rows.append(_row(kind, interleaved(calls, times=DAYS, before=come)))
    return rows


def _store(url: str) -> str:
    return f'\n[store]\nurl = "{url}"\n' if url else ""


def _score(plant: Plant) -> None:
    done = score(plant, now=NOW)
    assert done.committed.new == CUTOFFS * HORIZONS, done


def _row(kind: str, taken: Mapping[str, list[float]]) -> Row:
    seconds = middle(taken)
    mine = seconds.pop("ours")
    readings, said = ASSETS * HOURS * 3600 // SECONDS, CUTOFFS * HORIZONS
    first, second = seconds[FIRST], seconds[SECOND]
    return Row(
        "File to rows",
        f"{readings:,} readings of {SENSORS} sensors to {said:,} predictions in {kind}",
        mine,
        "s",
        (min(taken["ours"]), max(taken["ours"])),
        "at least 10 × the first script, 1.5 × the second",
        first >= 10 * mine and second >= 1.5 * mine,
        seconds,
        None,
        f"{readings / mine:,.0f} readings and {said / mine:,.0f} predictions a second; "
        f"{first / mine:.1f} × and {second / mine:.1f} ×",
        "the second script neither proves what it reads, keeps panes to go on from, looks back to "
        "yesterday, names the sensors behind a risk, judges alarms, nor tells new rows from "
        "revised ones",
    )


def _day(day: int) -> pa.Table:
    rng = np.random.default_rng(day)
    moments = HOURS * 3600 // SECONDS
    second = np.repeat(np.arange(moments) * SECONDS, ASSETS)
    names = np.tile([f"pump-{number:02d}" for number in range(ASSETS)], moments)
    columns = {
        "asset_id": pa.array(names),
        "timestamp": pa.array(START + day * 24 * HOUR + second * 10**9, pa.timestamp("ns", "UTC")),
    }
    for name in COLUMNS:
        columns[name] = pa.array(rng.normal(50, 10, len(second)))
    return pa.table(columns)


def by_pandas(file: Path, predict: Predict, store: str) -> None:
    """The script that a plant writes first: windows over readings, a network, an append."""
    table = pd.read_parquet(file).sort_values(["asset_id", "timestamp"])
    pane = table["timestamp"].dt.floor(PANE).rename("pane").to_numpy()
    groups = table.set_index("timestamp").groupby("asset_id")[COLUMNS]
    parts = [table[COLUMNS]]
    for length in LENGTHS:
        rolling = groups.rolling(length)
        parts += [rolling.mean(), rolling.std(), rolling.min(), rolling.max(), rolling.count()]
    values = np.concatenate([part.to_numpy(np.float32) for part in parts], axis=1)
    keys = table[["asset_id"]].assign(pane=pane).reset_index(drop=True)
    last = keys.drop_duplicates(keep="last").index
    said = keys.iloc[last].assign(**predict(np.nan_to_num(values[last])))
    engine = sqlalchemy.create_engine(_address(store))
    said.to_sql("by_pandas", engine, if_exists="append", index=False)
    engine.dispose()


def by_polars(file: Path, predict: Predict, store: str) -> None:
    """Its better version: lazy reading, windows over sums by pane, trees, an upsert."""
    columns = pl.col(COLUMNS)
    panes = (
        pl.scan_parquet(file)
        .group_by("asset_id", pl.col("timestamp").dt.truncate("10m").alias("pane"))
        .agg(
            columns.last(),
            columns.sum().name.suffix("_sum"),
            (columns**2).sum().name.suffix("_squares"),
            columns.min().name.suffix("_min"),
            columns.max().name.suffix("_max"),
            columns.count().name.suffix("_count"),
        )
        .sort("asset_id", "pane")
        .collect()
    )
    parts = [columns]
    for width in WIDTHS:
        for name in COLUMNS:
            count, total = (
                _rolled(f"{name}_count", "sum", width),
                _rolled(f"{name}_sum", "sum", width),
            )
            mean = total / count
            spread = _rolled(f"{name}_squares", "sum", width) / count - mean**2
            low, high = _rolled(f"{name}_min", "min", width), _rolled(f"{name}_max", "max", width)
            kinds = {"mean": mean, "std": spread.sqrt(), "min": low, "max": high, "count": count}
            parts += [each.alias(f"{name}_{kind}_{width}") for kind, each in kinds.items()]
    values = panes.select(parts).to_numpy().astype(np.float32)
    keys = panes.select("asset_id", pl.col("pane").cast(str)).to_dict(as_series=False)
    said = predict(values)
    rows = zip(
        keys["asset_id"], keys["pane"], *(each.tolist() for each in said.values()), strict=True
    )
    _upsert(list(rows), store)


def _rolled(column: str, kind: str, width: int) -> pl.Expr:
    return getattr(pl.col(column), f"rolling_{kind}")(width, min_samples=1).over("asset_id")


def _upsert(rows: list[tuple[object, ...]], store: str) -> None:
    create = (
        "CREATE TABLE IF NOT EXISTS by_polars (asset_id TEXT, pane TEXT, risk_24 DOUBLE PRECISION, "
        "risk_72 DOUBLE PRECISION, hours DOUBLE PRECISION, PRIMARY KEY (asset_id, pane))"
    )
    put = (
        " ON CONFLICT (asset_id, pane) DO UPDATE SET risk_24 = excluded.risk_24, "
        "risk_72 = excluded.risk_72, hours = excluded.hours"
    )
    if not store.startswith("postgresql"):
        with closing(sqlite3.connect(store)) as connection, connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(create)
            connection.executemany("INSERT INTO by_polars VALUES (?, ?, ?, ?, ?)" + put, rows)
        return
    with psycopg.connect(store) as connection, connection.cursor() as cursor:
        cursor.execute(create)
        cursor.execute("CREATE TEMP TABLE staged (LIKE by_polars) ON COMMIT DROP")
        with cursor.copy("COPY staged FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        # An upsert that selects would take ON for the join's.
        cursor.execute("INSERT INTO by_polars SELECT * FROM staged WHERE true" + put)


def _address(store: str) -> str:
    if store.startswith("postgresql"):
        return store.replace("postgresql://", "postgresql+psycopg://")
    return f"sqlite:///{store}"


def _network() -> Predict:
    import keras

    model = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(len(SAID)),
        ]
    )
    return lambda values: dict(zip(SAID, model.predict(values, verbose=0).T, strict=True))


def _trees() -> Predict:
    """A booster for each of two risks and the life left."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2_000, FEATURES)).astype(np.float32)
    labels = (values[:, 0] + rng.normal(size=len(values)) > 0).astype(int)
    parameters = {"objective": "binary", "verbose": -1, "num_threads": 2}
    boosters = {
        name: lightgbm.train(parameters, lightgbm.Dataset(values, labels), num_boost_round=200)
        for name in SAID
    }
    return lambda asked: {
        name: booster.predict(asked, num_threads=2) for name, booster in boosters.items()
    }
