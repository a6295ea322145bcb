"""Parity of the Keras network and its ONNX graph, and the range of features in training."""

from collections.abc import Callable

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from pm_app.errors import BadVersion
from pm_app.learning.data.targets import Rows
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.learning import Head
from pm_app.records.readings import Float32
from pm_app.records.scores import with_shares

# ONNX Runtime and Keras may differ by rounding only, in probability.
MOST_APART = 1e-5
_PARITY_ROWS = 2000
_GOLDEN_ROWS = 8
_MISSING_SHARE = 0.1


def parity_rows(values: Float32, *, seed: int) -> Float32:
    """Some of the rows, a tenth of the values missing in every second one."""
    rng = np.random.default_rng(seed)
    rows = values[np.sort(rng.permutation(len(values))[:_PARITY_ROWS])].copy()
    gone = rng.random(rows.shape) < _MISSING_SHARE
    gone[::2] = False
    rows[gone] = np.nan
    return rows


def check_parity(
    answer: Callable[[Float32], Float32],
    onnx: bytes,
    rows: Float32,
    *,
    modes: bool = False,
    unit: float = 1.0,
) -> tuple[float, Float32, Float32]:
    """The largest difference of a model and its graph over rows, in `unit`; golden rows of them
    with the graph's answers.

    answer: of the model, (n, n_features) to all that the graph answers but attention, shares of
    modes among it where there are `modes` (`with_shares`). Raises BadVersion beyond `MOST_APART`.
    """
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    answered = session.run(None, {session.get_inputs()[0].name: rows})
    exported = with_shares(answered[0], answered[1] if modes else None)
    apart = float(np.max(np.abs(exported - answer(rows)))) / unit
    if not apart <= MOST_APART:
        raise BadVersion(
            f"the exported graph must agree with what was trained within {MOST_APART:g}, "
            f"differs by {apart:.3g}"
        )
    return apart, rows[:_GOLDEN_ROWS], exported[:_GOLDEN_ROWS].astype(np.float32)


def describe_features(
    frame: Frame, labels: Labels, rows: Rows, head: Head
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    """0.1 % and 99.9 % quantiles of training rows, and the healthy median, per feature.

    Healthy are rows known to run past the cap, or the quarter of longest lives where fewer
    than a hundredth do; class 0; all rows for a regressed column. NaN where a feature is
    never known.
    """
    values = np.where(np.isfinite(frame.values[rows]), frame.values[rows], np.nan)
    present = np.isfinite(values).any(axis=0)
    filled = np.where(present, values, 0.0)
    low, high = np.nanquantile(filled, (0.001, 0.999), axis=0)
    healthy = filled[_healthy(labels, rows, head)]
    some = np.isfinite(healthy).any(axis=0)
    healthy = np.where(some, healthy, np.nanmedian(filled, axis=0))
    middle = np.nanmedian(healthy, axis=0)
    lows, highs, middles = (
        tuple(np.where(present, part, np.nan).tolist()) for part in (low, high, middle)
    )
    return lows, highs, middles


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
