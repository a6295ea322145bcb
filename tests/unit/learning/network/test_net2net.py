"""A trained network in another shape must go on saying what it said."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.learning.network import (
    Outputs,
    answers,
    build_network,
    set_scaling,
    transfer_weights,
)
from pm_app.records.learning import Allocation, Gate, Tier

SENSOR_OF = ("heat", "load", "heat", "age", "load", "load")
FEATURES = tuple(f"{sensor}.{at}" for at, sensor in enumerate(SENSOR_OF))
HAZARD = Outputs("hazard", 3)


def make_plan(units=(4, 3), shared=(5,), gate=None, packs=1):
    tiers = tuple(
        Tier(name, sensors, own, width, 0.1)
        for name, sensors, own, width in zip(
            ("high", "low"), (("heat",), ("load", "age")), units, (2, 0), strict=True
        )
    )
    return Allocation("tiers", tiers, (1e-3,) * 3, shared, 3, 0, gate, ("load.1",), packs)


def make_rows(rows=300, seed=0):
    values = np.random.default_rng(seed).normal(size=(rows, len(SENSOR_OF))).astype(np.float32)
    values[::5, 1] = np.nan
    return values


def build(plan, seed=0):
    network = build_network(plan, SENSOR_OF, HAZARD, seed=seed, features=FEATURES)
    set_scaling(network, make_rows())
    return network


@settings(deadline=None, max_examples=8)
@given(
    wider=st.tuples(st.integers(4, 13), st.integers(3, 9)),
    shared=st.sampled_from([(), (5,), (5, 4)]),
    gated=st.booleans(),
    packs=st.sampled_from([1, 3]),
)
def test_a_wider_network_says_the_same(wider, shared, gated, packs):
    gate = Gate(2, (1.2, 0.8, 1.0)) if gated else None
    before = make_plan(shared=shared, gate=gate, packs=packs)
    after = make_plan(wider, shared, gate, packs)
    old, fresh = build(before), build(after, seed=9)
    values = make_rows()
    assert np.abs(answers(fresh, values) - answers(old, values)).max() > 0.01

    transfer_weights(old, fresh, before, after, values, seed=0)

    # Twin units differ by a jitter of 1 %, which is all that may show.
    assert answers(fresh, values) == pytest.approx(answers(old, values), abs=0.01)
    assert [w.shape for w in fresh.get_weights()] == [w.shape for w in build(after).get_weights()]


@pytest.mark.parametrize("packs", [1, 3])
def test_pruning_units_that_say_nothing_changes_nothing(packs):
    before, after = make_plan(units=(6, 3), packs=packs), make_plan(units=(4, 3), packs=packs)
    old = build(before)
    branch = old.get_layer("high_branch")
    kernel, inner, outer, bias = branch.get_weights()
    kernel[:, :, [1, 4]] = 0.0
    bias[:, [1, 4]] = 0.5
    branch.set_weights([kernel, inner, outer, bias])
    # Constant units that say little are the ones to go; their constant stays as a bias.
    weights = old.get_layer("shared_0").get_weights()
    weights[0][:, [1, 4]] *= 1e-3
    old.get_layer("shared_0").set_weights(weights)
    fresh = build(after, seed=9)

    transfer_weights(old, fresh, before, after, make_rows(), seed=0)

    assert answers(fresh, make_rows()) == pytest.approx(answers(old, make_rows()), abs=1e-5)


def test_pruning_hurts_less_than_starting_anew():
    before, after = make_plan(units=(12, 6)), make_plan(units=(9, 6))
    old, fresh = build(before), build(after, seed=9)
    values = make_rows()
    anew = np.abs(answers(fresh, values) - answers(old, values)).mean()

    transfer_weights(old, fresh, before, after, values, seed=0)

    assert np.abs(answers(fresh, values) - answers(old, values)).mean() < 0.5 * anew


def test_the_same_shape_is_the_same_network():
    plan = make_plan()
    stronger = replace(plan, l1=(1e-2, 1e-4, 1e-3))
    old, fresh = build(plan), build(stronger, seed=9)

    transfer_weights(old, fresh, plan, stronger, make_rows(), seed=0)

    assert answers(fresh, make_rows()) == pytest.approx(answers(old, make_rows()), abs=1e-7)
    assert fresh.get_layer("high_branch").l1 != old.get_layer("high_branch").l1
