import gzip
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factories import task_of
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from pm_app.learning.data.labels import column_labels, life_labels
from pm_app.learning.data.splits import split_rows
from pm_app.learning.importance.clusters import cluster_sensors
from pm_app.learning.importance.forest import average_precision, fill_and_squeeze
from pm_app.learning.importance.permutation import measure_importance
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.learning import Head, Importance
from pm_app.records.readings import sort_events
from pm_app.times import HOUR_NS

DATA = Path(os.environ.get("PM_APP_TEST_DATA", Path(__file__).parents[5] / "shared" / "data"))


def make_table(rows: int = 1500, seed: int = 0) -> tuple[Frame, np.ndarray]:
    """Sensors a (strong), b and its twin c (weaker), d (noise), e (constant); two features each,
    and a class that depends on a and b."""
    rng = np.random.default_rng(seed)
    a, b, d = rng.normal(size=(3, rows, 2))
    c = b + 0.05 * rng.normal(size=b.shape)
    values = np.concatenate([a, b, c, d, np.ones((rows, 2))], axis=1).astype(np.float32)
    value = (2 * a[:, 0] + b[:, 0] + 0.3 * rng.normal(size=rows) > 1.5).astype(float)
    frame = Frame(
        assets=("line",),
        asset=np.zeros(rows, dtype=np.int32),
        cutoff=np.zeros(rows, dtype=np.int64),
        features=tuple(f"{name}.{kind}" for name in "abcde" for kind in ("mean", "std")),
        sensor_of=tuple(name for name in "abcde" for _ in range(2)),
        values=values,
    )
    return frame, value


def measure(
    frame: Frame, labels: Labels, *, task: str = "classification", seed: int = 0
) -> Importance:
    split = split_rows(frame, labels, horizon_hours=0, seed=0)
    return measure_importance(task_of(frame, labels, split, task), seed=seed, replicates=4)


def shares_of(importance: Importance) -> dict[str, float]:
    return dict(zip(importance.sensors, importance.shares, strict=True))


@pytest.fixture(scope="module")
def classified() -> Importance:
    frame, value = make_table()
    return measure(frame, column_labels(frame, value, column="y", task="classification"))


def test_what_matters_ranks_first_and_constants_get_nothing(classified):
    shares = shares_of(classified)

    assert max(shares, key=lambda name: shares[name]) == "a"
    assert shares["e"] == 0.0
    assert shares["d"] < 0.05
    assert sum(classified.shares) == pytest.approx(1.0)
    assert classified.score > 0.8


def test_features_of_one_sensor_are_told_apart(classified):
    shares = dict(zip(classified.features, classified.feature_shares, strict=True))

    assert max(shares, key=lambda name: shares[name]) == "a.mean"
    assert shares["a.mean"] > 5 * shares["a.std"]
    assert shares["b.mean"] + shares["c.mean"] > 5 * (shares["b.std"] + shares["c.std"])
    assert shares["e.mean"] == shares["e.std"] == 0.0
    assert sum(shares.values()) == pytest.approx(1.0)


def test_twins_are_one_cluster_that_matters_more_than_either(classified):
    shares = shares_of(classified)

    assert ("b", "c") in classified.clusters
    whole = dict(zip(classified.clusters, classified.cluster_shares, strict=True))
    assert whole["b", "c"] > max(shares["b"], shares["c"])


def test_replicates_are_shares_and_differ(classified):
    replicates = np.array(classified.replicates)

    assert replicates.shape == (4, 5)
    np.testing.assert_allclose(replicates.sum(axis=1), 1.0)
    assert max(classified.spread) > 0


def test_the_same_seed_gives_the_same_importance(classified):
    frame, value = make_table()
    labels = column_labels(frame, value, column="y", task="classification")

    assert measure(frame, labels) == classified
    assert measure(frame, labels, seed=1) != classified


def test_test_and_calibration_rows_are_never_looked_at(classified):
    frame, value = make_table()
    labels = column_labels(frame, value, column="y", task="classification")
    split = split_rows(frame, labels, horizon_hours=0, seed=0)
    spoiled = frame.values.copy()
    spoiled[np.concatenate([split.test, split.calibration])] = 1e9
    other = Frame(frame.assets, frame.asset, frame.cutoff, frame.features, frame.sensor_of, spoiled)

    assert measure(other, labels) == classified


def test_gaps_and_wild_readings_leave_the_leader_first():
    frame, value = make_table()
    rng = np.random.default_rng(1)
    frame.values[rng.random(frame.values.shape) < 0.1] = np.nan
    frame.values[rng.random(frame.values.shape) < 0.002] = 1e12

    shares = shares_of(
        measure(frame, column_labels(frame, value, column="y", task="classification"))
    )

    assert max(shares, key=lambda name: shares[name]) == "a"


def test_a_regressed_column_is_scored_by_r2():
    frame, _ = make_table()
    value = 3 * frame.values[:, 0].astype(float) + frame.values[:, 2]

    result = measure(
        frame, column_labels(frame, value, column="y", task="regression"), task="regression"
    )

    assert result.score_name == "r2"
    assert result.score > 0.7
    assert shares_of(result)["a"] > 0.5


def test_sensors_that_stand_in_for_each_other_are_reported_and_others_are_not():
    frame, value = make_table()
    rng = np.random.default_rng(2)
    # d becomes a noisy witness of a: too noisy for a twin, good enough to stand in.
    frame.values[:, 6:8] = frame.values[:, 0:2] + 0.6 * rng.normal(size=(len(value), 2))

    result = measure(frame, column_labels(frame, value, column="y", task="classification"))

    assert ("a", "d") in [pair.sensors for pair in result.interactions]
    assert ("a", "e") not in [pair.sensors for pair in result.interactions]
    assert all(pair.excess > 0 for pair in result.interactions)


def test_nothing_to_learn_gives_equal_shares():
    frame, value = make_table()
    frame.values[:] = 1.0

    result = measure(frame, column_labels(frame, value, column="y", task="classification"))

    assert result.shares == (0.2,) * 5


def test_clusters_hold_every_sensor_once_in_column_order():
    frame, _ = make_table()

    clusters = cluster_sensors(frame.values, frame.sensor_of)

    assert clusters == (("a",), ("b", "c"), ("d",), ("e",))


def test_squeezing_keeps_the_order_and_bounds_the_range():
    values = np.array([[-1e30], [-2.0], [0.0], [1.0], [np.nan], [1e30]], dtype=np.float32)

    squeezed = fill_and_squeeze(values, values[1:4])[:, 0]

    assert np.all(np.diff(squeezed[[0, 1, 2, 3, 5]]) > 0)
    assert np.abs(squeezed).max() <= 3.0
    assert squeezed[4] == squeezed[2]


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=30
    )
)
def test_average_precision_agrees_with_scikit_learn_under_weights(rows):
    truth, risk, weight = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    if not (truth * weight).any():
        truth[0], weight[0] = 1.0, 1.0

    mine = average_precision(truth, risk / 7, np.stack([weight, np.ones_like(weight)]))

    assert mine[0] == pytest.approx(average_precision_score(truth, risk, sample_weight=weight))
    assert mine[1] == pytest.approx(average_precision_score(truth, risk))


def read_engines() -> tuple[Frame, Labels]:
    path = DATA / "cmapss" / "train_FD001.txt.gz"
    if not path.exists():
        pytest.skip(f"needs {path.name} of the C-MAPSS data")
    with gzip.open(path) as file:
        table = np.loadtxt(file)
    unit, cycle, sensors = table[:, 0].astype(int), table[:, 1], table[:, 5:]
    _, starts = np.unique(unit, return_index=True)
    began = np.maximum(starts[unit - 1], np.arange(len(unit)) - 9)
    total = np.vstack([np.zeros(sensors.shape[1]), sensors.cumsum(axis=0)])
    count = np.arange(len(unit)) + 1 - began
    mean = (total[1:] - total[began]) / count[:, None]
    values = np.stack([sensors, mean], axis=2).reshape(len(unit), -1).astype(np.float32)
    names = tuple(f"sensor{number}" for number in range(1, 22))
    frame = Frame(
        assets=tuple(f"engine{number:03d}" for number in range(1, 101)),
        asset=(unit - 1).astype(np.int32),
        cutoff=(cycle * HOUR_NS).astype(np.int64),
        features=tuple(f"{name}.{kind}" for name in names for kind in ("last", "mean")),
        sensor_of=tuple(name for name in names for _ in range(2)),
        values=values,
    )
    last = np.append(starts[1:], len(unit)) - 1
    events = sort_events(
        np.array(frame.assets, dtype=object),
        frame.cutoff[last] + HOUR_NS,
        np.array(["failure"] * 100, dtype=object),
        np.array([""] * 100, dtype=object),
    )
    return frame, life_labels(frame, events, known_until=None)


@pytest.mark.slow
def test_engines_of_a_real_fleet_rank_the_compressor_first():
    frame, labels = read_engines()
    split = split_rows(frame, labels, horizon_hours=30, seed=0)

    began = time.monotonic()
    result = measure_importance(task_of(frame, labels, split, "life", (15, 30)), seed=0)

    print(f"importance of {frame.values.shape} in {time.monotonic() - began:.1f} s")
    shares = shares_of(result)
    leaders = sorted(shares, key=lambda name: -shares[name])[:7]
    assert leaders[0] == "sensor11"
    assert {"sensor4", "sensor15"} <= set(leaders)
    assert all(shares[f"sensor{number}"] == 0.0 for number in (1, 5, 18, 19))


def test_each_failure_mode_has_shares_of_its_own():
    frame, _ = make_table()
    rng = np.random.default_rng(1)
    drive = frame.values[:, [0, 2]] + 0.3 * rng.normal(size=(len(frame.cutoff), 2))
    mode = np.where(drive.max(axis=1) > 1.5, drive.argmax(axis=1), -1)
    labels = column_labels(frame, (mode >= 0).astype(float), column="y", task="classification")
    labels = replace(labels, mode=mode.astype(np.int32))
    split = split_rows(frame, labels, horizon_hours=0, seed=0)
    head = Head("classification", (), (0.0,), modes=("first", "second"))
    task = task_of(frame, labels, split, "classification", head=head)

    importance = measure_importance(task, seed=0, replicates=2)
    plain = measure_importance(replace(task, head=replace(head, modes=())), seed=0, replicates=2)

    first, second = (dict(zip("abcde", row, strict=True)) for row in importance.mode_shares)
    assert importance.modes == ("first", "second")
    assert first["a"] > 0.8
    assert second["b"] + second["c"] > 0.8
    assert replace(importance, modes=(), mode_shares=()) == plain
