"""What alarms would have been worth, against a plain loop over rows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.learning.evaluation.alarm_value import (
    AlarmHysteresis,
    Lives,
    Prices,
    Tally,
    alarm_stands,
    cheapest,
    find_alarms,
    precision_at_capacity,
    sweep,
    tally,
)

HOUR = 3_600_000_000_000
MANNER = AlarmHysteresis(persistence=2, clear=0.5)
PRICES = Prices(missed_failure=100.0, false_alarm=7.0, least_hours=2.0)


def make_lives(*lives, horizon=5.0):
    """Lives from (risks an hour apart, hours left after the last, whether it fails)."""
    columns = [[], [], [], [], []]
    for number, (risks, left, failed) in enumerate(lives):
        count = len(risks)
        columns[0] += [number] * count
        columns[1] += [HOUR * (1000 * number + at) for at in range(count)]
        columns[2] += risks
        columns[3] += [left + count - 1 - at for at in range(count)]
        columns[4] += [failed] * count
    kinds = (np.int32, np.int64, np.float64, np.float64, np.bool_)
    arrays = [np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)]
    return Lives(*arrays, horizon)


def plain_standing(risks, threshold, manner):
    """One life, a row at a time."""
    stands, highs, lows, found = False, 0, 0, []
    for risk in risks:
        if not np.isnan(risk):
            highs = highs + 1 if risk >= threshold else 0
            lows = lows + 1 if risk < manner.clear * threshold else 0
            if highs >= manner.persistence:
                stands = True
            elif lows >= manner.persistence:
                stands = False
            found.append(stands)
        else:
            found.append(False)
    return found


RISKS = st.lists(
    st.sampled_from([0.0, 0.1, 0.24, 0.25, 0.49, 0.5, 0.8, float("nan")]), min_size=1, max_size=12
)


@given(
    lives=st.lists(st.tuples(RISKS, st.integers(1, 9), st.booleans()), min_size=1, max_size=4),
    persistence=st.integers(1, 3),
    clear=st.sampled_from([0.5, 1.0]),
)
@settings(max_examples=200, deadline=None)
def test_alarms_are_those_of_a_plain_loop(lives, persistence, clear):
    manner = AlarmHysteresis(persistence, clear)
    made = make_lives(*lives)
    expected = [flag for risks, *_ in lives for flag in plain_standing(risks, 0.5, manner)]
    assert alarm_stands(made, 0.5, manner).tolist() == expected

    alarms, caught, false = plain_alarms(lives, manner)
    found = tally(made, 0.5, manner, PRICES)
    assert (found.alarms, found.caught, found.false_alarms) == (alarms, len(caught), false)
    assert list(found.warning_hours) == sorted(caught)
    failures = sum(failed and not np.isnan(risks).all() for risks, _, failed in lives)
    assert found.failures == failures
    assert found.cost == 100.0 * (failures - len(caught)) + 7.0 * false


def plain_alarms(lives, manner):
    """How many alarms, hours of warning of each failure caught, and how many false."""
    alarms, caught, false = 0, [], 0
    for risks, left, failed in lives:
        hours = [left + len(risks) - 1 - at for at in range(len(risks))]
        said = [at for at, risk in enumerate(risks) if not np.isnan(risk)]
        stands = plain_standing(risks, 0.5, manner)
        runs, before = [], False
        for at in said:
            if stands[at] and not before:
                runs.append([at])
            elif stands[at]:
                runs[-1].append(at)
            before = stands[at]
        alarms += len(runs)
        warned = None
        for run in runs:
            if failed and any(hours[at] <= 5.0 for at in run):
                warned = hours[run[0]]
            turns = set()
            for at in run:
                turn = (at - run[0]) // 5
                if turn not in turns and hours[at] > 5.0:
                    false += 1
                turns.add(turn)
        if warned is not None and warned >= PRICES.least_hours:
            caught.append(warned)
    return alarms, caught, false


def test_an_alarm_is_true_where_it_stands_within_the_horizon_before_the_failure():
    early = ([0.9, 0.9, *[0.0] * 10], 1, True)
    long = ([0.9] * 12, 1, True)
    late = ([0.0] * 10 + [0.9, 0.9], 1, True)

    assert tally(make_lives(early), 0.5, MANNER, PRICES).false_alarms == 1
    assert tally(make_lives(long), 0.5, MANNER, PRICES).warning_hours == (11.0,)
    assert tally(make_lives(long), 0.5, MANNER, PRICES).false_alarms == 2
    missed = tally(make_lives(late), 0.5, MANNER, PRICES)
    assert (missed.caught, missed.false_alarms, missed.missed) == (0, 0, 1)


def test_what_cannot_be_known_yet_is_not_counted():
    running = ([0.9] * 4, 2, False)

    found = find_alarms(make_lives(running), 0.5, MANNER)

    assert (found.true.sum(), len(found.false_looks), len(found.row)) == (0, 0, 1)


def test_alarms_before_a_renewal_are_neither_false_nor_right_and_counted_apart():
    soon, later = ([0.9] * 4, 2, False), ([0.9] * 4, 30, False)
    lives = make_lives(soon, later, soon)
    found = tally(replace(lives, renewed=lives.life < 2), 0.5, MANNER, PRICES)

    assert (found.caught, found.false_alarms, found.open_looks) == (0, 1, 1)
    assert found.cost == tally(lives, 0.5, MANNER, PRICES).cost


def test_an_alarm_that_always_stands_is_looked_at_once_a_horizon():
    found = tally(make_lives(([0.9] * 23, 1, True)), 0.5, MANNER, PRICES)

    assert (found.caught, found.false_alarms) == (1, 4)


def test_false_alarms_are_told_by_asset_and_month():
    calm = ([0.9, 0.9, 0.0, 0.0] + [0.0] * 727, 10, False)
    found = tally(make_lives(calm, calm), 0.5, MANNER, PRICES)

    assert found.false_a_month == pytest.approx(1.0, rel=0.01)


def make_tally(threshold, cost):
    return Tally(threshold, 1, 0, 0, 0, (), 0.0, cost)


def test_the_cheapest_threshold_is_the_middle_of_the_widest_valley():
    costs = [9, 3, 9, 5, 2, 2, 2, 2, 2, 9]
    tallies = tuple(make_tally(at / 10, cost) for at, cost in enumerate(costs))

    assert cheapest(tallies).threshold == 0.6


def test_every_threshold_is_tried():
    lives = make_lives(([0.3] * 8 + [0.9] * 4, 1, True), ([0.2] * 12, 30, False))
    tallies = sweep(lives, MANNER, PRICES)

    assert [t.threshold for t in tallies] == sorted({t.threshold for t in tallies})
    assert cheapest(tallies).cost == min(t.cost for t in tallies) == 0
    assert 0.2 < cheapest(tallies).threshold <= 0.9


def test_a_crew_looks_at_the_riskiest_of_each_week():
    lives = make_lives(
        ([0.9, 0.1], 1, True),  # week 0: fails
        ([0.8, 0.2], 50, False),  # week 0: outlives
        ([0.1, 0.7], 1, True),  # week 1: fails
        ([0.0, 0.0], 50, False),
    )
    week = np.array([0, 0, 0, 0, 1, 1, 1, 1])

    assert precision_at_capacity(lives, week=week, capacity=1) == (1.0, 2)
    assert precision_at_capacity(lives, week=week, capacity=2) == (0.5, 4)
    nothing = make_lives(([0.9], 1, False))
    assert precision_at_capacity(nothing, week=np.zeros(1, dtype=np.int64), capacity=1)[1] == 0
