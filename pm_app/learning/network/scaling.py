"""Scaling of raw features, learned from training rows: centre, unit and bounds by feature."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pm_app.learning.network.layers import BoundedScaling

Array = NDArray[np.floating]

# A bound further than this many units from the centre says "very far" and no more.
_FARTHEST = 1e4


def set_scaling(network: Any, values: NDArray[np.float32]) -> None:
    """Fit the layer "scaling" of a network to training rows, (n, n_features).

    Missing values and infinities teach nothing; a feature that never varies, or is never known,
    becomes 0 (Holzmüller, Grinsztajn & Steinwart 2024).
    """
    layer = network.get_layer("scaling")
    learn = _bounded if isinstance(layer, BoundedScaling) else _clipped
    layer.set_weights([np.asarray(part, dtype=np.float32) for part in learn(_finite(values))])


def widen_bounds(network: Any, values: NDArray[np.float32]) -> None:
    """Let features go as far as these rows too, (n, n_features), where training goes on."""
    layer = network.get_layer("scaling")
    if isinstance(layer, BoundedScaling):
        low, high, centre, factor = layer.get_weights()
        finite = _finite(values)
        least, most = _within_reach(finite, centre, factor)
        layer.set_weights([np.minimum(low, least), np.maximum(high, most), centre, factor])


def _clipped(values: Array) -> list[Array]:
    """Median, and one over the quartile distance; half the range where quartiles coincide."""
    low, centre, high = np.nanquantile(values, (0.25, 0.5, 0.75), axis=0)
    half = (np.nanmax(values, axis=0) - np.nanmin(values, axis=0)) / 2
    return [centre, _factor(np.where(high > low, high - low, half), centre)]


def _bounded(values: Array) -> list[Array]:
    """Bounds, median, and one over the quartile distance.

    Where quartiles coincide, as those of counters that are mostly zero, the unit is the median
    distance of the values that differ from the median.
    """
    low, centre, high = np.nanquantile(values, (0.25, 0.5, 0.75), axis=0)
    unit = high - low
    for at in np.flatnonzero(unit <= 0):
        apart = np.abs(values[:, at] - centre[at])
        unit[at] = np.median(apart[apart > 0]) if (apart > 0).any() else 0.0
    factor = _factor(unit, centre)
    return [*_within_reach(values, centre, factor), centre, factor]


def _within_reach(values: Array, centre: Array, factor: Array) -> tuple[Array, Array]:
    """The least and the greatest value of each feature, but not further than `_FARTHEST`."""
    reach = np.divide(_FARTHEST, factor, out=np.zeros(len(factor)), where=factor > 0)
    least = np.maximum(np.nanmin(values, axis=0), centre - reach)
    most = np.minimum(np.nanmax(values, axis=0), centre + reach)
    return least, most


def _finite(values: NDArray[np.float32]) -> Array:
    """The same with NaN for infinities, and 0 for features without any value."""
    finite = np.where(np.isfinite(values), values, np.nan)
    finite[:, ~np.isfinite(finite).any(axis=0)] = 0.0
    return finite


def _factor(unit: Array, centre: Array) -> Array:
    # A spread that float32 cannot tell from rounding of the value is no spread.
    varies = unit > np.finfo(np.float32).eps * np.maximum(np.abs(centre), 1e-30)
    return np.where(varies, 1.0 / np.where(varies, unit, 1.0), 0.0)
