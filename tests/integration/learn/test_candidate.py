"""From a small simulated fleet to a candidate, and the candidate scored as a plant would."""

from dataclasses import replace

import numpy as np
import pytest
from factories import task_of

from pm_app.errors import BadVersion, NotEnoughData
from pm_app.learning.allocation.planner import make_planner
from pm_app.learning.data.targets import choose_head
from pm_app.learning.network import answers, load_network, mode_shares
from pm_app.learning.pool import shares
from pm_app.learning.pool.forest import fit_forest
from pm_app.learning.pool.graph import mix_mode_shares
from pm_app.learning.training import crossfit, pooling, selection
from pm_app.learning.training import fit as training
from pm_app.learning.training.candidate import AllocationSearch, WarmStart, train_candidate
from pm_app.learning.training.refitting import refit_answers
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Importance, Pool, PoolMember
from pm_app.records.scores import with_shares
from pm_app.scoring.contributions import contributions, top_sensors_text
from pm_app.scoring.predictor import CHUNK_ROWS, Predictor

SENSOR_OF = ("wear", "wear", "load", "noise", "noise", "noise")
FEATURES = tuple(f"{sensor}_{at}" for at, sensor in enumerate(SENSOR_OF))
CAP = 60.0
MODES = ("seal", "bearing")


def make_fleet(assets=24, seed=0):
    """Machines whose wear grows until it breaks them in one of two ways, one row an hour; tenths
    are missing."""
    rng = np.random.default_rng(seed)
    lives = rng.integers(60, 140, assets)
    asset = np.repeat(np.arange(assets, dtype=np.int32), lives)
    left = np.concatenate([np.arange(life, 0, -1) for life in lives]).astype(float)
    wear = np.exp(-left / 25.0) + rng.normal(0, 0.05, len(left))
    values = rng.normal(size=(len(left), len(SENSOR_OF)))
    values[:, 0], values[:, 1] = wear, 50 + 10 * wear + rng.normal(0, 1, len(left))
    values[rng.random(values.shape) < 0.1] = np.nan
    # What breaks is told by which way the load goes.
    mode = asset % 2
    values[:, 2] += np.where(mode == 1, 3.0, -3.0) * wear
    names = tuple(f"pump-{at:02d}" for at in range(assets))
    hours = np.arange(len(left), dtype=np.int64) * 3_600_000_000_000
    frame = Frame(names, asset, hours, FEATURES, SENSOR_OF, values.astype(np.float32))
    nothing = np.full(len(left), np.nan)
    every = np.ones(len(left), dtype=bool)
    return frame, Labels(left, every, nothing, every, asset, mode=mode)


def split_fleet(frame):
    bounds = np.array([0, 12, 16, 20, len(frame.assets)])
    part = np.searchsorted(bounds, frame.asset, side="right") - 1
    rows = [np.flatnonzero(part == at) for at in range(4)]
    return Split(*rows, group=frame.asset, how="by asset")


def life_head(labels, split):
    rows = np.concatenate([split.train, split.validation])
    horizons = (12.0, 24.0)
    return choose_head(
        labels, rows, task="life", horizons_hours=horizons, cap_hours=CAP, modes=MODES
    )


def life_task(frame, labels, split):
    return task_of(frame, labels, split, "life", (12.0, 24.0), life_head(labels, split))


def make_fleet_planner(frame, labels, split, outputs=None):
    """Plans guided by what is known of the fleet: wear matters, noise does not."""
    outputs = outputs or len(life_head(labels, split).edges_hours) * len(MODES)
    shares = {"wear": 0.8, "load": 0.2, "noise": 0.0}
    importance = Importance(
        sensors=tuple(shares),
        shares=tuple(shares.values()),
        spread=(0.0,) * 3,
        replicates=(tuple(shares.values()),),
        clusters=tuple((name,) for name in shares),
        cluster_shares=tuple(shares.values()),
        interactions=(),
        score_name="average_precision",
        score=0.9,
    )
    return make_planner(frame, split.train, importance, outputs=outputs, max_parameters=4_000)


@pytest.fixture(scope="module")
def quick():
    """Short schedules, a grid of one, no folds: what is tested is the path, not the optimum."""
    patch = pytest.MonkeyPatch()
    patch.setattr(training, "STEPS", 200)
    patch.setattr(crossfit, "FEWEST_FAILURES", 0)
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
        life_task(*fleet),
        AllocationSearch(make_fleet_planner(*fleet), "tiers+regularized", pooling=False),
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
    own, guess = life[0].reports[0].metrics, reports["constant guess"]

    assert set(reports) - {"pool"} == {
        "tiers+regularized",
        "control: uniform",
        "random forest",
        "constant guess",
    }
    assert own["average_precision_24h"] > guess["average_precision_24h"] + 0.3
    assert own["brier_24h"] < 0.7 * guess["brier_24h"]
    assert own["rul_rmse_hours"] < 0.7 * guess["rul_rmse_hours"]
    assert 0.75 < own["rul_coverage"] <= 1.0


def test_a_recipe_makes_a_version_anew_of_the_same_rows_and_another_of_fewer(life, fleet):
    task, recipe = life_task(*fleet), life[0].recipe
    values = task.frame.values[task.split.test]

    again = refit_answers(task, recipe, task.split.learned, task.split.test)
    fewer = refit_answers(task, recipe, task.split.train, task.split.test)
    trees = refit_answers(
        task, replace(recipe, shares={"forest": 1.0}), task.split.train, task.split.test
    )

    published = answers(load_network(life[0].keras), values)
    np.testing.assert_allclose(again, published, atol=1e-6)
    assert np.abs(fewer - published).max() > 1e-3
    np.testing.assert_array_equal(trees, fit_forest(task, task.split.train, seed=0)(values))


def test_both_graphs_agree_and_golden_rows_come_back(life):
    candidate = life[0]

    assert candidate.parity <= 1e-5
    assert np.isnan(candidate.golden_values).any()
    values, predictor = candidate.golden_values, predictor_of(candidate)
    said = with_shares(predictor.outputs(values), predictor.mode_shares(values))
    assert said == pytest.approx(candidate.golden_outputs, abs=1e-6)
    network = load_network(candidate.keras)
    again = with_shares(answers(network, values), mode_shares(network, values))
    assert again == pytest.approx(candidate.golden_outputs, abs=1e-5)


def test_reported_parameters_are_those_of_the_plan(life):
    own, control = life[0].reports[:2]

    assert own.parameters == life[0].allocation.parameters
    assert abs(control.parameters - own.parameters) < 0.03 * own.parameters


def test_the_report_keeps_what_came_of_told_risks(life):
    own, control = life[0].reports[:2]

    assert sum(each.count for each in own.bins) == sum(each.count for each in control.bins) > 0
    assert own.bins[0].came < own.bins[-1].came


def test_gaps_have_indicators_and_the_plan_names_them(life):
    assert set(life[0].allocation.indicators) == set(FEATURES)


def test_the_report_says_whether_a_second_look_helped(life):
    revision = life[0].revision

    assert revision.sensors == ("wear", "load", "noise")
    assert sum(revision.shares) == pytest.approx(1.0)
    assert revision.shares[0] == max(revision.shares)
    assert revision.epochs > 0
    assert revision.loss_after < revision.loss_before or not revision.kept


@pytest.mark.parametrize("version", ["life", "refit"])
def test_modes_that_sensors_tell_apart_are_named(version, request, fleet):
    candidate, (frame, labels, split) = request.getfixturevalue(version), fleet
    candidate = candidate[0] if version == "life" else candidate
    soon = split.test[labels.duration_hours[split.test] <= 10]
    scores = predictor_of(candidate).predict(frame.values[soon])
    own, guess = candidate.reports[0].metrics, candidate.reports[-1].metrics

    assert scores.mode_shares.shape == (len(soon), 2, 2)
    assert scores.mode_shares.sum(axis=2) == pytest.approx(np.ones((len(soon), 2)), abs=1e-6)
    assert np.mean(scores.mode_shares[:, 1].argmax(axis=1) == labels.mode[soon]) > 0.8
    assert own["mode_accuracy_24h"] > 0.8 > 0.7 > guess["mode_accuracy_24h"]
    assert own["mode_macro_f1_24h"] > 0.8
    assert guess["seen_coming_24h"] == 1.0 > own["seen_coming_24h"] > 0.5


def test_shares_of_modes_in_a_pool_are_those_of_its_members(refit, fleet):
    (frame, _, split), share = fleet, refit.pool.share("network")
    task = life_task(*fleet)
    forest = fit_forest(task.of_all_rows, split.learned, seed=0)
    values = frame.values[split.test]

    said = predictor_of(refit).mode_shares(values)

    members = mode_shares(load_network(refit.keras), values), forest.mode_shares(values)
    assert said == pytest.approx(mix_mode_shares(members, (share, 1 - share)), abs=1e-5)
    assert np.abs(said - members[0]).max() > 0.01


def test_boosted_trees_answer_where_modes_are_told_apart_by_others(life, fleet, monkeypatch):
    pytest.importorskip("lightgbm", reason="the extra boost is not installed")
    given = {"network": 0.25, "forest": 0.5, "boosted trees": 0.25}
    members = tuple(PoolMember(name, share, (0.1,)) for name, share in given.items())
    monkeypatch.setattr(
        pooling, "weigh_members", lambda *_, **__: Pool(members, (0.1,), 9, "given")
    )
    # As the uniform plan it is its own control.
    warm = WarmStart(replace(life[0].allocation, strategy="uniform"), life[0].keras)
    task = replace(life_task(*fleet), head=life[0].head)

    three = train_candidate(task, AllocationSearch(make_fleet_planner(*fleet), "regularized", warm))

    reports = {report.model: report.metrics for report in three.reports}
    assert "mode_accuracy_24h" in reports["pool"]
    assert reports["boosted trees"]["average_precision_24h"] > 0.3
    assert "mode_accuracy_24h" not in reports["boosted trees"]
    assert three.pool.reason.startswith("network 0.25, forest 0.5, boosted trees 0.25: ")
    values = fleet[0].values[fleet[2].test]
    forest = fit_forest(task.of_all_rows, fleet[2].learned, seed=0)
    telling = mode_shares(load_network(three.keras), values), forest.mode_shares(values)
    expected = mix_mode_shares(telling, (0.25, 0.5))
    assert predictor_of(three).mode_shares(values) == pytest.approx(expected, abs=1e-5)


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


@pytest.fixture(scope="module")
def refit(life, fleet):
    """The network alone, continued, with a forest beside it at equal shares; cross-fitted."""
    warm = WarmStart(life[0].allocation, life[0].keras)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crossfit, "FEWEST_FAILURES", 20)
        patch.setattr(crossfit, "FOLDS", 2)
        patch.setattr(shares, "NOISE", 1e9)
        return train_candidate(
            replace(life_task(*fleet), head=life[0].head),
            AllocationSearch(make_fleet_planner(*fleet), "regularized", warm),
        )


def test_a_pool_answers_with_the_network_and_the_forest(refit, fleet):
    (frame, _, split), share = fleet, refit.pool.share("network")
    values = np.vstack([frame.values[split.test], refit.golden_values])
    outputs = predictor_of(refit).outputs(values)
    network = answers(load_network(refit.keras), values)

    assert 0.0 < share < 1.0
    assert sum(member.share for member in refit.pool.members) == 1.0
    assert np.abs(outputs - network).max() > 0.01
    assert outputs[-8:] == pytest.approx(refit.golden_outputs[:, : outputs.shape[1]], abs=1e-6)
    assert refit.parity <= 1e-5
    assert np.diff(outputs, axis=1).max() <= 1e-6


def test_a_pool_is_reported_first_and_its_members_beside_it(refit):
    names = [report.model for report in refit.reports]

    assert names == [
        "pool",
        "tiers+regularized",
        "control: uniform",
        "random forest",
        "constant guess",
    ]
    own, network, _, forest, _ = (
        f"{report.metrics['average_precision_24h']:.3f}" for report in refit.reports
    )
    assert (
        f"average precision 24h {own}, network alone {network}, forest {forest}"
        in refit.pool.reason
    )


def test_where_failures_are_few_all_that_teach_are_asked(refit, life):
    """Twenty machines that fail, not the four of the calibration part."""
    assert refit.pool.groups == 20
    assert refit.calibration.most[0] == pytest.approx(1 - 1 / 22)
    assert life[0].calibration.most[0] == pytest.approx(1 - 1 / 6)
    assert refit.spread > 0.0


def test_contributions_explain_a_pool(refit, fleet):
    frame, labels, split = fleet
    rows = split.test[labels.duration_hours[split.test] <= 10]
    shares = contributions(predictor_of(refit), frame.values[rows], SENSOR_OF, refit.reference)
    texts = top_sensors_text(shares, frame.sensors)

    assert np.mean([text.startswith("wear") for text in texts]) > 0.8


def test_only_the_network_answers_where_it_is_asked_to(life):
    assert life[0].pool is None
    assert [report.model for report in life[0].reports][0] == "tiers+regularized"


def test_a_refit_starts_where_the_version_stood(life, refit):
    candidate, again = life[0], refit
    assert again.head == candidate.head
    assert again.allocation == candidate.allocation
    own = again.reports[0].metrics["average_precision_24h"]
    assert own > candidate.reports[0].metrics["average_precision_24h"] - 0.05


def test_a_warm_start_of_other_features_is_refused(life, fleet):
    frame, labels, split = fleet
    narrow = replace(
        frame, values=frame.values[:, :5], features=FEATURES[:5], sensor_of=SENSOR_OF[:5]
    )
    # As the uniform plan it is its own control, of which no network is trained meanwhile.
    plan = replace(
        life[0].allocation, strategy="uniform", indicators=life[0].allocation.indicators[:5]
    )

    with pytest.raises(BadVersion, match="a warm start needs weights of shapes"):
        train_candidate(
            replace(life_task(narrow, labels, split), head=life[0].head),
            AllocationSearch(
                make_fleet_planner(narrow, labels, split),
                "uniform",
                WarmStart(plan, life[0].keras),
            ),
        )


@pytest.mark.slow
def test_a_class_is_learned_without_time(fleet):
    frame, labels, split = fleet
    value = (labels.duration_hours <= 20).astype(float)
    candidate = train_candidate(
        task_of(frame, column_labels(labels, value), split, "classification"),
        AllocationSearch(make_fleet_planner(*fleet, outputs=1), "uniform"),
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
        task_of(frame, column_labels(labels, value), split, "regression"),
        AllocationSearch(make_fleet_planner(*fleet, outputs=1), "uniform"),
    )
    own = candidate.reports[0].metrics

    assert own["r2"] > 0.5
    assert 0.75 < own["coverage"] <= 1.0
    scores = predictor_of(candidate).predict(frame.values[split.test])
    assert 1e6 < np.median(scores.value) < 1e6 + 1e4 * CAP


def test_an_empty_part_of_the_split_is_named(fleet):
    frame, labels, split = fleet
    empty = replace(split, calibration=np.empty(0, dtype=np.intp))

    with pytest.raises(NotEnoughData, match="calibration part of the split holds no rows"):
        train_candidate(
            replace(life_task(*fleet), split=empty), AllocationSearch(make_fleet_planner(*fleet))
        )
