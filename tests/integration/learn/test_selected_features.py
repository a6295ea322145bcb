"""A network that reads a few features of many: learned, refitted, stored, explained."""

from dataclasses import replace

import numpy as np
import pytest
from factories import task_of

from pm_app.learning.allocation import feature_selection
from pm_app.learning.allocation.planner import make_planner
from pm_app.learning.data.targets import choose_head
from pm_app.learning.importance.permutation import measure_importance
from pm_app.learning.network import answers, load_network
from pm_app.learning.training import fit, selection
from pm_app.learning.training.candidate import AllocationSearch, WarmStart, train_candidate
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.scoring.contributions import contributions
from pm_app.scoring.predictor import Predictor

SENSOR_OF = tuple(f"s{at // 3}" for at in range(18))
FEATURES = tuple(f"{sensor}.{at}" for at, sensor in enumerate(SENSOR_OF))
COUNTS = (2, 4)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def task():
    """Machines of one life each: s1 wears, all else is noise; some of it is missing."""
    rng = np.random.default_rng(0)
    lives = rng.integers(60, 140, 24)
    asset = np.repeat(np.arange(24, dtype=np.int32), lives)
    left = np.concatenate([np.arange(life, 0, -1) for life in lives]).astype(float)
    values = rng.normal(size=(len(left), len(FEATURES)))
    wear = np.exp(-left / 25.0)[:, None]
    values[:, 3:5] = wear + rng.normal(0, 0.1, (len(left), 2))
    values[rng.random(values.shape) < 0.1] = np.nan
    hours = np.arange(len(left), dtype=np.int64) * 3_600_000_000_000
    names = tuple(f"pump-{at:02d}" for at in range(24))
    frame = Frame(names, asset, hours, FEATURES, SENSOR_OF, values.astype(np.float32))
    every = np.ones(len(left), dtype=bool)
    labels = Labels(left, every, np.full(len(left), np.nan), every, asset)
    part = np.searchsorted([0, 12, 16, 20, 24], asset, side="right") - 1
    split = Split(*(np.flatnonzero(part == at) for at in range(4)), group=asset, how="by asset")
    rows = np.concatenate([split.train, split.validation])
    head = choose_head(labels, rows, task="life", horizons_hours=(12.0, 24.0), cap_hours=60.0)
    return task_of(frame, labels, split, "life", (12.0, 24.0), head)


@pytest.fixture(scope="module")
def search(task):
    importance = measure_importance(task, seed=0, replicates=4)
    outputs = len(task.head.edges_hours)
    planner = make_planner(
        task.frame, task.split.train, importance, outputs=outputs, max_parameters=4_000
    )
    return AllocationSearch(planner, "selected", pooling=False)


@pytest.fixture(scope="module")
def candidate(task, search):
    patch = pytest.MonkeyPatch()
    patch.setattr(fit, "STEPS", 200)
    patch.setattr(selection, "LIFE_GRID", ((1e-3, 0.1, 4e-3),))
    patch.setattr(feature_selection, "COUNTS", COUNTS)
    yield train_candidate(task, search)
    patch.undo()


def predictor_of(candidate):
    graph, head = candidate.onnx, candidate.head
    return Predictor(graph, head=head, calibration=candidate.calibration, features=FEATURES)


def test_validation_takes_few_features_and_among_them_what_wears(candidate):
    plan = candidate.allocation
    own, control = (each.metrics["average_precision_24h"] for each in candidate.reports[:2])

    assert len(plan.features) in COUNTS
    assert {"s1.3", "s1.4"} <= set(plan.features)
    assert [each.model for each in candidate.reports[:2]] == ["selected", "control: uniform"]
    assert plan.parameters == candidate.reports[0].parameters
    assert own > control - 0.05


def test_what_is_not_read_changes_no_score_and_contributes_nothing(candidate, task):
    predictor, read = predictor_of(candidate), candidate.allocation.features
    rows = task.frame.values[task.split.test]
    other = rows.copy()
    unread = [at for at, name in enumerate(FEATURES) if name not in read]
    other[:, unread] = np.nan

    shares = contributions(predictor, rows, SENSOR_OF, candidate.reference)
    idle = [
        at for at, name in enumerate(task.frame.sensors) if name not in candidate.allocation.sensors
    ]

    assert np.array_equal(predictor.outputs(rows), predictor.outputs(other))
    assert np.array_equal(
        answers(load_network(candidate.keras), rows), answers(load_network(candidate.keras), other)
    )
    assert (shares[:, idle] == 0).all()


def test_golden_rows_are_answered_again(candidate):
    said = predictor_of(candidate).outputs(candidate.golden_values)

    assert np.array_equal(said, candidate.golden_outputs)
    assert candidate.parity <= 1e-5


def test_a_refit_goes_on_with_the_same_features(candidate, task, search):
    warm = WarmStart(candidate.allocation, candidate.keras)

    again = train_candidate(task, replace(search, strategy="auto", warm_start=warm))

    assert again.allocation == candidate.allocation
    assert again.head == candidate.head
