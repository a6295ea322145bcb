"""Calibration of raw outputs: Platt scaling of risks, conformal margins of life left."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pm_app.learning.data.targets import Rows, known_lives
from pm_app.records.labels import Labels
from pm_app.records.learning import Calibration, Head
from pm_app.records.readings import Float64, Int32
from pm_app.records.scores import INTERVAL, Curves, life_quantile, logit, raw_risk

# Fewer failing rows, or rows of fewer lives, are no evidence of a slope.
FEWEST_ROWS = 20
FEWEST_GROUPS = 4
_FOLDS = 5
_SLOPES = (0.1, 10.0)


def calibrate(
    output: Curves, labels: Labels, rows: Rows, head: Head, *, group: Int32
) -> Calibration:
    """The calibration of outputs (n_rows, outputs) of these rows.

    Risks: Platt scaling a horizon (Platt 1999), kept only where it lowers the log loss on
    groups it was not fitted to. Life left, or a regressed value: margins that make the 5 %
    and 95 % quantiles hold (conformalised quantiles, Romano, Patterson & Candès 2019).
    group: (n_rows,), the unit that is held out together.
    """
    if head.kind == "regression":
        apart = output[:, 0] - labels.value[rows]
        low, high = _margin(apart), _margin(-apart)
        return Calibration((1.0,), (0.0,), low, high)
    truths = event_truths(labels, rows, head)
    risks = raw_risk(output, head)
    lines = [
        _platt_if_better(logit(risks[:, at]), truths[:, at], group) for at in range(risks.shape[1])
    ]
    low, high = 0.0, 0.0
    if head.kind == "hazard":
        lives, places = known_lives(labels, rows, head.edges_hours[-1])
        bounds = [life_quantile(output[places], head.edges_hours, level) for level in INTERVAL]
        low, high = _margin(bounds[0] - lives), _upper_margin(bounds[1], lives, head)
    slopes, intercepts = zip(*lines, strict=True)
    return Calibration(slopes, intercepts, low, high)


def event_truths(labels: Labels, rows: Rows, head: Head) -> Float64:
    """1.0, 0.0 or NaN where unknown, per row and horizon: (n_rows, n_horizons)."""
    if head.kind == "hazard":
        columns = [labels.fails_within(horizon)[rows] for horizon in head.horizons_hours]
        return np.stack(columns, axis=1)
    return labels.value[rows][:, None]


def platt(score: Float64, truth: Float64) -> tuple[float, float]:
    """Slope (positive) and intercept of sigmoid(slope * score + intercept), maximum likelihood.

    Truth is softened as Platt (1999) does, so that separable data give finite slopes.
    """
    positives = float(truth.sum())
    negatives = len(truth) - positives
    soft = np.where(truth > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(line: Float64) -> tuple[float, Float64]:
        at = line[0] * score + line[1]
        apart = 0.5 * (1.0 + np.tanh(0.5 * at)) - soft
        gradient = np.array([np.mean(apart * score), np.mean(apart)])
        return float(np.mean(np.logaddexp(0.0, at) - soft * at)), gradient

    bounds = [_SLOPES, (None, None)]
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), float(found.x[1])


def _platt_if_better(score: Float64, truth: Float64, group: Int32) -> tuple[float, float]:
    labelled = np.isfinite(truth)
    score, truth, group = score[labelled], truth[labelled], group[labelled]
    failing = truth > 0
    rows = min(int(failing.sum()), int((~failing).sum()))
    names = np.unique(group)
    if rows < FEWEST_ROWS or len(np.unique(group[failing])) < FEWEST_GROUPS:
        return 1.0, 0.0
    fold = np.searchsorted(names, group) % _FOLDS
    held_out = np.empty(len(score))
    for part in range(_FOLDS):
        here = fold == part
        if not failing[~here].any():
            return 1.0, 0.0
        slope, intercept = platt(score[~here], truth[~here])
        held_out[here] = slope * score[here] + intercept
    if _log_loss(held_out, truth) >= _log_loss(score, truth):
        return 1.0, 0.0
    return platt(score, truth)


def _log_loss(score: Float64, truth: Float64) -> float:
    return float(np.mean(np.logaddexp(0.0, score) - truth * score))


def _upper_margin(high: Float64, lives: Float64, head: Head) -> float:
    """The margin of high bounds below the cap: one at the cap holds whatever comes.

    Together with them the others would look safer than they are wide (conformal by group,
    Vovk 2012).
    """
    below = high < head.edges_hours[-1]
    return _margin((lives - high)[below])


def _margin(beyond: NDArray[np.floating]) -> float:
    """How far a bound must move for its share of the truth to lie beyond it."""
    if not len(beyond):
        return 0.0
    level = min(1.0, (1.0 - INTERVAL[0]) * (1.0 + 1.0 / len(beyond)))
    return float(np.quantile(np.asarray(beyond, dtype=float), level, method="higher"))
