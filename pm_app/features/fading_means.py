"""Weighted means that fade, with their second moments: what memory is made of.

A trace is a weighted mean in which a reading weighs less by half for every half-life it lies
back. The life so far is a trace that forgets nothing, the beginning of a life one that takes
in nothing after its first days.
"""

from dataclasses import dataclass

import numpy as np

from pm_app.records.features import FeatureSpec
from pm_app.records.readings import Float64, Index, Int64

# A trace that weighs less than this share of one reading (30 half-lives) is forgotten.
LEAST_WEIGHT = 1e-9
LIFE, BEGINNING = 0, 1


@dataclass(frozen=True, eq=False)
class FadingMeans:
    """FadingMeans of n panes.

    weight, mean, moment (n, n_traces, n_sensors), minimum, maximum (n, n_sensors), and the
    pane (n,) that weights are seen from. Mean and moment are 0 where the weight is 0, so that
    merging with nothing changes no bit.
    """

    pane: Int64
    weight: Float64
    mean: Float64
    moment: Float64
    minimum: Float64
    maximum: Float64

    def at(self, rows: Index) -> "FadingMeans":
        """Only these rows."""
        return FadingMeans(
            **{name: values.take(rows, axis=0) for name, values in vars(self).items()}
        )

    def put(self, rows: Index, other: "FadingMeans") -> None:
        """Set these rows to another's."""
        for name, values in vars(self).items():
            values[rows] = getattr(other, name)


def half_lives_of(spec: FeatureSpec) -> Float64:
    """The half-life of each trace in panes."""
    smooth = [half_ns / spec.pane_ns for half_ns in spec.smooth_ns]
    return np.array([np.inf, np.inf, *smooth])


def fading_over(panes: Int64, half_lives: Float64) -> Float64:
    """What is left of a weight after so many panes, (n, n_traces, 1)."""
    # One contiguous run of numbers: the same power whatever stands beside it.
    powers = np.ascontiguousarray((-panes[:, None] / half_lives).ravel())
    return np.exp2(powers).reshape(len(panes), len(half_lives), 1)


def merge_traces(a: FadingMeans, b: FadingMeans, half_lives: Float64) -> FadingMeans:
    """Both as one, seen from b's pane."""
    fading = fading_over(b.pane - a.pane, half_lives)
    left = a.weight * fading
    left = np.where(left < LEAST_WEIGHT, 0.0, left)
    kept = left > 0
    a_mean = np.where(kept, a.mean, 0.0)
    a_moment = np.where(kept, a.moment * fading, 0.0)
    n = left + b.weight
    share = b.weight / np.where(n > 0, n, 1.0)
    apart = np.where(kept, b.mean - a_mean, b.mean)
    # With one side empty the other must come out as it is.
    mean = np.where(b.weight > 0, np.where(kept, a_mean + apart * share, b.mean), a_mean)
    return FadingMeans(
        b.pane,
        n,
        mean,
        a_moment + b.moment + np.where(kept, apart * apart * left * share, 0.0),
        np.minimum(a.minimum, b.minimum),
        np.maximum(a.maximum, b.maximum),
    )
