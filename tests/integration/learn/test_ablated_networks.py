"""Networks of the quality benchmark's ablation, on a small fleet."""

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.quality.ablation.networks import plain_scaling, refit_averaged

from pm_app.learning.dataset import LearningTask
from pm_app.learning.network import answers
from pm_app.learning.training.fit import (
    RATE,
    Training,
    plan_schedule,
    refit_network,
    strengthen,
    train_network,
)
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Allocation, Head, Tier

SENSOR_OF = ("wear", "wear", "load")
TIER = Tier("all", ("wear", "load"), 6, 0, 0.0)
PLAN = Allocation("uniform", (TIER,), (1e-4,) * 2, (4,), 2, 0, scaling="bounded")


def make_task(assets=12, hours=30, seed=0):
    """Machines that wear evenly until they break."""
    rng = np.random.default_rng(seed)
    asset = np.repeat(np.arange(assets, dtype=np.int32), hours)
    left = np.tile(np.arange(hours, 0.0, -1.0), assets)
    values = rng.normal(size=(len(left), 3)).astype(np.float32)
    values[:, :2] += 100.0 - left[:, None]
    names = tuple(f"pump-{number:02d}" for number in range(assets))
    cutoff = np.arange(len(left), dtype=np.int64)
    frame = Frame(names, asset, cutoff, ("wear.a", "wear.b", "load.a"), SENSOR_OF, values)
    every = np.ones(len(left), dtype=bool)
    labels = Labels(left, every, np.full(len(left), np.nan), every, asset)
    head = Head("hazard", (5.0, 10.0, 20.0), (10.0,))
    train, validation = np.flatnonzero(asset < 8), np.flatnonzero(asset >= 8)
    nothing = np.zeros(0, dtype=np.intp)
    split = Split(train, validation, nothing, nothing, asset, "here")
    return LearningTask("life", (10.0,), frame, labels, split, head)


@pytest.fixture(scope="module")
def trained():
    """A task, and a network of it that saw four epochs."""
    task = make_task()
    schedule = replace(plan_schedule(len(task.split.train), features=3), epochs=4)
    plan = strengthen(PLAN, SENSOR_OF, l1=1e-4, dropout=0.0)
    found = train_network(task, Training(plan, RATE, 0), schedule=schedule)
    return task, replace(found, epoch=4)


def test_a_given_schedule_is_followed(trained):
    assert trained[1].schedule.epochs == 4


def test_the_mean_of_one_epoch_is_the_refitted_network(trained):
    task, like = trained
    rows = np.sort(np.concatenate([task.split.train, task.split.validation]))
    whole = refit_network(task, Training(like.allocation, RATE, 0), rows=rows, like=like).network
    one = refit_averaged(task, like, rows, seed=0, epochs=1)
    several = refit_averaged(task, like, rows, seed=0, epochs=3)
    said = answers(whole, task.frame.values)

    np.testing.assert_allclose(answers(one, task.frame.values), said, atol=1e-6)
    assert np.abs(answers(several, task.frame.values) - said).max() > 1e-4


def test_plain_scaling_standardises_and_ends_with_its_block(trained):
    task, like = trained
    values = task.frame.values[task.split.train]
    training = Training(like.allocation, RATE, 0)
    with plain_scaling():
        plain = train_network(task, training, schedule=like.schedule).network
        scaled = np.asarray(plain.get_layer("scaling")(values))
    again = train_network(task, training, schedule=like.schedule).network
    layer = again.get_layer("scaling")
    far, border = np.asarray(layer(values + np.float32(1e4))), np.asarray(layer(values)).max(axis=0)

    np.testing.assert_allclose(scaled, (values - values.mean(0)) / values.std(0), atol=1e-3)
    np.testing.assert_allclose(far, np.broadcast_to(border, far.shape), atol=1e-5)
