"""Held-out failures are pooled over origins until there are enough; versions have known scores."""

from dataclasses import replace

import numpy as np
import pytest
from factories import SPEC, task_of

from pm_app.learning.data.origins import Origin
from pm_app.learning.dataset import Dataset, LearningTask
from pm_app.learning.evaluation import dealing, promotion
from pm_app.learning.evaluation.first_version import judge_first
from pm_app.learning.evaluation.promotion import PromotionDecision, judge
from pm_app.learning.rolling import (
    ENOUGH_FAILURES,
    AskedRows,
    ask_earlier,
    first_version_rows,
    held_out_rows,
)
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Head
from pm_app.times import HOUR_NS

HORIZON, LIFE, PUMPS = 6.0, 40, 3
NOTHING = np.zeros(0, dtype=np.intp)


def make_plant(*, lives: int, tested: int) -> tuple[Dataset, LearningTask]:
    """Pumps that run side by side from failure to failure, the last `tested` lives held out."""
    hours = lives * LIFE
    asset = np.repeat(np.arange(PUMPS, dtype=np.int32), hours)
    clock = np.tile(np.arange(hours), PUMPS) + 13 * asset
    life = (clock // LIFE + 100 * asset).astype(np.int32)
    left = (LIFE - clock % LIFE).astype(float)
    cutoff = np.tile(np.arange(hours), PUMPS) * HOUR_NS
    every = np.ones(len(asset), dtype=bool)
    # The lives that the record cuts off go on.
    fails = cutoff + left * HOUR_NS <= hours * HOUR_NS
    labels = Labels(left, fails, left * np.nan, every, life)
    frame = Frame(("a", "b", "c"), asset, cutoff, (), (), np.empty((len(asset), 0), np.float32))
    border = (lives - tested) * LIFE * HOUR_NS
    learned = np.flatnonzero(cutoff + HORIZON * HOUR_NS < border)
    split = Split(learned, NOTHING, NOTHING, np.flatnonzero(cutoff >= border), life, "by time")
    codes = np.where(asset == 2, "electrical", "bearing").astype(object)
    dataset = Dataset(SPEC, frame, labels, (), codes=np.where(fails, codes, ""))
    head = Head("hazard", (HORIZON,), (HORIZON,))
    return dataset, task_of(frame, labels, split, "life", (HORIZON,), head)


class Version:
    """Answers with the truth blurred by noise, and keeps the origins it was made anew at.

    blind: assets whose failures it does not see come; unlucky: nor those after this hour.
    """

    def __init__(
        self, dataset: Dataset, *, blind: tuple[int, ...] = (), unlucky: float = np.inf, seed=0
    ):
        truth = dataset.labels.fails_within(HORIZON) == 1.0
        frame = dataset.frame
        seen = truth & ~np.isin(frame.asset, blind) & (frame.cutoff < unlucky * HOUR_NS)
        noise = np.random.default_rng(seed).random(len(truth))
        self.risk = np.where(seen, 0.6, 0.02) + 0.05 * noise
        self.origins: list[Origin] = []

    def __call__(self, origin: Origin) -> np.ndarray:
        self.origins.append(origin)
        return self.risk[origin.held_out]


def truth_of(dataset: Dataset) -> np.ndarray:
    return dataset.labels.fails_within(HORIZON)


def pool(dataset, task, version: Version, truth=None) -> list[AskedRows]:
    test = task.split.test
    truth = truth_of(dataset) if truth is None else truth
    newest = AskedRows(test, version.risk[test], 0.15)
    return [newest, *ask_earlier(dataset, task, truth, version)]


def first(dataset, task, version: Version) -> PromotionDecision:
    asked = pool(dataset, task, version)
    risk = np.concatenate([each.risk for each in asked])
    rows = held_out_rows(task, asked, truth_of(dataset), seed=0)
    return judge_first(risk, rows, first_version_rows(dataset, task, asked))


def failures_in(dataset: Dataset, asked: list[AskedRows], truth: np.ndarray) -> int:
    rows = np.concatenate([each.rows for each in asked])
    return len(np.unique(dataset.labels.life[rows][truth[rows] == 1.0]))


@pytest.mark.parametrize(("tested", "refits"), [(1, 3), (2, 2), (3, 1), (4, 0)])
def test_a_version_is_made_anew_only_until_enough_failures_are_held_out(tested, refits):
    dataset, task = make_plant(lives=16, tested=tested)
    version = Version(dataset)

    asked = pool(dataset, task, version)

    assert len(version.origins) == refits
    assert failures_in(dataset, asked, truth_of(dataset)) >= ENOUGH_FAILURES
    rows = np.concatenate([each.rows for each in asked])
    assert len(np.unique(rows)) == len(rows)
    for each, origin in zip(asked[1:], version.origins, strict=True):
        learned = truth_of(dataset)[origin.learned]
        assert each.guess == pytest.approx(np.mean(learned), abs=0.03)


def test_one_unlucky_month_decides_nothing():
    dataset, task = make_plant(lives=16, tested=1)
    unlucky = Version(dataset, unlucky=15 * LIFE)
    test = [AskedRows(task.split.test, unlucky.risk[task.split.test], 0.15)]
    rows = held_out_rows(task, test, truth_of(dataset), seed=0)

    alone = judge_first(test[0].risk, rows, first_version_rows(dataset, task, test))

    assert "ranks failures no better than luck may" in alone.reason
    pooled = first(dataset, task, unlucky)
    assert pooled.promote, pooled.reason
    assert " failures at 4 origins" in pooled.reason


def test_no_champion_s_lesson_is_evidence_at_any_origin():
    dataset, task = make_plant(lives=16, tested=1)
    learned = dataset.frame.cutoff < 13 * LIFE * HOUR_NS
    truth = np.where(learned, np.nan, truth_of(dataset))
    version = Version(dataset)

    asked = pool(dataset, task, version, truth)

    assert version.origins
    assert all(origin.held_out.size for origin in version.origins)
    assert not any(learned[origin.held_out].any() for origin in version.origins)
    assert failures_in(dataset, asked, truth) < ENOUGH_FAILURES


def test_a_champion_and_its_challenger_are_compared_where_neither_learned():
    dataset, task = make_plant(lives=16, tested=1)
    learned = dataset.frame.cutoff < 12 * LIFE * HOUR_NS
    truth = np.where(learned, np.nan, truth_of(dataset))
    better, worse = Version(dataset), Version(dataset, blind=(0, 1))
    asked = pool(dataset, task, better, truth)
    held_out = held_out_rows(task, asked, truth, seed=0)
    rows = np.concatenate([each.rows for each in asked])
    sides = np.concatenate([each.risk for each in asked]), worse.risk[rows]

    assert judge(*sides, held_out, verdict="keep").promote
    assert not judge(*sides[::-1], held_out, verdict="refit").promote


def test_failures_of_a_code_that_nothing_announces_are_told_and_not_held_against_it():
    dataset, task = make_plant(lives=16, tested=4)

    result = first(dataset, task, Version(dataset, blind=(2,)))

    assert result.promote, result.reason
    assert "8 of 12 failures; 4 of code electrical came without warning" in result.reason


def test_nobody_is_told_of_codes_where_all_are_announced_or_all_are_the_same():
    dataset, task = make_plant(lives=16, tested=4)
    alike = replace(dataset, codes=np.where(dataset.codes != "", "pump", "").astype(object))

    for each in (dataset, alike, replace(dataset, codes=dataset.codes[:0])):
        result = first(each, task, Version(dataset))
        assert result.promote
        assert result.reason.endswith(", 12 failures")


def test_a_version_that_sees_nothing_come_is_kept_out_whatever_the_codes():
    dataset, task = make_plant(lives=16, tested=1)

    result = first(dataset, task, Version(dataset, blind=(0, 1, 2)))

    assert not result.promote
    assert "ranks failures no better than luck may" in result.reason


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_tables_have_one_origin(kind):
    dataset, task = make_plant(lives=16, tested=1)
    version = Version(dataset)

    assert ask_earlier(dataset, replace(task, kind=kind), truth_of(dataset), version) == []
    assert version.origins == []


def test_scores_that_know_nothing_get_in_over_origins_at_most_once_in_a_hundred(monkeypatch):
    monkeypatch.setattr(dealing, "DEALS", 99)
    monkeypatch.setattr(promotion, "RESAMPLINGS", 20)
    dataset, task = make_plant(lives=16, tested=1)
    promoted = 0
    for seed in range(40):
        version = Version(dataset, blind=(0, 1, 2), seed=seed)
        rng = np.random.default_rng(seed)
        slow = rng.normal(size=(PUMPS, 16 * LIFE // 4)).cumsum(axis=1).repeat(4, axis=1)
        version.risk = 1 / (1 + np.exp(2 - 0.2 * slow.ravel()))
        promoted += first(dataset, task, version).promote

    assert promoted <= 1


def test_what_the_very_version_would_score_is_asked_by_itself_too():
    """Refits that had learned less see nothing; the version that would score sees all."""
    dataset, task = make_plant(lives=16, tested=3)
    version = Version(dataset)
    version.risk = np.where(
        dataset.frame.cutoff < 13 * LIFE * HOUR_NS, version.risk[::-1], version.risk
    )

    result = first(dataset, task, version)

    assert result.promote
    assert "average precision of the newest 1, more than 0." in result.reason
