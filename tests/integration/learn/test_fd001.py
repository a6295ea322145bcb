"""The quality the network is chosen for, on NASA's FD001 engines; minutes, so marked slow."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from factories import task_of

from pm_app.learning.allocation.sizing import PlanRequest, count_parameters
from pm_app.learning.data.targets import choose_head
from pm_app.learning.training.candidate import AllocationSearch, train_candidate
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Allocation, Tier

CAP = 125.0
TEST_UNIT = 1000
MOST_PARAMETERS = 100_000


def read_engines(folder):
    """Rows of both files, official test engines numbered from TEST_UNIT, with life left."""
    parts = []
    for name in ("train", "test"):
        part = pd.read_csv(folder / "cmapss" / f"{name}_FD001.txt.gz", sep=r"\s+", header=None)
        part["left"] = part.groupby(0)[1].transform("max") - part[1]
        parts.append(part)
    ends = np.loadtxt(folder / "cmapss" / "RUL_FD001.txt.gz")
    parts[1]["left"] += ends[parts[1][0] - 1]
    parts[1][0] += TEST_UNIT
    return pd.concat(parts, ignore_index=True)


def make_frame(rows):
    """Last value, mean and spread over 5, 20 and 60 cycles of every sensor that varies."""
    columns, sensor_of = {}, []
    engines = rows.groupby(0, sort=False)
    for sensor in [at for at in range(2, 26) if rows[at].std() > 1e-6]:
        columns[f"{sensor} last"] = rows[sensor]
        for window in (5, 20, 60):
            rolled = engines[sensor].rolling(window, min_periods=1)
            columns[f"{sensor} mean {window}"] = rolled.mean().to_numpy()
            columns[f"{sensor} std {window}"] = rolled.std().to_numpy()
        sensor_of += [str(sensor)] * 7
    names, asset = np.unique(rows[0], return_inverse=True)
    values = pd.DataFrame(columns).to_numpy(dtype=np.float32)
    cutoff = rows[1].to_numpy(np.int64) * 3_600_000_000_000
    names = tuple(str(name) for name in names)
    return Frame(names, asset.astype(np.int32), cutoff, tuple(columns), tuple(sensor_of), values)


@dataclass(frozen=True)
class OnePlan:
    """A planner of one network, whatever is asked for."""

    allocation: Allocation

    def plan(self, strategy, *, size=None):
        """Fulfils `Planner.plan`."""
        return self.allocation


@pytest.mark.slow
def test_a_flat_network_on_fd001_keeps_its_word(open_data):
    rows = read_engines(open_data)
    frame = make_frame(rows)
    every = np.ones(len(rows), dtype=bool)
    left = rows["left"].to_numpy(float)
    labels = Labels(left, every, np.full(len(rows), np.nan), every, frame.asset)
    unit = rows[0].to_numpy()
    order = np.random.default_rng(0).permutation(100) + 1
    parts = [np.flatnonzero(np.isin(unit, part)) for part in np.split(order, [70, 85])]
    split = Split(*parts, np.flatnonzero(unit > TEST_UNIT), frame.asset, "by engine")
    known = np.concatenate(parts[:2])
    head = choose_head(labels, known, task="life", horizons_hours=(30.0,), cap_hours=CAP)
    tiers = (Tier("all", frame.sensors, 48, 0, 0.1),)
    widths = {sensor: frame.sensor_of.count(sensor) for sensor in frame.sensors}
    request = PlanRequest(widths, MOST_PARAMETERS, outputs=len(head.edges_hours))
    size = count_parameters(tiers, (32,), request)
    plan = Allocation("uniform", tiers, (1.0,) * len(frame.sensors), (32,), request.members, size)
    task = task_of(frame, labels, split, "life", (30.0,), head)

    candidate = train_candidate(task, AllocationSearch(OnePlan(plan), "uniform"))

    own = candidate.reports[0].metrics
    assert own["last_rul_rmse_hours"] <= 15.0
    assert own["average_precision_30h"] >= 0.9
    assert 0.85 <= own["rul_coverage"] <= 1.0
