"""From labelled features to a candidate version: trained, calibrated, measured, exported."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pm_app.errors import NotEnoughData
from pm_app.learning.allocation.planner import CONTROL_REPORT, Planner
from pm_app.learning.evaluation.baselines import constant_scores, forest_scores
from pm_app.learning.evaluation.calibration import calibrate, event_truths
from pm_app.learning.evaluation.metrics import best_threshold, evaluate, risk_bins
from pm_app.learning.network import answers, export_onnx, save_network
from pm_app.learning.training.executor import TrainAll, run_concurrently, train_here
from pm_app.learning.training.fit import Study, Trained, part_of, refit_network, train_network
from pm_app.learning.training.parity import check_parity, describe_features
from pm_app.learning.training.revision import REVISABLE, Reviser
from pm_app.learning.training.selection import (
    AllocationTrial,
    choose_allocation,
    is_worse,
    keep_allocation,
)
from pm_app.progress import Progress, silent
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Allocation, Bin, Calibration, Head, QualityReport, Revision
from pm_app.records.scores import Scores, scores_of

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Candidate:
    """One trained network and what is needed to judge, publish and run it.

    reports: this model, the uniform control at the same parameter count, a random forest,
    and a constant guess, all on `split.test`. golden_values (m, n_features) and
    golden_outputs (m, outputs) are held-out rows a loader can check itself against.
    feature_low, feature_high, reference: as in `VersionCard`.
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


@dataclass(frozen=True, eq=False)
class WarmStart:
    """A version to go on from: its plan and its stored network."""

    allocation: Allocation
    keras: bytes


def train_candidate(
    frame: Frame,
    labels: Labels,
    split: Split,
    *,
    planner: Planner,
    head: Head,
    strategy: str = "auto",
    warm_start: WarmStart | None = None,
    seed: int = 0,
    progress: Progress = silent,
    train: TrainAll = train_here,
) -> Candidate:
    """A network of the best allocation, calibrated, then trained anew on all rows but the test.

    What corrects its risks and intervals is found on calibration rows with the network that
    has not seen them; what is published has learned from these rows too, which are the newest
    where a plant changes.

    head: what the network answers, see `choose_head`; a refit keeps the head of the version
    it goes on from. strategy: a name in `STRATEGIES`, or "auto", which lets validation choose.
    warm_start: a version to go on from; then nothing is tuned, and whatever the strategy, its
    plan is taken with the penalties it carries. The same arguments give the same candidate on
    the same machine. train: who does the trainings among which validation chooses.
    Raises NotEnoughData, and BadVersion when the exported graph disagrees with the network
    or the warm start does not fit its plan.
    """
    _check(split, labels, head)
    study = Study(frame, labels, split.train, split.validation, head, split.group)
    if warm_start is None:
        chosen, control = choose_allocation(
            study, planner, strategy, seed=seed, progress=progress, train=train
        )
    else:
        chosen, control = keep_allocation(study, planner, warm_start.allocation)
    stored = warm_start.keras if warm_start else None
    jobs = [(chosen, stored, part_of(progress, 0.4, 0.9))]
    if control is not chosen:
        jobs.append((control, None, silent))
    (trained, revision), *others = run_concurrently(
        lambda job: _train_revised(study, split, job[0], planner, seed, *job[1:]), jobs
    )
    calibration, report = _judge(study, split, trained, chosen)
    beside = _judge(study, split, others[0][0], control)[1] if others else report
    progress(0.9, "measuring beside a random forest")
    reports = (report, replace(beside, model=CONTROL_REPORT), *_peers(study, split, seed))
    progress(0.98, "exporting")
    candidate = _pack(study, split, trained[1], calibration, reports, seed)
    return replace(candidate, revision=revision)


def _pack(
    study: Study,
    split: Split,
    trained: Trained,
    calibration: Calibration,
    reports: tuple[QualityReport, ...],
    seed: int,
) -> Candidate:
    network, frame = trained.network, study.frame
    onnx = export_onnx(network)
    parity, golden_values, golden_outputs = check_parity(
        network, onnx, frame.values[split.test], study.head, seed=seed
    )
    low, high, reference = describe_features(frame, study.labels, split.train, study.head)
    return Candidate(
        keras=save_network(network),
        onnx=onnx,
        head=study.head,
        calibration=calibration,
        allocation=trained.allocation,
        reports=reports,
        parity=parity,
        golden_values=golden_values,
        golden_outputs=golden_outputs,
        feature_low=low,
        feature_high=high,
        reference=reference,
    )


def _check(split: Split, labels: Labels, head: Head) -> None:
    for name in ("train", "validation", "calibration", "test"):
        rows = getattr(split, name)
        if not len(rows):
            raise NotEnoughData(f"the {name} part of the split holds no rows ({split.how})")
        unusable = int((~labels.usable[rows]).sum())
        if unusable:
            raise ValueError(f"split.{name} must hold usable rows only, {unusable} are not")
    if head.kind == "classification" and len(np.unique(labels.value[split.train])) < 2:
        raise NotEnoughData("the label column holds one class only among the training rows")


def _train_revised(
    study: Study,
    split: Split,
    trial: AllocationTrial,
    planner: Planner,
    seed: int,
    warm: bytes | None,
    progress: Progress,
) -> tuple[tuple[Trained, Trained], Revision | None]:
    """The network with importance looked at again inside training, if that helped.

    Both trainings, with and without, run to their end and meet on validation; the plan stays
    unless the revised one is better by more than noise.
    """
    guided = trial.name in REVISABLE and warm is None
    plain = trial.trained or train_network(
        study,
        trial.allocation,
        seed=seed,
        rate=trial.rate,
        warm_start=warm,
        progress=part_of(progress, 0.0, 0.3 if guided else 0.5),
    )
    best, revision = plain, None
    if guided:
        reviser = Reviser(study, planner, seed=seed)
        revised = train_network(
            study,
            trial.allocation,
            seed=seed,
            rate=trial.rate,
            revise=reviser,
            progress=part_of(progress, 0.3, 0.6),
        )
        before, after = (
            AllocationTrial(trial.name, t.allocation, t.losses, study.judged_groups)
            for t in (plain, revised)
        )
        better = is_worse(before, after) and not is_worse(after, before)
        kept = revised.revised_at > 0 and better
        best = revised if kept else plain
        revision = reviser.told(plain.score, revised.score, kept=kept, epochs=revised.revised_at)
    whole = refit_network(
        study,
        trial.allocation,
        split.learned,
        seed=seed,
        like=best,
        warm_start=warm,
        progress=part_of(progress, 0.6, 1.0),
    )
    return (best, whole), revision


def _judge(
    study: Study, split: Split, pair: tuple[Trained, Trained], trial: AllocationTrial
) -> tuple[Calibration, QualityReport]:
    frame, labels, head = study.frame, study.labels, study.head
    trained, whole = pair
    output = answers(trained.network, frame.values[split.calibration])
    calibration = calibrate(
        output, labels, split.calibration, head, group=split.group[split.calibration]
    )
    threshold = None
    if head.kind == "classification":
        seen = scores_of(answers(trained.network, _values(study)), head, calibration)
        threshold = best_threshold(seen.risk[:, 0], labels.value[study.validation])
    scores = scores_of(answers(whole.network, frame.values[split.test]), head, calibration)
    parameters = sum(int(np.prod(w.shape)) for w in whole.network.trainable_variables)
    metrics = _measure(study, split, scores, threshold)
    bins = () if head.kind == "regression" else _bins(study, split, scores)
    return calibration, QualityReport(trial.name, parameters, metrics, bins)


def _bins(study: Study, split: Split, scores: Scores) -> tuple[Bin, ...]:
    truth = event_truths(study.labels, split.test, study.head)
    return risk_bins(scores.risk[:, -1], truth[:, -1])


def _values(study: Study) -> Float32:
    return study.frame.values[study.validation]


def _measure(
    study: Study, split: Split, scores: Scores, threshold: float | None = None
) -> dict[str, float]:
    return evaluate(
        scores,
        study.labels,
        split.test,
        study.head,
        asset=study.frame.asset[split.test],
        threshold=threshold,
    )


def _peers(study: Study, split: Split, seed: int) -> tuple[QualityReport, QualityReport]:
    rows = split.learned
    forest = forest_scores(
        study.frame, study.labels, study.head, rows=rows, judged=split.test, seed=seed
    )
    constant = constant_scores(study.labels, study.head, rows=rows, judged=len(split.test))
    return (
        QualityReport("random forest", None, _measure(study, split, forest)),
        QualityReport("constant guess", None, _measure(study, split, constant)),
    )
