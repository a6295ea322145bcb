"""Who answers in a version, by members whose answers are fixed."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from factories import make_graph
from test_pool_graph import FEATURES, make_task

from pm_app.learning.pool import forest as growing
from pm_app.learning.pool.graph import pool_graph
from pm_app.learning.training.crossfit import one_part
from pm_app.learning.training.members import Member, ask_folds
from pm_app.learning.training.pooling import pool_members


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
    return pool_members(
        task, network, one_part(task), pooling=pooling, boosting=(False, ""), seed=0
    )


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
