"""Calibration of raw outputs: Platt scaling of risks, conformal margins of life left."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pm_app.learning.data.targets import Rows, known_lives
from pm_app.records.labels import Labels
from pm_app.records.learning import Calibration, Head
from pm_app.records.readings import Float64, Int32
from pm_app.records.scores import INTERVAL, Curves, life_quantile, logit, raw_risk, sigmoid

# Fewer failing rows, or rows of fewer lives, are no evidence of a slope.
FEWEST_ROWS = 20
FEWEST_GROUPS = 4
_FOLDS = 5
_SLOPES = (0.1, 10.0)
# Of the prior of a correction: within a factor of e of the odds and of their spread.
PRIOR_SPREAD = 1.0
_BINS = 15


def calibrate(
    output: Curves, labels: Labels, rows: Rows, head: Head, *, group: Int32
) -> Calibration:
    """The calibration of outputs (n_rows, outputs) of these rows.

    Risks: Platt scaling a horizon (Platt 1999), drawn towards no correction by as much as failing
    groups are few, and kept only where on groups it was not fitted to it lowers log loss and Brier
    score, and does not raise the calibration error. Life left, or a regressed value: margins that
    make the 5 % and 95 % quantiles hold (conformalised quantiles, Romano, Patterson & Candès 2019).
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
    least, most = supported_risks(truths)
    return Calibration(slopes, intercepts, low, high, least, most)


def supported_risks(truths: Float64) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Least and most risk by horizon that these outcomes, (n_rows, n_horizons), can support.

    That n rows went by without a failure says no less than one in n + 2 (Laplace's rule of
    succession), and likewise of failures.
    """
    failing, others = (truths == 1.0).sum(axis=0), (truths == 0.0).sum(axis=0)
    least, most = 1.0 / (others + 2.0), 1.0 - 1.0 / (failing + 2.0)
    return tuple(least.tolist()), tuple(most.tolist())


def event_truths(labels: Labels, rows: Rows, head: Head) -> Float64:
    """1.0, 0.0 or NaN where unknown, per row and horizon: (n_rows, n_horizons)."""
    if head.kind == "hazard":
        columns = [labels.fails_within(horizon)[rows] for horizon in head.horizons_hours]
        return np.stack(columns, axis=1)
    return labels.value[rows][:, None]


def calibration_error(risk: Float64, truth: Float64) -> float:
    """Mean distance of stated risk and observed share over bins of equal width.

    Expected calibration error (Naeini, Cooper & Hauskrecht 2015).
    """
    place = np.minimum((risk * _BINS).astype(int), _BINS - 1)
    stated = np.bincount(place, risk, minlength=_BINS)
    observed = np.bincount(place, truth, minlength=_BINS)
    return float(np.abs(stated - observed).sum() / len(risk))


def platt(score: Float64, truth: Float64, *, groups: int | None = None) -> tuple[float, float]:
    """Slope (positive) and intercept of sigmoid(slope * score + intercept), maximum likelihood.

    Truth is softened as Platt (1999) does, so that separable data give finite slopes. groups:
    how many independent spells fail in it; the likelihood then weighs as so many observations
    against a prior of no correction (`PRIOR_SPREAD` of intercept and logarithm of the slope):
    rows of one failure repeat each other, and a map of four failures is mostly their luck.
    """
    pull = 0.0 if groups is None else 1.0 / (PRIOR_SPREAD**2 * max(groups, 1))
    positives = float(truth.sum())
    negatives = len(truth) - positives
    soft = np.where(truth > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(line: Float64) -> tuple[float, Float64]:
        at = line[0] * score + line[1]
        apart = 0.5 * (1.0 + np.tanh(0.5 * at)) - soft
        steep = np.log(line[0])
        gradient = np.array([np.mean(apart * score), np.mean(apart)])
        gradient += pull * np.array([steep / line[0], line[1]])
        prior = 0.5 * pull * (steep**2 + line[1] ** 2)
        return float(np.mean(np.logaddexp(0.0, at) - soft * at) + prior), gradient

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
        groups = len(np.unique(group[failing & ~here]))
        slope, intercept = platt(score[~here], truth[~here], groups=groups)
        held_out[here] = slope * score[here] + intercept
    if _hurts(held_out, score, truth, group):
        return 1.0, 0.0
    return platt(score, truth, groups=len(np.unique(group[failing])))


def _hurts(corrected: Float64, score: Float64, truth: Float64, group: Int32) -> bool:
    """Whether corrected log-odds are no better than raw ones beyond noise (one standard error of
    the log loss, paired by group), or are worse in some respect."""
    gain = _log_losses(score, truth) - _log_losses(corrected, truth)
    sums = np.bincount(np.unique(group, return_inverse=True)[1], gain)
    after, before = sigmoid(corrected), sigmoid(score)
    return (
        bool(sums.sum() <= np.std(sums, ddof=1) * np.sqrt(len(sums)))
        or bool(np.mean((after - truth) ** 2) > np.mean((before - truth) ** 2))
        or calibration_error(after, truth) > calibration_error(before, truth)
    )


def _log_losses(score: Float64, truth: Float64) -> Float64:
    return np.asarray(np.logaddexp(0.0, score) - truth * score)


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
