"""The truth about risks: held against counts of failures and against lives played out plainly."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from pm_app.records.readings import Float64
from pm_app.simulator import MODES, MaintenancePolicy, PlantPlan, SimulatedPlant, simulate
from pm_app.simulator.hazards import true_hazards, true_risks
from pm_app.simulator.truth import TruePlant
from pm_app.times import HOUR_NS

MIX = {"bearing": 0.45, "seal": 0.25, "impeller": 0.2, "electrical": 0.1}
LATER = {"bearing": 0.1, "seal": 0.1, "impeller": 0.5, "electrical": 0.3}
PLAN = PlantPlan(
    assets=60,
    days=120,
    interval_minutes=240,
    mix_before=MIX,
    mix_after=LATER,
    nuisance=0,
    life_shape=3.0,
    policy=MaintenancePolicy(),
    seed=4,
)
INTERVENED = MaintenancePolicy(
    age_replacement_days={"bearing": 18, "impeller": 22},
    opportunistic_days={"seal": 10},
    imperfect_repair={"seal": 0.5},
    inspection_days=5,
)


def truth_of(plant: SimulatedPlant) -> TruePlant:
    assert plant.truth is not None
    return plant.truth


def fails_within(plant: SimulatedPlant, cutoffs: np.ndarray, hours: float) -> Float64:
    fails = np.zeros((len(plant.assets), len(cutoffs)))
    for name, time in zip(plant.failures.asset, plant.failures.time, strict=True):
        ahead = (time - plant.time[cutoffs]) / HOUR_NS
        fails[plant.assets.index(name)] += (ahead > 0) & (ahead <= hours)
    return np.minimum(fails, 1)


@pytest.mark.parametrize("policy", [MaintenancePolicy(), INTERVENED], ids=["none", "intervened"])
def test_hazards_add_up_to_the_failures_of_each_mode_whatever_is_done(
    policy: MaintenancePolicy,
) -> None:
    plant = simulate(replace(PLAN, policy=policy))
    hazards = true_hazards(truth_of(plant))[:, :, :-1]

    for number, mode in enumerate(MODES):
        due = hazards[number][~np.isnan(hazards[number])]
        failed = int((plant.failures.mode == mode).sum())
        assert failed > 5
        assert abs(failed - due.sum()) < 3.5 * np.sqrt((due * (1 - due)).sum())


def test_risks_are_what_happens_where_nobody_intervenes() -> None:
    plant = simulate(PLAN)
    # Horizons that do not overlap: their errors hardly depend on each other.
    cutoffs = np.arange(0, plant.plan.steps, 18)
    risk = true_risks(truth_of(plant), cutoffs, horizon_hours=72).risk
    judged = ~np.isnan(risk)
    stated, happened = risk[judged], fails_within(plant, cutoffs, 72)[judged]

    for low, high in ((0, 0.05), (0.05, 0.2), (0.2, 0.6), (0.6, 1.01)):
        group = (stated >= low) & (stated < high)
        noise = np.sqrt((stated * (1 - stated))[group].sum())
        assert group.sum() > 100
        assert abs(stated[group].sum() - happened[group].sum()) < 3.5 * noise


def test_planned_work_hides_failures_that_the_risk_still_counts() -> None:
    plant = simulate(replace(PLAN, policy=INTERVENED))
    cutoffs = np.arange(0, plant.plan.steps, 18)
    risk = true_risks(truth_of(plant), cutoffs, horizon_hours=72).risk
    judged = ~np.isnan(risk)

    assert risk[judged].sum() > 1.15 * fails_within(plant, cutoffs, 72)[judged].sum()


def test_risks_by_mode_add_up_and_one_step_ahead_are_the_hazards() -> None:
    plant = simulate(replace(PLAN, assets=6, policy=INTERVENED))
    cutoffs = np.arange(0, plant.plan.steps, 5)
    far, near = (true_risks(truth_of(plant), cutoffs, horizon_hours=hours) for hours in (144, 4))
    hazards = true_hazards(truth_of(plant))[:, :, cutoffs]
    judged = ~np.isnan(near.risk)

    np.testing.assert_allclose(np.nansum(far.by_mode, axis=0), np.nan_to_num(far.risk), atol=1e-12)
    expected = 1 - (1 - hazards).prod(axis=0)
    np.testing.assert_allclose(near.risk[judged], expected[judged], atol=1e-12)
    assert (np.nan_to_num(far.risk) >= np.nan_to_num(near.risk) * ~np.isnan(far.risk)).all()


def test_no_risk_of_a_pump_that_stands_still_or_past_the_record() -> None:
    plant = simulate(replace(PLAN, assets=6))
    truth = truth_of(plant)
    cutoffs = np.arange(plant.plan.steps)
    risk = true_risks(truth, cutoffs, horizon_hours=72).risk

    np.testing.assert_array_equal(np.isnan(risk[:, :-18]), ~truth.running[:, :-18])
    assert np.isnan(risk[:, -18:]).all()


def test_many_cells_and_few_give_the_same_risk() -> None:
    hourly = simulate(replace(PLAN, assets=5, days=60, interval_minutes=60))
    truth = truth_of(hourly)
    cutoffs = np.arange(0, hourly.plan.steps - 97, 7)
    coarse = true_risks(truth, cutoffs, horizon_hours=96).risk
    # Twelve hours at a time are exact; what is left of the pump afterwards is not.
    steps = [true_risks(truth, cutoffs, horizon_hours=hours).risk for hours in (24, 97)]

    assert (np.nan_to_num(steps[0]) <= np.nan_to_num(coarse) + 1e-9)[~np.isnan(steps[0])].all()
    assert np.nanmax(np.abs(steps[1] - coarse)) < 0.03


@pytest.mark.parametrize("place", range(3))
def test_closed_form_agrees_with_futures_played_out_step_by_step(place: int) -> None:
    plant = simulate(replace(PLAN, assets=12))
    truth = truth_of(plant)
    cutoffs = np.arange(0, plant.plan.steps - 20)
    risks = true_risks(truth, cutoffs, horizon_hours=72)
    # A risk near each of these, wherever it comes from.
    level = (0.15, 0.4, 0.75)[place]
    asset, column = divmod(int(np.nanargmin(np.abs(risks.risk - level))), len(cutoffs))
    rng = random.Random(place)
    played = [play(truth, asset, int(cutoffs[column]), 18, rng) for _ in range(2000)]

    for number, mode in enumerate(MODES):
        share = played.count(mode) / len(played)
        expected = float(risks.by_mode[number, asset, column])
        assert abs(share - expected) < 4 * math.sqrt(max(expected, 0.002) / len(played))


def play(truth: TruePlant, asset: int, step: int, ahead: int, rng: random.Random) -> str:
    """The mode that fails first within `ahead` steps, "" for none: the rules in plain words."""
    plan = truth.plan
    scale = plan.typical_life_days * plan.steps_per_day
    first, failing = ahead + 1, ""
    for number, mode in enumerate(MODES):
        age, damage = (
            array[number, asset, step] for array in (truth.states.age, truth.states.damage)
        )
        limit = None
        while limit is None or (not math.isnan(damage) and limit <= damage):
            limit = 24 * plan.warning_days * math.exp(rng.gauss(0, 0.3))
            if math.isnan(damage):
                break
        for later in range(ahead):
            mix = plan.mix_before if step + later < plan.change_step else plan.mix_after
            if not math.isnan(damage):
                damage += truth.stress[asset, step + later]
            else:
                rise = ((age + 1) / scale) ** plan.life_shape - (age / scale) ** plan.life_shape
                if rng.random() < 1 - math.exp(-mix[mode] * rise):
                    damage = 0.0
            age += 1
            if damage >= (0 if mode == "electrical" else limit):
                if later + 1 < first:
                    first, failing = later + 1, mode
                break
    return failing
