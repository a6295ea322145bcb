"""Training of a candidate version: allocated, trained, calibrated, measured, exported."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pm_app.errors import NotEnoughData
from pm_app.learning.allocation.planner import CONTROL_REPORT, Planner
from pm_app.learning.dataset import LearningTask
from pm_app.learning.network import answers, export_onnx, mode_shares, save_network
from pm_app.learning.pool.graph import at_thresholds, pool_graph
from pm_app.learning.pool.shares import BOOSTED_REPORT, FOREST_REPORT, pool_text
from pm_app.learning.training.crossfit import Folds, deal_folds, one_part
from pm_app.learning.training.executor import TrainAll, run_concurrently, train_here
from pm_app.learning.training.fit import (
    Trained,
    Training,
    judged_rows,
    refit_network,
    train_network,
)
from pm_app.learning.training.members import (
    Member,
    ask_folds,
    constant_report,
    judge_member,
    reliance_of,
    spread_of,
    usual_risk_of,
)
from pm_app.learning.training.parity import check_parity, describe_features, parity_rows
from pm_app.learning.training.pooling import Pooled, grow_trees, pool_members
from pm_app.learning.training.refitting import Recipe
from pm_app.learning.training.revision import Reviser
from pm_app.learning.training.selection import (
    AllocationTrial,
    choose_allocation,
    is_worse,
    keep_allocation,
)
from pm_app.progress import Progress, part_of, silent
from pm_app.records.learning import Allocation, Calibration, Head, Pool, QualityReport, Revision
from pm_app.records.readings import Float32
from pm_app.records.scores import with_shares
from pm_app.settings.strategies import AUTO, strategy_named


@dataclass(frozen=True, eq=False)
class Candidate:
    """One trained network and what is needed to judge, publish and run it.

    reports: this model, the network alone where it is a pool, the uniform control at the same
    parameter count, a forest, and a constant guess, all on `split.test`. pool: as in
    `VersionCard`; None where only the network may answer. golden_values (m, n_features) and
    golden_outputs (m, outputs) are held-out rows a loader can check itself against.
    feature_low, feature_high, reference, reliance, usual_risk, spread: as in `VersionCard`. recipe:
    how to make it anew of other rows.
    """

    keras: bytes
    onnx: bytes
    head: Head
    calibration: Calibration
    allocation: Allocation
    reports: tuple[QualityReport, ...]
    parity: float
    golden_values: Float32
    golden_outputs: Float32
    feature_low: tuple[float, ...]
    feature_high: tuple[float, ...]
    reference: tuple[float, ...]
    revision: Revision | None = None
    reliance: tuple[float, ...] = ()
    usual_risk: float | None = None
    pool: Pool | None = None
    spread: float | None = None
    recipe: Recipe | None = None


@dataclass(frozen=True, eq=False)
class WarmStart:
    """A version to go on from: its plan and its stored network."""

    allocation: Allocation
    keras: bytes


@dataclass(frozen=True, eq=False)
class AllocationSearch:
    """Where a network's allocation comes from.

    strategy: a name in `STRATEGIES`, or "auto", which lets validation choose among the plans of
    the planner. warm_start: a version to go on from; then nothing is tuned, and whatever the
    strategy, its plan is taken with the penalties it carries. pooling: whether trees may answer
    beside the network.
    """

    planner: Planner
    strategy: str = AUTO
    warm_start: WarmStart | None = None
    pooling: bool = True


def train_candidate(
    task: LearningTask,
    search: AllocationSearch,
    *,
    seed: int = 0,
    progress: Progress = silent,
    train: TrainAll = train_here,
) -> Candidate:
    """A network of the best allocation, calibrated, then trained anew on all rows but the test.

    What corrects its risks and intervals is found on rows by models that have not seen them: where
    failures are few on all rows, fold by fold (`deal_folds`). What is published has learned from
    these rows too, the newest where a plant changes. A refit keeps the head of the version it goes
    on from. The same arguments give the same candidate on one machine. train: who does the
    trainings among which validation chooses.
    Raises NotEnoughData; BadVersion when graph and network, or warm start and plan, disagree.
    """
    _check(task)
    warm, planner = search.warm_start, search.planner
    if warm is None:
        chosen, control = choose_allocation(
            task, planner, search.strategy, seed=seed, progress=progress, train=train
        )
    else:
        chosen, control = keep_allocation(task, planner, warm.allocation)
    jobs = [(chosen, warm.keras if warm else None, part_of(progress, 0.4, 0.8))]
    jobs += [(control, None, silent)] if control is not chosen else []
    (pair, revision), *others = run_concurrently(
        lambda job: _train_revised(task, job[0], planner, seed, *job[1:]), jobs
    )
    folds = deal_folds(task, seed=seed)
    if folds.crossed:
        progress(0.8, "training once more without each part of the lives, to be judged by it")
    pair = _cross_fit(task, pair, chosen, folds, seed, warm=warm is not None)
    network = _member(task, pair, chosen, folds)
    boosting, later = None if search.pooling else (False, ""), part_of(progress, 0.9, 0.98)
    trees = grow_trees(task, folds, seed=seed, boosting=boosting, progress=later)
    pooled = pool_members(task, network, trees, folds, pooling=search.pooling)
    unguided = _member(task, others[0][0], control, one_part(task)) if others else None
    calibration, reports = _judge(task, pooled, network, unguided, folds)
    progress(0.98, "exporting")
    pool = pooled.pool
    packed = _pack(task, pair.whole, pooled, calibration, seed)
    spread = spread_of(task, pooled.speaker, calibration)
    return replace(
        packed,
        reports=reports,
        revision=revision,
        reliance=reliance_of(task, pooled.speaker, seed=seed),
        usual_risk=usual_risk_of(task, spread),
        spread=spread,
        pool=pool and replace(pool, reason=pool_text(pool, reports)),
        recipe=replace(
            pair.recipe,
            shares=pooled.shares,
            rounds=pooled.boosted.rounds if pooled.boosted else (),
        ),
    )


def _judge(
    task: LearningTask, pooled: Pooled, network: Member, unguided: Member | None, folds: Folds
) -> tuple[Calibration, tuple[QualityReport, ...]]:
    """What corrects the version, and its report before those of what stands beside it.

    unguided: the control's network, which is not trained fold by fold; None where it is `network`.
    """
    calibration, report = judge_member(task, pooled.speaker, folds)
    alone = {each.name: judge_member(task, each, folds)[1] for each in pooled.beside}
    own = alone.get(network.name, report)
    control = judge_member(task, unguided, one_part(task))[1] if unguided else own
    control = replace(control, model=CONTROL_REPORT)
    trees = [alone[name] for name in (FOREST_REPORT, BOOSTED_REPORT) if name in alone]
    network_alone = [own] if own is not report else []
    return calibration, (report, *network_alone, control, *trees, constant_report(task))


@dataclass(frozen=True, eq=False)
class _TrainedPair:
    """A network that has not seen the calibration rows, and the same trained on these too.

    folds: trained on what each fold may see, empty where the first is the only one.
    """

    judged: Trained
    whole: Trained
    recipe: Recipe
    folds: tuple[Trained, ...] = ()


def _cross_fit(
    task: LearningTask,
    pair: _TrainedPair,
    trial: AllocationTrial,
    folds: Folds,
    seed: int,
    *,
    warm: bool,
) -> _TrainedPair:
    """The same network trained on what each fold may see, for as many epochs.

    Nothing of it goes on from a version: that has learned from all rows of its time.
    """
    if not folds.crossed:
        return pair
    training = Training(trial.allocation, trial.rate, seed)
    like = train_network(task, training) if warm else pair.judged
    crossed = run_concurrently(
        lambda rows: refit_network(task.of_all_rows, training, rows=rows, like=like), folds.taught
    )
    return replace(pair, judged=like, folds=tuple(crossed))


def _member(task: LearningTask, pair: _TrainedPair, trial: AllocationTrial, folds: Folds) -> Member:
    """A network as a member, by the name of its strategy."""
    parameters = sum(int(np.prod(w.shape)) for w in pair.whole.network.trainable_variables)
    judged, whole, *crossed = (
        partial(answers, each.network) for each in (pair.judged, pair.whole, *pair.folds)
    )
    asked = ask_folds(task, folds, crossed or [judged])
    modes = partial(mode_shares, pair.whole.network) if task.head.modes else None
    return Member(trial.name, judged, whole, asked, parameters, modes)


def _pack(
    task: LearningTask, trained: Trained, pooled: Pooled, calibration: Calibration, seed: int
) -> Candidate:
    network, frame, split = trained.network, task.frame, task.split
    onnx, rows = export_onnx(network), parity_rows(frame.values[split.test], seed=seed)
    trees = [each for each in (pooled.forest, pooled.boosted) if each is not None]
    if trees:
        onnx = pool_graph(onnx, pooled.shares, forest=pooled.forest, boosted=pooled.boosted)
        rows[1::2] = at_thresholds(trees, rows[1::2], seed=seed)
    unit = network.get_layer("answer").unit if task.head.kind == "regression" else 1.0
    speaker, modes = pooled.speaker, bool(task.head.modes)
    parity, golden_values, golden_outputs = check_parity(
        lambda asked: with_shares(speaker.whole(asked), speaker.shares(asked)),
        onnx,
        rows,
        modes=modes,
        unit=unit,
    )
    low, high, reference = describe_features(frame, task.labels, split.train, task.head)
    return Candidate(
        keras=save_network(network),
        onnx=onnx,
        head=task.head,
        calibration=calibration,
        allocation=trained.allocation,
        reports=(),
        parity=parity,
        golden_values=golden_values,
        golden_outputs=golden_outputs,
        feature_low=low,
        feature_high=high,
        reference=reference,
    )


def _check(task: LearningTask) -> None:
    split, labels = task.split, task.labels
    for name in ("train", "validation", "calibration", "test"):
        rows = getattr(split, name)
        if not len(rows):
            raise NotEnoughData(f"the {name} part of the split holds no rows ({split.how})")
        unusable = int((~labels.usable[rows]).sum())
        if unusable:
            raise ValueError(f"split.{name} must hold usable rows only, {unusable} are not")
    if task.head.kind == "classification" and len(np.unique(labels.value[split.train])) < 2:
        raise NotEnoughData("the label column holds one class only among the training rows")


def _train_revised(
    task: LearningTask,
    trial: AllocationTrial,
    planner: Planner,
    seed: int,
    warm: bytes | None,
    progress: Progress,
) -> tuple[_TrainedPair, Revision | None]:
    """The network with importance looked at again inside training, if that helped."""
    training = Training(trial.allocation, trial.rate, seed)
    guided = strategy_named(trial.name).revisable and warm is None
    first = part_of(progress, 0.0, 0.3 if guided else 0.5)
    best = trial.trained or train_network(task, training, warm_start=warm, progress=first)
    revision = None
    if guided:
        best, revision = _revise(task, training, best, planner, part_of(progress, 0.3, 0.6))
    last, rows = part_of(progress, 0.6, 1.0), task.split.learned
    all_rows = task.of_all_rows
    whole = refit_network(all_rows, training, rows=rows, like=best, warm_start=warm, progress=last)
    return _TrainedPair(best, whole, Recipe(training, best, warm)), revision


def _revise(
    task: LearningTask, training: Training, plain: Trained, planner: Planner, progress: Progress
) -> tuple[Trained, Revision | None]:
    """The better of a training as planned and one whose plan is revised on the way.

    Both run to their end and meet on validation; the plan stays unless the revised one is
    better by more than noise. What is reported is the geometric mean of the losses.
    """
    reviser = Reviser(task, planner, seed=training.seed)
    revised = train_network(task, training, revise=reviser, progress=progress)
    groups = task.split.group[judged_rows(task)]
    before, after = (
        AllocationTrial("", each.allocation, each.losses, groups) for each in (plain, revised)
    )
    better = is_worse(before, after) and not is_worse(after, before)
    kept = revised.revised_at > 0 and better and after.score > before.score
    losses = [float(np.exp(-trial.score / len(trial.means))) for trial in (before, after)]
    revision = reviser.revision(*losses, kept=kept, epochs=revised.revised_at)
    return revised if kept else plain, revision
