"""The network that an older program stored answers as it did, and a refit goes on from it."""

import tarfile
from pathlib import Path

import numpy as np
import pytest
from factories import task_of

from pm_app.learning.network import Schedule, answers, load_network, save_network
from pm_app.learning.training.fit import Training, train_network
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.state.registry import Registry

BEFORE = Path(__file__).parents[2] / "support" / "fixtures" / "plant_by_0.1.0_at_4a5bbfb.tar.gz"
ROWS = 80


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(BEFORE) as archive:
        archive.extractall(folder, filter="data")
    return Registry(folder / "state" / "versions")


def make_task(card, values):
    """Rows that all fail, in as many hours as there are rows behind them."""
    left = np.arange(len(values), 0, -1, dtype=float)
    every, nothing = np.ones(len(values), dtype=bool), np.full(len(values), np.nan)
    asset = np.zeros(len(values), dtype=np.int32)
    hours = np.arange(len(values), dtype=np.int64) * 3_600_000_000_000
    frame = Frame(("p1",), asset, hours, card.features, card.sensor_of, values)
    parts = np.array_split(np.arange(len(values)), 4)
    split = Split(*parts, group=asset, how="by time")
    labels = Labels(left, every, nothing, every, asset)
    return task_of(frame, labels, split, "life", card.head.horizons_hours, card.head)


def test_a_network_of_before_answers_as_it_did_and_is_refitted_as_it_was_built(versions):
    card, golden, stored = versions.load(1).card, versions.load(1).golden, versions.keras_bytes(1)
    values = np.resize(golden.rows, (ROWS, len(card.features))).astype(np.float32)
    training = Training(card.allocation, 2e-3, seed=0)
    schedule = Schedule(epochs=1, batch_rows=16, rate=2e-3)
    refit = train_network(make_task(card, values), training, schedule=schedule, warm_start=stored)
    layers = [
        load_network(each).get_layer("scaling") for each in (stored, save_network(refit.network))
    ]

    assert answers(load_network(stored), golden.rows) == pytest.approx(golden.outputs, abs=1e-5)
    for before, after in zip(*(layer.get_weights() for layer in layers), strict=True):
        assert after.tolist() == before.tolist()
    assert {type(layer).__name__ for layer in layers} == {"Scaling"}
