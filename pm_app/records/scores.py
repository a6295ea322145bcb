"""What a model's output says: risks, life left, and both corrected. Shared by both sides.

Learning measures with these functions and scoring speaks with them, so that what was
measured is what is said. A curve is a row of survival probabilities at ascending edges.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pm_app.records.learning import Calibration, Head
from pm_app.records.readings import Float32, Float64

Curves = NDArray[np.float32] | Float64

INTERVAL = (0.05, 0.95)
# Odds beyond one in a million are noise of float32, and their logarithm must stay finite.
_CLOSEST = 1e-6
_NEXT_TO_NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class Scores:
    """What is said of each row. NaN where the target has no such number.

    risk: calibrated, (n, n_horizons), non-decreasing over horizons. rul, low, high: life left
    and its 90 % interval in hours within [0, cap], (n,). value: (n,), a regressed column,
    whose interval is then low and high. mode_shares: (n, n_horizons, n_modes), which modes the risk
    is made of: the risk of a mode is risk * share, and shares sum to 1; empty without modes.
    """

    risk: Float64
    rul: Float64
    low: Float64
    high: Float64
    value: Float64
    mode_shares: Float64 = field(default_factory=lambda: np.empty((0, 0, 0)))


def scores_of(
    output: Curves, head: Head, calibration: Calibration, shares: Float32 | None = None
) -> Scores:
    """Outputs of a network, as `Head` says, turned into what operators read.

    shares: of modes in what happens in each span, (n, outputs, modes); None without modes.
    """
    scores = _scores_of(output, head, calibration)
    if shares is None:
        return scores
    return replace(scores, mode_shares=horizon_shares(output, shares, head))


def horizon_shares(output: Curves, shares: Float32, head: Head) -> Float64:
    """Share of each mode in what fails within each horizon, (n, n_horizons, n_modes); sums to 1.

    Cumulative incidences of modes over their sum: what fails in a span, times the shares there.
    shares: (n, outputs, modes).
    """
    if head.kind == "classification":
        return shares.astype(np.float64)
    survival = np.hstack([np.ones((len(output), 1)), np.asarray(output, dtype=np.float64)])
    # Where next to nothing fails spans count alike.
    fails = np.maximum(-np.diff(survival, axis=1), 0.0) + _NEXT_TO_NOTHING
    incidence = np.cumsum(fails[:, :, None] * shares, axis=1)
    at = [head.edges_hours.index(horizon) for horizon in head.horizons_hours]
    within = incidence[:, at]
    return np.asarray(within / within.sum(axis=2, keepdims=True))


def with_shares(output: Curves, shares: Float32 | None) -> Float32:
    """All that a graph answers, side by side: (n, outputs + outputs * modes)."""
    parts = [output] if shares is None else [output, shares.reshape(len(shares), -1)]
    return np.hstack(parts).astype(np.float32, copy=False)


def _scores_of(output: Curves, head: Head, calibration: Calibration) -> Scores:
    nothing = np.full(len(output), np.nan)
    if head.kind == "regression":
        value = np.asarray(output[:, 0], dtype=np.float64)
        low, high = value - calibration.rul_margin_low, value + calibration.rul_margin_high
        return Scores(raw_risk(output, head), nothing, low, high, value)
    risk = calibrated_risk(raw_risk(output, head), calibration)
    if head.kind == "classification":
        return Scores(risk, nothing, nothing, nothing, nothing)
    low, high = life_interval(output, head.edges_hours, calibration)
    return Scores(risk, restricted_mean(output, head.edges_hours), low, high, nothing)


def logit(probability: Curves) -> Float64:
    """Log-odds, kept finite near 0 and 1; same shape."""
    inside = np.clip(np.asarray(probability, dtype=np.float64), _CLOSEST, 1 - _CLOSEST)
    return np.log(inside) - np.log1p(-inside)


def sigmoid(score: Float64) -> Float64:
    """Probability of log-odds, without overflow; same shape."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * score)))


def raw_risk(output: Curves, head: Head) -> Float64:
    """P(failure within each horizon) before calibration, shape (n, n_horizons).

    output: as `Head` says. A regressed column has no risk: NaN.
    """
    if head.kind == "regression":
        return np.full((len(output), 1), np.nan)
    if head.kind == "classification":
        return np.asarray(output, dtype=np.float64)
    at = [head.edges_hours.index(horizon) for horizon in head.horizons_hours]
    return 1.0 - np.asarray(output[:, at], dtype=np.float64)


def calibrated_log_odds(risk: Float64, calibration: Calibration) -> Float64:
    """Log-odds of calibrated risks, non-decreasing over horizons; shape as given."""
    scores = logit(risk) * np.array(calibration.slope) + np.array(calibration.intercept)
    if calibration.least:
        # Odds in parallel with the highest, then added to the least: order stays as it is.
        scores = -np.logaddexp(-scores, -logit(np.array(calibration.most)))
        scores = np.logaddexp(scores, logit(np.array(calibration.least)))
    return np.maximum.accumulate(scores, axis=1)


def calibrated_risk(risk: Float64, calibration: Calibration) -> Float64:
    """Risks as they are shown: Platt scaled (Platt 1999), non-decreasing over horizons."""
    return sigmoid(calibrated_log_odds(risk, calibration))


def restricted_mean(survival: Curves, edges: tuple[float, ...]) -> Float64:
    """Expected life left up to the last edge, shape (n,), in the unit of the edges.

    The area under the curve, straight between edges and 1 at zero (Royston & Parmar 2013).
    """
    curve, knots = _from_zero(survival, edges)
    return np.asarray(np.trapezoid(curve, knots, axis=1))


def life_quantile(survival: Curves, edges: tuple[float, ...], level: float) -> Float64:
    """The life left that a share `level` of such machines does not reach, shape (n,).

    Straight between edges; the last edge where the curve stays above 1 - level.
    """
    curve, knots = _from_zero(survival, edges)
    alive = curve > 1.0 - level
    before = np.maximum(alive.sum(axis=1) - 1, 0)
    after = np.minimum(before + 1, len(knots) - 1)
    rows = np.arange(len(curve))
    upper, lower = curve[rows, before], curve[rows, after]
    drop = np.maximum(upper - lower, np.finfo(float).tiny)
    share = np.clip((upper - (1.0 - level)) / drop, 0.0, 1.0)
    return np.asarray(knots[before] + share * (knots[after] - knots[before]))


def life_interval(
    survival: Curves, edges: tuple[float, ...], calibration: Calibration
) -> tuple[Float64, Float64]:
    """Low and high bound of the life left, conformalised, within [0, last edge]; (n,) each.

    A high bound at the last edge says "beyond": it stays there whatever the margin.
    """
    low, high = (life_quantile(survival, edges, level) for level in INTERVAL)
    return moved_bounds(low, high, edges[-1], calibration)


def moved_bounds(
    low: Float64, high: Float64, cap: float, calibration: Calibration
) -> tuple[Float64, Float64]:
    """Bounds of the life left with the margins of a calibration, within [0, cap]; (n,) each."""
    width = high - low
    low = low - (calibration.rul_margin_low + calibration.rul_share_low * width)
    moved = high + (calibration.rul_margin_high + calibration.rul_share_high * width)
    high = np.where(high < cap, moved, cap)
    low, high = np.clip(low, 0.0, cap), np.clip(high, 0.0, cap)
    return np.minimum(low, high), np.maximum(low, high)


def _from_zero(survival: Curves, edges: tuple[float, ...]) -> tuple[Float64, Float64]:
    curve = np.hstack([np.ones((len(survival), 1)), np.asarray(survival, dtype=np.float64)])
    return curve, np.array((0.0, *edges))
