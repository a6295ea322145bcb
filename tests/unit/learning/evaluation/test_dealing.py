"""Failures dealt anew: luck is told from skill as often as it says, whatever hangs together."""

import math
from dataclasses import replace

import numpy as np
import pytest
from courses import LAYOUTS, Courses, fleet, lives, one_machine, table, warned
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score

from pm_app.learning.evaluation import dealing
from pm_app.learning.evaluation.dealing import (
    CourseRows,
    DealtKinds,
    DealtPrecision,
    deal_failures,
    deal_kinds,
)

DAY_NS = 24 * 3_600_000_000_000
# Labels dealt anew that get in so often are no accident.
INCREDIBLE = 0.002


def deal(courses: Courses, score: np.ndarray | None = None, seed: int = 0) -> DealtPrecision:
    return deal_failures(
        courses.score if score is None else score,
        courses.truth,
        asset=courses.asset.astype(np.int32),
        cutoff=courses.cutoff.astype(np.int64),
        seed=seed,
    )


every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())


def require_rare(layout, *, trials):
    """Fail where more are beyond luck than an exact binomial test lets pass."""
    courses = (layout(np.random.default_rng(seed)) for seed in range(trials))
    p = np.array([deal(each).p for each in courses if each.truth.any()])
    for level in (0.01, 0.05, 0.2):
        beyond = int(np.sum(p <= level))
        assert binomtest(beyond, len(p), level, alternative="greater").pvalue > INCREDIBLE


@every_layout
def test_scores_that_know_nothing_are_beyond_luck_at_most_once_in_a_hundred(layout, monkeypatch):
    monkeypatch.setattr(dealing, "DEALS", 99)
    require_rare(layout, trials=120)


@pytest.mark.slow
@every_layout
def test_scores_that_know_nothing_are_as_seldom_beyond_luck_in_two_thousand_trials(
    layout, monkeypatch
):
    monkeypatch.setattr(dealing, "DEALS", 399)
    require_rare(layout, trials=2_000)


def test_rows_dealt_one_by_one_would_take_luck_for_skill(monkeypatch):
    """Why courses stay whole: neighbours have the same score and the same label."""
    monkeypatch.setattr(dealing, "DEALS", 99)
    careless = []
    for seed in range(50):
        each = one_machine(np.random.default_rng(seed))
        rows = np.arange(len(each.truth))
        careless.append(deal(Courses(rows, 0 * rows, each.score, each.truth)).p <= 0.01)

    assert np.mean(careless) > 0.1


@every_layout
def test_scores_that_see_failures_come_are_beyond_luck(layout):
    courses = layout(np.random.default_rng(3))

    found = deal(courses, courses.score + 5 * courses.truth)

    assert found.p <= 0.01
    assert found.found > found.needed(0.01) > np.median(found.dealt)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999), digits=st.integers(0, 3))
def test_the_true_figure_is_that_of_scikit_learn_ties_included(seed, digits):
    courses = fleet(np.random.default_rng(seed))
    score = courses.score.round(digits)

    found = deal(courses, score).found

    assert found == pytest.approx(average_precision_score(courses.truth, score))


def test_every_deal_of_one_machine_is_a_shift_and_all_are_looked_at():
    rng = np.random.default_rng(0)
    courses = one_machine(rng, rows=200)

    found = deal(courses)

    shifted = [
        average_precision_score(np.roll(courses.truth, shift), courses.score)
        for shift in range(1, 200)
    ]
    assert found.ways == 200
    np.testing.assert_allclose(found.dealt, sorted(shifted)[::-1])
    assert found.p == (1 + np.sum(np.array(shifted) >= found.found)) / 200


def test_every_deal_of_a_table_gives_the_labels_other_rows(monkeypatch):
    monkeypatch.setattr(dealing, "DEALS", 2_000)
    rng = np.random.default_rng(1)
    courses = table(rng, rows=60)
    free = [
        average_precision_score(rng.permutation(courses.truth), courses.score) for _ in range(2_000)
    ]

    found = deal(courses)

    np.testing.assert_allclose(
        np.quantile(found.dealt, [0.1, 0.5, 0.9]), np.quantile(free, [0.1, 0.5, 0.9]), rtol=0.08
    )


def test_with_fewer_than_a_hundred_deals_nothing_is_beyond_luck():
    rows = 80
    truth = warned(rows, np.array([30, 60]), 5)
    courses = Courses(np.zeros(rows, dtype=int), np.arange(rows), truth, truth)

    found = deal(courses)

    assert (found.ways, found.p) == (80, 1 / 80)
    assert found.needed(0.01) == math.inf


def test_what_is_needed_is_just_what_is_beyond_luck():
    dealt = np.linspace(1, 0, 199)

    needed = DealtPrecision(0.0, dealt, 200).needed(0.01)

    assert DealtPrecision(needed, dealt, 200).p > 0.01
    assert DealtPrecision(np.nextafter(needed, 2), dealt, 200).p <= 0.01


def test_a_storm_that_strikes_all_machines_is_one_piece_of_luck():
    """Twenty machines fail in one night, in which all scores happened to be high."""
    rng = np.random.default_rng(0)
    rows, night = 100, warned(100, np.array([60]), 5)
    asset, cutoff = np.repeat(np.arange(20), rows), np.tile(np.arange(rows), 20)
    score = np.tile(night, 20) + 0.1 * rng.normal(size=20 * rows)

    found = deal(Courses(asset, cutoff, score, np.tile(night, 20)))

    assert found.found > 0.99
    assert found.p == pytest.approx(1 / rows, abs=0.006)


def test_a_constant_score_is_never_beyond_luck():
    courses = lives(np.random.default_rng(0))

    assert deal(courses, np.zeros(len(courses.truth))).p == 1.0


def test_the_same_seed_deals_the_same():
    courses = fleet(np.random.default_rng(0))

    np.testing.assert_array_equal(deal(courses, seed=4).dealt, deal(courses, seed=4).dealt)


@every_layout
@pytest.mark.parametrize("days", [90, 120, 400, 4_000])
def test_years_of_nanoseconds_are_dealt_as_days_are(layout, days, monkeypatch):
    """A float64 holds 104 days of nanoseconds to the nanosecond."""
    monkeypatch.setattr(dealing, "DEALS", 199)
    courses = layout(np.random.default_rng(5))
    passed = courses.cutoff - courses.cutoff.min()
    few, many = (
        deal(replace(courses, cutoff=passed * (length * DAY_NS // max(int(passed.max()), 1))))
        for length in (10, days)
    )

    assert (few.found, few.ways) == (many.found, many.ways)
    assert np.median(few.dealt) == pytest.approx(np.median(many.dealt), rel=0.25)


# Rows held out at several origins, and failures of several kinds.


def deal_rows(score: np.ndarray, kind: np.ndarray, origin: np.ndarray, cutoff=None) -> DealtKinds:
    rows = np.arange(len(kind))
    asset = np.zeros(len(kind), dtype=np.int32)
    cutoff = rows if cutoff is None else cutoff
    return deal_kinds(
        score, CourseRows(kind.astype(np.int32), asset, cutoff, origin.astype(np.int32)), seed=0
    )


def test_a_refit_that_says_more_everywhere_while_more_fails_has_no_skill():
    """Two thirds of all failures are at the origin whose scores are all higher."""
    rng = np.random.default_rng(0)
    few, many = warned(300, np.array([60, 200]), 8), warned(300, np.arange(60, 300, 40), 20)
    truth, origin = np.concatenate([few, many]), np.repeat([0, 1], 300)
    score = 5 * origin + rng.normal(size=600)

    together = deal_rows(score, truth, 0 * origin)
    apart = deal_rows(score, truth, origin)

    assert together.of(0).found == apart.of(0).found
    assert np.median(apart.of(0).dealt) > 1.2 * np.median(together.of(0).dealt)
    assert apart.of(0).p > 0.1


def test_two_origins_tell_skill_that_neither_tells_alone():
    truth = np.tile(warned(60, np.array([50]), 4), 2)
    origin, score = np.repeat([0, 1], 60), truth + 0

    alone = deal_rows(score[:60], truth[:60], origin[:60])

    assert alone.of(0).p == 1 / 60
    assert deal_rows(score, truth, origin).of(0).p <= 0.01


def test_kinds_are_dealt_together_and_told_apart():
    """Of two kinds of failures one is seen coming."""
    rows = 800
    seen, unseen = (warned(rows, np.arange(first, rows, 160), 10) for first in (60, 140))
    score = seen + 0.3 * np.random.default_rng(2).random(rows)

    found = deal_rows(score, seen + 2 * unseen, np.zeros(rows))

    assert found.of(1).p <= 0.01 < 0.05 < found.of(2).p
    assert found.of(0).found < found.of(1).found == 1.0


def test_several_chances_are_paid_for_and_one_is_not():
    rng = np.random.default_rng(0)
    deals = DealtKinds(rng.normal(size=(5, 1000)), 1000)

    assert deals.level(0.01, [0]) == 0.01
    assert 0.001 <= deals.level(0.01, range(5)) <= 0.003
    assert DealtKinds(np.tile(deals.precision[:1], (5, 1)), 9).level(0.01, range(5)) == 0.01
    reached = np.mean(
        [
            min(np.mean(each >= each[at]) for each in deals.precision)
            <= deals.level(0.01, range(5))
            for at in range(1000)
        ]
    )
    assert reached <= 0.01
