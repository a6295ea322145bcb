"""Metrics of scores: average precision, Brier score, calibration error, errors of life left."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve

from pm_app.learning.data.targets import Rows, known_lives, survivors_are_known
from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.calibration import (
    calibration_error,
    event_truths,
    event_weights,
    mean_by,
)
from pm_app.records.labels import Labels
from pm_app.records.learning import Bin, Head
from pm_app.records.readings import Float64, Int32
from pm_app.records.scores import Scores

_SHOWN_BINS = 10
_NOTHING = 1e-12


def evaluate(
    scores: Scores,
    labels: Labels,
    rows: Rows,
    head: Head,
    *,
    asset: Int32,
    threshold: float | None = None,
) -> dict[str, float]:
    """Metrics of scores, row by row those of `rows`; what cannot be measured is left out.

    asset: (n_rows,). Rows must be sorted by asset, then time: the last row of an asset is
    its newest. threshold: the risk above which a class, or a failure within the longest horizon,
    is called, found elsewhere; a failure whose row is called was seen coming, and its mode named.
    """
    if head.kind == "regression":
        return _value_metrics(scores, labels.value[rows])
    weights = event_weights(labels, rows, head)
    metrics = _risk_metrics(scores.risk, event_truths(labels, rows, head), weights, head)
    if head.kind == "hazard":
        metrics |= _life_metrics(scores, labels, rows, head.edges_hours[-1], asset)
    elif threshold is not None:
        metrics["f1"] = f1_at(scores.risk[:, 0], labels.value[rows], threshold)
    if head.modes and threshold is not None:
        metrics |= _mode_metrics(scores, labels, rows, head, threshold)
    return metrics


def _mode_metrics(
    scores: Scores, labels: Labels, rows: Rows, head: Head, threshold: float
) -> dict[str, float]:
    """Of rows that fail within the longest horizon: the share seen coming, and of these how often
    the likeliest mode is the right one, and the mean F1 of the modes they have."""
    suffix = _suffix(head, head.horizons_hours[-1])
    fails = (event_truths(labels, rows, head)[:, -1] == 1.0) & (labels.mode[rows] >= 0)
    coming = fails & (scores.risk[:, -1] >= threshold)
    if not coming.any():
        return {}
    truth = labels.mode[rows][coming]
    named = scores.mode_shares[coming, -1].argmax(axis=1)
    return {
        f"seen_coming{suffix}": float(coming.sum() / fails.sum()),
        f"mode_accuracy{suffix}": float(np.mean(named == truth)),
        f"mode_macro_f1{suffix}": macro_f1(named, truth),
    }


def macro_f1(named: NDArray[np.integer], truth: NDArray[np.integer]) -> float:
    """Mean over the classes that are there of the F1 of naming each; (n_rows,) each."""
    classes = np.unique(truth)
    return float(np.mean([f1_at(named == each, truth == each, 1.0) for each in classes]))


def average_precision(risk: Float64, truth: Float64, weights: Float64 | None = None) -> float:
    """Area under precision over recall, rows of unknown truth left out."""
    labelled = np.isfinite(truth)
    heavy = None if weights is None else weights[labelled]
    return float(average_precision_score(truth[labelled], risk[labelled], sample_weight=heavy))


def risk_bins(risk: Float64, truth: Float64, weights: Float64 | None = None) -> tuple[Bin, ...]:
    """Reliability of risks (n_rows,) by tenths of the range, lowest first; rows of unknown
    truth and tenths without a row are left out."""
    labelled = np.isfinite(truth)
    risk, outcome = risk[labelled], truth[labelled]
    heavy = None if weights is None else weights[labelled]
    place = np.minimum((risk * _SHOWN_BINS).astype(int), _SHOWN_BINS - 1)
    bins = []
    for inside in (place == number for number in range(_SHOWN_BINS)):
        if inside.any():
            own = None if heavy is None else heavy[inside]
            stated, came = (mean_by(each[inside], own) for each in (risk, outcome))
            bins.append(Bin(int(inside.sum()), stated, came))
    return tuple(bins)


def best_threshold(risk: Float64, truth: Float64) -> float:
    """The risk at which calling a positive gives the highest F1; the highest such risk."""
    precision, recall, thresholds = precision_recall_curve(truth, risk)
    score = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    best = np.flatnonzero(score[:-1] >= score[:-1].max())[-1]
    return float(thresholds[best])


def f1_at(risk: Float64, truth: Float64, threshold: float) -> float:
    """F1 of calling every risk at or above the threshold; 0 where nothing is right."""
    called = risk >= threshold
    hits = float(np.sum(called & (truth > 0)))
    return 2 * hits / max(float(called.sum() + (truth > 0).sum()), 1.0)


def risk_figures(risk: Float64, truth: Float64, weights: Float64 | None = None) -> dict[str, float]:
    """Brier score, calibration error and, where both classes are there, average precision.

    Rows of unknown truth are left out; empty where no truth is known. weights: of the rows.
    """
    labelled = np.isfinite(truth)
    risk, truth = risk[labelled], truth[labelled]
    weights = None if weights is None else weights[labelled]
    if not len(truth):
        return {}
    figures = {
        "brier": mean_by((risk - truth) ** 2, weights),
        "calibration_error": calibration_error(risk, truth, weights),
    }
    if 0 < truth.sum() < len(truth):
        figures["average_precision"] = average_precision(risk, truth, weights)
    return figures


def worse_beyond_noise(losses: Float64, others: Float64, group: Int32, *, noise: float) -> bool:
    """Whether a loss is greater by more than `noise` standard errors, paired by group.

    losses, others: (n_rows, n_figures) of the same rows; any figure will do. Rows of one group,
    (n_rows,), repeat each other, so groups are what is counted.
    """
    groups, place = np.unique(group, return_inverse=True)
    for apart in (losses - others).T:
        sums = np.bincount(place, apart, minlength=len(groups))
        error = float(np.std(sums, ddof=1)) * np.sqrt(len(groups)) if len(groups) > 1 else 0.0
        if sums.sum() > noise * error:
            return True
    return False


def constant_scores(task: LearningTask) -> Scores:
    """Scores of the test rows that are the same for all: shares and means among the others."""
    labels, head, rows = task.labels, task.head, task.split.learned
    ones = np.ones(len(task.split.test))
    nothing = ones * np.nan
    if head.kind == "regression":
        value = labels.value[rows]
        low, high = np.quantile(value, (0.05, 0.95))
        return Scores(nothing[:, None], nothing, ones * low, ones * high, ones * value.mean())
    truths = event_truths(labels, rows, head)
    risk = ones[:, None] * failing_shares(labels, rows, head)
    shares = np.repeat(_usual_shares(labels, rows, truths, head)[None], len(ones), axis=0)
    if head.kind == "classification":
        return Scores(risk, nothing, nothing, nothing, nothing, shares)
    lives, _ = known_lives(labels, rows, head.edges_hours[-1])
    low, high = np.quantile(lives, (0.05, 0.95))
    return Scores(risk, ones * lives.mean(), ones * low, ones * high, nothing, shares)


def _usual_shares(labels: Labels, rows: Rows, truths: Float64, head: Head) -> Float64:
    """Shares of modes among the rows that fail, (n_horizons, n_modes)."""
    of_mode = labels.mode[rows][:, None] == np.arange(len(head.modes))
    counts = (truths == 1.0).astype(float).T @ of_mode
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0))


def failing_shares(labels: Labels, rows: Rows, head: Head) -> Float64:
    """The share of these rows that fails within each horizon, (n_horizons,); 0 where none knows."""
    truths, weights = event_truths(labels, rows, head), event_weights(labels, rows, head)
    heavy = np.stack([np.ones(len(rows)) if each is None else each for each in weights], axis=1)
    heavy = np.where(np.isfinite(truths), heavy, 0.0)
    return np.asarray(np.nansum(truths * heavy, axis=0) / np.maximum(heavy.sum(axis=0), _NOTHING))


def _risk_metrics(
    risk: Float64, truth: Float64, weights: Sequence[Float64 | None], head: Head
) -> dict[str, float]:
    metrics = {}
    for at, horizon in enumerate(head.horizons_hours):
        for name, figure in risk_figures(risk[:, at], truth[:, at], weights[at]).items():
            metrics[f"{name}{_suffix(head, horizon)}"] = figure
    return metrics


def _suffix(head: Head, horizon: float) -> str:
    return f"_{horizon:g}h" if head.kind == "hazard" else ""


def _life_metrics(
    scores: Scores, labels: Labels, rows: Rows, cap_hours: float, asset: Int32
) -> dict[str, float]:
    lives, places = known_lives(labels, rows, cap_hours)
    if not len(places):
        return {}
    metrics = life_errors(scores.rul[places] - lives, "rul")
    # Of those that fail alone an interval that is right of all holds few.
    if np.isfinite(scores.low[places]).all() and survivors_are_known(labels, rows, cap_hours):
        inside = (scores.low[places] <= lives) & (lives <= scores.high[places])
        metrics["rul_coverage"] = float(inside.mean())
        metrics["rul_width_hours"] = float(np.mean(scores.high[places] - scores.low[places]))
    last = np.append(asset[1:] != asset[:-1], True)[places]
    if last.any():
        metrics |= life_errors((scores.rul[places] - lives)[last], "last_rul")
    return metrics


def life_errors(error: Float64, name: str) -> dict[str, float]:
    """Root mean square and mean of errors in hours, (n_rows,) and at least one."""
    return {
        f"{name}_rmse_hours": float(np.sqrt(np.mean(error**2))),
        f"{name}_mae_hours": float(np.mean(np.abs(error))),
    }


def _value_metrics(scores: Scores, truth: Float64) -> dict[str, float]:
    error = scores.value - truth
    metrics = {"rmse": float(np.sqrt(np.mean(error**2))), "mae": float(np.mean(np.abs(error)))}
    spread = float(np.var(truth))
    if spread > 0:
        metrics["r2"] = 1.0 - metrics["rmse"] ** 2 / spread
    if np.isfinite(scores.low).all():
        metrics["coverage"] = float(np.mean((scores.low <= truth) & (truth <= scores.high)))
    return metrics
