"""Deviation as an input: read where it spares a model something, left out where sensors say it."""

import numpy as np
import pytest
from factories import HOUR, START, task_of

from pm_app.learning.pipeline import FEWEST_HELD_OUT, settle_deviation
from pm_app.learning.pool import forest as growing
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Head
from pm_app.scoring.deviation import DEVIATION, with_deviation

ASSETS, ROWS, SENSORS = 90, 20, 12
HEAD = Head("classification", (), (0.0,))


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(growing, "TREES", 20)


def lesson(*, by: str, deviation: str, assets: int = ASSETS):
    """Rows that fail where all sensors together are far off, or where the first one is high."""
    rng = np.random.default_rng(0)
    size = assets * ROWS
    values = rng.normal(size=(size, SENSORS)).astype(np.float32)
    together, first = (values**2).sum(axis=1), values[:, 0]
    cause = together if by == "together" else first
    names = tuple(f"pump-{number:03d}" for number in range(assets))
    sensors = tuple(f"s{number}" for number in range(SENSORS))
    asset = np.repeat(np.arange(assets, dtype=np.int32), ROWS)
    cutoff = START + np.tile(np.arange(1, ROWS + 1), assets) * HOUR
    frame = Frame(names, asset, cutoff, tuple(f"{s}.last" for s in sensors), sensors, values)
    nothing = np.full(size, np.nan)
    fails = (cause > np.quantile(cause, 0.8)).astype(float)
    labels = Labels(nothing, np.zeros(size, bool), fails, np.ones(size, bool), asset)
    parts = np.split(np.arange(size), (np.array([0.5, 0.7, 0.9]) * assets).astype(int) * ROWS)
    offered = {"together": together, "nothing": rng.normal(size=size)}
    if deviation:
        frame = with_deviation(frame, offered[deviation])
    return task_of(frame, labels, Split(*parts, group=asset, how=""), "classification", head=HEAD)


def test_what_sensors_say_only_together_is_read_as_their_deviation():
    task = lesson(by="together", deviation="together")

    settled, words = settle_deviation(task, seed=0)

    assert settled is task
    assert "deviation is read beside the sensors" in words


@pytest.mark.parametrize("deviation", ["together", "nothing"])
def test_a_deviation_that_adds_nothing_is_left_out(deviation):
    task = lesson(by="first", deviation=deviation)

    settled, words = settle_deviation(task, seed=0)

    assert settled.frame.features == task.frame.features[:-1]
    assert DEVIATION not in settled.frame.sensor_of
    np.testing.assert_array_equal(settled.frame.values, task.frame.values[:, :-1])
    assert "deviation is not read" in words


def test_with_few_lives_held_out_nobody_can_tell_and_it_is_left_out():
    task = lesson(by="together", deviation="together", assets=FEWEST_HELD_OUT * 2)

    settled, words = settle_deviation(task, seed=0)

    assert DEVIATION not in settled.frame.features
    assert "too few" in words


def test_without_a_deviation_nothing_is_said():
    task = lesson(by="first", deviation="")

    assert settle_deviation(task, seed=0) == (task, "")


def test_a_deviation_takes_the_place_of_the_one_before():
    frame = lesson(by="first", deviation="nothing").frame
    again = with_deviation(frame, np.arange(len(frame.cutoff), dtype=float))

    assert again.features == frame.features
    np.testing.assert_array_equal(again.values[:, -1], np.arange(len(frame.cutoff)))
    np.testing.assert_array_equal(again.values[:, :-1], frame.values[:, :-1])
