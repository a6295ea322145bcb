"""A sensor that knows the outcome is asked about; one that is merely good is not."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from factories import HOUR, task_of

from pm_app.features.frame import build_frame
from pm_app.features.panes.panes import build_panes
from pm_app.learning.data.labels import column_labels, life_labels
from pm_app.learning.data.splits import censor_at_parts, split_rows
from pm_app.learning.importance.leakage import find_leakage_suspects, suspect_text
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.learning import LeakageSuspect
from pm_app.records.readings import Readings
from pm_app.simulator import PlantPlan, simulate

PLAN = PlantPlan(
    assets=12, days=40, interval_minutes=120, typical_life_days=6.0, warning_days=3.0, change_at=1.0
)
HORIZONS = (24.0, 72.0)
PANE, WINDOWS = 6 * HOUR, (12 * HOUR,)


@pytest.fixture(scope="module")
def pumps():
    return simulate(PLAN)


def hours_left(plant):
    """Hours from each reading of each pump to its next failure, (n_assets, n_steps)."""
    left = np.full(plant.values.shape[1:], 5000.0)
    for asset, name in enumerate(plant.assets):
        for failure in sorted(plant.failures.time[plant.failures.asset == name], reverse=True):
            before = plant.time < failure
            left[asset, before] = (failure - plant.time[before]) / HOUR
    return left


def suspects_of_plant(plant, planted=None):
    """Suspicions about a plant, one more sensor "planted" among its own, and its shape."""
    values = plant.values if planted is None else np.concatenate([plant.values, planted[None]])
    sensors = (*plant.sensors, "planted")[: len(values)]
    readings = Readings(
        plant.assets,
        np.repeat(np.arange(len(plant.assets), dtype=np.int32), len(plant.time)),
        np.tile(plant.time, len(plant.assets)),
        sensors,
        values.reshape(len(values), -1),
    )
    spec = FeatureSpec(sensors, PANE, WINDOWS, (), (), None)
    first_seen = dict.fromkeys(plant.assets, int(plant.time[0]))
    panes = build_panes(readings, pane_ns=PANE)
    frame = build_frame(panes, plant.events, spec, first_seen=first_seen)
    labels = life_labels(frame, plant.events, known_until=int(plant.time[-1]))
    split = split_rows(frame, labels, horizon_hours=HORIZONS[-1], seed=0)
    labels = censor_at_parts(frame, labels, split)
    task = task_of(frame, labels, split, "life", HORIZONS)
    return find_leakage_suspects(task, sensors=sensors, seed=0)


@pytest.mark.parametrize("seed", range(3))
def test_no_sensor_of_a_plant_is_slandered(seed):
    assert suspects_of_plant(simulate(replace(PLAN, seed=seed))) == ()


@pytest.mark.parametrize(
    "plant_it",
    [
        lambda left: (left < 72) * 1.0,
        lambda left: (left < 24) * 7.0,
        lambda left: left,
        lambda left: -left + np.random.default_rng(0).normal(0, 3, left.shape),
    ],
    ids=["the label", "another horizon's label", "hours until failure", "the same, noisily"],
)
def test_a_sensor_of_a_plant_that_knows_the_outcome_is_asked_about(pumps, plant_it):
    (found,) = suspects_of_plant(pumps, plant_it(hours_left(pumps)))

    assert found.sensor == "planted"
    assert found.alone >= 0.97
    assert found.others < 0.9


def make_table(values, target, *, task="classification"):
    """A frame of plain rows with sensors "a", "b", ..., its labels and its split."""
    count, width = values.shape
    names = tuple("abcdefghijklmnopqrstuvwxyz"[:width])
    frame = Frame(
        tuple(f"row-{number:05d}" for number in range(count)),
        np.arange(count, dtype=np.int32),
        np.zeros(count, dtype=np.int64),
        tuple(f"{name}.last" for name in names),
        names,
        values.astype(np.float32),
    )
    labels = column_labels(frame, target, column="y", task=task)
    return frame, labels, split_rows(frame, labels, horizon_hours=0.0, seed=0)


def suspects_of_table(values, target, *, task="classification"):
    frame, labels, split = make_table(values, target, task=task)
    task = task_of(frame, labels, split, task)
    return find_leakage_suspects(task, sensors=frame.sensors, seed=0)


def noise(rows=600, columns=4, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns))


def test_a_good_sensor_that_others_confirm_is_not_asked_about():
    wear = noise(rows=2000, columns=1, seed=5)
    values = wear + noise(rows=2000, columns=9) * ((0.1,) + (0.3,) * 8)
    target = (wear[:, 0] > 0.5) * 1.0

    assert suspects_of_table(values, target) == ()
    assert [one.sensor for one in suspects_of_table(values[:, :1], target)] == ["a"]


def test_a_copy_of_the_outcome_stands_out_among_sensors_that_tell_it_well():
    wear = noise(rows=2000, columns=1, seed=5)
    target = (wear[:, 0] > 0.5) * 1.0
    values = np.concatenate([target[:, None], wear + 0.3 * noise(rows=2000, columns=8)], axis=1)
    (found,) = suspects_of_table(values, target)

    assert found.sensor == "a"
    assert 0.975 < found.others < 0.99


def test_a_target_that_many_sensors_tell_is_easy_not_leaked():
    wear = noise(rows=2000, columns=1, seed=5)
    values = wear + 0.1 * noise(rows=2000, columns=5)

    assert suspects_of_table(values, (wear[:, 0] > 0.5) * 1.0) == ()


def test_two_copies_of_the_outcome_do_not_excuse_each_other():
    values = noise()
    target = (values[:, 0] + noise(seed=1)[:, 0] > 1.5) * 1.0
    values[:, 1], values[:, 2] = target, -3.0 * target

    assert [one.sensor for one in suspects_of_table(values, target)] == ["b", "c"]


def test_a_flag_that_is_raised_only_by_failures_is_asked_about():
    values, rng = noise(rows=2000), np.random.default_rng(2)
    target = (rng.random(2000) < 0.1) * 1.0
    values[:, 3] = np.where(rng.random(2000) < 0.4, target, 0.0)

    (found,) = suspects_of_table(values, target)

    assert (found.sensor, found.kind, found.alone) == ("d", "flag", 1.0)
    assert found.others < 0.3


def test_a_code_that_is_only_there_after_a_failure_is_asked_about():
    values, rng = noise(rows=2000), np.random.default_rng(2)
    target = (rng.random(2000) < 0.1) * 1.0
    values[:, 3] = np.where(
        (target == 1) & (rng.random(2000) < 0.5), rng.integers(1, 5, 2000), np.nan
    )

    assert [(one.sensor, one.kind) for one in suspects_of_table(values, target)] == [("d", "flag")]


def test_a_flag_that_few_failures_raise_is_chance():
    values, rng = noise(rows=2000), np.random.default_rng(2)
    target = (rng.random(2000) < 0.1) * 1.0
    values[:, 3] = 0.0
    values[np.flatnonzero(target)[:4], 3] = 1.0

    assert suspects_of_table(values, target) == ()


def test_a_regressed_value_in_another_unit_is_asked_about():
    values = noise()
    target = values[:, 0] + values[:, 1]
    values[:, 3] = 1.8 * target + 32 + 0.01 * values[:, 3]

    (found,) = suspects_of_table(values[:, 1:], target, task="regression")

    assert (found.sensor, found.kind) == ("c", "value")
    assert suspects_of_table(values[:, :3], target, task="regression") == ()


def test_only_sensors_of_the_readings_are_asked_about():
    values = noise()
    target = (values[:, 0] > 1.0) * 1.0
    frame, labels, split = make_table(values, target)

    told = find_leakage_suspects(
        task_of(frame, labels, split, "classification"), sensors=("b", "c", "missing"), seed=0
    )

    assert told == ()


def test_rows_of_the_test_are_never_looked_at():
    values = noise()
    target = (values[:, 0] + noise(seed=1)[:, 0] > 1.5) * 1.0
    values[:, 1] = target
    frame, labels, split = make_table(values, target)

    def told(frame):
        return find_leakage_suspects(
            task_of(frame, labels, split, "classification"), sensors=frame.sensors, seed=0
        )

    before = told(frame)
    changed = frame.values.copy()
    changed[np.concatenate([split.test, split.calibration])] = 1e6

    assert told(replace(frame, values=changed)) == before
    assert told(frame) == before


@pytest.mark.parametrize("value", [np.nan, 3.0])
def test_sensors_that_say_nothing_are_no_suspects(value):
    target = (noise()[:, 0] > 1.0) * 1.0

    assert suspects_of_table(np.full((600, 3), value), target) == ()


def test_a_large_table_is_looked_through_within_seconds():
    values = noise(rows=13_000, columns=26)
    target = (values[:, 0] + noise(rows=13_000, seed=1)[:, 0] > 2.5) * 1.0
    frame, labels, split = make_table(values, target)
    many = replace(
        frame,
        features=tuple(f"{name}.{at}" for at in range(6) for name in frame.sensors),
        sensor_of=frame.sensor_of * 6,
        values=np.tile(frame.values, 6),
    )
    begun = time.process_time()

    find_leakage_suspects(
        task_of(many, labels, split, "classification"), sensors=frame.sensors, seed=0
    )

    assert time.process_time() - begun < 5.0


def test_a_suspicion_is_worded_as_a_question():
    told = suspect_text(LeakageSuspect("tool_broken", "rank", 0.992, 0.714))

    assert told.startswith(
        "tool_broken alone ranks failures almost perfectly "
        "(average precision 0.99, all others together 0.71): does it know the outcome?"
    )
    assert "readings.sensors" in told


MODES = ["TWF", "HDF", "PWF", "OSF"]


@pytest.mark.parametrize("left_in", [[], MODES, ["RNF"], ["HDF"]])
def test_parts_of_the_label_of_ai4i_are_asked_about(open_data, left_in):
    table = pd.read_csv(open_data / "ai4i2020" / "ai4i2020.csv", encoding="utf-8-sig")
    measured = ["Air temperature [K]", "Rotational speed [rpm]", "Torque [Nm]", "Tool wear [min]"]
    target = table["Machine failure"].to_numpy(float)

    found = suspects_of_table(table[[*measured, *left_in]].to_numpy(float), target)

    # Random failures (RNF) are no part of the label, whatever the name says.
    names = dict(zip("efghij", left_in, strict=False))
    assert [names[one.sensor] for one in found] == [name for name in left_in if name != "RNF"]
