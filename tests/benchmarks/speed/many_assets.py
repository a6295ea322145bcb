"""Many assets with few readings each: drives that send a row of counters a day.

    PYTHONPATH=tests:tests/support python -m benchmarks.speed.many_assets [ASSETS ...]

prints what ingesting and scoring cost at each size. Counters are zero in most rows and grow
where a drive wears; one drive in 200 stands out from the usual risk.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.speed.rows import Row
from factories import (
    HOUR,
    NOW,
    START,
    make_card,
    make_plant,
    make_spec,
    opened,
    promote_handmade,
)

from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.score.run import score

SIZES, DAYS, SENSORS = (2_500, 8_000, 25_000), 40, 5
WORN_SHARE = 0.25
READ_ANEW = (
    "a month of panes of every asset is still decoded and rolled for its newest one, which takes "
    "half of it; the rest is predictions and alarms in the database"
)
RATE, MEGABYTES, EXPONENT, TURN_SECONDS = 20_000, 400, 1.05, 2.0
TOML = """\
[plant]
name = "Drives"

[features]
pane = "1d"
windows = ["7d", "30d"]

[target]
horizons = ["30d"]
rul_cap = "60d"

[scoring]
backfill = "60d"
"""


@dataclass(frozen=True)
class Bill:
    """Seconds of processor for all days, and for a turn of one reading of each asset; megabytes
    of the process at its peak."""

    assets: int
    ingest: float
    score: float
    turn: float
    peak: float

    @property
    def rate(self) -> float:
        """Readings a second of processor, ingested and scored."""
        return self.assets * DAYS / (self.ingest + self.score)


def drives(assets: int, days: int, *, seed: int = 0) -> pa.Table:
    """A reading a day of each drive at a moment of its own, by day."""
    rng = np.random.default_rng(seed)
    shape = (days, assets)
    worn = rng.random((SENSORS, 1, assets)) < WORN_SHARE / SENSORS
    steps = rng.poisson(0.3, (SENSORS, *shape)) * worn
    time = START + np.arange(days)[:, None] * 24 * HOUR + rng.integers(0, 24 * HOUR, assets)
    names = np.array([f"drive-{number:06d}" for number in range(assets)], dtype=object)
    columns = {
        "asset_id": pa.array(np.tile(names, days), pa.string()),
        "timestamp": pa.array(time.ravel(), pa.timestamp("ns", "UTC")),
    }
    for number, counter in enumerate(np.cumsum(steps, axis=1)):
        columns[f"sensor-{number}"] = pa.array(counter.ravel().astype(float))
    return pa.table(columns)


def prepare(folder: Path, assets: int) -> None:
    """A plant with a file a day, and one day more beside."""
    table = drives(assets, DAYS + 1)
    make_plant(folder, toml=TOML)
    for day in range(DAYS + 1):
        place = folder / ("readings" if day < DAYS else "") / f"{day:03d}.parquet"
        pq.write_table(table.slice(day * assets, assets), place)


def bill(folder: Path, assets: int) -> Bill:
    """What this process pays for a prepared plant."""
    with opened(folder / "plant.toml") as plant:
        card = make_card(make_spec(plant.settings, sensors=SENSORS))
        head = replace(card.head, edges_hours=(240.0, 720.0, 1440.0), horizons_hours=(720.0,))
        calibration = replace(card.calibration, slope=(1.0,), intercept=(0.0,))
        card = replace(card, head=head, calibration=calibration, usual_risk=0.9)
        promote_handmade(plant, card=card)
        began = time.process_time()
        ingest(plant, now=NOW)
        ingested = time.process_time()
        done = score(plant, now=NOW)
        scored = time.process_time()
        assert done.committed.new == assets * DAYS, done
        more = f"{DAYS:03d}.parquet"
        (folder / more).rename(folder / "readings" / more)
        turned = time.process_time()
        done = score(plant, now=NOW)
        turn = time.process_time() - turned
        assert done.committed.new == assets, done
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    return Bill(assets, ingested - began, scored - ingested, turn, peak)


def measured(folder: Path, sizes: Sequence[int] = SIZES) -> list[Bill]:
    """Each size in a process of its own, whose peak is that of nothing else."""
    bills = []
    for assets in sizes:
        prepare(folder / f"{assets}", assets)
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.speed.many_assets", "--bill", f"{assets}"],
            cwd=folder / f"{assets}",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        bills.append(Bill(**json.loads(ran.stdout)))
    return bills


def measure(folder: Path) -> list[Row]:
    """Rate, memory and turn of the largest fleet, and how time grows with assets."""
    bills = measured(folder)
    last = bills[-1]
    seconds = [one.ingest + one.score for one in bills]
    exponent = float(np.polyfit(np.log(SIZES), np.log(seconds), 1)[0])
    told = f"{last.assets:,} drives, {DAYS} readings of each"
    return [
        _row(f"{told}: readings ingested and scored", last.rate, "a second of processor",
             f"at least {RATE:,}", last.rate >= RATE),
        _row(f"{told}: peak of the process", last.peak, "MB",
             f"under {MEGABYTES}", last.peak < MEGABYTES),
        _row(f"time by assets, {SIZES[0]:,} to {SIZES[-1]:,}, exponent", exponent, "",
             f"at most {EXPONENT}", exponent <= EXPONENT),
        _row(f"{told}: a turn of one more of each", last.turn, "s",
             f"under {TURN_SECONDS:g}", last.turn < TURN_SECONDS, READ_ANEW),
    ]  # fmt: skip


def _row(work: str, figure: float, unit: str, goal: str, kept: bool, reason: str = "") -> Row:
    return Row("Many assets", work, figure, unit, (figure, figure), goal, kept, reason=reason)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bill"]:
        print(json.dumps(asdict(bill(Path.cwd(), int(sys.argv[2])))))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            for one in measured(Path(scratch), [int(size) for size in sys.argv[1:]] or SIZES):
                print(one, f"{one.rate:,.0f} rows/s")
