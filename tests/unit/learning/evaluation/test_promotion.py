import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss

from pm_app.learning.evaluation.promotion import HeldOutRows, PromotionDecision, judge

ASSETS, ROWS = 30, 40


def make_rows(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups of assets whose last rows come before a failure."""
    rng = np.random.default_rng(seed)
    warned = rng.integers(2, 12, size=ASSETS)
    labels = (np.arange(ROWS) >= ROWS - warned[:, None]).astype(float).ravel()
    return labels, np.repeat(np.arange(ASSETS), ROWS).astype(np.int32)


def guess(labels: np.ndarray, *, sharpness: float, seed: int) -> np.ndarray:
    """Risks that see the labels through noise: the sharper the better, and calibrated."""
    rng = np.random.default_rng(seed)
    signal = sharpness * (labels - 0.5) + rng.normal(size=len(labels))
    prior = np.log(labels.mean() / (1 - labels.mean()))
    return 1 / (1 + np.exp(-(sharpness * signal + prior)))


def decide(
    challenger: np.ndarray, champion: np.ndarray, *, verdict: str = "keep", seed: int = 0
) -> PromotionDecision:
    labels, groups = make_rows()
    return judge(
        challenger, champion, HeldOutRows(labels, groups, ranks=True, seed=seed), verdict=verdict
    )


def too_loud(order: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The same order at risks so exaggerated that their Brier score is a constant guess's."""
    apart = order - order.mean()
    return labels.mean() + 2 * np.mean(apart * labels) / np.mean(apart**2) * apart


@pytest.mark.parametrize("verdict", ["keep", "refit", "rebuild"])
def test_a_worse_challenger_is_kept_out_whatever_was_asked_for(verdict):
    labels, _ = make_rows()
    good, bad = guess(labels, sharpness=3, seed=1), guess(labels, sharpness=1, seed=2)

    result = decide(bad, good, verdict=verdict)

    assert not result.promote
    assert "worse than the champion: average precision" in result.reason


def test_a_better_challenger_is_promoted():
    labels, _ = make_rows()
    good, bad = guess(labels, sharpness=3, seed=1), guess(labels, sharpness=1, seed=2)

    result = decide(good, bad)

    assert result.promote
    assert "better than the champion" in result.reason


@pytest.mark.parametrize(("verdict", "promote"), [("keep", False), ("refit", True)])
def test_an_equal_challenger_is_promoted_only_where_it_was_wanted(verdict, promote):
    labels, _ = make_rows()
    risk = guess(labels, sharpness=2, seed=1)

    assert decide(risk, risk, verdict=verdict).promote is promote


def test_equals_are_rarely_told_apart():
    labels, _ = make_rows()

    verdicts = [
        decide(
            guess(labels, sharpness=2, seed=2 * trial),
            guess(labels, sharpness=2, seed=2 * trial + 1),
        )
        for trial in range(20)
    ]

    assert np.mean([result.promote for result in verdicts]) <= 0.05


def test_a_better_order_alone_does_not_replace_a_champion():
    labels, _ = make_rows()
    flat = np.full(len(labels), labels.mean())

    result = decide(too_loud(guess(labels, sharpness=0.8, seed=1), labels), flat)

    assert [(one.better, one.worse) for one in result.comparisons] == [
        (True, False),
        (False, False),
    ]
    assert result.reason.startswith("kept out: better than the champion by average precision alone")


def test_unlabelled_rows_change_nothing():
    labels, groups = make_rows()
    risk, other = guess(labels, sharpness=2, seed=1), guess(labels, sharpness=1, seed=2)
    more = np.append(labels, [np.nan] * 5)

    result = judge(
        np.append(risk, [0.9] * 5),
        np.append(other, [0.1] * 5),
        HeldOutRows(more, np.append(groups, [0] * 5).astype(np.int32), ranks=True),
        verdict="keep",
    )

    assert result == decide(risk, other)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 999))
def test_the_figures_are_those_of_scikit_learn(seed):
    labels, _ = make_rows()
    risk, other = guess(labels, sharpness=1, seed=seed), guess(labels, sharpness=1, seed=seed + 1)

    precision, brier = decide(risk, other).comparisons

    assert precision.challenger == pytest.approx(average_precision_score(labels, risk))
    assert brier.other == pytest.approx(brier_score_loss(labels, other))
    assert precision.low <= precision.gain <= precision.high


def test_a_handful_of_groups_cannot_tell_noise():
    labels, groups = make_rows()
    risk, other = guess(labels, sharpness=3, seed=1), guess(labels, sharpness=1, seed=2)

    result = judge(
        risk, other, HeldOutRows(labels, (groups % 4).astype(np.int32), ranks=True), verdict="keep"
    )

    assert not result.promote
    assert result.comparisons[0].high == np.inf


def test_labels_of_one_class_are_judged_by_brier_alone():
    labels, groups = make_rows()
    quiet = np.zeros_like(labels)

    result = judge(
        quiet + 0.01, quiet + 0.2, HeldOutRows(quiet, groups, ranks=True), verdict="keep"
    )

    assert result.promote
    assert [one.measure for one in result.comparisons] == ["Brier score"]


def test_nothing_to_judge_by_keeps_the_challenger_out():
    labels, groups = make_rows()

    result = judge(labels, labels, HeldOutRows(labels * np.nan, groups, ranks=True), verdict="keep")

    assert not result.promote
    assert "no held-out row has a label" in result.reason


def test_a_regressed_column_is_judged_by_its_error():
    rng = np.random.default_rng(0)
    _, groups = make_rows()
    truth = rng.normal(size=len(groups))

    def against(champion: np.ndarray) -> PromotionDecision:
        return judge(
            truth + 0.2 * rng.normal(size=len(truth)),
            champion,
            HeldOutRows(truth, groups, ranks=False),
            verdict="keep",
        )

    assert against(truth + rng.normal(size=len(truth))).promote
    assert not against(truth).promote
    assert "RMSE" in against(truth).reason


def test_a_row_that_stands_for_another_counts_as_two():
    labels, groups = make_rows()
    risks = [guess(labels, sharpness=sharpness, seed=1) for sharpness in (1.5, 1.0)]
    times = np.random.default_rng(6).integers(1, 3, len(labels))
    heavy = HeldOutRows(labels, groups, ranks=True, weights=times.astype(float))
    many = HeldOutRows(np.repeat(labels, times), np.repeat(groups, times), ranks=True)
    found = judge(*risks, heavy, verdict="keep").comparisons
    twice = judge(*(np.repeat(risk, times) for risk in risks), many, verdict="keep").comparisons

    for one, other in zip(found, twice, strict=True):
        ours, theirs = ((c.challenger, c.other, c.low, c.high) for c in (one, other))
        assert ours == pytest.approx(theirs)
