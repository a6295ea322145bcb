"""Who answers in a version, by members whose answers are fixed."""

import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from factories import make_graph
from test_pool_graph import FEATURES, make_task

from pm_app.learning.pool import forest as growing
from pm_app.learning.pool.graph import mix_answers, pool_graph
from pm_app.learning.training import pooling
from pm_app.learning.training.crossfit import one_part
from pm_app.learning.training.members import Member, ask_folds
from pm_app.learning.training.pooling import grow_trees, pool_members


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(growing, "TREES", 12)


def network_of(task, *, knows):
    """A member that knows the truth, or one that knows nothing."""
    edges = np.array(task.head.edges_hours)

    def answer(values):
        left = values[:, [1]] - values[:, [0]]
        alive = np.where(left > edges, 0.999, 0.001) if knows else np.full_like(left - edges, 0.5)
        return alive.astype(np.float32)

    return Member("tiers", answer, answer, ask_folds(task, one_part(task), [answer]), 10)


def pool(task, network, *, pooling=True):
    trees = grow_trees(task, one_part(task), boosting=(False, ""), seed=0)
    return pool_members(task, network, trees, one_part(task), pooling=pooling)


@pytest.fixture
def task():
    """Rows whose life left is a difference, which trees see only dimly."""
    task = make_task("life", rows=2000, censored=0.0)
    values = task.frame.values.copy()
    values[:, 0] = np.random.default_rng(9).uniform(0, 1000, len(values))
    values[:, 1] = values[:, 0] + task.labels.duration_hours
    return replace(task, frame=replace(task.frame, values=values))


def share_of(pooled):
    return pooled.pool.share("network")


def test_the_network_alone_answers_where_nothing_else_may(task):
    network = network_of(task, knows=False)
    pooled = pool(task, network, pooling=False)

    assert (pooled.speaker, pooled.pool, pooled.forest) == (network, None, None)
    assert [member.name for member in pooled.beside] == ["random forest"]


def test_a_forest_without_a_share_is_not_published(task):
    network = network_of(task, knows=True)
    pooled = pool(task, network)

    assert share_of(pooled) == 1.0
    assert (pooled.speaker, pooled.forest) == (network, None)
    assert [member.name for member in pooled.beside] == ["random forest"]


def test_a_network_without_a_share_is_reported_and_not_in_the_graph(task):
    pooled = pool(task, network_of(task, knows=False))
    edges = len(task.head.edges_hours)
    graph = pool_graph(make_graph(FEATURES, edges=edges), pooled.shares, forest=pooled.forest)

    assert share_of(pooled) == 0.0
    assert (pooled.speaker.name, pooled.beside[0].name) == ("random forest", "tiers")
    nodes = onnx.load_from_string(graph).graph.node
    assert [node.op_type for node in nodes] == ["TreeEnsembleRegressor"]


def test_shares_are_weighed_anew_for_every_network(task):
    """A refit brings another network; its shares are its own, whatever were those before."""
    found = [share_of(pool(task, network_of(task, knows=knows))) for knows in (True, False)]

    assert found == [1.0, 0.0]


class Oracle:
    """Boosted trees that know the truth, as `network_of` does, or nothing."""

    kind, rounds, outputs = "hazard", 1, 16

    def __init__(self, task, *, knows, direct=None):
        self.network, self.direct = network_of(task, knows=knows), direct

    def __call__(self, values):
        return self.network.judged(values)


@pytest.fixture
def boosting_as(monkeypatch):
    """Puts these in place of what is boosted."""
    return lambda trees: monkeypatch.setattr(pooling, "fit_boosted", lambda *_, **__: trees)


def boosted_pool(task, network, folds):
    trees = grow_trees(task, folds, boosting=(True, ""), seed=0)
    return pool_members(task, network, trees, folds, pooling=True)


def test_each_forest_and_each_boosting_is_told_of_before_it_begins(task, boosting_as):
    boosting_as(Oracle(task, knows=True))
    steps = []
    grow_trees(
        task, one_part(task), boosting=(True, ""), seed=0, progress=lambda *step: steps.append(step)
    )

    assert steps == [
        (0.0, "growing a forest beside the network: 1 of 2"),
        (0.2, "growing a forest beside the network: 2 of 2"),
        (0.4, "boosting trees beside the network: 1 of 2"),
        (0.7, "boosting trees beside the network: 2 of 2"),
    ]


def test_a_pool_tells_where_boosted_trees_are_asked_for_each_horizon(task, boosting_as):
    reasons = []
    for direct in (None, "trees of horizons"):
        boosting_as(Oracle(task, knows=True, direct=direct))
        pooled = boosted_pool(task, network_of(task, knows=False), one_part(task))
        reasons.append(pooled.pool.reason)

    assert reasons[0].endswith("boosted trees add beyond noise")
    assert reasons[1] == f"{reasons[0]}, asked for each horizon by itself"


def test_boosted_trees_that_know_more_join_and_are_told_beside(task, boosting_as):
    trees = Oracle(task, knows=True)
    boosting_as(trees)
    pooled = boosted_pool(task, network_of(task, knows=False), one_part(task))

    assert pooled.shares == {"forest": 0.25, "boosted trees": 0.75}
    assert pooled.boosted is trees and pooled.forest is not None
    assert [each.name for each in pooled.beside] == ["tiers", "random forest", "boosted trees"]
    values = task.frame.values[task.split.test]
    expected = mix_answers([pooled.forest(values), trees(values)], [0.25, 0.75], "hazard")
    assert pooled.speaker.whole(values) == pytest.approx(expected)


def test_boosted_trees_that_add_nothing_have_no_share(task, boosting_as):
    boosting_as(Oracle(task, knows=False))
    pooled = boosted_pool(task, network_of(task, knows=True), one_part(task))

    assert pooled.boosted is None
    assert pooled.shares == {"network": 1.0}
    assert pooled.pool.share("boosted trees") == 0.0
    assert pooled.pool.reason.endswith("boosted trees add nothing")
    assert [each.name for each in pooled.beside] == ["random forest"]


def test_a_library_that_cannot_be_loaded_is_told_of(task, monkeypatch, tmp_path):
    broken = tmp_path / "lightgbm"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise OSError('libgomp.so.1: cannot open')")
    monkeypatch.delitem(sys.modules, "lightgbm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    trees = grow_trees(task, one_part(task), seed=0)
    network = network_of(task, knows=True)
    pooled = pool_members(task, network, trees, one_part(task), pooling=True)

    assert pooled.pool.reason.endswith(
        "no trees are boosted: LightGBM is installed and cannot be loaded "
        "(libgomp.so.1: cannot open)"
    )
