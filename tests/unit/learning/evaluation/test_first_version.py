"""A first version gets in by skill: not by luck, not for want of failures to prove it further."""

import numpy as np
import pytest
from courses import LAYOUTS, Courses, fleet, four_machines, one_machine, table, warned
from scipy.stats import binomtest

from pm_app.learning.data.labels import number_distinct
from pm_app.learning.evaluation import dealing, first_version, promotion
from pm_app.learning.evaluation.first_version import FirstVersionRows, judge_first
from pm_app.learning.evaluation.promotion import HeldOutRows, PromotionDecision


def judged(
    courses: Courses, risk: np.ndarray, *, guess: float | None = None, ranks: bool = True
) -> PromotionDecision:
    """The decision; groups are runs of like labels, as spells of warning are in a plant."""
    spell = np.cumsum(np.diff(courses.truth, prepend=0) != 0)
    first = FirstVersionRows(
        courses.asset.astype(np.int32),
        courses.cutoff.astype(np.int64),
        float(courses.truth.mean()) if guess is None else guess,
    )
    group = number_distinct(courses.asset, spell)
    return judge_first(risk, HeldOutRows(courses.truth, group, ranks), first)


def foreseen(*, failures: int = 3, false_alarms: int = 2) -> tuple[Courses, np.ndarray]:
    """A year of a machine that fails in 4 % of its rows, and loud risks with false alarms."""
    rows, horizon = 900, 12
    truth = warned(rows, np.linspace(150, 850, failures).astype(int), horizon)
    alarms = warned(rows, np.linspace(60, 780, false_alarms).astype(int), horizon)
    late = warned(rows, np.linspace(150, 850, failures).astype(int), horizon - 4)
    risk = np.clip(0.97 * late + 0.96 * alarms, 0.001, 1)
    risk += 1e-4 * np.random.default_rng(0).random(rows)
    return Courses(np.zeros(rows, dtype=int), np.arange(rows), risk, truth), risk


def test_a_version_that_ranks_far_beyond_luck_gets_in_though_its_brier_score_proves_nothing():
    courses, risk = foreseen()

    result = judged(courses, risk)

    precision, brier = result.comparisons
    assert 0.6 < precision.challenger < 0.9 and courses.truth.mean() == pytest.approx(0.04)
    assert not brier.better and not brier.worse
    assert result.promote
    assert result.reason.startswith("promoted: first version, beyond luck: average precision 0.")


def test_a_version_that_ranks_no_better_than_luck_may_is_told_what_it_needs():
    courses = fleet(np.random.default_rng(1))
    risk = 1 / (1 + np.exp(-courses.score))

    result = judged(courses, risk * courses.truth.mean() / risk.mean())

    assert not result.promote
    assert "kept out: ranks failures no better than luck may" in result.reason
    assert " needed (99 % of failures dealt anew reach no more; half of them 0." in result.reason


def test_risks_farther_off_than_a_guess_keep_the_best_order_out():
    courses = fleet(np.random.default_rng(1))
    order = courses.truth + 0.1 * np.abs(courses.score)

    result = judged(courses, 0.5 + 0.4 * order / order.max())

    assert not result.promote
    assert "its risks are farther off than a constant guess" in result.reason
    assert "luck" not in result.reason.partition(":")[2].partition(":")[0]


def test_risks_that_hardly_differ_keep_the_best_order_out():
    courses = fleet(np.random.default_rng(1))

    def flat(claim: float) -> PromotionDecision:
        """Risks in the true order, of this share of the variance of outcomes."""
        guess = courses.truth.mean()
        return judged(courses, guess + np.sqrt(claim) * (courses.truth - guess))

    assert flat(1.05 * first_version.LEAST_CLAIM).promote
    assert not flat(0.95 * first_version.LEAST_CLAIM).promote
    assert "its risks hardly differ (" in flat(0.001).reason


def test_too_few_ways_to_deal_are_told_with_how_many_are_needed():
    rows = 80
    truth = warned(rows, np.array([30, 60]), 5)
    courses = Courses(np.zeros(rows, dtype=int), np.arange(rows), truth, truth)

    result = judged(courses, truth)

    assert not result.promote
    assert (
        "the held-out failures can be dealt in 80 ways, 100 needed to tell skill" in result.reason
    )


def let_in(layout, *, trials: int) -> int:
    """How many versions are promoted whose risks know nothing of the failures."""
    promoted = 0
    for seed in range(trials):
        courses = layout(np.random.default_rng(1_000 + seed))
        risk = np.clip(courses.truth.mean() * np.exp(courses.score - 0.5), 0, 1)
        promoted += judged(courses, risk).promote
    return promoted


def test_labels_that_nobody_can_foresee_let_a_version_in_at_most_once_in_a_hundred(monkeypatch):
    monkeypatch.setattr(dealing, "DEALS", 99)
    monkeypatch.setattr(promotion, "RESAMPLINGS", 20)

    promoted = sum(let_in(layout, trials=40) for layout in LAYOUTS.values())

    assert binomtest(promoted, 200, 0.01, alternative="greater").pvalue > 0.002


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_labels_that_nobody_can_foresee_are_as_rare_in_a_thousand_trials(layout):
    promoted = let_in(layout, trials=1_000)

    assert binomtest(promoted, 1_000, 0.01, alternative="greater").pvalue > 0.002


def test_the_guess_is_what_training_saw_and_not_what_came():
    courses = four_machines(np.random.default_rng(5))
    risk = np.full(len(courses.truth), 0.3)

    (_, far), (_, near) = (
        judged(courses, risk, guess=guess).comparisons for guess in (0.9, courses.truth.mean())
    )

    assert far.gain > 0 > near.gain


@pytest.mark.parametrize("label", [np.nan, 0.0], ids=["without labels", "without failures"])
def test_rows_that_cannot_judge_keep_it_out_and_say_so(label):
    courses = table(np.random.default_rng(0))
    empty = Courses(courses.asset, courses.cutoff, courses.score, 0 * courses.truth + label)

    result = judged(empty, courses.score, guess=0.1)

    assert not result.promote
    assert "no held-out row has a label" in result.reason or "both needed" in result.reason


def test_unlabelled_rows_of_a_first_version_change_nothing():
    courses = one_machine(np.random.default_rng(0))
    risk = 0.9 * courses.truth + 0.05
    more = Courses(
        *(np.append(values, [values[-1]] * 5) for values in (courses.asset, courses.cutoff)),
        courses.score,
        np.append(courses.truth, [np.nan] * 5),
    )

    assert judged(more, np.append(risk, [0.9] * 5), guess=0.2) == judged(courses, risk, guess=0.2)


@pytest.mark.parametrize(
    ("noise", "groups", "reason"),
    [
        (0.2, 30, "promoted: first version, beats a constant guess: RMSE"),
        (5.0, 30, "kept out: no better than a constant guess: RMSE"),
        (0.2, 4, "kept out: held-out rows of 4 machines or spells, 5 needed: RMSE"),
    ],
)
def test_a_first_version_of_a_value_has_to_be_nearer_than_the_mean(noise, groups, reason):
    rng = np.random.default_rng(0)
    truth, rows = rng.normal(size=300), np.arange(300)
    first = FirstVersionRows(rows.astype(np.int32), 0 * rows, 0.0)
    held_out = HeldOutRows(truth, (rows % groups).astype(np.int32), ranks=False)

    result = judge_first(truth + noise * rng.normal(size=300), held_out, first)

    assert result.reason.startswith(reason)
