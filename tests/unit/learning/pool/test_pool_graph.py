from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from factories import make_graph, task_of
from onnx import helper, numpy_helper

from pm_app.learning.data.targets import choose_head
from pm_app.learning.pool import forest as growing
from pm_app.learning.pool import graph as graphs
from pm_app.learning.pool.forest import fit_forest
from pm_app.learning.pool.graph import at_thresholds, mix_answers, mix_mode_shares, pool_graph
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split

FEATURES = 6
HORIZONS, CAP = (12.0, 24.0), 60.0
KINDS = ("life", "classification", "regression")


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(growing, "TREES", 12)


def make_task(kind, *, rows=600, censored=0.3, seed=0):
    """Rows whose first feature tells the life left; a tenth of all values is missing."""
    rng = np.random.default_rng(seed)
    left = rng.uniform(0, 100, rows)
    values = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    values[:, 0] = left + rng.normal(0, 5, rows)
    values[rng.random(values.shape) < 0.1] = np.nan
    names = tuple(f"f{at}" for at in range(FEATURES))
    asset = (np.arange(rows) // 20).astype(np.int32)
    assets = tuple(f"p{at}" for at in range(rows // 20))
    frame = Frame(assets, asset, np.arange(rows, dtype=np.int64), names, names, values)
    every, nothing = np.ones(rows, bool), np.full(rows, np.nan)
    last = np.where(rng.random(rows) < censored, rng.uniform(0, 60, rows), np.inf)
    failed, seen = left <= last, np.minimum(left, last)
    labels = Labels(seen, failed, nothing, every, asset)
    if kind != "life":
        value = (left < 30).astype(float) if kind == "classification" else 1e6 + 100 * left
        labels = replace(labels, duration_hours=nothing, failed=~every, value=value)
    parts = np.array_split(np.arange(rows), 4)
    split = Split(*parts, group=asset, how="by asset")
    head = choose_head(labels, parts[0], task=kind, horizons_hours=HORIZONS, cap_hours=CAP)
    return (
        task_of(frame, labels, split, kind, HORIZONS, head)
        if kind == "life"
        else task_of(frame, labels, split, kind)
    )


def shares_of(network):
    return {"network": network, "forest": 1.0 - network}


def mixed(answers, share, kind):
    """Of a network and a forest."""
    return mix_answers(answers, [share, 1.0 - share], kind) if share else answers[1]


def run(graph, values, *, at=0):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as scoring has it
    session = onnxruntime.InferenceSession(graph, options)
    return session.run(None, {session.get_inputs()[0].name: values})[at]


def run_all(graph, values):
    session = onnxruntime.InferenceSession(graph)
    return session.run(None, {session.get_inputs()[0].name: values})


def reshaped_second_output(graph, shape):
    model = onnx.load_from_string(graph)
    old = model.graph.output[1].name
    model.graph.node.append(helper.make_node("Reshape", [old, "shape"], ["shares"]))
    model.graph.initializer.append(numpy_helper.from_array(np.array(shape), "shape"))
    new = helper.make_tensor_value_info("shares", onnx.TensorProto.FLOAT, (None, *shape[1:]))
    model.graph.output[1].CopyFrom(new)
    return model.SerializeToString()


def with_modes(task):
    """The second feature tells of which of two modes a failure is; of a tenth nobody knows."""
    mode = (task.frame.values[:, 1] > 0).astype(np.int32)
    mode[::10] = -1
    head = replace(task.head, modes=("seal", "bearing"))
    return replace(task, labels=replace(task.labels, mode=mode), head=head)


def ties_of(task, forest):
    values = at_thresholds([forest], task.frame.values, seed=1)
    assert (values != task.frame.values).any()
    return values


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_the_graph_says_what_its_members_say_at_ties_and_gaps(kind, share):
    task = make_task(kind)
    forest = fit_forest(task, task.split.learned, seed=0)
    network = make_graph(FEATURES, edges=forest.trees[0].answers.shape[1])
    values = ties_of(task, forest)

    pooled = run(pool_graph(network, shares_of(share), forest=forest), values)

    alone = forest(values)
    expected = mixed([run(network, values), alone], share, forest.kind)
    assert np.abs(pooled - expected).max() / forest.unit <= 1e-5


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_the_graph_says_of_modes_what_its_members_say(share):
    task = with_modes(make_task("life"))
    forest = fit_forest(task, task.split.learned, seed=0)
    outputs, values = forest.outputs, ties_of(task, forest)
    network = make_graph(FEATURES, edges=outputs, attends=outputs * 2)
    # A second output of the shape that shares of modes have.
    network = reshaped_second_output(network, (-1, outputs, 2))
    own, alone = run_all(network, values), forest(values)

    survival, shares = run_all(pool_graph(network, shares_of(share), forest=forest), values)

    expected = mixed([own[0], alone], share, "hazard")
    assert np.abs(survival - expected).max() <= 1e-5
    of_forest = forest.mode_shares(values)
    assert of_forest.sum(axis=2) == pytest.approx(np.ones(of_forest.shape[:2]), abs=1e-6)
    pooled = mix_mode_shares([own[1], of_forest], [share, 1 - share]) if share else of_forest
    assert shares == pytest.approx(pooled, abs=1e-5)


def test_leaves_of_a_forest_tell_modes_apart():
    task = with_modes(make_task("life", rows=2000))
    test = task.split.test[task.labels.duration_hours[task.split.test] <= HORIZONS[-1]]
    test = test[task.labels.mode[test] >= 0]

    shares = fit_forest(task, task.split.train, seed=0).mode_shares(task.frame.values[test])

    right = np.argmax(shares[:, 0], axis=1) == task.labels.mode[test]
    assert right[np.isfinite(task.frame.values[test, 1])].mean() > 0.7


def test_ties_show_thresholds_that_are_not_rounded_down(monkeypatch):
    task = make_task("life")
    forest = fit_forest(task, task.split.learned, seed=0)
    network = make_graph(FEATURES, edges=forest.trees[0].answers.shape[1])
    values = ties_of(task, forest)
    monkeypatch.setattr(graphs.np, "nextafter", lambda single, towards: single)

    assert (
        np.abs(
            run(pool_graph(network, shares_of(0.0), forest=forest), values) - forest(values)
        ).max()
        > 1e-3
    )


def test_curves_of_a_pool_fall_and_rows_do_not_depend_on_their_neighbours():
    task = make_task("life")
    forest = fit_forest(task, task.split.learned, seed=0)
    graph = pool_graph(
        make_graph(FEATURES, edges=len(task.head.edges_hours)), shares_of(0.5), forest=forest
    )
    every = run(graph, task.frame.values)

    assert np.diff(every, axis=1).max() <= 1e-6
    assert every.min() >= 0.0 and every.max() <= 1.0
    for count in (2, 3, 50, 300):
        assert np.array_equal(run(graph, task.frame.values[:count]), every[:count])


def test_members_that_agree_are_left_as_they_are():
    answers = np.linspace(0, 1, 101, dtype=np.float32)[:, None]

    assert mix_answers([answers, answers], [0.5, 0.5], "hazard") == pytest.approx(answers, abs=1e-5)


def test_a_censored_row_counts_for_as_long_as_it_was_seen():
    """Against one that takes the end of what was seen for a failure."""
    task = make_task("life", rows=2000, censored=0.6)
    honest = fit_forest(task, task.split.learned, seed=0)
    blind = replace(task, labels=replace(task.labels, failed=np.ones(2000, bool)))
    naive = fit_forest(blind, task.split.learned, seed=0)
    truth = make_task("life", rows=2000, censored=0.0).labels.duration_hours
    alive = np.mean(truth[:, None] > np.array(task.head.edges_hours), axis=0)

    apart, apart_naive = (
        np.abs(each(task.frame.values).mean(axis=0) - alive).max() for each in (honest, naive)
    )

    assert apart < 0.08 < apart_naive


def test_a_tree_parts_rows_by_early_failures_as_much_as_by_late_ones():
    # One split: a feature tells the tenth that fails at once, another the half that lives longest.
    task = make_task("life", censored=0.0)
    rows = len(task.labels.failed)
    early, late = np.arange(rows) % 10 == 0, np.arange(rows) % 2 == 1
    values = np.zeros((rows, FEATURES), dtype=np.float32)
    values[:, 0], values[:, 1] = early, late
    left = np.where(early, 1.0, np.where(late, 90.0, 36.0))
    task = replace(
        task,
        frame=replace(task.frame, values=values),
        labels=replace(task.labels, duration_hours=left, failed=np.ones(rows, bool)),
    )
    forest = fit_forest(task, task.split.learned, seed=0)

    roots = {int(tree.grown.feature[0]) for tree in forest.trees}

    assert roots == {0, 1}


def test_the_same_arguments_grow_the_same_forest():
    task = make_task("life")
    first, again = (fit_forest(task, task.split.train, seed=3) for _ in range(2))

    assert np.array_equal(first(task.frame.values), again(task.frame.values))
