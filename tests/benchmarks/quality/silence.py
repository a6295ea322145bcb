"""Silence after training: a machine that fails daily, and nobody reports events any more.

One simulated pump with about a failure a day and maintenance besides. A version learns from the
first days; then readings go on and events stop. What it says then is judged by the failures that
came: average precision, a row that abstains counting as risk 0. Beside it the same network that
never saw events, ages and lives, and boosted trees on the same windows of sensors alone.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from benchmarks.quality.sets.plants import NOW, lay_out
from factories import make_card

from pm_app.features.frame import build_frame, select_features
from pm_app.features.panes.panes import merge_panes
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import first_seen_ns
from pm_app.jobs.retrain.dataset import DatasetSource, gather_dataset
from pm_app.jobs.score.champion import Champion
from pm_app.jobs.score.predict import predict_frame
from pm_app.learning.data.labels import life_labels
from pm_app.learning.dataset import Dataset
from pm_app.learning.evaluation.boosters import BoosterTask, fit_booster
from pm_app.learning.evaluation.metrics import average_precision
from pm_app.learning.ranking import make_task, planner_of
from pm_app.learning.training import selection
from pm_app.learning.training.candidate import AllocationSearch, train_candidate
from pm_app.records.features import FeatureSpec, Frame, Panes
from pm_app.records.learning import Importance, VersionCard
from pm_app.records.readings import Events
from pm_app.scoring.predictor import Predictor
from pm_app.settings.plant import Settings, read_settings
from pm_app.simulator import PlantPlan, simulate
from pm_app.times import HOUR_NS
from pm_app.wiring import open_plant

AFTER_DAYS = 25
HORIZON_HOURS = 4.0
# Its size, penalty and rate are fixed, not searched for: silence is asked, not the search.
GRID = ((1e-3, 0.1, 2e-3),)
PLANT_TOML = """\
[features]
pane = "30min"
windows = ["1h", "3h"]
memory = ["change", "6h"]
beginning = "2h"

[target]
horizons = ["4h"]
rul_cap = "1d"
"""
_MIX = {"bearing": 0.55, "seal": 0.2, "impeller": 0.2, "electrical": 0.05}
# Of features made of events, ages and lives, the beginnings and what comes behind a sensor.
_BEGINNINGS = ("age", "since.", "errors.")
_REMEMBERED = (".change", ".smooth.", ".above.")


@dataclass(frozen=True, eq=False)
class SilentMachine:
    """What is known of the machine when training begins, and all that comes."""

    settings: Settings
    dataset: Dataset
    panes: Panes
    reported: Events
    came: Events
    first_seen: dict[str, int]
    until: int

    def after(self, spec: FeatureSpec, events: Events) -> tuple[Frame, np.ndarray]:
        """Features after training by the events that were told, and what came of each row."""
        frame = build_frame(self.panes, events, spec, first_seen=self.first_seen)
        labels = life_labels(frame, self.came, known_until=None, horizons_hours=(HORIZON_HOURS,))
        truth = labels.fails_within(HORIZON_HOURS)
        rows = np.flatnonzero((frame.cutoff > self.until) & np.isfinite(truth))
        return frame.take(rows), truth[rows]


@dataclass(frozen=True)
class SilenceFigures:
    """Average precision after training: events silent, events going on, the same network that
    never saw any, and boosted trees on sensors alone; statuses while silent; how wide risks are
    spread then (5 % to 95 %)."""

    silent: float
    spoken: float
    without_events: float
    trees: float
    prevalence: float
    statuses: dict[str, int]
    band: tuple[float, float]
    peer: str


def make_machine(folder: Path, *, seed: int, days: int) -> SilentMachine:
    """The machine of this seed, laid out in a new folder, known for `days` days."""
    plan = PlantPlan(
        assets=1, days=days + AFTER_DAYS, interval_minutes=10, seed=seed, mix_before=_MIX,
        mix_after=_MIX, typical_life_days=0.7, warning_days=0.4, repair_hours=1.0,
        maintenance_days=2.0, nuisance=3, regime_hours=6.0,
    )  # fmt: skip
    plant = simulate(plan)
    tables = plant.readings(0, plan.days), plant.events_table(0, days)
    settings = read_settings(lay_out(folder, PLANT_TOML, *tables) / "plant.toml")
    until = plan.start_ns + days * 24 * HOUR_NS
    with open_plant(settings) as live:
        ingest(live, now=NOW)
        readings, events = (
            [name for row in live.store.ledger.ingested_batches(source) for name in row.segments]
            for source in ("readings", "events")
        )
        reported, first_seen = live.event_history.read(events), first_seen_ns(live.ledger)
        source = DatasetSource(live.history, readings, reported, first_seen)
        dataset = gather_dataset(source, settings, as_of_ns=until)
        panes = merge_panes(list(live.history.read(readings)), pane_ns=settings.features.pane_ns)
    return SilentMachine(settings, dataset, panes, reported, plant.events, dict(first_seen), until)


def without_events(dataset: Dataset) -> Dataset:
    """The dataset with features of sensors within windows alone."""
    kept = tuple(
        name
        for name in dataset.informative
        if not name.startswith(_BEGINNINGS) and not any(part in name for part in _REMEMBERED)
    )
    return replace(dataset, informative=kept)


def learned(machine: SilentMachine, dataset: Dataset, seed: int) -> Champion:
    """A version that the product trains, all sensors alike: the search is not asked here."""
    task = make_task(dataset, machine.settings)
    sensors, share = task.frame.sensors, 1 / len(task.frame.sensors)
    alike = (share,) * len(sensors)
    own = tuple((sensor,) for sensor in sensors)
    importance = Importance(sensors, alike, alike, (alike,), own, alike, (), "none", 0.0)
    planner = planner_of(task, importance, machine.settings)
    with patch.object(selection, "LIFE_GRID", GRID):
        found = train_candidate(task, AllocationSearch(planner, "uniform"), seed=seed)
    names = {field.name for field in fields(found)} & {field.name for field in fields(VersionCard)}
    card = make_card(
        replace(dataset.spec, limits=task.limits),
        features=task.frame.features,
        sensor_of=task.frame.sensor_of,
        importance=importance,
        **{name: getattr(found, name) for name in names},
    )
    predictor = Predictor(
        found.onnx, head=card.head, calibration=card.calibration, features=card.features
    )
    return Champion(1, card, predictor)


def risks_of(frame: Frame, champion: Champion) -> tuple[np.ndarray, np.ndarray]:
    """Risk of each row, 0 where it abstains, and its status."""
    predictions = predict_frame(frame, champion)
    return np.nan_to_num(predictions.risk), predictions.status


def measure_silence(folder: Path, *, seed: int, days: int) -> SilenceFigures:
    """All figures of one machine."""
    machine = make_machine(folder, seed=seed, days=days)
    ours, bare = learned(machine, machine.dataset, seed), without_events(machine.dataset)
    silent, truth = machine.after(ours.card.spec, machine.reported)
    spoken, truth_spoken = machine.after(ours.card.spec, machine.came)
    risk, status = risks_of(silent, ours)
    never = learned(machine, bare, seed)
    study = make_task(bare, machine.settings)
    cap = machine.settings.target.cap_hours
    peer = fit_booster(
        BoosterTask(study.frame, study.labels, study.split, HORIZON_HOURS, cap, seed)
    )
    return SilenceFigures(
        silent=average_precision(risk, truth),
        spoken=average_precision(risks_of(spoken, ours)[0], truth_spoken),
        without_events=average_precision(risks_of(silent, never)[0], truth),
        trees=average_precision(
            peer.answer(select_features(silent, study.frame.features).values)[0], truth
        ),
        prevalence=float(truth.mean()),
        statuses=dict(zip(*np.unique(status.astype(str), return_counts=True), strict=True)),
        band=tuple(np.quantile(risk, (0.05, 0.95)).round(3).tolist()),
        peer=peer.name,
    )
