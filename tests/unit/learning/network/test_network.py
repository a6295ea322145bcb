import gc
import weakref
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.errors import BadVersion
from pm_app.learning.allocation.sizing import PlanRequest, count_parameters
from pm_app.learning.network import (
    Fitting,
    Outputs,
    Schedule,
    answers,
    build_network,
    export_onnx,
    load_network,
    save_network,
    set_scaling,
)
from pm_app.records.learning import Allocation, Calibration, Gate, Head, Tier
from pm_app.scoring.predictor import Predictor

SENSOR_OF = ("heat", "load", "heat", "age", "load", "load")
HAZARD = Outputs("hazard", 3)


def make_allocation(
    tiers=(("heat",), ("load", "age")),
    units=(4, 3),
    embedding=(2, 0),
    shared=(5,),
    members=3,
    packs=1,
):
    made = tuple(
        Tier(f"tier{at}", tuple(sensors), units[at], embedding[at], 0.1)
        for at, sensors in enumerate(tiers)
    )
    count = sum(len(sensors) for sensors in tiers)
    l1 = (0.001,) * count
    return Allocation("tiers", made, l1, tuple(shared), members, 0, packs=packs)


def make_rows(rows=64, seed=0):
    values = np.random.default_rng(seed).normal(size=(rows, len(SENSOR_OF))).astype(np.float32)
    values[::5, 1] = np.nan
    return values * 100 + 1000


def trainable(network):
    return sum(int(np.prod(weight.shape)) for weight in network.trainable_variables)


@pytest.mark.parametrize("kind", ["hazard", "classification", "regression"])
@pytest.mark.parametrize(
    ("shared", "embedding", "members", "packs"),
    [((), (0, 0), 1, 1), ((5,), (2, 0), 3, 1), ((4, 2), (1, 3), 2, 2), ((5,), (1, 0), 4, 2)],
)
def test_counted_parameters_are_what_keras_counts(kind, shared, embedding, members, packs):
    plan = make_allocation(shared=shared, embedding=embedding, members=members, packs=packs)
    outputs = Outputs(kind, 3 if kind == "hazard" else 1)
    network = build_network(plan, SENSOR_OF, outputs, seed=0)
    counted = count_parameters(
        plan.tiers,
        plan.shared_units,
        PlanRequest({"heat": 2, "load": 3, "age": 1}, 0, members, outputs.width, packs=packs),
    )

    assert trainable(network) == counted


def test_missing_and_constant_values_speak_as_the_centre_does():
    values = make_rows()
    values[:, 3] = 7.0
    network = build_network(make_allocation(), SENSOR_OF, HAZARD, seed=0)
    set_scaling(network, values)
    centre = np.nanmedian(values, axis=0, keepdims=True)
    gone = np.full_like(centre, np.nan)
    odd = centre.copy()
    odd[0, 3] = 1e6

    expected = answers(network, centre)
    assert answers(network, gone) == pytest.approx(expected, abs=1e-6)
    assert answers(network, odd) == pytest.approx(expected, abs=1e-6)


def test_infinite_values_give_finite_answers():
    network = build_network(make_allocation(), SENSOR_OF, HAZARD, seed=0)
    set_scaling(network, make_rows())
    odd = np.full((1, len(SENSOR_OF)), np.inf, dtype=np.float32)

    assert np.isfinite(answers(network, odd)).all()


def test_a_feature_never_known_changes_nothing():
    values = make_rows()
    values[:, 0] = np.nan
    network = build_network(make_allocation(), SENSOR_OF, HAZARD, seed=0)
    set_scaling(network, values)
    other = values.copy()
    other[:, 0] = 5.0

    assert answers(network, other) == pytest.approx(answers(network, values), abs=1e-7)


@given(seed=st.integers(0, 50))
@settings(deadline=None, max_examples=5)
def test_survival_falls_along_the_edges(seed):
    network = build_network(make_allocation(), SENSOR_OF, HAZARD, seed=seed)
    curve = answers(network, make_rows(seed=seed))

    assert ((curve >= 0) & (curve <= 1)).all()
    assert (np.diff(curve, axis=1) <= 1e-7).all()


def test_the_answer_is_the_mean_over_members():
    network = build_network(make_allocation(), SENSOR_OF, Outputs("classification", 1), seed=0)
    values = make_rows(rows=4)
    hidden = network.get_layer("shared_0_drop").output
    members = type(network)(network.input, network.get_layer("logits")(hidden))
    logits = np.asarray(members(values))

    slow = (1 / (1 + np.exp(-logits))).mean(axis=1)
    assert logits.shape == (4, 3, 1)
    assert answers(network, values) == pytest.approx(slow, abs=1e-6)


def test_features_are_found_by_sensor_whatever_their_order():
    swapped = make_allocation(tiers=(("load", "age"), ("heat",)), units=(3, 4), embedding=(0, 2))
    network = build_network(swapped, SENSOR_OF, HAZARD, seed=0)
    columns = [network.get_layer(f"tier{at}_columns").columns for at in (0, 1)]

    assert columns == [[1, 4, 5, 3], [0, 2]]


def test_every_feature_of_a_sensor_shares_its_penalty():
    plan = make_allocation(embedding=(1, 0))
    strong = Allocation("tiers", plan.tiers, (0.1, 0.2, 0.3), (5,), 3, 0)
    network = build_network(strong, SENSOR_OF, HAZARD, seed=0)

    assert network.get_layer("tier0_branch").l1 == [0.1] * 4
    assert network.get_layer("tier1_branch").l1 == [0.2, 0.2, 0.2, 0.3]


def test_a_penalty_is_on_what_comes_of_its_own_sensor():
    plan = replace(make_allocation(embedding=(0, 2)), l1=(0.1, 0.2, 0.3))
    network = build_network(plan, SENSOR_OF, HAZARD, seed=0)
    part = type(network)(network.input, network.get_layer("tier1_periodic").output)
    values = np.random.default_rng(0).normal(size=(50, len(SENSOR_OF))).astype(np.float32)
    older = values.copy()
    older[:, SENSOR_OF.index("age")] += 1.0

    moved = np.abs(np.asarray(part(values)) - np.asarray(part(older))).max(axis=0) > 0

    l1 = np.array(network.get_layer("tier1_branch").l1)
    assert len(l1) == 4 * 3
    assert set(l1[moved]) == {0.3}
    assert moved.sum() == 3


def test_members_of_a_pack_share_a_kernel_and_others_do_not():
    plan = make_allocation(members=4, packs=2)
    network = build_network(plan, SENSOR_OF, HAZARD, seed=0)
    members = type(network)(network.input, network.get_layer("logits").output)
    values = make_rows(rows=20)
    before = np.asarray(members(values))
    for name in ("tier0_branch", "tier1_branch", "shared_0", "logits"):
        layer = network.get_layer(name)
        kernel, *rest = layer.get_weights()
        kernel[1] *= 2.0
        layer.set_weights([kernel, *rest])

    moved = np.abs(np.asarray(members(values)) - before).max(axis=(0, 2))

    assert moved[:2].tolist() == [0.0, 0.0]
    assert (moved[2:] > 1e-3).all()


def fit(kind, l1=0.0, seed=0, epochs=6):
    values = make_rows(rows=400)
    truth = (values[:, :1] > 1000).astype(np.float32)
    plan = make_allocation()
    plan = Allocation("tiers", plan.tiers, (l1,) * 3, (5,), 3, 0)
    network = build_network(plan, SENSOR_OF, Outputs(kind, 1), seed=seed)
    set_scaling(network, values)
    fitting = Fitting(network, values, truth, 1 - truth, schedule=Schedule(epochs, 32, rate=0.02))
    order = np.random.default_rng(seed)
    losses = [fitting.epoch(order.permutation(400)) for _ in range(epochs)]
    return network, losses, values, truth


# For tests that look at it and leave it as it is.
fitted = cache(fit)


def test_what_rows_miss_in_an_epoch_is_learned_to_do_without():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (400, 1)).astype(np.float32)
    sure, unsure = truth[:, 0], truth[:, 0] + rng.normal(0, 0.7, 400)
    values = np.column_stack([sure, unsure]).astype(np.float32)
    blind = np.column_stack([np.full(400, np.nan), unsure]).astype(np.float32)
    plan = Allocation("uniform", (Tier("all", ("a", "b"), 8, 0, 0.0),), (0.0, 0.0), (8,), 2, 0)
    losses = {}
    for gaps in (None, np.ones((400, 1), dtype=np.bool_)):
        network = build_network(plan, ("a", "b"), Outputs("classification", 1), seed=0)
        set_scaling(network, values)
        data = (values, truth, 1 - truth)
        schedule = Schedule(12, 32, rate=0.02)
        fitting = Fitting(network, *data, schedule=schedule, basis=np.array([0, -1]))
        for _ in range(12):
            fitting.epoch(np.arange(400), gaps)
        for name, asked in (("whole", values), ("blind", blind)):
            risk = np.clip(answers(network, asked), 1e-4, 1 - 1e-4)
            loss = -np.mean(truth * np.log(risk) + (1 - truth) * np.log1p(-risk))
            losses[name, gaps is not None] = float(loss)

    assert losses["blind", True] < losses["blind", False] - 0.03
    assert losses["whole", True] < losses["blind", True] - 0.1


def test_graphs_that_may_run_at_the_same_time_share_no_name():
    values = make_rows(rows=100)
    truth = np.zeros((100, 1), dtype=np.float32)
    names = []
    for _ in range(2):
        network = build_network(make_allocation(), SENSOR_OF, Outputs("classification", 1), seed=0)
        fitting = Fitting(network, values, truth, 1 - truth, schedule=Schedule(1, 32, rate=0.02))
        graphs = [
            fitting._epoch.get_concrete_function(
                tf.TensorSpec([None], tf.int64), *fitting._data
            ).graph,
            fitting._answer.get_concrete_function().graph,
        ]
        names += [{op.name for op in graph.get_operations() if computes(op)} for graph in graphs]

    assert all(len(found) > 0 for found in names)
    assert not (names[0] | names[1]) & (names[2] | names[3])


def test_rows_are_gone_with_the_end_of_their_training_not_with_the_next_look_for_cycles():
    values = make_rows(rows=400)
    truth = np.zeros((400, 1), dtype=np.float32)
    network = build_network(make_allocation(), SENSOR_OF, Outputs("classification", 1), seed=0)
    fitting = Fitting(network, values, truth, 1 - truth, schedule=Schedule(1, 32, rate=0.02))
    held = [weakref.ref(part) for part in fitting._data]
    gc.disable()
    try:
        fitting.epoch(np.arange(400))
        fitting.end()
        assert [part() for part in held] == [None] * 3
    finally:
        gc.enable()


def computes(op):
    return op.type not in {"Placeholder", "Identity", "NoOp", "Const"}


def test_a_rate_that_does_not_fall_moves_weights_to_the_end():
    values = make_rows(rows=400)
    # Nothing to be learned: what moves weights late is the rate alone.
    truth = np.random.default_rng(0).integers(0, 2, (400, 1)).astype(np.float32)
    moved = {}
    for falling in (True, False):
        network = build_network(make_allocation(), SENSOR_OF, Outputs("classification", 1), seed=0)
        set_scaling(network, values)
        schedule = Schedule(epochs=6, batch_rows=32, rate=0.02, falling=falling)
        fitting = Fitting(network, values, truth, 1 - truth, schedule=schedule)
        for _ in range(6):
            before = network.get_layer("logits").get_weights()[0]
            fitting.epoch(np.arange(400))
        moved[falling] = np.abs(network.get_layer("logits").get_weights()[0] - before).mean()

    assert moved[True] < 0.3 * moved[False]


@pytest.mark.parametrize("kind", ["hazard", "classification", "regression"])
def test_fitting_lowers_the_loss(kind):
    _, losses, _, _ = fitted(kind)

    assert losses[-1] < 0.7 * losses[0]


def test_a_fitted_network_tells_classes_apart():
    network, _, values, truth = fitted("classification")
    said = answers(network, values)

    assert np.mean((said > 0.5) == (truth > 0.5)) > 0.95


def test_the_penalty_shrinks_the_first_layer():
    free, strong = fitted("classification")[0], fit("classification", l1=0.05)[0]
    size = [float(np.abs(n.get_layer("tier1_branch").kernel).sum()) for n in (free, strong)]

    assert size[1] < 0.5 * size[0]


def test_the_same_seed_gives_the_same_predictions_and_another_does_not():
    networks = fitted("classification")[0], *(fit("classification", seed=at)[0] for at in (0, 1))
    first, second, other = (answers(network, make_rows()) for network in networks)

    assert second == pytest.approx(first, abs=1e-5)
    assert np.abs(other - first).max() > 1e-3


@pytest.mark.parametrize("kind", ["hazard", "classification", "regression"])
def test_a_network_survives_storing(kind):
    outputs = Outputs(kind, 3 if kind == "hazard" else 1, zero=5.0, unit=2.0)
    network = build_network(make_allocation(), SENSOR_OF, outputs, seed=0)
    set_scaling(network, make_rows())
    again = load_network(save_network(network))

    assert answers(again, make_rows()) == pytest.approx(answers(network, make_rows()), abs=1e-7)
    assert trainable(again) == trainable(network)


def test_a_stored_network_that_smuggles_code_is_refused():
    keras = pytest.importorskip("keras")
    smuggler = keras.Sequential([keras.Input((2,)), keras.layers.Lambda(lambda x: x * 2)])

    with pytest.raises(BadVersion, match="cannot be read"):
        load_network(save_network(smuggler))


def test_half_a_stored_network_is_refused():
    content = save_network(build_network(make_allocation(), SENSOR_OF, HAZARD, seed=0))

    with pytest.raises(BadVersion, match="cannot be read"):
        load_network(content[: len(content) // 2])


@pytest.mark.parametrize("kind", ["hazard", "classification", "regression"])
def test_the_exported_graph_agrees_also_where_values_are_missing(kind):
    onnxruntime = pytest.importorskip("onnxruntime")
    outputs = Outputs(kind, 3 if kind == "hazard" else 1)
    network = build_network(make_allocation(), SENSOR_OF, outputs, seed=0)
    set_scaling(network, make_rows())
    values = make_rows(rows=200, seed=1)
    values[np.random.default_rng(0).random(values.shape) < 0.2] = np.nan
    session = onnxruntime.InferenceSession(export_onnx(network))
    said = session.run(None, {session.get_inputs()[0].name: values})[0]

    assert said == pytest.approx(answers(network, values), abs=1e-5)


def test_a_stored_gate_tells_about_the_share_each_sensor_starts_with():
    weights = (1.2, 0.3, 0.9)
    plan = replace(make_allocation(), gate=Gate(2, weights))
    network = build_network(plan, SENSOR_OF, HAZARD, seed=0)
    predictor = Predictor(
        export_onnx(network),
        head=Head("hazard", (12.0, 24.0, 72.0), (24.0, 72.0)),
        calibration=Calibration((1.0, 1.0), (0.0, 0.0), 1.0, 1.0),
        features=tuple(str(at) for at in range(len(SENSOR_OF))),
    )

    attention = predictor.predict_attending(make_rows())[1]

    expected = np.tile(np.array(weights) / sum(weights), (len(attention), 1))
    assert attention == pytest.approx(expected, abs=0.03)
    assert attention.sum(axis=1) == pytest.approx(np.ones(len(attention)), abs=1e-5)
    assert predictor.outputs(make_rows()) == pytest.approx(answers(network, make_rows()), abs=1e-5)


@pytest.mark.parametrize("embedding", [0, 2])
def test_features_that_are_not_read_change_no_answer_by_a_bit(embedding):
    names = tuple(f"f{at}" for at in range(len(SENSOR_OF)))
    tier = Tier("all", ("heat", "load"), 6, embedding, 0.1, ("f0", "f1", "f4"))
    plan = replace(
        make_allocation(tiers=(("heat", "load"),), units=(6,), embedding=(embedding,)),
        tiers=(tier,),
        indicators=("f1",),
        scaling="bounded",
    )
    network = build_network(plan, SENSOR_OF, HAZARD, seed=0, features=names)
    values = make_rows()
    set_scaling(network, values)
    other = values.copy()
    other[:, [2, 3, 5]] = np.random.default_rng(1).normal(size=(len(values), 3))
    other[::3, 2], other[1::3, 5] = np.nan, np.inf
    counted = count_parameters(
        plan.tiers, plan.shared_units, PlanRequest({"heat": 1, "load": 3}, 0, plan.members, 3)
    )

    assert np.array_equal(answers(network, values), answers(network, other))
    assert trainable(network) == counted
    predictor = Predictor(
        export_onnx(network),
        head=Head("hazard", (1.0, 2.0, 3.0), (1.0,)),
        calibration=Calibration((1.0,), (0.0,), 0.0, 0.0),
        features=names,
    )
    assert np.array_equal(predictor.outputs(values), predictor.outputs(other))
    np.testing.assert_allclose(predictor.outputs(values), answers(network, values), atol=1e-5)
