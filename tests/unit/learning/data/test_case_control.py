"""Case-control sampling: rows near failures are kept, what is estimated from them is not biased."""

from dataclasses import replace

import numpy as np
import pytest
from factories import task_of

from pm_app.learning.data import case_control
from pm_app.learning.data.case_control import sample_rows
from pm_app.learning.data.targets import encode_targets, weigh_targets
from pm_app.learning.pool import forest
from pm_app.learning.pool.forest import fit_forest
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Head
from pm_app.records.scores import raw_risk

LIVES, HOURS, HORIZON = 60, 200, 10.0
HEAD = Head("hazard", (5.0, HORIZON, 50.0, 100.0), (HORIZON,))


def lives_task(*, kind: str = "life"):
    """Lives of equal length that fail at their end, one feature that says the hours left."""
    life = np.repeat(np.arange(LIVES, dtype=np.int32), HOURS)
    left = np.tile(np.arange(HOURS, 0, -1, dtype=float), LIVES)
    rows = np.arange(len(left))
    every = np.ones(len(left), dtype=bool)
    names = tuple(f"pump-{number:02d}" for number in range(LIVES))
    values = (left + np.random.default_rng(0).normal(0, 20, len(left))).astype(np.float32)
    frame = Frame(names, life, rows.astype(np.int64), ("a",), ("a",), values[:, None])
    value = np.where(left <= HORIZON, 1.0, 0.0) if kind != "life" else np.full(len(left), np.nan)
    labels = Labels(left, every, value, every, life)
    nothing = np.empty(0, dtype=np.intp)
    split = Split(rows, nothing, nothing, nothing, life, "all of it")
    head = HEAD if kind == "life" else Head(kind, (), (0.0,))
    return task_of(frame, labels, split, kind, (HORIZON,), head)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(case_control, "MOST_CASES", 700)
    monkeypatch.setattr(case_control, "MOST_OTHERS", 1_100)


def test_few_rows_are_all_taken_and_weigh_alike():
    task = lives_task()

    found = sample_rows(task, task.split.train)

    assert found.rows is task.split.train
    assert found.weights is None
    assert found.strata == ()


@pytest.mark.parametrize("kind", ["life", "classification"])
def test_every_row_near_a_failure_is_taken_and_a_bounded_sample_of_the_others(few, kind):
    task = lives_task(kind=kind)

    found = sample_rows(task, task.split.train)

    near = task.labels.duration_hours[found.rows] <= HORIZON
    assert near.sum() == LIVES * HORIZON
    assert 900 <= (~near).sum() <= 1_100
    assert (np.diff(found.rows) > 0).all()
    assert set(task.labels.life[found.rows[~near]]) == set(range(LIVES))


def test_cases_and_others_are_told_apart_and_of_others_there_may_be_more(few):
    task = lives_task()

    found = sample_rows(task, task.split.train, others=6_000)

    cases, others = (task.labels.duration_hours[found.rows[part]] for part in found.strata)
    assert (len(cases), len(others)) == (LIVES * HORIZON, len(found.rows) - LIVES * HORIZON)
    assert cases.max() <= HORIZON < others.min()
    assert 5_000 <= len(others) <= 6_000


def test_cases_are_bounded_too_and_the_bound_holds_whatever_comes(few):
    task = lives_task()
    always = replace(task.labels, duration_hours=np.minimum(task.labels.duration_hours, HORIZON))

    found = sample_rows(replace(task, labels=always), task.split.train)

    assert len(found.rows) <= 700
    np.testing.assert_allclose(found.weights, 1.0)


def test_rows_weigh_as_many_as_they_stand_for(few):
    task = lives_task()
    found = sample_rows(task, task.split.train)
    near = task.labels.duration_hours[found.rows] <= HORIZON

    assert found.weights.mean() == pytest.approx(1.0)
    assert found.weights[near].sum() / len(near) == pytest.approx(HORIZON / HOURS)


def test_weighted_targets_have_the_sums_of_all_rows(few):
    task = lives_task()
    found = sample_rows(task, task.split.train)
    whole = encode_targets(task.labels, task.split.train, HEAD)

    part = weigh_targets(encode_targets(task.labels, found.rows, HEAD), found.weights)

    for name in ("happened", "survived"):
        expected = getattr(whole, name).mean(axis=0)
        np.testing.assert_allclose(getattr(part, name).mean(axis=0), expected, rtol=0.02)


def test_a_forest_of_a_sample_tells_the_risk_of_all_rows(few):
    task = lives_task()
    risk = raw_risk(fit_forest(task, task.split.train, seed=0)(task.frame.values), HEAD)[:, 0]
    far = risk[task.labels.duration_hours > 60]

    assert risk.mean() == pytest.approx(HORIZON / HOURS, rel=0.15)
    assert far.mean() < 0.01


def test_every_tree_of_a_sample_meets_failures_however_rare_they_are(few, monkeypatch):
    task = lives_task()
    # Of sixty lives two fail: 20 rows of 12,000, and a tree of 300 would meet one of two.
    rare = replace(task.labels, failed=np.isin(task.labels.life, [3, 40]))
    task = replace(task, labels=rare)
    monkeypatch.setattr(forest, "ROWS_PER_TREE", 300)
    monkeypatch.setattr(forest, "OTHERS_PER_TREE", 280)
    fails = rare.fails_within(HORIZON) == 1.0
    task.frame.values[fails] = -100.0

    risk = raw_risk(fit_forest(task, task.split.train, seed=0)(task.frame.values), HEAD)[:, 0]

    assert fails.sum() == 2 * HORIZON
    assert risk[fails].min() > 0.7
    assert risk[~fails].mean() < 0.001
