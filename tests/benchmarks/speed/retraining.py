"""A whole retraining, and LightGBM on the same features: wall, processor, peak of memory."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.quality.sets.plants import gather
from benchmarks.speed.rows import Row

from connectors.cmapss import import_cmapss
from pm_app.features.frame import select_features
from pm_app.learning.data.splits import censor_at_parts, split_rows
from pm_app.learning.evaluation.boosters import BoosterTask, fit_booster

HORIZON, CAP = 31.0, 126.0


def measure(folder: Path, open_data: Path) -> list[Row]:
    """FD001 by the product's own command; the booster tuned as a backtest tunes it."""
    import_cmapss(open_data / "cmapss", folder / "plant", subset="FD001")
    return [retrained("FD001: 100 engines, 20,631 cycles", folder / "plant", HORIZON, CAP)]


def retrained(told: str, plant: Path, horizon: float, cap: float) -> Row:
    """The row of a plant whose files are there: ours, then the booster on the same features."""
    command = [sys.executable, "-m", "pm_app", "retrain", "--json", "-c", str(plant / "plant.toml")]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    mine = time.perf_counter() - began
    assert json.loads(said)["decision"], said
    # The trainer is a child of the command, and waited for by it.
    used = usage.ru_utime + usage.ru_stime
    booster = _booster(plant, horizon, cap)
    return Row(
        "Retraining",
        told,
        mine,
        "s",
        (mine, mine),
        "",
        None,
        {"LightGBM, nine fits to choose by": booster},
        None,
        f"{used:.0f} s of processor, {usage.ru_maxrss / 1024:,.0f} MB at the peak; "
        "with ranking, drift, networks tried, calibration, trees beside and the gate",
    )


def _booster(plant: Path, horizon: float, cap: float) -> float:
    known = gather(plant)
    frame = select_features(known.frame, known.informative)
    split = split_rows(frame, known.labels, horizon_hours=horizon, seed=0)
    labels = censor_at_parts(frame, known.labels, split)
    lesson = BoosterTask(frame, labels, split, horizon_hours=horizon, cap_hours=cap, seed=0)
    began = time.perf_counter()
    fit_booster(lesson)
    return time.perf_counter() - began
