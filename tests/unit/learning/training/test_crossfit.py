"""Folds of a task whose failures are few, and members judged on what they have not seen."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from factories import task_of

from pm_app.learning.evaluation.calibration import calibrate
from pm_app.learning.training.crossfit import (
    FEWEST_FAILURES,
    deal_folds,
    newest_blocks,
    one_part,
)
from pm_app.learning.training.members import Member, ask_folds, judge_member, spread_of
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Head
from pm_app.records.scores import logit, scores_of, sigmoid

HOUR_NS = 3_600_000_000_000
ROWS_OF_A_LIFE = 40
HORIZON = 8.0
HEAD = Head("hazard", (HORIZON, 40.0), (HORIZON,))
SHARES = (0.6, 0.75, 0.85)


def make_task(machines=24, lives=1, *, by_time=False, seed=0):
    """Lives of 40 hours that all end in a failure; the only feature are log-odds to be said.

    Parted by machine, or by time, all machines at once. The log-odds are true.
    """
    rng = np.random.default_rng(seed)
    count = machines * lives
    life = np.repeat(np.arange(count, dtype=np.int32), ROWS_OF_A_LIFE)
    asset = (life // lives).astype(np.int32)
    left = np.tile(np.arange(ROWS_OF_A_LIFE, 0, -1), count).astype(float)
    hour = (life % lives) * ROWS_OF_A_LIFE + ROWS_OF_A_LIFE - left
    score = rng.normal(-1.4, 1.5, len(left))
    fails = rng.random(len(left)) < sigmoid(score)
    duration = np.where(fails, rng.uniform(0.5, HORIZON, len(left)), 30.0)
    place = hour / hour.max() if by_time else asset / machines
    part = np.searchsorted(SHARES, place, side="right")
    rows = [np.flatnonzero(part == number) for number in range(4)]
    names = tuple(f"pump-{at:02d}" for at in range(machines))
    values = score[:, None].astype(np.float32)
    frame = Frame(names, asset, (hour * HOUR_NS).astype(np.int64), ("s",), ("s",), values)
    every, nothing = np.ones(len(left), dtype=bool), np.full(len(left), np.nan)
    labels = Labels(duration, every, nothing, every, life)
    return task_of(frame, labels, Split(*rows, group=life, how=""), "life", (HORIZON,), HEAD)


@dataclass(frozen=True)
class Says:
    """A member's answer: the log-odds it reads, steeper and moved."""

    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, values):
        risk = sigmoid(self.slope * values[:, :1].astype(float) + self.shift)
        return np.hstack([1.0 - risk, 0.5 * (1.0 - risk)]).astype(np.float32)


def make_member(task, folds, siblings, whole):
    models = [siblings] * len(folds.taught)
    return Member("network", siblings, whole, ask_folds(task, folds, models))


@pytest.mark.parametrize(
    ("machines", "lives", "by_time"), [(24, 1, False), (6, 7, False), (5, 7, True), (1, 27, True)]
)
def test_no_row_is_answered_by_a_model_that_saw_its_group(machines, lives, by_time):
    task = make_task(machines, lives, by_time=by_time)
    folds = deal_folds(task, seed=1)

    assert folds.crossed
    for taught, held_out in zip(folds.taught, folds.held_out, strict=True):
        assert not np.isin(folds.unit[held_out], folds.unit[taught]).any()
        assert (task.labels.fails_within(HORIZON)[held_out] == 1.0).any()
        assert not np.isin(task.split.test, np.concatenate([taught, held_out])).any()


@pytest.mark.parametrize("by_time", [False, True])
def test_every_failure_that_teaches_is_in_some_training_and_held_out_of_one(by_time):
    task = make_task(6, 5, by_time=by_time)
    folds, learned = deal_folds(task, seed=1), task.split.learned

    assert np.array_equal(np.sort(folds.rows), learned)
    assert np.array_equal(np.unique(np.concatenate(folds.taught)), learned)


def test_one_fold_is_one_stretch_of_time_where_parts_are():
    task = make_task(1, 27, by_time=True)
    hours = [task.frame.cutoff[rows] for rows in deal_folds(task, seed=1).held_out]

    assert all(
        first.max() < later.min() for first, later in zip(hours[:-1], hours[1:], strict=True)
    )


def test_a_fleet_whose_calibration_part_holds_enough_failures_is_not_cross_fitted():
    many, few = make_task(10 * FEWEST_FAILURES + 10), make_task(10 * FEWEST_FAILURES - 20)

    assert not deal_folds(many, seed=0).crossed
    assert deal_folds(few, seed=0).crossed


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_few_rows_of_a_table_are_dealt_row_by_row(kind):
    task = make_task(8)
    value = (np.arange(len(task.labels.value)) % 40 == 0).astype(float)
    rows = np.arange(len(value), dtype=np.int32)
    table = replace(
        task,
        kind=kind,
        head=Head(kind, (), (0.0,)),
        labels=replace(task.labels, value=value),
        frame=replace(task.frame, asset=rows),
        split=replace(task.split, calibration=task.split.calibration[:15], group=rows),
    )
    folds = deal_folds(table, seed=0)

    assert folds.crossed
    assert np.array_equal(np.sort(folds.rows), table.split.learned)
    counts = [value[held_out].sum() for held_out in folds.held_out]
    assert max(counts) <= min(counts) + (1 if kind == "classification" else 4)


def test_the_same_seed_deals_the_same_folds():
    first, again = (deal_folds(make_task(), seed=3) for _ in range(2))

    assert all(np.array_equal(*pair) for pair in zip(first.held_out, again.held_out, strict=True))


def test_blocks_follow_time_only_where_the_test_is_newer():
    apart, by_time = make_task(), make_task(1, 27, by_time=True)

    assert newest_blocks(apart, apart.split.learned) is None
    blocks = newest_blocks(by_time, by_time.split.learned)
    assert (np.diff(blocks) >= 0).all()
    assert len(np.unique(blocks)) == 5


@pytest.mark.parametrize("siblings", [Says(3.0), Says(0.4), Says(1.0, 2.0), Says(3.0, -3.0)])
def test_siblings_that_are_badly_calibrated_do_not_spoil_what_is_published(siblings):
    """Control: the correction they themselves ask for does."""
    task = make_task(60)
    folds = deal_folds(task, seed=0)
    member = make_member(task, folds, siblings, Says())
    group, asked = folds.unit[folds.rows], Says()(task.frame.values[task.split.test])
    theirs = calibrate(member.held_out, task.labels, folds.rows, HEAD, group=group)

    right = judge_member(task, make_member(task, folds, Says(), Says()), folds)[1].metrics
    found = judge_member(task, member, folds)[1].metrics
    spoilt = scores_of(asked, HEAD, theirs).risk[:, 0]

    assert found["brier_8h"] < right["brier_8h"] + 0.005
    assert found["calibration_error_8h"] < right["calibration_error_8h"] + 0.02
    truth = task.labels.fails_within(HORIZON)[task.split.test]
    assert np.mean((spoilt - truth) ** 2) > right["brier_8h"] + 0.01


def test_what_is_published_is_corrected_also_where_its_siblings_need_not_be():
    task = make_task(60)
    folds = deal_folds(task, seed=0)
    right = judge_member(task, make_member(task, folds, Says(), Says()), folds)[1].metrics
    found = judge_member(task, make_member(task, folds, Says(), Says(3.0, 2.0)), folds)[1].metrics

    assert found["brier_8h"] < right["brier_8h"] + 0.005


def test_what_all_of_a_kind_say_too_surely_is_corrected():
    task = make_task(60)
    folds = deal_folds(task, seed=0)
    calibration, report = judge_member(task, make_member(task, folds, Says(3.0), Says(3.0)), folds)
    raw = 1.0 - Says(3.0)(task.frame.values[task.split.test])[:, :1].astype(float)
    truth = task.labels.fails_within(HORIZON)[task.split.test]

    assert calibration.slope[0] == pytest.approx(1 / 3, rel=0.2)
    assert report.metrics["brier_8h"] < np.mean((raw[:, 0] - truth) ** 2)


def test_the_spread_is_how_far_trainings_stand_apart():
    task = make_task()
    folds = one_part(task)
    member = make_member(task, folds, Says(1.0, 0.5), Says())
    calibration = replace(judge_member(task, member, folds)[0], slope=(1.0,), intercept=(0.0,))
    without_bounds = replace(calibration, least=(), most=())

    assert spread_of(task, member, without_bounds) == pytest.approx(0.5, abs=0.01)


def test_risks_keep_their_order_strictly_whatever_corrects_them():
    task = make_task(60)
    folds = deal_folds(task, seed=0)
    calibration, _ = judge_member(task, make_member(task, folds, Says(3.0), Says()), folds)
    asked = np.linspace(-9, 9, 400)[:, None]
    risk = scores_of(Says()(asked), HEAD, calibration).risk[:, 0]

    assert (np.diff(risk) > 0).all()
    assert np.isfinite(logit(risk)).all()
