"""Members of a version: the network, the forest beside it, and the pool of both, each judged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

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
from pm_app.learning.pool.forest import Forest, fit_forest
from pm_app.learning.pool.graph import mix_answers, mix_shares
from pm_app.learning.pool.shares import FOREST_REPORT, NETWORK, POOL_REPORT, weigh_members
from pm_app.learning.training.crossfit import Folds, newest_blocks
from pm_app.learning.training.fit import spread_rows
from pm_app.learning.training.losses import row_losses
from pm_app.records.labels import Labels
from pm_app.records.learning import Bin, Calibration, Head, Pool, QualityReport
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


@dataclass(frozen=True, eq=False)
class Pooled:
    """Who answers in a version: `speaker` is the pool or the member that answers alone.

    forest: the published one, None where it has no share. beside: the members that are reported
    beside the speaker.
    """

    speaker: Member
    beside: tuple[Member, ...]
    pool: Pool | None
    forest: Forest | None


def grow_forest(task: LearningTask, folds: Folds, *, seed: int) -> tuple[Forest, Member]:
    """The forest of all rows that teach, and as a member: grown on those of each fold as well."""
    judged = fit_forest(task, task.split.train, seed=seed)
    every, taught = task.of_all_rows, folds.taught if folds.crossed else ()
    whole = fit_forest(every, task.split.learned, seed=seed)
    crossed = [fit_forest(every, rows, seed=seed) for rows in taught] or [judged]
    asked, modes = ask_folds(task, folds, crossed), whole.mode_shares if whole.modes else None
    return whole, Member(FOREST_REPORT, judged, whole, asked, mode_shares=modes)


def pool_members(
    task: LearningTask, network: Member, folds: Folds, *, pooling: bool, seed: int
) -> Pooled:
    """The network and a forest pooled as rows that neither has seen ask for.

    pooling: whether anything but the network may answer; a forest is measured beside it anyway.
    """
    grown, forest = grow_forest(task, folds, seed=seed)
    if not pooling:
        return Pooled(network, (forest,), None, None)
    pool = _weigh(task, network, forest, folds)
    share = pool.share(NETWORK)
    if share == 1.0:
        return Pooled(network, (forest,), pool, None)
    if share == 0.0:
        return Pooled(forest, (network,), pool, grown)
    return Pooled(_mix(task, network, forest, share), (network, forest), pool, grown)


def _weigh(task: LearningTask, network: Member, forest: Member, folds: Folds) -> Pool:
    rows, kind = np.concatenate([folds.stopped, folds.rows]), task.head.kind
    labels = folds.labels_of(task)
    stopped = task.frame.values[folds.stopped]
    first, second = (
        np.concatenate([member.judged(stopped), member.held_out]) for member in (network, forest)
    )

    def lose(share: float) -> Float64:
        alone = first if share == 1.0 else second
        mixed = mix_answers(first, second, share, kind) if 0.0 < share < 1.0 else alone
        return row_losses(mixed, labels, rows, task.head)

    return weigh_members(lose, task.split.group[rows])


def _mix(task: LearningTask, network: Member, forest: Member, share: float) -> Member:
    mix = partial(mix_answers, share=share, kind=task.head.kind)

    def mixed(
        first: Answers, second: Answers, values: Float32, mix: Callable[..., Float32] = mix
    ) -> Float32:
        return mix(first(values), second(values))

    folds = tuple(
        FoldAnswers(mix(one.held_out, two.held_out), mix(one.compared, two.compared))
        for one, two in zip(network.folds, forest.folds, strict=True)
    )
    judged, whole = (
        partial(mixed, *pair)
        for pair in ((network.judged, forest.judged), (network.whole, forest.whole))
    )
    shares = None
    if network.mode_shares is not None and forest.mode_shares is not None:
        both = network.mode_shares, forest.mode_shares
        shares = partial(mixed, *both, mix=partial(mix_shares, share=share))
    return Member(POOL_REPORT, judged, whole, folds, network.parameters, shares)


def judge_member(
    task: LearningTask, member: Member, folds: Folds
) -> tuple[Calibration, QualityReport]:
    """What corrects a member's answers, and its figures on the test rows."""
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
