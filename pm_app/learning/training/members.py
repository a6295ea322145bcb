"""Members of a version: the network, the forest beside it, and the pool of both, each judged."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from pm_app.learning.data.targets import Rows
from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.calibration import calibrate, event_truths
from pm_app.learning.evaluation.metrics import (
    best_threshold,
    constant_scores,
    evaluate,
    risk_bins,
)
from pm_app.learning.evaluation.reliance import measure_reliance
from pm_app.learning.pool.forest import Forest, fit_forest
from pm_app.learning.pool.graph import mix_answers
from pm_app.learning.pool.shares import FOREST_REPORT, NETWORK, POOL_REPORT, weigh_members
from pm_app.learning.training.fit import judged_rows
from pm_app.learning.training.losses import row_losses
from pm_app.records.learning import Bin, Calibration, Pool, QualityReport
from pm_app.records.readings import Float32, Float64
from pm_app.records.scores import (
    Scores,
    calibrated_log_odds,
    logit,
    raw_risk,
    scores_of,
    sigmoid,
)

# Raw features (n, n_features) to what a head's outputs mean, (n, outputs).
Answers = Callable[[Float32], Float32]


@dataclass(frozen=True, eq=False)
class Member:
    """A model twice: as it learned from the training rows, and from all rows but the test.

    The first has seen no calibration row, so it can be corrected on them; the second is
    published. parameters: of a network.
    """

    name: str
    judged: Answers
    whole: Answers
    parameters: int | None = None


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


def pool_members(task: LearningTask, network: Member, *, pooling: bool, seed: int) -> Pooled:
    """The network and a forest pooled as validation and calibration rows ask for.

    pooling: whether anything but the network may answer; a forest is measured beside it anyway.
    """
    judged = fit_forest(task, task.split.train, seed=seed)
    whole = fit_forest(task, task.split.learned, seed=seed)
    forest = Member(FOREST_REPORT, judged, whole)
    if not pooling:
        return Pooled(network, (forest,), None, None)
    pool = _weigh(task, network, forest)
    share = pool.share(NETWORK)
    if share == 1.0:
        return Pooled(network, (forest,), pool, None)
    if share == 0.0:
        return Pooled(forest, (network,), pool, whole)
    return Pooled(_mix(task, network, forest, share), (network, forest), pool, whole)


def _weigh(task: LearningTask, network: Member, forest: Member) -> Pool:
    rows = np.concatenate([judged_rows(task), task.split.calibration])
    values, kind = task.frame.values[rows], task.head.kind
    answers = network.judged(values), forest.judged(values)

    def lose(share: float) -> Float64:
        mixed = mix_answers(*answers, share, kind) if 0.0 < share < 1.0 else answers[share == 0.0]
        return row_losses(mixed, task.labels, rows, task.head)

    return weigh_members(lose, task.split.group[rows])


def _mix(task: LearningTask, network: Member, forest: Member, share: float) -> Member:
    def mixed(first: Answers, second: Answers, values: Float32) -> Float32:
        return mix_answers(first(values), second(values), share, task.head.kind)

    return Member(
        POOL_REPORT,
        partial(mixed, network.judged, forest.judged),
        partial(mixed, network.whole, forest.whole),
        network.parameters,
    )


def judge_member(task: LearningTask, member: Member) -> tuple[Calibration, QualityReport]:
    """What corrects a member's answers, and its figures on the test rows."""
    frame, labels, head, split = task.frame, task.labels, task.head, task.split
    output = member.judged(frame.values[split.calibration])
    calibration = calibrate(
        output, labels, split.calibration, head, group=split.group[split.calibration]
    )
    threshold = None
    if head.kind == "classification":
        output = member.judged(frame.values[split.validation])
        risk = scores_of(output, head, calibration).risk
        threshold = best_threshold(risk[:, 0], labels.value[split.validation])
    scores = scores_of(member.whole(frame.values[split.test]), head, calibration)
    metrics = _measure(task, scores, threshold)
    bins: tuple[Bin, ...] = ()
    if head.kind != "regression":
        bins = risk_bins(scores.risk[:, -1], event_truths(labels, split.test, head)[:, -1])
    return calibration, QualityReport(member.name, member.parameters, metrics, bins)


def constant_report(task: LearningTask) -> QualityReport:
    """Figures of a constant guess."""
    return QualityReport("constant guess", None, _measure(task, constant_scores(task)))


def reliance_of(task: LearningTask, member: Member, *, seed: int) -> tuple[float, ...]:
    """As `VersionCard.reliance`, on rows the judged member has not seen."""
    unseen: Rows = np.concatenate([task.split.calibration, task.split.test])
    return measure_reliance(task, member.judged, unseen, seed=seed)


def usual_risk_of(task: LearningTask, member: Member, calibration: Calibration) -> float | None:
    """The share of failures within the longest horizon, more by as much as two trainings of one
    plan differ in log-odds (median of the test rows): a risk up to this does not stand out."""
    if task.head.kind == "regression":
        return None
    base = constant_scores(task).risk[:1, -1]
    asked = task.frame.values[task.split.test]
    either = [
        calibrated_log_odds(raw_risk(answer(asked), task.head), calibration)[:, -1]
        for answer in (member.judged, member.whole)
    ]
    noise = float(np.median(np.abs(either[0] - either[1])))
    return float(sigmoid(logit(base) + noise)[0])


def _measure(
    task: LearningTask, scores: Scores, threshold: float | None = None
) -> dict[str, float]:
    test = task.split.test
    asset = task.frame.asset[test]
    return evaluate(scores, task.labels, test, task.head, asset=asset, threshold=threshold)
