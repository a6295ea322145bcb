"""Modes in the network: hazards in multinomial form, against plain sums of numpy."""

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf

from pm_app.learning.data.targets import tell_modes_apart
from pm_app.learning.network import (
    Outputs,
    answers,
    build_network,
    export_onnx,
    load_network,
    mode_shares,
    save_network,
)
from pm_app.learning.network.building import whole_network
from pm_app.learning.network.fitting import loss_by_mode
from pm_app.learning.network.layers import Answer
from pm_app.records.learning import Allocation, Tier

SENSOR_OF = ("heat", "load", "heat", "age")
SPANS, MODES, MEMBERS = 4, 3, 2
PLAN = Allocation(
    "uniform",
    (Tier("all", ("heat", "load", "age"), 6, 0, 0.0),),
    (1e-4,) * 3,
    (5,),
    MEMBERS,
    0,
    scaling="bounded",
)


@pytest.fixture(scope="module")
def network():
    built = build_network(PLAN, SENSOR_OF, Outputs("hazard", SPANS, modes=MODES), seed=3)
    # Members that differ, and hazards from next to nothing to next to sure.
    weights = built.get_layer("logits").get_weights()
    rng = np.random.default_rng(0)
    built.get_layer("logits").set_weights([rng.normal(0, 3, part.shape) for part in weights])
    return built


@pytest.fixture(scope="module")
def exported(network):
    """Answers of the exported graph: survival, and shares of modes."""
    graph = onnxruntime.InferenceSession(export_onnx(network))
    return graph.run(None, {graph.get_inputs()[0].name: rows_of()})


def rows_of(count=80):
    values = np.random.default_rng(1).normal(size=(count, len(SENSOR_OF))).astype(np.float32)
    values[::3, 1] = np.nan
    return values


def plain_incidences(network, values):
    """Survival (n, spans), and what fails in each span by mode, (n, spans, modes)."""
    logits = keras.Model(network.input, network.get_layer("logits").output)(values)
    spans = np.asarray(logits, dtype=np.float64).reshape(len(values), MEMBERS, SPANS, MODES)
    hazard = np.exp(spans) / (1.0 + np.exp(spans).sum(axis=3, keepdims=True))
    survival = np.cumprod(1.0 - hazard.sum(axis=3), axis=2)
    before = np.concatenate([np.ones((*survival.shape[:2], 1)), survival[:, :, :-1]], axis=2)
    return survival.mean(axis=1), (before[..., None] * hazard).mean(axis=1)


def test_survival_and_shares_are_those_of_a_plain_multinomial(network):
    survival, incidence = plain_incidences(network, rows_of())
    shares = mode_shares(network, rows_of())

    assert answers(network, rows_of()) == pytest.approx(survival, abs=1e-5)
    assert shares == pytest.approx(incidence / incidence.sum(axis=2, keepdims=True), abs=1e-4)
    assert np.ptp(shares[:, :, 0], axis=1).max() > 0.1
    assert mode_shares(network, rows_of(0)).shape == (0, SPANS, MODES)
    assert answers(network, rows_of(0)).shape == (0, SPANS)


def test_incidences_of_modes_add_up_to_what_does_not_survive(network, exported):
    for survival, shares in (
        exported,
        (answers(network, rows_of()), mode_shares(network, rows_of())),
    ):
        fails = -np.diff(np.hstack([np.ones((80, 1)), survival]), axis=1)
        incidence = np.cumsum(fails[:, :, None] * shares, axis=1).sum(axis=2)

        assert incidence == pytest.approx(1.0 - survival, abs=1e-6)


def test_graph_and_stored_network_tell_modes_apart_alike(network, exported):
    survival, shares = exported
    again = load_network(save_network(network))

    assert survival == pytest.approx(answers(network, rows_of()), abs=1e-6)
    assert shares == pytest.approx(mode_shares(network, rows_of()), abs=1e-5)
    np.testing.assert_array_equal(mode_shares(again, rows_of()), mode_shares(network, rows_of()))


def test_a_network_of_one_mode_is_that_of_none_to_the_bit():
    logits = np.random.default_rng(2).normal(0, 4, (50, MEMBERS, SPANS)).astype(np.float32)
    softplus = keras.ops.softplus(logits)

    said = Answer("hazard", modes=1)(logits)

    plain = keras.ops.mean(keras.ops.exp(-keras.ops.cumsum(softplus, axis=-1)), axis=1)
    np.testing.assert_array_equal(said, plain)
    built = build_network(PLAN, SENSOR_OF, Outputs("hazard", SPANS), seed=3)
    assert whole_network(built) is built


def test_the_loss_is_that_of_a_plain_multinomial():
    """A failure of each mode, one of unknown mode, a censored life, and one that outlives all."""
    mode = np.array([0, 2, 1, -1, -1, -1])
    span = np.array([1, 0, 3, 2, 2, SPANS])
    failed = np.array([True, True, True, True, False, False])
    happened, survived = np.zeros((2, 6, SPANS), dtype=np.float32)
    for row in range(6):
        survived[row, : span[row]] = 1.0
        if failed[row]:
            happened[row, span[row]] = 1.0
    survived[4, 2] = 0.4  # of its last span this share was seen
    heavy = np.array([1, 1, 5, 1, 2, 1], dtype=np.float32)[:, None]
    logits = np.random.default_rng(4).normal(0, 2, (6, MEMBERS, SPANS, MODES)).astype(np.float32)

    told = tell_modes_apart(happened * heavy, mode, MODES)
    lost = loss_by_mode(tf.constant(logits), told[:, None], (survived * heavy)[:, None])

    hazard = np.exp(logits) / (1.0 + np.exp(logits).sum(axis=3, keepdims=True))
    every = hazard.sum(axis=3)
    expected = -(survived[:, None] * np.log(1.0 - every)).sum(axis=2)
    for row in np.flatnonzero(failed):
        at = hazard[row, :, span[row]]
        expected[row] -= np.log(at.sum(axis=1) if mode[row] < 0 else at[:, mode[row]])
    assert float(lost) == pytest.approx(float((expected * heavy).mean()), rel=1e-5)
