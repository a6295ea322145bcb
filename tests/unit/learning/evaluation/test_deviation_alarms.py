"""Alarms of deviations are held against those of risks at as many false ones, fold by fold."""

import numpy as np

from pm_app.learning.evaluation.alarm_value import AlarmHysteresis, Prices
from pm_app.learning.evaluation.backtest import (
    AlarmPlan,
    BacktestSeries,
    ModelPredictions,
    compare_deviations,
)
from pm_app.records.labels import Labels

HOURS, HORIZON = 100, 10.0
MANNER = AlarmHysteresis(1, 0.8)
PLAN = AlarmPlan(MANNER, Prices(100.0, 1.0, 1.0), 5)


def make_series(lives: int) -> BacktestSeries:
    """Lives of 100 hours, one after the other, each an asset of its own that fails at its end."""
    left = np.tile(np.arange(HOURS, 0, -1.0), lives)
    life = np.repeat(np.arange(lives, dtype=np.int32), HOURS)
    size = len(left)
    labels = Labels(left, np.ones(size, bool), np.full(size, np.nan), np.ones(size, bool), life)
    cutoff = np.tile(np.arange(HOURS, dtype=np.int64) * 3_600_000_000_000, lives)
    return BacktestSeries(life, cutoff, cutoff // (7 * 24), labels, HORIZON, 1000.0)


def make_signal(lives, *, quiet, loud, before=(), false=()):
    """Loud in the last 5 hours of the lives `before`, and for one hour at 20 h of those `false`."""
    values = np.full((lives, HOURS), quiet)
    values[list(before), -5:] = loud
    values[list(false), 20] = loud
    nothing = np.full(values.size, np.nan)
    return ModelPredictions("signal", values.ravel(), nothing, nothing, nothing)


def compare(deviation, risk, folds):
    lives = len(folds)
    fold = np.repeat(np.array(folds, dtype=np.int32), HOURS)
    return compare_deviations(deviation, risk, make_series(lives), fold, manner=MANNER, plan=PLAN)


def test_risks_are_counted_at_no_more_false_alarms_than_deviations_have():
    deviation = make_signal(6, quiet=0.2, loud=1.5, before=[0, 1, 2], false=[5])
    # From 0.3 on risks have three false alarms, from 0.5 on one.
    risk = make_signal(6, quiet=0.01, loud=0.6, before=[2, 3, 4, 5], false=[0])
    noisy = risk.risk.reshape(6, HOURS)
    noisy[[1, 2], 30] = 0.4

    found = compare(deviation, risk, folds=[0, 0, 0, 1, 1, 1])

    assert (found.failures, found.caught, found.false_alarms) == (6, 3, 1)
    assert (found.risk_caught, found.risk_false_alarms) == (4, 1)
    assert 0.4 < found.risk_threshold <= 0.6
    assert found.by_fold == ((3, 1), (0, 3))
    # One more in all: risks are ahead over the whole, and so from the first fold on.
    assert found.since == 0


def test_the_fold_from_which_on_risks_catch_more_is_that_of_the_remaining_time():
    deviation = make_signal(4, quiet=0.2, loud=1.5, before=[0, 1])
    risk = make_signal(4, quiet=0.01, loud=0.6, before=[2, 3])

    ahead = compare(deviation, risk, folds=[0, 0, 1, 2])
    behind = compare(deviation, make_signal(4, quiet=0.01, loud=0.6, before=[0]), [0, 0, 1, 2])

    assert ahead.by_fold == ((2, 0), (0, 1), (0, 1))
    assert ahead.since == 1
    assert behind.since is None


def test_rows_where_one_of_both_says_nothing_count_for_neither():
    deviation = make_signal(2, quiet=0.2, loud=1.5, before=[0, 1])
    risk = make_signal(2, quiet=0.01, loud=0.6, before=[0, 1])
    risk.risk.reshape(2, HOURS)[1] = np.nan

    found = compare(deviation, risk, folds=[0, 0])

    assert (found.failures, found.caught, found.risk_caught) == (1, 1, 1)


def test_where_no_threshold_has_as_few_false_alarms_nothing_of_risks_is_said():
    deviation = make_signal(1, quiet=0.2, loud=1.5, before=[0])
    risk = make_signal(1, quiet=1.0, loud=1.0)

    found = compare(deviation, risk, folds=[0])

    assert (found.caught, found.risk_threshold, found.risk_caught, found.since) == (
        1,
        None,
        0,
        None,
    )
