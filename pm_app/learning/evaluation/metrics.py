"""How good scores are, in figures that carry their unit and horizon in the name."""

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve

from pm_app.learning.data.targets import Rows, known_lives
from pm_app.learning.evaluation.calibration import event_truths
from pm_app.records.labels import Labels
from pm_app.records.learning import Bin, Head
from pm_app.records.readings import Float64, Int32
from pm_app.records.scores import Scores

_BINS = 15
_SHOWN_BINS = 10


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
    its newest. threshold: the risk above which a class is called, found elsewhere.
    """
    if head.kind == "regression":
        return _value_metrics(scores, labels.value[rows])
    metrics = _risk_metrics(scores.risk, event_truths(labels, rows, head), head)
    if head.kind == "hazard":
        metrics |= _life_metrics(scores, labels, rows, head.edges_hours[-1], asset)
    elif threshold is not None:
        metrics["f1"] = f1_at(scores.risk[:, 0], labels.value[rows], threshold)
    return metrics


def average_precision(risk: Float64, truth: Float64) -> float:
    """Area under precision over recall, rows of unknown truth left out."""
    known = np.isfinite(truth)
    return float(average_precision_score(truth[known], risk[known]))


def calibration_error(risk: Float64, truth: Float64) -> float:
    """Mean distance of stated risk and observed share over bins of equal width.

    Expected calibration error (Naeini, Cooper & Hauskrecht 2015).
    """
    place = np.minimum((risk * _BINS).astype(int), _BINS - 1)
    stated = np.bincount(place, risk, minlength=_BINS)
    observed = np.bincount(place, truth, minlength=_BINS)
    return float(np.abs(stated - observed).sum() / len(risk))


def risk_bins(risk: Float64, truth: Float64) -> tuple[Bin, ...]:
    """What came of risks (n_rows,) of each tenth of the range, lowest first; rows of unknown
    truth and tenths without a row are left out."""
    known = np.isfinite(truth)
    said, came = risk[known], truth[known]
    place = np.minimum((said * _SHOWN_BINS).astype(int), _SHOWN_BINS - 1)
    return tuple(
        Bin(int(inside.sum()), float(said[inside].mean()), float(came[inside].mean()))
        for number in range(_SHOWN_BINS)
        if (inside := place == number).any()
    )


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


def _risk_metrics(risk: Float64, truth: Float64, head: Head) -> dict[str, float]:
    metrics = {}
    for at, horizon in enumerate(head.horizons_hours):
        known = np.isfinite(truth[:, at])
        said, true = risk[known, at], truth[known, at]
        name = f"_{horizon:g}h" if head.kind == "hazard" else ""
        if not len(true):
            continue
        metrics[f"brier{name}"] = float(np.mean((said - true) ** 2))
        metrics[f"calibration_error{name}"] = calibration_error(said, true)
        if 0 < true.sum() < len(true):
            metrics[f"average_precision{name}"] = average_precision(said, true)
    return metrics


def _life_metrics(
    scores: Scores, labels: Labels, rows: Rows, cap_hours: float, asset: Int32
) -> dict[str, float]:
    lives, known = known_lives(labels, rows, cap_hours)
    if not len(known):
        return {}
    metrics = _errors(scores.rul[known] - lives, "rul")
    if np.isfinite(scores.low[known]).all():
        inside = (scores.low[known] <= lives) & (lives <= scores.high[known])
        metrics["rul_coverage"] = float(inside.mean())
        metrics["rul_width_hours"] = float(np.mean(scores.high[known] - scores.low[known]))
    last = np.append(asset[1:] != asset[:-1], True)[known]
    if last.any():
        metrics |= _errors((scores.rul[known] - lives)[last], "last_rul")
    return metrics


def _errors(error: Float64, name: str) -> dict[str, float]:
    return {
        f"{name}_rmse_hours": float(np.sqrt(np.mean(error**2))),
        f"{name}_mae_hours": float(np.mean(np.abs(error))),
    }


def _value_metrics(scores: Scores, truth: Float64) -> dict[str, float]:
    error = scores.value - truth
    metrics = {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
    }
    spread = float(np.var(truth))
    if spread > 0:
        metrics["r2"] = 1.0 - metrics["rmse"] ** 2 / spread
    if np.isfinite(scores.low).all():
        metrics["coverage"] = float(np.mean((scores.low <= truth) & (truth <= scores.high)))
    return metrics
