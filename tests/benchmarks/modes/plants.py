"""What is judged: simulated pumps whose failures have modes, and the failure types of AI4I."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from benchmarks.lives.plans import MODES_SHARED
from benchmarks.quality.sets.milling import LEFT_OUT
from benchmarks.quality.sets.plants import NOW, lay_out
from sklearn.model_selection import StratifiedKFold

from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import first_seen_ns
from pm_app.jobs.retrain.dataset import DatasetSource, gather_dataset
from pm_app.learning.dataset import Dataset, LearningTask
from pm_app.learning.ranking import make_task
from pm_app.records.labels import Split
from pm_app.records.readings import Float64
from pm_app.settings.plant import Settings, read_settings
from pm_app.simulator import MODES, SimulatedPlant, simulate, true_risks
from pm_app.times import HOUR_NS
from pm_app.wiring import open_plant

PUMPS_TOML = """\
[features]
pane = "6h"
windows = ["24h", "72h"]
memory = ["change"]

[target]
horizons = ["72h"]
rul_cap = "10d"
"""
AI4I_TOML = """\
[target]
kind = "column"
column = "type of failure"
"""
# In this order: a row that fails in several ways has the first of them.
TYPES = ("TWF", "HDF", "PWF", "OSF", "RNF")


@dataclass(frozen=True, eq=False)
class Truth:
    """What a simulator knows of each row of a frame: the risk of failing within the horizon,
    (n_rows,), NaN where it cannot tell, and the part of it that is of each mode, (n_rows, modes).
    """

    risk: Float64
    of_mode: Float64


@dataclass(frozen=True, eq=False)
class Judged:
    """A plant's dataset, its settings, and the task it makes; truth: of a simulated one."""

    dataset: Dataset
    settings: Settings
    task: LearningTask
    truth: Truth | None = None


def pumps(seed: int, work: Path, *, days: int | None = None) -> Judged:
    """Pumps in which two modes move each sensor, and one gives no warning."""
    plan = replace(MODES_SHARED.plan, seed=seed)
    plan = replace(plan, days=days or plan.days)
    plant = simulate(plan)
    tables = (table(0, plan.days) for table in (plant.readings, plant.events_table))
    dataset, settings = _gathered(lay_out(work / f"pumps-{seed}", PUMPS_TOML, *tables))
    task = make_task(dataset, settings)
    return Judged(dataset, settings, task, _truth_of(plant, task))


def _truth_of(plant: SimulatedPlant, task: LearningTask) -> Truth:
    plan, frame, hours = plant.plan, task.frame, task.horizons_hours[-1]
    steps = (frame.cutoff - plan.start_ns) // plan.step_ns
    cutoffs, place = np.unique(np.minimum(steps, plan.steps - 1), return_inverse=True)
    known = true_risks(plant.truth, cutoffs, horizon_hours=hours)
    risk = np.where(steps < plan.steps, known.risk[frame.asset, place], np.nan)
    order = [MODES.index(name) for name in task.head.modes]
    return Truth(risk, known.by_mode[order][:, frame.asset, place].T)


def milling(fold: int, work: Path, open_data: Path) -> Judged:
    """One of five stratified folds of AI4I 2020 (Matzka 2020), by type of failure."""
    table = pd.read_csv(open_data / "ai4i2020" / "ai4i2020.csv", encoding="utf-8-sig")
    table["Type"] = table["Type"].map({"L": 0, "M": 1, "H": 2})
    kinds = [np.where(table[name] > 0, at, len(TYPES) + 1) for at, name in enumerate(TYPES, 1)]
    first = np.min(kinds, axis=0)
    table["type of failure"] = np.where(first > len(TYPES), 0, first)
    readings = table.drop(columns=[*LEFT_OUT, "Machine failure"])
    arrow = pa.Table.from_pandas(readings, preserve_index=False)
    dataset, settings = _gathered(lay_out(work / f"ai4i-{fold}", AI4I_TOML, arrow))
    task = make_task(dataset, settings)
    classes = np.where(task.labels.mode < 0, 0, task.labels.mode + 1)
    parts = StratifiedKFold(5, shuffle=True, random_state=2024).split(classes, classes)
    learn, judged = list(parts)[fold]
    inner = list(StratifiedKFold(6, shuffle=True, random_state=fold).split(learn, classes[learn]))
    validation, calibration = (np.sort(learn[inner[at][1]]) for at in (0, 1))
    train = np.setdiff1d(learn, np.concatenate([validation, calibration]))
    split = Split(train, validation, calibration, judged, task.split.group, "by row, stratified")
    return Judged(dataset, settings, replace(task, split=split))


def _gathered(folder: Path) -> tuple[Dataset, Settings]:
    settings = read_settings(folder / "plant.toml")
    with open_plant(settings) as plant:
        ingest(plant, now=NOW)
        ledger = plant.store.ledger
        segments, events = (
            [name for row in ledger.ingested_batches(source) for name in row.segments]
            for source in ("readings", "events")
        )
        found = plant.event_history.read(events)
        newest = max(
            [round(ledger.newest_time("readings").timestamp() * 1e9), *found.time.tolist()]
        )
        source = DatasetSource(plant.history, segments, found, first_seen_ns(plant.ledger))
        return gather_dataset(source, settings, as_of_ns=newest + 24 * HOUR_NS), settings
