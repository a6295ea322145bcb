"""What is normal learned of 1,000 simulated assets over 90 days; measured only when asked for."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.quality.sets.plants import NOW, lay_out
from benchmarks.speed.fleet_retraining import ASSETS, DAYS, TOML
from benchmarks.speed.rows import Row

from pm_app.cli.demo.plant import demo_plan
from pm_app.jobs.ingest.run import ingest
from pm_app.settings.plant import read_settings
from pm_app.simulator import simulate
from pm_app.wiring import open_plant

MOST_SECONDS, MOST_MB = 120.0, 1024.0
# A process begins with the peak of the one that starts it: a small one has to, for readings were
# simulated in this one.
WATCHED = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measure(folder: Path) -> list[Row]:
    """A reading an hour; files are taken in before."""
    plant = simulate(replace(demo_plan(0), assets=ASSETS, days=DAYS, interval_minutes=60))
    readings, events = plant.readings(0, DAYS), plant.events_table(0, DAYS)
    config = lay_out(folder / "plant", TOML, readings, events) / "plant.toml"
    with open_plant(read_settings(config)) as opened:
        ingest(opened, now=NOW)
    command = [sys.executable, "-m", "pm_app", "learn-normal", "--json", "-c", str(config)]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *command], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - began
    answer, _, usage = done.stdout.strip().rpartition("\n")
    peak, processor = (float(each) for each in usage.split())
    assert json.loads(answer)["decision"] == "first", answer
    kept = seconds <= MOST_SECONDS and peak <= MOST_MB
    return [
        Row(
            "Normal behaviour",
            f"{ASSETS:,} pumps, {DAYS} days, {readings.num_rows:,} readings",
            seconds,
            "s",
            (seconds, seconds),
            "at most 2 minutes and 1 GB",
            kept,
            remark=f"{processor:.0f} s of processor, {peak:,.0f} MB at the peak of one process",
            reason="the machine was shared, and a processor of its own would have kept it"
            if not kept and peak <= MOST_MB and processor <= MOST_SECONDS
            else "",
        )
    ]
