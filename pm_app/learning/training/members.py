"""Members of a version: what each answers to rows it has not seen, and how that is judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pm_app.learning.data.targets import Rows
from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.calibration import (
    calibrate,
    event_truths,
    event_weights,
    match_siblings,
)
from pm_app.learning.evaluation.metrics import (
    best_threshold,
    constant_scores,
    evaluate,
    risk_bins,
)
from pm_app.learning.evaluation.reliance import measure_reliance
from pm_app.learning.training.crossfit import Folds, newest_blocks
from pm_app.learning.training.fit import spread_rows
from pm_app.records.labels import Labels
from pm_app.records.learning import Bin, Calibration, Head, QualityReport
from pm_app.records.readings import Float32, Float64
from pm_app.records.scores import (
    Curves,
    Scores,
    calibrated_log_odds,
    logit,
    raw_risk,
    scores_of,
    sigmoid,
)

# More test rows tell no better how far models stand apart.
_COMPARED_ROWS = 4_000

# Raw features (n, n_features) to what a head's outputs mean, (n, outputs).
Answers = Callable[[Float32], Float32]


@dataclass(frozen=True, eq=False)
class FoldAnswers:
    """Answers of a fold's model: to the rows held out of it, and to test rows, which all are asked.

    Both (n_rows, outputs).
    """

    held_out: Float32
    compared: Float32


@dataclass(frozen=True, eq=False)
class Member:
    """A model as it learned from the training rows, from those of each fold, and from all rows
    but the test.

    The first two have not seen what they are asked; the last is published. folds: in the order of
    `Folds.taught`. parameters: of a network. mode_shares: what is published says of modes, as
    `Predictor.mode_shares` has it; None without modes.
    """

    name: str
    judged: Answers
    whole: Answers
    folds: tuple[FoldAnswers, ...]
    parameters: int | None = None
    mode_shares: Answers | None = None

    def shares(self, values: Float32) -> Float32 | None:
        """Shares of modes in what happens in each span, (n, outputs, modes); None without modes."""
        return None if self.mode_shares is None else self.mode_shares(values)

    @property
    def held_out(self) -> Float32:
        """Answers to `Folds.rows`, each by the model that has not seen its life."""
        return np.concatenate([fold.held_out for fold in self.folds])

    def as_published(self, task: LearningTask) -> Curves:
        """`held_out`, but for level and spread, which are those of what is published."""
        if task.head.kind == "regression":
            return self.held_out
        published = self.whole(_compared_values(task))
        matched: list[Float64] = [
            match_siblings(each.held_out, each.compared, published) for each in self.folds
        ]
        return np.concatenate(matched)


def ask_folds(
    task: LearningTask, folds: Folds, models: Sequence[Answers]
) -> tuple[FoldAnswers, ...]:
    """What the model of each fold answers."""
    values, compared = task.frame.values, _compared_values(task)
    return tuple(
        FoldAnswers(answer(values[rows]), answer(compared))
        for answer, rows in zip(models, folds.held_out, strict=True)
    )


def _compared_values(task: LearningTask) -> Float32:
    return task.frame.values[spread_rows(task.split.test, _COMPARED_ROWS)]


def judge_member(
    task: LearningTask, member: Member, folds: Folds
) -> tuple[Calibration, QualityReport]:
    """What corrects a member's answers, and its figures on the test rows.

    One that tells no modes apart is not asked for them.
    """
    if member.mode_shares is None:
        task = replace(task, head=replace(task.head, modes=()))
    frame, labels, head, split = task.frame, task.labels, task.head, task.split
    rows, output = folds.rows, member.as_published(task)
    block = newest_blocks(task, rows)
    outcomes = folds.labels_of(task)
    calibration = calibrate(output, outcomes, rows, head, group=folds.unit[rows], block=block)
    threshold = None
    if head.kind == "classification":
        chosen = rows if folds.crossed else split.validation
        seen = output if folds.crossed else member.judged(frame.values[chosen])
        threshold = _threshold(seen, labels, chosen, head, calibration)
    elif head.modes:
        threshold = _threshold(output, outcomes, rows, head, calibration)
    test = frame.values[split.test]
    scores = scores_of(member.whole(test), head, calibration, member.shares(test))
    metrics = _measure(task, scores, threshold)
    bins: tuple[Bin, ...] = ()
    if head.kind != "regression":
        truth = event_truths(labels, split.test, head)[:, -1]
        bins = risk_bins(scores.risk[:, -1], truth, event_weights(labels, split.test, head)[-1])
    return calibration, QualityReport(member.name, member.parameters, metrics, bins)


def _threshold(
    output: Curves, labels: Labels, rows: Rows, head: Head, calibration: Calibration
) -> float | None:
    """The risk at the longest horizon from which a row is best called; None where none fails."""
    truth = event_truths(labels, rows, head)[:, -1]
    risk = scores_of(output, head, calibration).risk[:, -1]
    labelled = np.isfinite(truth)
    if not truth[labelled].any():
        return None
    return best_threshold(risk[labelled], truth[labelled])


def constant_report(task: LearningTask) -> QualityReport:
    """Figures of a constant guess, which names the most frequent mode of every failure."""
    threshold = 0.0 if task.head.modes else None
    return QualityReport("constant guess", None, _measure(task, constant_scores(task), threshold))


def reliance_of(task: LearningTask, member: Member, *, seed: int) -> tuple[float, ...]:
    """As `VersionCard.reliance`, on rows the judged member has not seen."""
    unseen: Rows = np.concatenate([task.split.calibration, task.split.test])
    return measure_reliance(task, member.judged, unseen, seed=seed)


def usual_risk_of(task: LearningTask, spread: float | None) -> float | None:
    """The share of failures within the longest horizon, more by as much as trainings of one plan
    differ: a risk up to this does not stand out."""
    if spread is None:
        return None
    base = constant_scores(task).risk[:1, -1]
    return float(sigmoid(logit(base) + spread)[0])


def spread_of(task: LearningTask, member: Member, calibration: Calibration) -> float | None:
    """By how much what is published differs from the same trained on part of the rows: log-odds at
    the longest horizon, median of the test rows. None of a regressed value."""
    if task.head.kind == "regression":
        return None
    whole, *others = (
        calibrated_log_odds(raw_risk(answered, task.head), calibration)[:, -1]
        for answered in (
            member.whole(_compared_values(task)),
            *(fold.compared for fold in member.folds),
        )
    )
    return float(np.median([np.abs(other - whole) for other in others]))


def _measure(
    task: LearningTask, scores: Scores, threshold: float | None = None
) -> dict[str, float]:
    test = task.split.test
    asset = task.frame.asset[test]
    return evaluate(scores, task.labels, test, task.head, asset=asset, threshold=threshold)
