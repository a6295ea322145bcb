"""Which features a network reads that does not read all of them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.learning.allocation.feature_selection import (
    SELECTION_CONTROLS,
    USUAL_COUNT,
    counts_for,
    importance_order,
)
from pm_app.learning.allocation.planner import Planner, control_plans, make_planner
from pm_app.learning.allocation.sizing import SPENT
from pm_app.learning.allocation.strategies import UNREAD, describe
from pm_app.records.features import Frame
from pm_app.records.learning import Importance

ROWS = np.arange(200)


def make_importance(shares, *, features=(), feature_shares=()):
    sensors = tuple(f"s{at}" for at in range(len(shares)))
    return Importance(
        sensors=sensors,
        shares=tuple(shares),
        spread=(0.0,) * len(shares),
        replicates=(tuple(shares),),
        clusters=tuple((sensor,) for sensor in sensors),
        cluster_shares=tuple(shares),
        interactions=(),
        score_name="average_precision",
        score=0.9,
        features=features,
        feature_shares=feature_shares,
    )


def make_frame(sensors=6, each=10) -> Frame:
    """Two features of every sensor are missing together, in other rows than another sensor's."""
    sensor_of = tuple(f"s{at}" for at in range(sensors) for _ in range(each))
    values = np.random.default_rng(0).normal(1.0, 1.0, (len(ROWS), len(sensor_of)))
    for sensor in range(sensors):
        values[sensor * 9 : sensor * 9 + 20, each * sensor + 2 : each * sensor + 4] = np.nan
    return Frame(
        ("a",),
        np.zeros(len(ROWS), dtype=np.int32),
        ROWS.astype(np.int64),
        tuple(f"{sensor}.{at}" for at, sensor in enumerate(sensor_of)),
        sensor_of,
        values.astype(np.float32),
    )


@pytest.fixture
def planner() -> Planner:
    importance = make_importance((0.05, 0.5, 0.2, 0.0, 0.15, 0.1))
    return make_planner(make_frame(), ROWS, importance, outputs=9, max_parameters=60_000)


def test_features_without_a_share_of_their_own_have_an_equal_part_of_their_sensors():
    frame = make_frame(sensors=2, each=4)

    order = importance_order(make_importance((0.4, 0.6)), frame.features, frame.sensor_of)

    assert order == (*frame.features[4:], *frame.features[:4])


def test_shares_of_features_order_them_whatever_their_sensors_have():
    frame = make_frame(sensors=2, each=2)
    importance = make_importance(
        (0.4, 0.6), features=frame.features, feature_shares=(0.3, 0.1, 0.3, 0.3)
    )

    order = importance_order(importance, frame.features, frame.sensor_of)

    assert order == ("s0.0", "s1.2", "s1.3", "s0.1")


@pytest.mark.parametrize("order", SELECTION_CONTROLS.values(), ids=SELECTION_CONTROLS)
def test_a_control_orders_all_features_and_repeats_by_its_seed(order):
    frame = make_frame()

    first, again, other = (order(frame, ROWS, seed) for seed in (0, 0, 1))

    assert first == again
    assert sorted(first) == sorted(other) == sorted(frame.features)


def test_what_varies_most_about_its_level_comes_first_without_a_look_at_outcomes():
    frame = make_frame(sensors=1, each=3)
    values = frame.values.copy()
    values[:, 0], values[:, 1], values[:, 2] = 5.0, np.tile([0, 1], 100), np.nan

    order = SELECTION_CONTROLS["selected: variance"](replace(frame, values=values), ROWS, 0)

    assert order == ("s0.1", "s0.0", "s0.2")


@pytest.mark.parametrize(
    ("features", "counts"),
    [(6, ()), (10, ()), (11, (10,)), (60, (10, 20, 40)), (9_000, (10, 20, 40, 80))],
)
def test_fewer_than_all_are_tried(features, counts):
    assert counts_for(features) == counts


@settings(deadline=None, max_examples=20)
@given(count=st.integers(1, 59), size=st.integers(12_000, 60_000))
def test_a_plan_reads_so_many_features_and_spends_the_whole_budget_on_them(count, size):
    importance = make_importance((0.05, 0.5, 0.2, 0.0, 0.15, 0.1))
    planner = make_planner(make_frame(), ROWS, importance, outputs=9, max_parameters=60_000)

    plan = planner.plan("selected", size=size, count=count)

    assert len(plan.features) == count
    assert set(plan.features) == set(planner.order[:count])
    assert set(plan.indicators) <= set(plan.features)
    assert SPENT * size <= plan.parameters <= size
    assert set(plan.sensors) == {planner.sensor_of[name] for name in plan.features}
    assert planner.plan_like(plan, size=size) == plan


def test_a_gap_that_features_share_is_indicated_by_the_first_that_is_read(planner):
    alone = replace(planner, order=("s1.13", *planner.order))

    assert planner.plan("selected", count=10).indicators == ("s1.12",)
    assert alone.plan("selected", count=1).indicators == ("s1.13",)


def test_all_features_are_the_plan_of_the_control_by_another_name(planner):
    whole = planner.plan("selected", count=60)

    assert replace(whole, strategy="uniform") == planner.plan("uniform")
    assert planner.plan_like(whole) == whole
    assert len(planner.plan("selected").features) == USUAL_COUNT


def test_a_sensor_of_which_nothing_is_read_has_no_units(planner):
    plan = planner.plan("selected", count=20)

    rows = {row.sensor: row for row in describe(plan, planner.importance.sensors)}
    assert {name for name, row in rows.items() if row.tier == UNREAD} == {"s0", "s3", "s4", "s5"}
    assert (rows["s3"].units, rows["s3"].l1) == (0, 0.0)
    assert rows["s1"].units == plan.tiers[0].units


def test_controls_read_as_many_other_features_with_as_many_parameters(planner):
    plan = planner.plan("selected", count=20, size=30_000)

    controls = control_plans(planner, make_frame(), ROWS, plan, seed=0)

    assert list(controls) == ["selected: random", "selected: variance"]
    for control in controls.values():
        assert len(control.features) == 20
        assert set(control.features) != set(plan.features)
        assert SPENT * plan.parameters <= control.parameters <= plan.parameters
