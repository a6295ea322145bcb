import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.learning.selection import SIMPLEST_FIRST, TIE, Trial, choose_trial, strongest
from pm_app.learning.training import plan_schedule, strengthen
from pm_app.records.learning import Allocation, Tier


def make_allocation(l1=(0.1, 0.3), dropout=(0.2, 0.1)):
    tiers = tuple(Tier(f"t{at}", (f"s{at}",), 4, 0, rate) for at, rate in enumerate(dropout))
    return Allocation("tiers", tiers, tuple(l1), (8,), 2, 0)


def make_trials(scores):
    return {name: Trial(name, make_allocation(), score) for name, score in scores.items()}


def test_the_simpler_allocation_wins_a_tie():
    trials = make_trials({"tiers": -1.0, "uniform": -1.0 - TIE / 2, "regularized": -1.0})

    assert choose_trial(trials).name == "uniform"


def test_a_clear_lead_wins_however_elaborate():
    trials = make_trials({"uniform": -1.0 - 2 * TIE, "tiers+regularized": -1.0})

    assert choose_trial(trials).name == "tiers+regularized"


@given(scores=st.dictionaries(st.sampled_from(SIMPLEST_FIRST), st.floats(-10, 0), min_size=1))
def test_the_choice_is_never_far_behind_the_best(scores):
    assert choose_trial(make_trials(scores)).score >= max(scores.values()) * (1 + TIE)


def test_the_stronger_penalty_wins_a_tie_and_loses_a_clear_race():
    weak, tied, behind = (
        Trial("uniform", make_allocation(), score) for score in (-1.0, -1.0 - TIE / 2, -1.5)
    )

    assert strongest([weak, tied]) is tied
    assert strongest([weak, tied, behind]) is tied
    assert strongest([weak, behind]) is weak


def test_strength_keeps_the_ratios_and_sets_the_mean():
    made = strengthen(make_allocation(), ("s0", "s1", "s1", "s1"), l1=1e-3, dropout=0.3)

    assert made.l1 == pytest.approx((0.4e-3, 1.2e-3))
    assert [tier.dropout for tier in made.tiers] == pytest.approx([0.4, 0.2])


def test_a_plan_without_any_penalty_gets_a_flat_one():
    made = strengthen(make_allocation(l1=(0.0, 0.0)), ("s0", "s1"), l1=1e-3, dropout=0.3)

    assert made.l1 == (1e-3, 1e-3)


def test_dropout_leaves_something():
    made = strengthen(make_allocation(dropout=(0.9, 0.0)), ("s0", "s1"), l1=1e-3, dropout=0.5)

    assert max(tier.dropout for tier in made.tiers) == 0.7


@given(rows=st.integers(1, 5_000_000), features=st.integers(1, 5000))
def test_a_schedule_is_finite_for_any_number_of_rows(rows, features):
    schedule = plan_schedule(rows, features=features)

    assert 2 <= schedule.epochs <= 80
    assert 64 <= schedule.batch_rows <= 2048


def test_less_effort_trains_shorter_at_the_same_pace():
    full, short = (plan_schedule(10_000, features=50, effort=e) for e in (1.0, 0.3))

    assert short.epochs == pytest.approx(0.3 * full.epochs, abs=1)
    assert (short.batch_rows, short.rate) == (full.batch_rows, full.rate)
