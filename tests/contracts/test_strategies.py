"""What every allocation strategy must do; a strategy is tested by being listed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.docs import read_topic
from pm_app.learning.allocation.planner import CONTROL
from pm_app.learning.allocation.sizing import SPENT, PlanRequest, count_parameters
from pm_app.learning.allocation.strategies import (
    allocate,
    budget,
    describe,
    moved_units,
    resolve_rule,
)
from pm_app.records.learning import Allocation, Importance, Interaction
from pm_app.settings.strategies import STRATEGIES, STRATEGY_CHOICES, STRATEGY_NAMES

every_strategy = pytest.mark.parametrize("strategy", STRATEGY_NAMES)
weights = st.lists(
    st.floats(0, 1).map(lambda value: round(value, 3)), min_size=1, max_size=25
).filter(lambda values: sum(values) > 0)


def make_importance(
    values: list[float],
    *,
    clusters: tuple[tuple[str, ...], ...] = (),
    cluster_shares: tuple[float, ...] = (),
    interactions: tuple[Interaction, ...] = (),
) -> Importance:
    """Importance of sensors s0, s1, … in proportion to these values."""
    sensors = tuple(f"s{number}" for number in range(len(values)))
    shares = tuple(float(value) for value in np.array(values) / sum(values))
    return Importance(
        sensors=sensors,
        shares=shares,
        spread=(0.0,) * len(values),
        replicates=(shares,),
        clusters=clusters or tuple((sensor,) for sensor in sensors),
        cluster_shares=cluster_shares or shares,
        interactions=interactions,
        score_name="average_precision",
        score=0.9,
    )


def plan_of(strategy: str, importance: Importance, features: dict[str, int], **request):
    return allocate(strategy, importance, PlanRequest(features, **request))


def features_of(importance: Importance, each: int = 8) -> dict[str, int]:
    return dict.fromkeys(importance.sensors, each)


def tier_of(allocation: Allocation) -> dict[str, str]:
    return {row.sensor: row.tier for row in describe(allocation)}


@every_strategy
@settings(deadline=None, max_examples=30)
@given(
    values=weights,
    spend=st.integers(500, 60_000),
    embedding=st.sampled_from([0, 4]),
    ensemble=st.sampled_from([(1, 1), (8, 1), (8, 8)]),
)
def test_every_sensor_has_one_place_and_the_count_is_true(
    strategy, values, spend, embedding, ensemble
):
    importance = make_importance(values)

    plan = plan_of(
        strategy,
        importance,
        features_of(importance),
        max_parameters=spend,
        members=ensemble[0],
        outputs=9,
        embedding=embedding,
        packs=ensemble[1],
    )

    assert sorted(plan.sensors) == sorted(importance.sensors)
    assert len(plan.l1) == len(importance.sensors)
    assert all(tier.units >= 1 for tier in plan.tiers)
    assert all(units >= 1 for units in plan.shared_units)
    assert all(0 <= tier.dropout < 1 for tier in plan.tiers)
    assert len(plan.tiers) <= 4
    assert plan.parameters == count_parameters(
        plan.tiers,
        plan.shared_units,
        PlanRequest(features_of(importance), spend, plan.members, 9, packs=plan.packs),
        gate_units=plan.gate.units if plan.gate else 0,
    )
    assert plan.members % plan.packs == 0


@settings(deadline=None, max_examples=40)
@given(
    values=weights,
    spend=st.integers(12_000, 100_000),
    embedding=st.sampled_from([0, 4]),
    packs=st.sampled_from([1, 8]),
)
def test_all_strategies_spend_the_same_parameters(values, spend, embedding, packs):
    importance = make_importance(values)

    plans = [
        plan_of(
            strategy,
            importance,
            features_of(importance),
            max_parameters=spend,
            outputs=9,
            embedding=embedding,
            packs=packs,
        )
        for strategy in STRATEGY_NAMES
    ]

    counts = [plan.parameters for plan in plans]
    assert max(counts) <= spend
    assert min(counts) >= SPENT * spend
    assert len({(plan.members, plan.packs) for plan in plans}) == 1


@every_strategy
@settings(deadline=None, max_examples=20)
@given(
    values=weights.filter(lambda values: len(set(values)) == len(values)),
    seed=st.integers(0, 99),
)
def test_the_order_of_the_columns_does_not_matter(strategy, values, seed):
    importance = make_importance(values)
    order = np.random.default_rng(seed).permutation(len(values))
    shuffled = make_importance([values[at] for at in order])
    renamed = {f"s{at}": f"s{was}" for at, was in enumerate(order)}

    plan = plan_of(strategy, importance, features_of(importance), max_parameters=20_000)
    other = plan_of(strategy, shuffled, features_of(shuffled), max_parameters=20_000)

    def places(of: Allocation, names: dict[str, str]) -> dict[str, tuple[str, int, float]]:
        return {
            names.get(row.sensor, row.sensor): (row.tier, row.units, round(row.l1, 12))
            for row in describe(of)
        }

    assert places(plan, {}) == places(other, renamed)


@every_strategy
@settings(deadline=None, max_examples=20)
@given(values=weights)
def test_the_mean_penalty_is_the_flat_one_and_its_ratio_is_bounded(strategy, values):
    importance = make_importance(values)
    features = {s: 1 + number % 5 for number, s in enumerate(importance.sensors)}

    plan = plan_of(strategy, importance, features, max_parameters=20_000, l1=1e-3)

    weight = np.array([features[sensor] for sensor in plan.sensors])
    assert np.average(plan.l1, weights=weight) == pytest.approx(1e-3)
    assert max(plan.l1) <= 10.001 * min(plan.l1)


@every_strategy
@settings(deadline=None, max_examples=20)
@given(values=weights)
def test_the_same_input_gives_the_same_plan(strategy, values):
    importance = make_importance(values)

    plans = [
        plan_of(strategy, importance, features_of(importance), max_parameters=9_000) for _ in "ab"
    ]

    assert plans[0] == plans[1]


@every_strategy
def test_a_budget_too_small_gives_up_members_before_it_is_broken(strategy):
    importance = make_importance([5, 3, 2, 1] * 5)

    plan = plan_of(strategy, importance, features_of(importance), max_parameters=3_000, embedding=8)

    assert plan.parameters <= 3_000
    assert plan.members < 8
    assert {tier.embedding for tier in plan.tiers} == {0}


@pytest.mark.parametrize("name", ["tiers", "tiers+regularized"])
@settings(deadline=None, max_examples=40)
@given(values=weights.filter(lambda values: len(values) > 3))
def test_units_per_feature_grow_with_importance(name, values):
    importance = make_importance(values)

    plan = plan_of(name, importance, features_of(importance), max_parameters=40_000)

    share = dict(zip(importance.sensors, importance.shares, strict=True))
    merit = [np.mean([share[s] for s in tier.sensors]) for tier in plan.tiers]
    density = [tier.units / len(tier.sensors) for tier in plan.tiers]
    assert merit == sorted(merit, reverse=True)
    # Rounding to whole units may turn near ties around by part of one unit a sensor.
    assert all(a >= b - 1.0 for a, b in zip(density[:-1], density[1:], strict=True))


@pytest.mark.parametrize("name", ["regularized", "tiers+regularized"])
def test_the_penalty_rises_as_importance_falls(name):
    importance = make_importance([8, 4, 2, 1, 0])

    plan = plan_of(name, importance, features_of(importance), max_parameters=20_000)

    by_sensor = dict(zip(plan.sensors, plan.l1, strict=True))
    assert [by_sensor[f"s{n}"] for n in range(5)] == sorted(by_sensor.values())


def test_sensors_without_importance_keep_a_place_in_the_lowest_tier():
    importance = make_importance([9, 8, 7, 3, 2, 0, 0, 0])

    plan = plan_of("tiers", importance, features_of(importance), max_parameters=20_000)

    assert set(plan.tiers[-1].sensors) == {"s5", "s6", "s7"}
    assert plan.tiers[-1].units >= 4


def test_equal_sensors_share_one_tier():
    importance = make_importance([1] * 7)

    plan = plan_of("tiers", importance, features_of(importance), max_parameters=20_000)

    assert len(plan.tiers) == 1


def test_twins_that_hide_each_other_share_the_tier_of_their_cluster():
    importance = make_importance(
        [6, 0.1, 0, 2, 2],
        clusters=(("s0",), ("s1", "s2"), ("s3",), ("s4",)),
        cluster_shares=(0.4, 0.4, 0.1, 0.1),
    )

    place = tier_of(plan_of("tiers", importance, features_of(importance), max_parameters=20_000))

    assert place["s1"] == place["s2"] == place["s0"]


def test_sensors_that_interact_share_a_branch():
    values = [9, 8, 4, 3, 2, 1, 1, 1]
    alone = make_importance(values)
    bound = make_importance(values, interactions=(Interaction(("s0", "s7"), 0.1),))

    before, after = (
        tier_of(plan_of("tiers", given, features_of(given), max_parameters=20_000))
        for given in (alone, bound)
    )

    assert before["s0"] != before["s7"]
    assert after["s0"] == after["s7"] == before["s0"]


def test_nothing_moves_between_equal_plans_and_all_between_disjoint_ones():
    first = make_importance([4, 2, 1])
    plan = plan_of("tiers", first, features_of(first), max_parameters=20_000)
    only = make_importance([1])
    other = plan_of(
        "uniform",
        Importance(("x",), (1.0,), (0.0,), ((1.0,),), (("x",),), (1.0,), (), "r2", only.score),
        {"x": 8},
        max_parameters=20_000,
    )

    assert moved_units(plan, plan) == 0.0
    assert moved_units(plan, other) == pytest.approx(1.0)


def test_a_changed_ranking_moves_units():
    before, after = make_importance([9, 1, 1, 1]), make_importance([1, 1, 1, 9])
    plans = [
        plan_of("tiers", given, features_of(given), max_parameters=20_000)
        for given in (before, after)
    ]

    assert 0.1 < moved_units(*plans) < 1.0


def test_little_data_is_not_given_all_the_parameters_it_may_have():
    assert budget(5_000, 100_000, features=50) < 20_000
    assert budget(1_000_000, 100_000, features=50) == 100_000
    assert budget(100, 100_000, features=1000) > 16_000
    assert budget(100, 1_500, features=1000) == 1_500
    assert budget(5_000, 200_000, features=6, packs=8) == 8 * budget(5_000, 200_000, features=6)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=STRATEGY_NAMES)
def test_every_row_names_a_rule_that_is_there(strategy):
    importance = make_importance([3, 2, 1])

    plan = resolve_rule(strategy)(strategy, importance, PlanRequest(features_of(importance), 9_000))

    assert plan.strategy == strategy.name
    assert strategy.weighted == (len(set(plan.l1)) > 1)


def test_names_are_unique_and_the_control_is_the_simplest():
    assert len(set(STRATEGY_NAMES)) == len(STRATEGY_NAMES)
    assert STRATEGY_NAMES[0] == CONTROL
    assert not STRATEGIES[0].weighted and not STRATEGIES[0].revisable


def test_the_documentation_lists_every_strategy_in_order():
    rows = [f"| `{each.name}` | {each.meaning} |" for each in STRATEGIES]

    assert "\n".join(rows) in read_topic("how-it-learns")
    assert ", ".join(f'`"{name}"`' for name in STRATEGY_CHOICES) in read_topic("settings")
