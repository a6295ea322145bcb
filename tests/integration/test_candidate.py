"""From a small simulated fleet to a candidate, and the candidate scored as a plant would."""

from dataclasses import replace

import numpy as np
import pytest

from pm_app.errors import BadVersion, NotEnoughData
from pm_app.learning import selection, training
from pm_app.learning.candidate import train_candidate
from pm_app.learning.network import answers, load_network
from pm_app.learning.parameters import count_parameters
from pm_app.learning.targets import choose_head
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Allocation, Head, Tier
from pm_app.scoring.contributions import contributions, top_sensors_text
from pm_app.scoring.predictor import CHUNK_ROWS, Predictor

SENSOR_OF = ("wear", "wear", "load", "noise", "noise", "noise")
FEATURES = tuple(f"{sensor}_{at}" for at, sensor in enumerate(SENSOR_OF))
CAP = 60.0


def make_fleet(assets=24, seed=0):
    """Machines whose wear grows until it breaks them, one row an hour; tenths are missing."""
    rng = np.random.default_rng(seed)
    lives = rng.integers(60, 140, assets)
    asset = np.repeat(np.arange(assets, dtype=np.int32), lives)
    left = np.concatenate([np.arange(life, 0, -1) for life in lives]).astype(float)
    wear = np.exp(-left / 25.0) + rng.normal(0, 0.05, len(left))
    values = rng.normal(size=(len(left), len(SENSOR_OF)))
    values[:, 0], values[:, 1] = wear, 50 + 10 * wear + rng.normal(0, 1, len(left))
    values[rng.random(values.shape) < 0.1] = np.nan
    names = tuple(f"pump-{at:02d}" for at in range(assets))
    hours = np.arange(len(left), dtype=np.int64) * 3_600_000_000_000
    frame = Frame(names, asset, hours, FEATURES, SENSOR_OF, values.astype(np.float32))
    nothing = np.full(len(left), np.nan)
    every = np.ones(len(left), dtype=bool)
    return frame, Labels(left, every, nothing, every, asset)


def split_fleet(frame):
    bounds = np.array([0, 12, 16, 20, len(frame.assets)])
    part = np.searchsorted(bounds, frame.asset, side="right") - 1
    rows = [np.flatnonzero(part == at) for at in range(4)]
    return Split(*rows, group=frame.asset, how="by asset")


def life_head(labels, split):
    rows = np.concatenate([split.train, split.validation])
    return choose_head(labels, rows, task="life", horizons_hours=(12.0, 24.0), cap_hours=CAP)


def make_allocations(outputs):
    tiers = {
        "uniform": (Tier("all", ("wear", "load", "noise"), 12, 0, 0.1),),
        "tiers": (
            Tier("high", ("wear",), 8, 0, 0.1),
            Tier("low", ("load", "noise"), 4, 0, 0.1),
        ),
    }
    widths = {"wear": 2, "load": 1, "noise": 3}
    return {
        name: Allocation(
            name,
            made,
            (1.0, 2.0, 3.0),
            (8,),
            4,
            count_parameters(made, (8,), 4, features_per_sensor=widths, outputs=outputs),
        )
        for name, made in tiers.items()
    }


@pytest.fixture(scope="module")
def quick():
    """Short schedules and a grid of one: what is tested is the path, not the optimum."""
    patch = pytest.MonkeyPatch()
    patch.setattr(training, "STEPS", 400)
    for grid in ("LIFE_GRID", "TABLE_GRID"):
        patch.setattr(selection, grid, ((1e-3, 0.1, 4e-3),))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def fleet(quick):
    frame, labels = make_fleet()
    return frame, labels, split_fleet(frame)


@pytest.fixture(scope="module")
def life(fleet):
    heard = []
    candidate = train_candidate(
        *fleet,
        allocations=make_allocations(17),
        strategy="tiers",
        head=life_head(*fleet[1:]),
        progress=lambda done, text: heard.append(done),
    )
    return candidate, heard


def predictor_of(candidate):
    return Predictor(
        candidate.onnx,
        head=candidate.head,
        calibration=candidate.calibration,
        features=FEATURES,
    )


def column_labels(labels, value):
    nothing = np.full(len(value), np.nan)
    return replace(labels, duration_hours=nothing, failed=np.zeros(len(value), bool), value=value)


def test_a_candidate_beats_a_constant_guess(life):
    reports = {report.model: report.metrics for report in life[0].reports}
    own, guess = reports["tiers"], reports["constant guess"]

    assert set(reports) == {"tiers", "control: uniform", "random forest", "constant guess"}
    assert own["average_precision_24h"] > guess["average_precision_24h"] + 0.3
    assert own["brier_24h"] < 0.7 * guess["brier_24h"]
    assert own["rul_rmse_hours"] < 0.7 * guess["rul_rmse_hours"]
    assert 0.75 < own["rul_coverage"] <= 1.0


def test_both_graphs_agree_and_golden_rows_come_back(life):
    candidate = life[0]

    assert candidate.parity <= 1e-5
    assert np.isnan(candidate.golden_values).any()
    said = predictor_of(candidate).outputs(candidate.golden_values)
    assert said == pytest.approx(candidate.golden_outputs, abs=1e-6)
    again = answers(load_network(candidate.keras), candidate.golden_values)
    assert again == pytest.approx(candidate.golden_outputs, abs=1e-5)


def test_reported_parameters_are_those_of_the_plan(life):
    own, control = life[0].reports[:2]
    widths = {"wear": 2, "load": 1, "noise": 3}
    plan = life[0].allocation

    assert own.parameters == count_parameters(
        plan.tiers,
        plan.shared_units,
        plan.members,
        features_per_sensor=widths,
        outputs=len(life[0].head.edges_hours),
    )
    assert control.parameters is not None


def test_progress_only_rises_and_ends(life):
    heard = life[1]

    assert heard == sorted(heard)
    assert 0 <= heard[0] < 0.3
    assert heard[-1] > 0.9


def test_the_worn_machine_is_riskier_and_its_wear_is_named(life, fleet):
    candidate, (frame, labels, split) = life[0], fleet
    predictor = predictor_of(candidate)
    rows = split.test[labels.duration_hours[split.test] <= 10]
    fresh = split.test[labels.duration_hours[split.test] > 55]
    scores, calm = predictor.predict(frame.values[rows]), predictor.predict(frame.values[fresh])
    shares = contributions(predictor, frame.values[rows], SENSOR_OF, candidate.reference)
    texts = top_sensors_text(shares, frame.sensors)

    assert np.median(scores.risk[:, 1]) > np.median(calm.risk[:, 1]) + 0.5
    assert np.median(scores.rul) < np.median(calm.rul) - 20
    assert np.mean([text.startswith("wear") for text in texts]) > 0.8


def test_chunks_do_not_change_scores(life):
    values = np.tile(life[0].golden_values, (CHUNK_ROWS // 4, 1))
    scores = predictor_of(life[0]).predict(values)
    one = predictor_of(life[0]).predict(values[-8:])

    assert len(scores.rul) == 2 * CHUNK_ROWS
    assert scores.rul[-8:] == pytest.approx(one.rul, abs=1e-4)


def test_no_rows_give_no_scores(life):
    scores = predictor_of(life[0]).predict(np.empty((0, len(FEATURES)), dtype=np.float32))

    assert scores.risk.shape == (0, 2)


def test_rows_of_another_width_are_refused(life):
    with pytest.raises(ValueError, match="6 features, got shape"):
        predictor_of(life[0]).predict(np.zeros((2, 5), dtype=np.float32))


def test_a_damaged_graph_is_refused(life):
    candidate = life[0]

    with pytest.raises(BadVersion, match="cannot be read"):
        predictor_of(replace(candidate, onnx=candidate.onnx[:1000]))
    with pytest.raises(BadVersion, match="takes 6 features, its card names 2"):
        Predictor(
            candidate.onnx,
            head=candidate.head,
            calibration=candidate.calibration,
            features=("a", "b"),
        )


def test_a_refit_starts_where_the_version_stood(life, fleet):
    candidate = life[0]
    plans = {**make_allocations(17), "tiers": candidate.allocation}
    again = train_candidate(
        *fleet,
        allocations=plans,
        strategy="regularized",
        head=candidate.head,
        warm_start=candidate.keras,
    )

    assert again.head == candidate.head
    assert again.allocation == candidate.allocation
    own = again.reports[0].metrics["average_precision_24h"]
    assert own > candidate.reports[0].metrics["average_precision_24h"] - 0.05


def test_a_warm_start_of_other_features_is_refused(life, fleet):
    frame, labels, split = fleet
    narrow = replace(
        frame, values=frame.values[:, :5], features=FEATURES[:5], sensor_of=SENSOR_OF[:5]
    )

    with pytest.raises(BadVersion, match="a warm start needs weights of shapes"):
        train_candidate(
            narrow,
            labels,
            split,
            allocations=make_allocations(17),
            strategy="uniform",
            head=life[0].head,
            warm_start=life[0].keras,
        )


def test_a_class_is_learned_without_time(fleet):
    frame, labels, split = fleet
    value = (labels.duration_hours <= 20).astype(float)
    candidate = train_candidate(
        frame,
        column_labels(labels, value),
        split,
        allocations=make_allocations(1),
        head=Head("classification", (), (0.0,)),
    )
    own = candidate.reports[0].metrics
    scores = predictor_of(candidate).predict(frame.values[split.test])

    assert own["average_precision"] > 0.7
    assert own["f1"] > 0.6
    assert scores.risk.shape == (len(split.test), 1)


def test_a_value_is_learned_in_its_own_unit(fleet):
    frame, labels, split = fleet
    value = 1e6 + 1e4 * np.minimum(labels.duration_hours, CAP)
    candidate = train_candidate(
        frame,
        column_labels(labels, value),
        split,
        allocations=make_allocations(1),
        head=Head("regression", (), (0.0,)),
    )
    own = candidate.reports[0].metrics

    assert own["r2"] > 0.5
    assert 0.75 < own["coverage"] <= 1.0
    scores = predictor_of(candidate).predict(frame.values[split.test])
    assert 1e6 < np.median(scores.value) < 1e6 + 1e4 * CAP


def test_the_control_and_the_strategy_must_be_given(fleet):
    plans = make_allocations(17)
    for allocations, strategy in (({"tiers": plans["tiers"]}, "auto"), (plans, "regularized")):
        with pytest.raises(ValueError, match="allocations must hold"):
            train_candidate(
                *fleet,
                allocations=allocations,
                strategy=strategy,
                head=life_head(*fleet[1:]),
            )


def test_an_empty_part_of_the_split_is_named(fleet):
    frame, labels, split = fleet
    empty = replace(split, calibration=np.empty(0, dtype=np.intp))

    with pytest.raises(NotEnoughData, match="calibration part of the split holds no rows"):
        train_candidate(
            frame,
            labels,
            empty,
            allocations=make_allocations(17),
            head=life_head(*fleet[1:]),
        )
