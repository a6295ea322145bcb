"""C-MAPSS FD001 through the product's own commands, beside its control and a random forest.

    python -m pytest -m benchmark tests/benchmarks/test_engines.py -s

Judged on the official test engines, which no part of the training saw: RMSE of the life left
at each engine's last row (capped at 125 cycles), average precision of "at most 30 cycles
remain" and coverage of the 90 % interval over all their rows, but those of the first hours,
where the product abstains: all models are judged on the same rows.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.quality.sets.folds import take_labels
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.metrics import average_precision_score

from pm_app.features.frame import select_features
from pm_app.jobs.plant import first_seen_ns
from pm_app.jobs.retrain.dataset import DatasetSource, gather_dataset
from pm_app.learning.data.splits import split_rows
from pm_app.settings.plant import read_settings
from pm_app.times import HOUR_NS, to_nanoseconds
from pm_app.wiring import open_plant

CAP, HORIZON = 126.0, 31.0  # hours to the failure: 125 and 30 cycles, and the last one
MOST_RMSE = 15.0
Rows = set[tuple[str, float]]  # asset and cutoff in hours
SAID = ("rul_hours", "rul_low_hours", "rul_high_hours", "risk")


@dataclass(frozen=True)
class Figures:
    """How one model did on the test engines, and what it cost."""

    model: str
    rmse: float
    average_precision: float
    coverage: float | None
    train_seconds: float
    train_megabytes: float | None
    score_seconds: float | None
    score_megabytes: float | None


def run(*words: object) -> tuple[str, float, float]:
    """One command of pm-app: what it said, its seconds, and its peak memory in MB.

    The peak is that of the largest process, the trainer where there is one.
    """
    command = [sys.executable, "-m", "pm_app", *map(str, words)]
    start = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    return said, time.monotonic() - start, usage.ru_maxrss / 1024


def truth_of(folder: Path, assets: np.ndarray, cutoff: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hours from each cutoff to the failure, and which rows are their engine's last."""
    table = pq.read_table(folder / "later" / "truth.parquet")
    last = dict(zip(table["asset_id"].to_pylist(), hours_of(table["cutoff"]), strict=True))
    left = dict(zip(table["asset_id"].to_pylist(), table["rul_hours"].to_numpy(), strict=True))
    end = np.array([last[name] for name in assets])
    return np.array([left[name] for name in assets]) + end - cutoff, cutoff == end


def hours_of(column) -> np.ndarray:
    return column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy() / HOUR_NS


def judge(folder, assets, cutoff, said):
    """RMSE at the last rows, average precision and coverage over all."""
    left, is_last = truth_of(folder, assets, cutoff)
    assert is_last.sum() == 100
    capped = np.minimum(left, CAP)
    rmse = np.sqrt(np.mean((said["rul_hours"][is_last] - capped[is_last]) ** 2))
    within = (said["rul_low_hours"] <= capped) & (capped <= said["rul_high_hours"])
    precision = average_precision_score(left <= HORIZON, said["risk"])
    return float(rmse), float(precision), float(within.mean())


def train(folder: Path) -> tuple[float, float, str]:
    """A version of this plant: seconds, MB, and which strategy it is."""
    said, seconds, megabytes = run("retrain", "--json", "-c", folder / "plant.toml")
    print(json.loads(said)["reason"])
    return seconds, megabytes, json.loads(said)["reports"][0]["model"]


def product(folder: Path, name: str) -> tuple[Figures, Rows]:
    """Train, let the test engines arrive, score, judge; and the rows it spoke of."""
    learned, memory, strategy = train(folder)
    for path in (folder / "later" / "readings").iterdir():
        shutil.move(path, folder / "readings")
    _, scored, score_memory = run("score", "-c", folder / "plant.toml")
    out = folder / "said.parquet"
    run("predictions", "--format", "parquet", "--out", out, "-c", folder / "plant.toml")
    table = pq.read_table(out)
    names = np.array(table["asset_id"].to_pylist(), dtype=object)
    test = np.array([name.startswith("test-") for name in names])
    speaks = np.array(table["status"].to_pylist()) == "scored"
    silent = int((test & ~speaks).sum())
    rows = test & speaks
    said = {column: table[column].to_numpy()[rows] for column in SAID}
    cutoffs = hours_of(table["cutoff"])
    found = judge(folder, names[rows], cutoffs[rows], said)
    print(f"{name}: abstained at {silent} of {int(test.sum())} rows")
    figures = Figures(f"{name}: {strategy}", *found, learned, memory, scored, score_memory)
    return figures, set(zip(names[rows], cutoffs[rows], strict=True))


def forests(folder: Path, spoken: Rows) -> list[Figures]:
    """Random forests on the same features, judged on these rows, once all engines are in.

    One learns from the engines the network learned from, one also from those the product sets
    apart to calibrate and to judge by.
    """
    settings = read_settings(folder / "plant.toml")
    with open_plant(settings) as plant:
        ledger = plant.store.ledger
        segments, events = (
            [name for row in ledger.ingested_batches(source) for name in row.segments]
            for source in ("readings", "events")
        )
        known = gather_dataset(
            DatasetSource(
                plant.history,
                segments,
                plant.event_history.read(events),
                first_seen_ns(plant.ledger),
            ),
            settings,
            as_of_ns=to_nanoseconds(ledger.newest_time("readings")) + HOUR_NS,
        )
    frame, labels = select_features(known.frame, known.informative), known.labels
    names = np.array(frame.assets, dtype=object)[frame.asset]
    train = np.flatnonzero([name.startswith("train-") for name in names])
    split = split_rows(
        frame.take(train),
        take_labels(labels, train),
        horizon_hours=HORIZON,
        seed=settings.retraining.seed,
    )
    same = train[np.concatenate([split.train, split.validation])]
    hours = frame.cutoff / HOUR_NS
    test = np.array([key in spoken for key in zip(names, hours, strict=True)])
    assert test.sum() == len(spoken)
    options = {"n_estimators": 300, "min_samples_leaf": 5, "n_jobs": 2, "random_state": 0}
    values = np.nan_to_num(frame.values, nan=-1.0)
    nothing = np.full(int(test.sum()), np.nan)
    found = []
    for name, rows in (("same engines", same), ("all engines", train[labels.usable[train]])):
        start = time.monotonic()
        life = RandomForestRegressor(**options | {"n_estimators": 100, "max_features": "sqrt"})
        life.fit(values[rows], np.minimum(labels.duration_hours[rows], CAP))
        risk = RandomForestClassifier(**options)
        risk.fit(values[rows], labels.duration_hours[rows] <= HORIZON)
        seconds = time.monotonic() - start
        said = {
            "rul_hours": life.predict(values[test]),
            "rul_low_hours": nothing,
            "rul_high_hours": nothing,
            "risk": risk.predict_proba(values[test])[:, 1],
        }
        rmse, precision, _ = judge(folder, names[test], hours[test], said)
        model = f"random forest, {name}"
        found.append(Figures(model, rmse, precision, None, seconds, None, None, None))
    return found


def show(rows: list[Figures]) -> None:
    columns = ("RMSE last", "AP 30", "coverage", "train s", "train MB", "score s", "score MB")
    print("\n" + f"{'FD001, test engines':32}" + "".join(f"{name:>11}" for name in columns))
    for row in rows:
        values = (
            (row.rmse, ".2f"),
            (row.average_precision, ".4f"),
            (row.coverage, ".3f"),
            (row.train_seconds, ".0f"),
            (row.train_megabytes, ".0f"),
            (row.score_seconds, ".1f"),
            (row.score_megabytes, ".0f"),
        )
        cells = ("-" if value is None else format(value, form) for value, form in values)
        print(f"{row.model:32}" + "".join(f"{cell:>11}" for cell in cells))


@pytest.mark.benchmark
def test_engines_that_no_training_saw(open_data, tmp_path):
    ours, control = tmp_path / "ours", tmp_path / "control"
    for folder in (ours, control):
        run("import", "cmapss", open_data / "cmapss", folder, "--subset", "FD001")
    with (control / "plant.toml").open("a", encoding="utf-8") as file:
        file.write('\n[allocation]\nstrategy = "uniform"\n')

    (first, spoken), (second, _) = product(ours, "pm-app"), product(control, "control")
    rows = [first, second, *forests(ours, spoken)]
    show(rows)

    assert rows[0].rmse <= MOST_RMSE
    _, control_row, forest = rows[:3]
    assert rows[0].average_precision >= forest.average_precision
    # Seeds part the two by up to a hundredth: what is beyond is a fault, not chance.
    assert rows[0].average_precision >= control_row.average_precision - 0.01
