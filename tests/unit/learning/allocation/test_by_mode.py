"""A branch for each failure mode: which sensor stands where, and at what size."""

import numpy as np
import pytest

from pm_app.jobs.retrain.run import announced_modes
from pm_app.learning.allocation.by_mode import REST, SHARED, announcing
from pm_app.learning.allocation.sizing import SPENT, PlanRequest
from pm_app.learning.allocation.strategies import allocate
from pm_app.records.learning import Importance
from pm_app.wording import announces_texts

SENSORS = ("flow", "leak", "shake", "heat", "noise-1", "noise-2", "noise-3")
SHARES = {
    "bearing": (0.02, 0.00, 0.60, 0.32, 0.02, 0.02, 0.02),
    "seal": (0.03, 0.57, 0.00, 0.34, 0.02, 0.02, 0.02),
    "impeller": (0.90, 0.02, 0.02, 0.00, 0.02, 0.02, 0.02),
}


def importance_of(shares=SHARES):
    """Importance of these sensors, by mode and in all."""
    whole = tuple(np.mean(list(shares.values()), axis=0).tolist())
    return Importance(
        SENSORS, whole, (0.0,) * len(whole), (whole,), tuple((name,) for name in SENSORS), whole,
        (), "average_precision", 0.9, modes=tuple(shares), mode_shares=tuple(shares.values()),
    )  # fmt: skip


def plan_of(strategy="modes", importance=None, spend=6_000):
    request = PlanRequest(dict.fromkeys(SENSORS, 8), spend, outputs=12, embedding=4)
    return allocate(strategy, importance or importance_of(), request)


def test_each_mode_has_a_branch_of_the_sensors_that_announce_it():
    places = {tier.name: tier.sensors for tier in plan_of().tiers}

    assert places == {
        "bearing": ("shake",),
        "seal": ("leak",),
        "impeller": ("flow",),
        SHARED: ("heat",),
        REST: ("noise-1", "noise-2", "noise-3"),
    }


def test_branches_of_modes_are_equals_and_the_rest_gets_least_of_all():
    *modes, shared, rest = plan_of().tiers

    assert {tier.embedding for tier in (*modes, shared)} == {4}
    assert len({tier.dropout for tier in (*modes, shared)}) == 1
    assert (rest.embedding, rest.dropout > shared.dropout) == (0, True)
    assert rest.units / len(rest.sensors) < min(tier.units for tier in modes)


def test_penalties_follow_the_mode_that_needs_a_sensor_most():
    plan = plan_of()
    l1 = dict(zip(plan.sensors, plan.l1, strict=True))

    assert l1["leak"] == pytest.approx(l1["shake"])
    assert l1["leak"] < l1["heat"] < l1["noise-1"]
    assert np.mean(plan.l1) == pytest.approx(1e-4)


@pytest.mark.parametrize("spend", [1_500, 3_000, 10_000, 30_000])
def test_controls_of_the_same_size_spend_as_much(spend):
    plans = [plan_of(name, spend=spend) for name in ("modes", "tiers+regularized", "uniform")]

    assert all(SPENT * spend <= plan.parameters <= spend for plan in plans)


def test_a_plant_without_modes_gets_the_tiers():
    without = importance_of()
    without = Importance(**{**vars(without), "modes": (), "mode_shares": ()})

    assert plan_of(importance=without).tiers == plan_of("tiers", without).tiers


def test_a_mode_that_nothing_announces_needs_no_sensor():
    alike = (1 / len(SENSORS),) * len(SENSORS)
    importance = importance_of(SHARES | {"electrical": alike})

    assert not announcing(importance)[-1].any()
    assert "electrical" not in {tier.name for tier in plan_of(importance=importance).tiers}


def test_tables_say_which_modes_a_sensor_announces():
    announces = announced_modes(importance_of())

    assert announces["heat"] == {"bearing": 0.32, "seal": 0.34}
    assert announces["noise-1"] == {}
    assert announces_texts(announces)["heat"] == "bearing 32 %, seal 34 %"
    assert announces_texts(None) == announces_texts({}) == {}
