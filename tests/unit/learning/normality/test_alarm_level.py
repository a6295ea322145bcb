"""Alarm levels of deviations: episodes as alarms are raised, and the budget on time unseen."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from pm_app.learning.normality.level import AlarmTerms, QuietScores, episode_starts, find_level


def quiet_scores(assets=5, hours=24 * 60, memory=6.0, seed=0):
    """Scores that wander: as many an asset, an hour apart."""
    rng = np.random.default_rng(seed)
    keep = np.exp(-1 / memory)
    noise = rng.normal(size=(4, assets, hours)) * np.sqrt(1 - keep**2)
    score = np.sqrt((lfilter([1], [1, -keep], noise, axis=2) ** 2).sum(axis=0))
    asset = np.repeat(np.arange(assets), hours).astype(np.int32)
    cutoff = np.tile(np.arange(hours, dtype=np.int64) * 3_600 * 10**9, assets)
    return QuietScores(asset, cutoff, score.ravel(), 1.0)


def raised_slowly(scores, level, terms):
    """Rows at which alarms are raised, one row after the other."""
    found = []
    for asset in np.unique(scores.asset):
        rows, stands, high, low = np.flatnonzero(scores.asset == asset), False, 0, 0
        for row in rows.tolist():
            high = high + 1 if scores.score[row] >= level else 0
            low = low + 1 if scores.score[row] < terms.clear * level else 0
            if high >= terms.persistence:
                found += [] if stands else [row]
                stands = True
            elif low >= terms.persistence:
                stands = False
    return found


@given(
    values=st.lists(st.integers(0, 9), min_size=1, max_size=60),
    persistence=st.integers(1, 3),
    clear=st.sampled_from([0.5, 0.8, 1.0]),
)
def test_episodes_are_counted_as_alarms_are_raised(values, persistence, clear):
    score = np.array(values, dtype=float)
    asset = (np.arange(len(score)) * 2 // len(score)).astype(np.int32)
    scores = QuietScores(asset, np.arange(len(score), dtype=np.int64), score, 1.0)
    terms = AlarmTerms(0.01, persistence, clear)

    assert episode_starts(scores, 6.0, terms).tolist() == raised_slowly(scores, 6.0, terms)


@pytest.mark.parametrize("per_hour", [1 / 100, 1 / 1000])
def test_a_budget_is_kept_on_time_that_set_no_level(per_hour):
    terms = AlarmTerms(per_hour, 2, 0.8)
    found = []
    for seed in range(10):
        level = find_level(quiet_scores(seed=seed), terms, seed=0)
        later = quiet_scores(seed=100 + seed)
        found.append(len(episode_starts(later, level.score, terms)) / (later.hours * per_hour))
        assert level.low <= level.score <= level.high

    assert 0.6 < np.mean(found) < 1.4


def test_fewer_false_alarms_take_a_higher_level_and_a_longer_history():
    scores = quiet_scores()
    levels = [
        find_level(scores, AlarmTerms(1 / h, 2, 0.8), seed=0) for h in (50, 500, 5000, 50_000)
    ]

    assert [each.score for each in levels] == sorted(each.score for each in levels)
    assert [each.cautious for each in levels] == [False, False, True, True]
    assert levels[-1].score == levels[-1].high
    assert "needs" in levels[-1].reason and "healthy time" in levels[0].reason


def with_faults(scores, every_hours):
    """Each asset grows unusual for two days, and is repaired, so often."""
    score, hour = scores.score.copy(), (scores.cutoff // (3_600 * 10**9)) % every_hours
    grows = hour >= every_hours - 48
    score[grows] *= 1.0 + 4.0 * (hour[grows] - (every_hours - 48)) / 48
    return replace(scores, score=score)


def test_faults_that_nobody_told_of_do_not_set_the_level():
    terms = AlarmTerms(1 / 2000, 2, 0.8)
    clean = find_level(quiet_scores(), terms, seed=0)
    dirty = with_faults(quiet_scores(), 24 * 20)
    found = find_level(dirty, terms, seed=0)

    assert clean.faults == 0
    assert found.faults == pytest.approx(15, abs=3)
    assert found.cautious and found.score == found.high
    assert clean.score <= found.score < 1.6 * clean.score
    assert "episodes that look like faults" in found.reason and "tell of events" in found.reason
    assert len(episode_starts(dirty, found.score, terms)) >= 12


@pytest.mark.parametrize("seed", range(8))
def test_what_wanders_by_itself_is_no_fault(seed):
    assert find_level(quiet_scores(seed=seed), AlarmTerms(1 / 2000, 2, 0.8), seed=0).faults == 0


def test_what_comes_every_few_days_is_a_way_of_running():
    often = with_faults(quiet_scores(), 24 * 4)

    assert find_level(often, AlarmTerms(1 / 2000, 2, 0.8), seed=0).faults == 0


def test_a_history_of_hours_still_has_a_level():
    level = find_level(quiet_scores(assets=1, hours=40), AlarmTerms(1 / 2000, 2, 0.8), seed=0)

    assert level.cautious
    assert np.isfinite(level.score) and level.score > 0
