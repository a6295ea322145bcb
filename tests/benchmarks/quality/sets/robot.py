"""UR3 CobotOps (Tyrovolas, Aliev, Antonelli & Stylios 2024): protective stops of one robot.

What is asked is what would let a cell slow down in time: does a protective stop *start* within
the next ten seconds? The start is the failure, the first row without the stop the repair; rows
during a stop belong to no one, for a stop that can be read off the robot needs no prediction. (The
label as published marks rows, most of them inside a stop that has already begun.) Half of the
stops come within 44 s of the one before, so the life left is capped at 120 s.

One robot, one day, one gap of five hours: learned in time order. The first half of the stops
teaches, the rest are judged in four blocks, each by models that know all stops before it. A
life, from the end of a stop to the next, is never cut. Rows without a label repeat the label
of the row before; their sensors are empty and stay so. grip_lost is a label too and no
feature, and the running number of the cycle only tells the time.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from benchmarks.quality.sets.folds import Fold, QualitySet, Task, make_fold, part_by_group
from benchmarks.quality.sets.plants import gather, lay_out

from pm_app.times import HOUR_NS

FOLDS = 4
LEARNED_FIRST = 0.5
SECOND = 1 / 3600
PLANT_TOML = """\
[features]
pane = "1s"
windows = ["5s", "20s", "60s"]

[target]
horizons = ["10s"]
rul_cap = "120s"
"""
LABELS = ["Robot_ProtectiveStop", "grip_lost"]
NO_SENSORS = ["Num", "Timestamp", "cycle"]


def read_robot(path: Path) -> tuple[pa.Table, pa.Table]:
    """Readings and events: a failure where a stop begins, maintenance where it has ended."""
    table = pd.read_csv(path, sep=";", decimal=",").dropna(axis=1, how="all")
    table.columns = table.columns.str.strip()
    stamp = pd.to_datetime(table["Timestamp"].str.strip('"'), utc=True)
    time = stamp.dt.as_unit("ns").astype("int64").to_numpy()
    stopped = table["Robot_ProtectiveStop"].astype(str).map({"True": 1.0, "False": 0.0})
    now = stopped.ffill().to_numpy() == 1.0
    before = np.append(False, now[:-1])
    sensors = table.drop(columns=[*NO_SENSORS, *LABELS]).astype(float)
    columns = {name: pa.array(sensors[name], from_pandas=True) for name in sensors}
    readings = pa.table({**_keys(time), **columns})
    begins, ends = np.flatnonzero(now & ~before), np.flatnonzero(~now & before)
    kind = ["failure"] * len(begins) + ["maintenance"] * len(ends)
    events = {**_keys(time[np.concatenate([begins, ends])]), "kind": kind, "code": [""] * len(kind)}
    return readings, pa.table(events)


def folds(open_data: Path, work: Path) -> Iterator[Fold]:
    """Four blocks of stops, each after all that its models learn from."""
    readings, events = read_robot(open_data / "ur3_cobotops" / "dataset_02052023.csv")
    known = gather(lay_out(work / "ur3", PLANT_TOML, readings, events))
    frame, labels = known.chosen, known.labels
    rows = np.flatnonzero(labels.usable)
    # Lives are numbered in time; what follows the last stop was never judged by one.
    lives = np.unique(labels.life[rows[labels.failed[rows]]])
    borders = np.linspace(LEARNED_FIRST, 1.0, FOLDS + 1) * len(lives)
    for number, (first, end) in enumerate(zip(borders[:-1], borders[1:], strict=True)):
        learn = rows[np.isin(labels.life[rows], lives[: round(first)])]
        judged = rows[np.isin(labels.life[rows], lives[round(first) : round(end)])]
        split = part_by_group(
            labels.life, learn, judged, "by time, lives whole", level=None, seed=number
        )
        yield make_fold(f"block {number + 1}", frame, labels, split, known.paces)


def _keys(time: np.ndarray) -> dict[str, pa.Array]:
    return {
        "asset_id": pa.array(["ur3"] * len(time), pa.string()),
        "timestamp": pa.array(time, pa.timestamp("ns", "UTC")),
    }


LIFE = Task("life", horizon_hours=10e9 / HOUR_NS, cap_hours=120e9 / HOUR_NS,
            unit_hours=SECOND, unit="s")  # fmt: skip
UR3 = QualitySet("UR3 CobotOps", "robot's protective stops, real", LIFE, folds, seeds=10)
