"""What a network sees of raw features: tails and counters tell, nothing is extrapolated."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from pm_app.learning.network import (
    Outputs,
    answers,
    build_network,
    export_onnx,
    load_network,
    save_network,
    set_scaling,
    widen_bounds,
)
from pm_app.records.learning import Allocation, Tier

PLAN = Allocation("uniform", (Tier("all", ("a", "b"), 4, 0, 0.0),), (0.0, 0.0), (4,), 2, 0)
BOUNDED = replace(PLAN, scaling="bounded")


def make_counters(rows=4_000):
    """A counter that is zero in four fifths of all rows, and a measurement with a heavy tail."""
    rng = np.random.default_rng(0)
    counter = np.where(rng.random(rows) < 0.8, 0.0, rng.integers(1, 30, rows))
    counter[7] = 60_000.0
    tail = rng.standard_t(2, rows) * 5.0 + 400.0
    return np.column_stack([counter, tail]).astype(np.float32)


def build(plan, values):
    network = build_network(plan, ("a", "b"), Outputs("hazard", 3), seed=0)
    set_scaling(network, values)
    return network


def scaled(plan, rows, values=None):
    network = build(plan, make_counters() if values is None else values)
    return np.asarray(network.get_layer("scaling")(np.array(rows, dtype=np.float32)))


def test_a_counter_that_is_mostly_zero_tells_small_counts_apart():
    rows = [(0.0, 400.0), (10.0, 400.0), (20.0, 400.0)]
    before, now = scaled(PLAN, rows)[:, 0], scaled(BOUNDED, rows)[:, 0]

    assert np.abs(np.diff(before)).max() < 1e-3
    assert np.diff(now).min() > 0.3


def test_a_tail_keeps_telling_how_far_it_goes():
    middle, unit = 400.0, 5.0 * 2 * 0.816
    rows = [(0.0, middle + spreads * unit) for spreads in (10, 20)]
    before, now = scaled(PLAN, rows)[:, 1], scaled(BOUNDED, rows)[:, 1]

    assert np.diff(before).max() < 0.12
    assert np.diff(now).min() > 1.0


def test_beyond_what_was_learned_answers_stay_what_they_are_at_the_border():
    values = make_counters()[100:]
    network = build(BOUNDED, values)
    for border, sign in ((values.max(axis=0), 1.0), (values.min(axis=0), -1.0)):
        for column, beyond in product((0, 1), (10.0, 1e6, np.inf)):
            odd = border.copy()
            odd[column] += sign * beyond
            at_border, further = answers(network, np.stack([border, odd]))
            assert further == pytest.approx(at_border, abs=1e-6)

    # The layer of before goes on.
    rows = np.stack([values.max(axis=0), values.max(axis=0) + 10.0])
    assert (np.diff(scaled(PLAN, rows, values), axis=0)[0] > 0).all()


def test_training_that_goes_on_sees_as_far_as_its_own_rows():
    values = make_counters()[100:]
    network = build(BOUNDED, values)
    further = values.max(axis=0) + np.float32(50.0)
    inside = answers(network, values)
    widen_bounds(network, np.vstack([values[:10], further]))
    layer = network.get_layer("scaling")

    assert (np.asarray(layer(np.stack([values.max(axis=0), further]))).T @ [-1, 1] > 0).all()
    assert answers(network, values).tolist() == inside.tolist()


def test_missing_constant_and_unknown_features_are_0():
    values = make_counters()
    values[:, 0] = 7.0
    values[:, 1] = np.nan

    assert (
        scaled(BOUNDED, [(7.0, 1.0), (1e6, -5.0), (np.nan, np.nan)], values).tolist()
        == [[0.0, 0.0]] * 3
    )


def test_one_rare_value_beside_a_constant_is_one_unit_away():
    values = np.zeros((500, 2), dtype=np.float32)
    values[3, 0], values[4, 1] = 4.0, -2e5

    assert scaled(BOUNDED, [(4.0, -2e5)], values)[0] == pytest.approx([0.98, -0.98], abs=0.01)


def test_stored_and_exported_scaling_agree_to_the_end_of_the_tails():
    onnxruntime = pytest.importorskip("onnxruntime")
    values = make_counters()
    network = build(BOUNDED, values)
    rows = np.vstack([values, [[1e30, -1e30], [np.nan, np.inf], [-np.inf, np.nan]]])
    rows = rows.astype(np.float32)
    expected = answers(network, rows)
    session = onnxruntime.InferenceSession(export_onnx(network))
    exported = session.run(None, {session.get_inputs()[0].name: rows})[0]

    assert np.isfinite(expected).all()
    assert exported == pytest.approx(expected, abs=1e-5)
    assert answers(load_network(save_network(network)), rows) == pytest.approx(expected, abs=1e-7)
