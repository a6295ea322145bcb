"""From labelled features to a candidate version: trained, calibrated, measured, exported."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pm_app.errors import BadVersion, NotEnoughData
from pm_app.learning.baselines import constant_scores, forest_scores
from pm_app.learning.calibration import calibrate
from pm_app.learning.evaluation import best_threshold, evaluate
from pm_app.learning.network import answers, export_onnx, save_network
from pm_app.learning.selection import Trial, choose_trial, tune_allocation
from pm_app.learning.targets import Rows
from pm_app.learning.training import (
    Progress,
    Study,
    Trained,
    refit_network,
    silent,
    train_network,
)
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import Allocation, Calibration, Head, Report
from pm_app.scores import Scores, scores_of

Float32 = NDArray[np.float32]

# ONNX Runtime and Keras may differ by rounding only, in probability.
MOST_APART = 1e-5
_PARITY_ROWS = 2000
_GOLDEN_ROWS = 8
_MISSING_SHARE = 0.1
_CONTROL = "uniform"


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
    reports: tuple[Report, ...]
    parity: float
    golden_values: Float32
    golden_outputs: Float32
    feature_low: tuple[float, ...]
    feature_high: tuple[float, ...]
    reference: tuple[float, ...]


def train_candidate(
    frame: Frame,
    labels: Labels,
    split: Split,
    *,
    allocations: Mapping[str, Allocation],
    head: Head,
    warm_start: bytes | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Candidate:
    """The best of the allocations, trained in full on train and validation rows.

    head: what the network answers, see `choose_head`; a refit keeps the head of the version
    it goes on from. allocations must hold "uniform", the control. warm_start: the stored
    network of a version with the same allocation; then `allocations` holds that one and the
    control. The same arguments give the same candidate on the same machine.
    Raises NotEnoughData, and BadVersion when the exported graph disagrees with the network.
    """
    _check(split, labels, head, allocations)
    study = Study(frame, labels, split.train, split.validation, head)
    trials = _tune(study, allocations, seed, _part(progress, 0.0, 0.5))
    chosen = choose_trial(trials)
    trained, whole = _train(study, chosen, seed, warm_start, _part(progress, 0.5, 0.7))
    calibration, report = _judge(study, split, trained, whole, chosen)
    control = report
    if chosen.name != _CONTROL:
        pair = _train(study, trials[_CONTROL], seed, None, _part(progress, 0.7, 0.9))
        _, control = _judge(study, split, *pair, trials[_CONTROL])
    progress(0.9, "measuring beside a random forest")
    peers = _peers(study, split, seed)
    onnx = export_onnx(whole.network)
    parity, golden_values, golden_outputs = check_parity(
        whole.network, onnx, frame.values[split.test], head, seed=seed
    )
    low, high, reference = describe_features(frame, labels, split.train, head)
    progress(1.0, "trained")
    return Candidate(
        keras=save_network(whole.network),
        onnx=onnx,
        head=head,
        calibration=calibration,
        allocation=chosen.allocation,
        reports=(report, replace(control, model=f"control: {_CONTROL}"), *peers),
        parity=parity,
        golden_values=golden_values,
        golden_outputs=golden_outputs,
        feature_low=low,
        feature_high=high,
        reference=reference,
    )


def check_parity(
    network: Any, onnx: bytes, values: Float32, head: Head, *, seed: int
) -> tuple[float, Float32, Float32]:
    """The largest difference of both graphs over held-out rows, and golden rows with answers.

    A tenth of the values is made missing in every second row. A regressed value differs in
    units of its spread. Raises BadVersion beyond `MOST_APART`.
    """
    rng = np.random.default_rng(seed)
    rows = values[np.sort(rng.permutation(len(values))[:_PARITY_ROWS])].copy()
    gone = rng.random(rows.shape) < _MISSING_SHARE
    gone[::2] = False
    rows[gone] = np.nan
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    said = session.run(None, {session.get_inputs()[0].name: rows})[0]
    expected = answers(network, rows)
    unit = network.get_layer("answer").unit if head.kind == "regression" else 1.0
    apart = float(np.max(np.abs(said - expected))) / unit
    if not apart <= MOST_APART:
        raise BadVersion(
            f"the exported graph must agree with the network within {MOST_APART:g}, "
            f"differs by {apart:.3g}"
        )
    return apart, rows[:_GOLDEN_ROWS], said[:_GOLDEN_ROWS].astype(np.float32)


def describe_features(
    frame: Frame, labels: Labels, rows: Rows, head: Head
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """0.1 % and 99.9 % quantiles of training rows, and the healthy median, per feature.

    Healthy are rows known to run past the cap, or the quarter of longest lives where fewer
    than a hundredth do; class 0; all rows for a regressed column. NaN where a feature is
    never known.
    """
    values = np.where(np.isfinite(frame.values[rows]), frame.values[rows], np.nan)
    known = np.isfinite(values).any(axis=0)
    filled = np.where(known, values, 0.0)
    low, high = np.nanquantile(filled, (0.001, 0.999), axis=0)
    healthy = filled[_healthy(labels, rows, head)]
    some = np.isfinite(healthy).any(axis=0)
    healthy = np.where(some, healthy, np.nanmedian(filled, axis=0))
    middle = np.nanmedian(healthy, axis=0)
    parts = [np.where(known, part, np.nan) for part in (low, high, middle)]
    low_text, high_text, middle_text = (tuple(float(x) for x in part) for part in parts)
    return low_text, high_text, middle_text


def _healthy(labels: Labels, rows: Rows, head: Head) -> NDArray[np.bool_]:
    if head.kind == "regression":
        return np.ones(len(rows), dtype=bool)
    if head.kind == "classification":
        return np.asarray(labels.value[rows] == 0.0)
    duration = labels.duration_hours[rows]
    past = duration >= head.edges_hours[-1]
    if past.mean() >= 0.01:
        return np.asarray(past)
    return np.asarray(duration >= np.quantile(duration, 0.75))


def _check(split: Split, labels: Labels, head: Head, allocations: Mapping[str, Allocation]) -> None:
    if _CONTROL not in allocations:
        raise ValueError(f"allocations must hold {_CONTROL!r}, got {sorted(allocations)}")
    for name in ("train", "validation", "calibration", "test"):
        rows = getattr(split, name)
        if not len(rows):
            raise NotEnoughData(f"the {name} part of the split holds no rows ({split.how})")
        unusable = int((~labels.usable[rows]).sum())
        if unusable:
            raise ValueError(f"split.{name} must hold usable rows only, {unusable} are not")
    if head.kind == "classification" and len(np.unique(labels.value[split.train])) < 2:
        raise NotEnoughData("the label column holds one class only among the training rows")


def _tune(
    study: Study, allocations: Mapping[str, Allocation], seed: int, progress: Progress
) -> dict[str, Trial]:
    share = 1.0 / len(allocations)
    return {
        name: tune_allocation(
            study, name, plan, seed=seed, progress=_part(progress, at * share, (at + 1) * share)
        )
        for at, (name, plan) in enumerate(allocations.items())
    }


def _train(
    study: Study, trial: Trial, seed: int, warm: bytes | None, progress: Progress
) -> tuple[Trained, Trained]:
    """The network stopped by validation, and the same fitted to all labelled rows."""
    half = _part(progress, 0.0, 0.5)
    trained = train_network(study, trial.allocation, seed=seed, warm_start=warm, progress=half)
    whole = refit_network(
        study,
        trial.allocation,
        seed=seed,
        like=trained,
        warm_start=warm,
        progress=_part(progress, 0.5, 1.0),
    )
    return trained, whole


def _judge(
    study: Study, split: Split, trained: Trained, whole: Trained, trial: Trial
) -> tuple[Calibration, Report]:
    frame, labels, head = study.frame, study.labels, study.head
    output = answers(whole.network, frame.values[split.calibration])
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
    return calibration, Report(trial.name, parameters, metrics)


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


def _peers(study: Study, split: Split, seed: int) -> tuple[Report, Report]:
    rows = np.concatenate([study.train, study.validation])
    forest = forest_scores(
        study.frame, study.labels, study.head, rows=rows, judged=split.test, seed=seed
    )
    constant = constant_scores(study.labels, study.head, rows=rows, judged=len(split.test))
    return (
        Report("random forest", None, _measure(study, split, forest)),
        Report("constant guess", None, _measure(study, split, constant)),
    )


def _part(progress: Progress, start: float, end: float) -> Progress:
    return lambda done, text: progress(start + (end - start) * done, text)
