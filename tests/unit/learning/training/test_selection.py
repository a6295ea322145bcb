from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pm_app.learning.training.fit import plan_schedule, strengthen
from pm_app.learning.training.selection import (
    AllocationTrial,
    choose_trial,
    is_worse,
    stands_for_strategy,
)
from pm_app.records.learning import Allocation, Tier
from pm_app.settings.strategies import STRATEGY_NAMES

GROUPS = np.repeat(np.arange(10, dtype=np.int32), 6)


def make_allocation(l1=(0.1, 0.3), dropout=(0.2, 0.1)):
    tiers = tuple(Tier(f"t{at}", (f"s{at}",), 4, 0, rate) for at, rate in enumerate(dropout))
    return Allocation("tiers", tiers, tuple(l1), (8,), 2, 0)


def make_trial(name="uniform", loss=1.0, noise=0.0, seed=0):
    """Losses around a mean: `noise` is the spread from group to group."""
    shift = np.random.default_rng(seed).normal(0, noise, 10)
    shift -= shift.mean()
    return AllocationTrial(name, make_allocation(), (loss + shift[GROUPS])[:, None], GROUPS)


def test_the_simpler_allocation_wins_a_tie():
    trials = [
        make_trial("tiers", 1.0),
        make_trial("uniform", 1.01, noise=0.2, seed=1),
        make_trial("regularized", 1.005, noise=0.2, seed=2),
    ]

    assert choose_trial(trials).name == "uniform"


def test_a_clear_lead_wins_however_elaborate():
    trials = [make_trial("uniform", 1.2, noise=0.1), make_trial("attention", 1.0)]

    assert choose_trial(trials).name == "attention"


@given(
    losses=st.dictionaries(st.sampled_from(STRATEGY_NAMES), st.floats(0, 10), min_size=1),
    noise=st.floats(0, 1),
)
def test_the_choice_is_never_worse_than_the_best_beyond_noise(losses, noise):
    trials = [
        make_trial(name, loss, noise, seed) for seed, (name, loss) in enumerate(losses.items())
    ]

    best = max(trials, key=lambda trial: trial.score)
    assert not is_worse(choose_trial(trials), best)


def selected_trial(count, loss):
    """Of a plan that reads so many features."""
    trial = make_trial("selected", loss)
    tier = Tier("all", ("s0",), 4, 0, 0.1, tuple(f"s0.{at}" for at in range(count)))
    return replace(trial, allocation=replace(trial.allocation, strategy="selected", tiers=(tier,)))


def test_validation_says_how_many_features_are_selected_and_of_equals_the_most():
    control = make_trial("uniform", 0.9)
    trials = [selected_trial(10, 0.7), selected_trial(20, 0.7), selected_trial(40, 0.8)]

    assert stands_for_strategy("selected", control, trials) is trials[1]
    assert stands_for_strategy("selected", control, trials[2:]) is trials[2]


def test_leaving_out_more_has_to_gain_beyond_half_its_noise():
    few, more = selected_trial(10, 0.7), selected_trial(20, 0.7)
    shift = np.random.default_rng(1).normal(0, 0.2, 10)
    shift += 0.02 - shift.mean()
    near = replace(more, losses=more.losses + shift[GROUPS][:, None])
    far = replace(more, losses=more.losses + 5 * shift.mean() + shift[GROUPS][:, None])
    control = make_trial("uniform", 0.9)

    assert stands_for_strategy("selected", control, [few, near]) is near
    assert stands_for_strategy("selected", control, [few, far]) is few


def test_all_features_are_a_choice_of_selection_as_well():
    control = make_trial("uniform", 0.6)

    chosen = stands_for_strategy("selected", control, [selected_trial(10, 0.8)])

    assert (chosen.name, chosen.allocation.strategy) == ("selected", "selected")
    assert chosen.allocation.features == ()
    assert stands_for_strategy("tiers", control, [make_trial("tiers", 0.8)]).name == "tiers"


def test_a_lead_in_every_group_counts_however_small():
    assert is_worse(make_trial(loss=1.001), make_trial(loss=1.0))
    assert not is_worse(make_trial(loss=1.0), make_trial(loss=1.001))
    assert not is_worse(make_trial(), make_trial())


def test_a_lead_in_a_few_groups_is_noise():
    wild = make_trial(loss=1.05, noise=0.6)

    assert not is_worse(wild, make_trial(loss=1.0))
    assert not is_worse(make_trial(loss=1.0), wild)


def test_rows_of_one_group_are_one_witness():
    trial = make_trial(loss=1.03, noise=0.3)
    other = make_trial(loss=1.0)
    alone = np.arange(len(GROUPS), dtype=np.int32)

    assert not is_worse(trial, other)
    assert is_worse(
        AllocationTrial("uniform", trial.allocation, trial.losses, alone),
        AllocationTrial("uniform", other.allocation, other.losses, alone),
    )


def test_a_loss_of_the_life_counts_beside_that_of_the_risk():
    equal, better = make_trial(loss=1.0), make_trial(loss=1.0)
    late = replace(equal, losses=np.hstack([equal.losses, equal.losses * 0.05]))
    early = replace(better, losses=np.hstack([better.losses, better.losses * 0.04]))

    assert is_worse(late, early)
    assert not is_worse(early, late)
    assert choose_trial([late, replace(early, name="tiers")]).name == "tiers"


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
