"""Calibration of raw outputs: Platt scaling of risks, conformal margins of life left."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

from pm_app.learning.data.labels import number_distinct
from pm_app.learning.data.targets import Rows, known_lives
from pm_app.learning.evaluation.intervals import NO_CORRECTION, StatedLives, fit_margins, margin
from pm_app.records.labels import Labels
from pm_app.records.learning import Calibration, Head
from pm_app.records.readings import Float64, Int32
from pm_app.records.scores import INTERVAL, Curves, life_quantile, logit, raw_risk, sigmoid

# Fewer failing rows, or rows of fewer lives, are no evidence of a slope.
FEWEST_ROWS = 20
FEWEST_GROUPS = 8
_FOLDS = 5
_SLOPES = (0.1, 10.0)
# Of the prior of a correction: within a factor of e of the odds and of their spread.
PRIOR_SPREAD = 1.0
_MOST_SHIFT = 3.0
# A sibling that is so many times surer than what is published has failed otherwise.
_MOST_SPREAD = 3.0
_NOTHING = 1e-9
_BINS = 15


def calibrate(
    output: Curves,
    labels: Labels,
    rows: Rows,
    head: Head,
    *,
    group: Int32,
    block: Int32 | None = None,
) -> Calibration:
    """The calibration of outputs (n_rows, outputs) of models that have not learned from these rows.

    Risks: Platt scaling a horizon (Platt 1999), drawn towards no correction by as much as failing
    groups are few, and kept only where on groups it was not fitted to it lowers log loss and Brier
    score, and does not raise the calibration error; then the base rate of the newest block, where
    following it would have paid before (`newest_shift`). Life left, or a regressed value: margins
    that make the 5 % and 95 % quantiles hold (conformalised quantiles, Romano, Patterson & Candès
    2019), group by group (`fit_margins`). group: (n_rows,), the machine or life that is held out
    together. block: (n_rows,), numbered by time; None where what is judged is no newer.
    """
    if head.kind == "regression":
        apart = output[:, 0] - labels.value[rows]
        return Calibration((1.0,), (0.0,), margin(apart, group), margin(-apart, group))
    if len(labels.weighed_hours):
        # A machine that is renewed lives often, and each of its lives bears witness by itself.
        group = labels.life[rows]
    truths = event_truths(labels, rows, head)
    risks, weights = raw_risk(output, head), event_weights(labels, rows, head)
    lines = [
        _line(logit(risks[:, at]), truths[:, at], group, block, weight)
        for at, weight in enumerate(weights)
    ]
    margins = NO_CORRECTION
    if head.kind == "hazard":
        lives, places = known_lives(labels, rows, head.edges_hours[-1])
        low, high = (life_quantile(output[places], head.edges_hours, level) for level in INTERVAL)
        margins = fit_margins(StatedLives(low, high, lives, group[places], head.edges_hours[-1]))
    slopes, intercepts = zip(*lines, strict=True)
    least, most = supported_risks(labels, rows, head, group)
    return replace(margins, slope=slopes, intercept=intercepts, least=least, most=most)


def match_siblings(output: Curves, own: Curves, published: Curves) -> Float64:
    """A sibling's answers (n_rows, outputs) in the level and spread of what is published.

    own, published: what both answer to the same other rows, (n_others, outputs). Log-odds are moved
    and stretched so that both would be alike there. So that a sibling of fewer lives is too sure,
    or off in level, is no reason to correct a model that is not.
    """
    from_mean, from_spread = _level(own)
    to_mean, to_spread = _level(published)
    ratio = np.clip(to_spread / from_spread, 1.0 / _MOST_SPREAD, _MOST_SPREAD)
    matched = sigmoid((logit(output) - from_mean) * ratio + to_mean)
    return np.asarray(np.minimum.accumulate(matched, axis=1))


def _level(output: Curves) -> tuple[Float64, Float64]:
    """Mean and spread of the log-odds of each output, (outputs,)."""
    scores = logit(output)
    return scores.mean(axis=0), np.maximum(scores.std(axis=0), _NOTHING)


def supported_risks(
    labels: Labels, rows: Rows, head: Head, group: Int32
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Least and most risk by horizon that the outcomes of these rows can support.

    That n horizons of lives went by without a failure says no less than one in n + 2 (Laplace's
    rule of succession), and likewise of failures; rows of one of them repeat each other. Where the
    target is no life, groups, (n_rows,), are what is counted.
    """
    pairs = event_truths(labels, rows, head).T, _spells(labels, rows, head, group).T
    counts = [
        [len(np.unique(spell[truth == outcome])) for truth, spell in zip(*pairs, strict=True)]
        for outcome in (1.0, 0.0)
    ]
    failing, others = np.array(counts, dtype=float)
    least, most = 1.0 / (others + 2.0), 1.0 - 1.0 / (failing + 2.0)
    return tuple(least.tolist()), tuple(most.tolist())


def _spells(labels: Labels, rows: Rows, head: Head, group: Int32) -> NDArray[np.int64]:
    """Of each row and horizon: one horizon of one life, counted back from its end; or the group."""
    if head.kind != "hazard":
        return group.astype(np.int64)[:, None]
    life, duration = labels.life[rows].astype(np.int64), labels.duration_hours[rows]
    return np.stack(
        [number_distinct(life, _horizons_left(duration, hours)) for hours in head.horizons_hours],
        axis=1,
    ).astype(np.int64)


def _horizons_left(duration: Float64, hours: float) -> NDArray[np.int64]:
    return np.maximum(np.ceil(duration / hours), 1).astype(np.int64)


def newest_shift(
    score: Float64, truth: Float64, group: Int32, block: Int32, weights: Float64 | None = None
) -> float:
    """What log-odds (n_rows,) are moved by to meet the base rate of the newest block.

    0 unless each block's log loss is lower beyond noise at the base rate of the block before than
    at that of all before, and neither its Brier score nor its calibration error is higher.
    """
    names = np.unique(block)
    last, usual = score.copy(), score.copy()
    for before, name in pairwise(names):
        for moved, rows in ((last, block == before), (usual, block < name)):
            moved[block == name] += _shift(
                score[rows], truth[rows], group[rows], _some(weights, rows)
            )
    later = block > names[:2].max()
    if not later.any() or _hurts(
        last[later], usual[later], truth[later], group[later], _some(weights, later)
    ):
        return 0.0
    newest = block == names[-1]
    return _shift(score[newest], truth[newest], group[newest], _some(weights, newest))


def _shift(score: Float64, truth: Float64, group: Int32, weights: Float64 | None) -> float:
    """The intercept of highest likelihood, drawn towards 0 as `platt` does."""
    failing = len(np.unique(group[truth > 0]))
    pull = 1.0 / (PRIOR_SPREAD**2 * max(failing, 1))

    def loss(shift: float) -> float:
        return mean_by(_log_losses(score + shift, truth), weights) + 0.5 * pull * shift**2

    return float(minimize_scalar(loss, bounds=(-_MOST_SHIFT, _MOST_SHIFT), method="bounded").x)


def event_truths(labels: Labels, rows: Rows, head: Head) -> Float64:
    """1.0, 0.0 or NaN where unknown, per row and horizon: (n_rows, n_horizons)."""
    if head.kind == "hazard":
        columns = [labels.fails_within(horizon)[rows] for horizon in head.horizons_hours]
        return np.stack(columns, axis=1)
    return labels.value[rows][:, None]


def event_weights(labels: Labels, rows: Rows, head: Head) -> list[Float64 | None]:
    """By horizon what each row weighs, (n_rows,); None where all are alike."""
    if head.kind != "hazard":
        return [None]
    return [_some(labels.weights_within(hours), rows) for hours in head.horizons_hours]


def mean_by(values: Float64, weights: Float64 | None) -> float:
    """The mean of values that weigh so much each, (n_rows,); None where all are alike."""
    return float(np.mean(values) if weights is None else np.average(values, weights=weights))


def calibration_error(risk: Float64, truth: Float64, weights: Float64 | None = None) -> float:
    """Mean distance of stated risk and observed share over bins of equal width.

    Expected calibration error (Naeini, Cooper & Hauskrecht 2015). weights: of the rows.
    """
    place = np.minimum((risk * _BINS).astype(int), _BINS - 1)
    heavy = np.ones(len(risk)) if weights is None else weights
    stated = np.bincount(place, risk * heavy, minlength=_BINS)
    observed = np.bincount(place, truth * heavy, minlength=_BINS)
    return float(np.abs(stated - observed).sum() / heavy.sum())


def platt(
    score: Float64,
    truth: Float64,
    *,
    groups: int | None = None,
    weights: Float64 | None = None,
) -> tuple[float, float]:
    """Slope (positive) and intercept of sigmoid(slope * score + intercept), maximum likelihood.

    Truth is softened as Platt (1999) does, so that separable data give finite slopes. groups:
    how many independent spells fail in it; the likelihood then weighs as so many observations
    against a prior of no correction (`PRIOR_SPREAD` of intercept and logarithm of the slope):
    rows of one failure repeat each other, and a map of four failures is mostly their luck.
    weights: of the rows; all alike by default.
    """
    pull = 0.0 if groups is None else 1.0 / (PRIOR_SPREAD**2 * max(groups, 1))
    positives = float(truth.sum()) if weights is None else len(truth) * mean_by(truth, weights)
    negatives = len(truth) - positives
    soft = np.where(truth > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(line: Float64) -> tuple[float, Float64]:
        at = line[0] * score + line[1]
        apart = 0.5 * (1.0 + np.tanh(0.5 * at)) - soft
        steep = np.log(line[0])
        gradient = np.array([mean_by(apart * score, weights), mean_by(apart, weights)])
        gradient += pull * np.array([steep / line[0], line[1]])
        prior = 0.5 * pull * (steep**2 + line[1] ** 2)
        return float(mean_by(np.logaddexp(0.0, at) - soft * at, weights) + prior), gradient

    bounds = [_SLOPES, (None, None)]
    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    return float(found.x[0]), float(found.x[1])


def _line(
    score: Float64,
    truth: Float64,
    group: Int32,
    block: Int32 | None,
    weights: Float64 | None,
) -> tuple[float, float]:
    """Slope and intercept of these log-odds, 1 and 0 where no other is better beyond noise."""
    labelled = np.isfinite(truth)
    score, truth, group = score[labelled], truth[labelled], group[labelled]
    weights, failing = _some(weights, labelled), truth > 0
    rows = min(int(failing.sum()), int((~failing).sum()))
    if rows < FEWEST_ROWS or len(np.unique(group[failing])) < FEWEST_GROUPS:
        return 1.0, 0.0
    slope, intercept = _platt_if_better(score, truth, group, weights)
    if block is not None:
        corrected = slope * score + intercept
        intercept += newest_shift(corrected, truth, group, block[labelled], weights)
    return slope, intercept


def _platt_if_better(
    score: Float64, truth: Float64, group: Int32, weights: Float64 | None
) -> tuple[float, float]:
    failing = truth > 0
    fold = np.searchsorted(np.unique(group), group) % _FOLDS
    held_out = np.empty(len(score))
    for part in range(_FOLDS):
        here = fold == part
        if not failing[~here].any():
            return 1.0, 0.0
        groups = len(np.unique(group[failing & ~here]))
        others = _some(weights, ~here)
        slope, intercept = platt(score[~here], truth[~here], groups=groups, weights=others)
        held_out[here] = slope * score[here] + intercept
    if _hurts(held_out, score, truth, group, weights):
        return 1.0, 0.0
    return platt(score, truth, groups=len(np.unique(group[failing])), weights=weights)


def _some(weights: Float64 | None, rows: NDArray[np.generic]) -> Float64 | None:
    return None if weights is None else weights[rows]


def _hurts(
    corrected: Float64, score: Float64, truth: Float64, group: Int32, weights: Float64 | None
) -> bool:
    """Whether corrected log-odds are no better than raw ones beyond noise (one standard error of
    the log loss, paired by group), or are worse in some respect."""
    gain = _log_losses(score, truth) - _log_losses(corrected, truth)
    gain = gain if weights is None else gain * weights
    sums = np.bincount(np.unique(group, return_inverse=True)[1], gain)
    after, before = sigmoid(corrected), sigmoid(score)
    return (
        bool(sums.sum() <= np.std(sums, ddof=1) * np.sqrt(len(sums)))
        or mean_by((after - truth) ** 2, weights) > mean_by((before - truth) ** 2, weights)
        or calibration_error(after, truth, weights) > calibration_error(before, truth, weights)
    )


def _log_losses(score: Float64, truth: Float64) -> Float64:
    return np.asarray(np.logaddexp(0.0, score) - truth * score)
