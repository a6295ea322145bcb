"""Versions that answer with a forest beside the network score, explain and step back as others."""

import factories
import numpy as np
import onnx
import pytest
from factories import (
    NOW,
    drop,
    hour,
    make_card,
    make_graph,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)
from sklearn.tree import DecisionTreeRegressor

from pm_app.errors import BadVersion
from pm_app.jobs.score.champion import load_champion, load_recorded
from pm_app.jobs.score.explain import provenance
from pm_app.jobs.score.promotion import promote, roll_back
from pm_app.jobs.score.replay import replay
from pm_app.jobs.score.run import score
from pm_app.learning.pool.forest import Forest, GrownTree
from pm_app.learning.pool.graph import mix_answers, pool_graph
from pm_app.records.learning import Pool, PoolMember
from pm_app.store import Actor

ANN = Actor("ann")
TREES = 12
EVENLY = Pool((PoolMember("network", 0.5, (0.2,)), PoolMember("forest", 0.5, (0.2,))), (), 9, "")


def forest_of(features: int, edges: int) -> Forest:
    """Trees that part rows of readings, gaps among them, and answer with falling curves."""
    trees = []
    for seed in range(TREES):
        rng = np.random.default_rng(seed)
        values = rng.normal(50, 10, (200, features)).astype(np.float32)
        values[rng.random(values.shape) < 0.1] = np.nan
        tree = DecisionTreeRegressor(min_samples_leaf=5, max_features=9, random_state=seed)
        grown = tree.fit(values, rng.random(200)).tree_
        answers = np.sort(rng.random((grown.node_count, edges)), axis=1)[:, ::-1]
        trees.append(GrownTree(grown, answers.astype(np.float32)))
    return Forest("hazard", tuple(trees))


@pytest.fixture
def promote_pooled(monkeypatch):
    """Promotes a version whose graph holds a handmade network and a forest, half each."""

    def graph_of(features, *, edges, **more):
        network = make_graph(features, edges=edges, **more)
        forest = forest_of(features, edges)
        return pool_graph(network, {"network": 0.5, "forest": 0.5}, forest=forest)

    def call(plant):
        with monkeypatch.context() as patch:
            patch.setattr(factories, "make_graph", graph_of)
            return promote_handmade(plant, card=make_card(make_spec(plant.settings), pool=EVENLY))

    return call


@pytest.fixture
def plant(new_plant):
    with opened(new_plant({"a.parquet": readings_table()}, champion=False)) as plant:
        yield plant


def test_both_members_answer_where_values_are_missing(plant, promote_pooled):
    promote_pooled(plant)
    champion = load_champion(plant)
    features, edges = len(champion.card.features), len(champion.card.head.edges_hours)
    values = np.random.default_rng(1).normal(50, 10, (300, features)).astype(np.float32)
    values[np.random.default_rng(2).random(values.shape) < 0.3] = np.nan
    network = factories.Predictor(
        make_graph(features, edges=edges),
        head=champion.card.head,
        calibration=champion.card.calibration,
        features=champion.card.features,
    ).outputs(values)

    forest = forest_of(features, edges)(values)
    expected = mix_answers([network, forest], [0.5, 0.5], "hazard")

    assert np.abs(champion.predictor.outputs(values) - expected).max() <= 1e-5
    assert np.abs(expected - network).max() > 0.05


def test_what_sensors_add_of_a_pool_adds_up_to_its_answer(plant, promote_pooled):
    promote_pooled(plant)
    score(plant, now=NOW)
    found = provenance(plant, asset="pump-01", cutoff=hour(25)).explanation

    assert np.abs(found.added).max() > 0.01
    assert found.added.sum() == pytest.approx(found.signal - found.base, abs=1e-6)


def test_pooled_and_single_versions_are_replayed_alike(plant, promote_pooled):
    config = plant.settings.folder / "plant.toml"
    promote_handmade(plant)
    score(plant, now=NOW)
    promote_pooled(plant)
    drop(config, "b.parquet", readings_table(first_hour=30, hours=10, seed=1))
    score(plant, now=NOW)
    done = replay(plant, first=hour(-100), last=hour(1000))

    assert {row["model_version"] for row in said(plant.store)} == {1, 2}
    assert (done.rows, done.differing) == (len(said(plant.store)), 0)


def test_a_step_back_from_a_pool_and_forth_again_is_one_command_each(plant, promote_pooled):
    config = plant.settings.folder / "plant.toml"
    promote_handmade(plant)
    promote_pooled(plant)
    steps = [
        lambda: None,
        lambda: roll_back(plant, at=NOW, reason="by hand", actor=ANN),
        lambda: promote(plant, 2, at=NOW, reason="by hand", actor=ANN),
    ]
    spoken = []
    for number, step in enumerate(steps):
        step()
        name, first = f"{number}.parquet", 40 + 10 * number
        drop(config, name, readings_table(first_hour=first, hours=8, seed=number))
        score(plant, now=NOW)
        newest = plant.store.tables.latest_predictions().to_pylist()
        spoken.append({row["model_version"] for row in newest})

    assert spoken == [{2}, {1}, {2}]
    assert replay(plant, first=hour(-100), last=hour(1000)).differing == 0


@pytest.mark.parametrize("part", ["target_weights", "nodes_values"])
def test_golden_rows_refuse_a_forest_that_was_altered(plant, promote_pooled, monkeypatch, part):
    promote_handmade(plant)
    write = factories.write_version

    def alter(folder, *, card, keras, onnx, golden, normal=None):
        whole = altered(onnx, part)
        write(folder, card=card, keras=keras, onnx=whole, golden=golden, normal=normal)

    monkeypatch.setattr(factories, "write_version", alter)
    number = promote_pooled(plant)

    with pytest.raises(BadVersion, match="golden rows"):
        load_recorded(plant.store.lineage, plant.registry, number)
    assert load_champion(plant).number == 1


def altered(graph: bytes, part: str) -> bytes:
    """The graph with a tenth of this attribute of its trees moved."""
    model = onnx.load_from_string(graph)
    (trees,) = [node for node in model.graph.node if node.op_type == "TreeEnsembleRegressor"]
    (found,) = [each for each in trees.attribute if each.name == part]
    values = np.array(found.floats)
    values[::10] = values[::10] * 0.5 + 1.0
    found.floats[:] = values.tolist()
    return model.SerializeToString()
