"""One asset, one cutoff: from a file that is there to a row that a reader sees, daemon running."""

import sqlite3
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from benchmarks.speed.rows import Row
from factories import HOUR, START, drop, make_card, make_plant, make_spec, opened, promote_handmade

FILES, WARM = 60, 5
LONGEST_SECONDS = 60.0
SENSORS = 16
TOML = """\
[plant]
name = "One pump"

[features]
pane = "1h"
windows = ["6h", "24h"]

[target]
horizons = ["24h"]
rul_cap = "10d"

[retraining]
cron = "0 0 1 1 *"
"""


def measure(folder: Path) -> list[Row]:
    """Files of an hour of one asset, one after the other, each with one new cutoff."""
    config = make_plant(folder, toml=TOML)
    with opened(config) as plant:
        promote_handmade(plant, card=make_card(make_spec(plant.settings, sensors=SENSORS)))
    drop(config, "0000.parquet", hour_of(0))
    with running(config), closing(reader(config)) as connection:
        await_cutoffs(connection, 1)
        waits = []
        for number in range(1, FILES + WARM):
            waiting = config.parent / f"{number}.waiting"
            drop(config, f"../{waiting.name}", hour_of(number))
            began = time.perf_counter()
            waiting.rename(config.parent / "readings" / f"{number:04d}.parquet")
            await_cutoffs(connection, number + 1)
            waits.append(time.perf_counter() - began)
    taken = np.array(waits[WARM - 1 :]) * 1000
    p50, p95 = np.percentile(taken, [50, 95])
    return [
        Row(
            "Latency",
            f"one cutoff: file closed to row read, 95th percentile of {len(taken)} files",
            float(p95),
            "ms",
            (float(taken.min()), float(taken.max())),
            "p95 at most 250 ms",
            bool(p95 <= 250),
            {},
            None,
            f"median {p50:.0f} ms",
        )
    ]


@contextmanager
def running(config: Path):
    """The daemon as a process of its own, ended at the end."""
    log = (config.parent / "daemon.log").open("w")
    command = [sys.executable, "-m", "pm_app", "run", "-c", str(config)]
    with log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=LONGEST_SECONDS)


def reader(config: Path) -> sqlite3.Connection:
    """A connection that only reads, as a page has it."""
    path = quote(str(config.parent / "state" / "pm.sqlite"))
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)


def await_cutoffs(connection: sqlite3.Connection, many: int) -> None:
    until = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < until:
        (count,) = connection.execute("SELECT count(DISTINCT cutoff) FROM predictions").fetchone()
        if count >= many:
            return
        time.sleep(0.002)
    raise AssertionError(f"{many} cutoffs were not seen within {LONGEST_SECONDS:.0f} s")


def hour_of(number: int) -> pa.Table:
    rng = np.random.default_rng(number)
    seconds = np.arange(0, 3600, 60)
    columns = {
        "asset_id": pa.array(["pump"] * len(seconds)),
        "timestamp": pa.array(START + number * HOUR + seconds * 10**9, pa.timestamp("ns", "UTC")),
    }
    for sensor in range(SENSORS):
        columns[f"sensor-{sensor}"] = pa.array(rng.normal(50, 10, len(seconds)))
    return pa.table(columns)
