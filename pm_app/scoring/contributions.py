"""Contributions of sensors to a risk: what it would be if one of them looked healthy."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pm_app.records.readings import Flags, Float32, Float64, Index
from pm_app.threads import on_threads

# Rows and values handed to the model at once, whatever comes: its every layer holds a copy.
_BLOCK_ROWS = 8192
_BLOCK_CELLS = 250_000
# Fewer blocks are done before a second thread has begun.
_WORTH_THREADS = 8
# Shares that would round to less are not worth an operator's eye.
_SMALLEST_SHARE = 0.05
# Attention is spread over all sensors: of many, even the leading ones have little each.
_SMALLEST_ATTENTION = 0.005
# A graph may sum in another order when it is given other rows beside.
_ATTENTION_DIGITS = 4


class Explained(Protocol):
    """A model with one number per row to explain, or several."""

    def signal(self, values: Float32) -> Float64:
        """(n, n_features) to (n,), or (n, n_signals)."""
        ...


def contributions(
    model: Explained, values: Float32, sensor_of: Sequence[str], reference: Sequence[float]
) -> Float64:
    """How much each sensor adds to the signal, (n, n_sensors), sensors by first appearance; to
    each of several, (n, n_sensors, n_signals).

    Occlusion (Zeiler & Fergus 2014): the signal less what it is with all features of the
    sensor at their healthy reference. Positive raises risk.
    """
    sensors = tuple(dict.fromkeys(sensor_of))
    owner = np.array([sensors.index(sensor) for sensor in sensor_of])
    healthy = np.asarray(reference, dtype=np.float32)
    parts: dict[int, Float64] = {}
    most = min(_BLOCK_ROWS, _BLOCK_CELLS // len(owner))
    step = max(1, most // len(sensors))

    def explain(start: int) -> None:
        block = values[start : start + step]
        parts[start] = _block(model, block, owner, healthy, len(sensors))

    starts = range(0, max(len(values), 1), step)
    on_threads(explain, starts, least=_WORTH_THREADS)
    return np.concatenate([parts[start] for start in starts])


def stands_out(risk: Float64, usual: float | None) -> Flags:
    """Which risks, (n,), stand out from the usual by more than noise, so that there is something
    to explain; of others any share would be of noise. usual: as `VersionCard.usual_risk`."""
    return np.asarray(~(risk <= (-1.0 if usual is None else usual)))


def top_sensors_text(
    shares: Float64, sensors: Sequence[str], *, most: int = 3, smallest: float = _SMALLEST_SHARE
) -> list[str]:
    """Per row of contributions (n, n_sensors): "vibration 62 %, load 21 %".

    Shares are of all that raises the risk; sensors that lower it are not named, nor those
    below the smallest share. "" where nothing raises it. Ties break by the order of `sensors`.
    """
    raising = np.maximum(np.nan_to_num(shares), 0.0)
    whole = raising.sum(axis=1, keepdims=True)
    parts = np.divide(raising, whole, out=np.zeros_like(raising), where=whole > 0)
    order = np.argsort(-parts, axis=1, kind="stable")[:, :most]
    leading = np.take_along_axis(parts, order, axis=1)
    return [
        ", ".join(
            f"{sensors[sensor]} {f'{share:.0%}'.replace('%', ' %')}"
            for sensor, share in zip(places, amounts, strict=True)
            if share >= smallest
        )
        for places, amounts in zip(order.tolist(), leading.tolist(), strict=True)
    ]


def attention_text(shares: Float32, sensors: Sequence[str]) -> list[str]:
    """Per row of attention (n, n_sensors), rows summing to 1: its three leading sensors.

    Worded as `top_sensors_text`; shares that tell apart only by rounding are ties.
    """
    rounded = np.asarray(shares, dtype=np.float64).round(_ATTENTION_DIGITS)
    return top_sensors_text(rounded, sensors, smallest=_SMALLEST_ATTENTION)


def _block(
    model: Explained, block: Float32, owner: Index, healthy: Float32, sensors: int
) -> Float64:
    replaced = owner == np.arange(sensors)[:, None]
    variants = np.where(replaced[:, None, :], healthy, block)
    without = model.signal(variants.reshape(-1, block.shape[1]).astype(np.float32, copy=False))
    without = without.reshape(sensors, len(block), *without.shape[1:])
    return np.asarray(model.signal(block)[:, None] - without.swapaxes(0, 1))
