"""Deviation: how unusual rows are by a learned normal behaviour, and by which sensors."""

from dataclasses import replace
from typing import Final

import numpy as np

from pm_app.errors import BadVersion
from pm_app.features.frame import select_features
from pm_app.features.physical_limits import leave_out_beyond
from pm_app.records.features import Frame
from pm_app.records.normality import Deviations, NormalCard
from pm_app.records.readings import Float32, Float64
from pm_app.scoring.predictor import CHUNK_CELLS, CHUNK_ROWS, open_graph

# The feature of a failure model that a deviation is, and the group it is measured as.
DEVIATION: Final = "deviation"
# What follows has no meaning.
DEVIATION_DIGITS = 3
_RESIDUAL_DIGITS = 3
# Groups that are named, and the least share worth a name.
_SHOWN, _LEAST_SHARE = 3, 0.05


class DeviationPredictor:
    """A normal behaviour, ready to say how unusual rows of its features are, in that order.

    Raises BadVersion when the graph cannot be read or does not fit the card.
    """

    def __init__(self, onnx: bytes, card: NormalCard) -> None:
        self.card = card
        self._session = open_graph(onnx)
        entry = self._session.get_inputs()[0]
        if entry.shape[-1] != len(card.features):
            raise BadVersion(
                f"the stored graph takes {entry.shape[-1]} features, "
                f"its card names {len(card.features)}"
            )
        self._input = entry.name

    def raw(self, values: Float32) -> Float32:
        """Score and residuals, (n, 1 + n_sensors), for feature rows (n, n_features)."""
        if values.ndim != 2 or values.shape[1] != len(self.card.features):
            raise ValueError(
                f"rows must hold {len(self.card.features)} features, got shape {values.shape}"
            )
        rows = np.ascontiguousarray(values, dtype=np.float32)
        step = max(1, min(CHUNK_ROWS, CHUNK_CELLS // len(self.card.features)))
        starts = range(0, max(len(rows), 1), step)
        return np.concatenate([self._run(rows[start : start + step]) for start in starts])

    def deviations(self, values: Float32) -> Deviations:
        """Deviations of feature rows (n, n_features), NaN for missing."""
        raw = self.raw(values).astype(np.float64)
        residuals = raw[:, 1:]
        deviation = np.round(raw[:, 0] / self.card.level.score, DEVIATION_DIGITS)
        return Deviations(deviation, residuals, self._shares(residuals))

    def _run(self, block: Float32) -> Float32:
        # One row alone may be added up in another order than among others.
        rows = np.repeat(block, 2, axis=0) if len(block) == 1 else block
        outputs = self._session.run(None, {self._input: rows})
        return np.hstack(outputs)[: len(block)].astype(np.float32, copy=False)

    def _shares(self, residuals: Float64) -> Float64:
        """What each sensor has in a deviation: its squared residual, in its usual spread."""
        with np.errstate(invalid="ignore"):
            squared = np.nan_to_num((residuals / np.array(self.card.usual)) ** 2)
        total = squared.sum(axis=1, keepdims=True)
        return np.asarray(squared / np.where(total > 0, total, 1.0))


def deviation_features(frame: Frame, card: NormalCard) -> Float32:
    """What a normal behaviour is asked about, (n, n_features): a sensor is left out where it read
    what it cannot. The frame holds all features of the card's specification."""
    return select_features(leave_out_beyond(frame, card.spec, card.limits), card.features).values


def with_deviation(frame: Frame, deviation: Float64) -> Frame:
    """The frame with these deviations, (n_rows,), as the feature DEVIATION, which comes last."""
    kept = [at for at, name in enumerate(frame.features) if name != DEVIATION]
    values = np.empty((len(frame.cutoff), len(kept) + 1), dtype=np.float32)
    values[:, :-1] = frame.values[:, kept] if len(kept) < len(frame.features) else frame.values
    values[:, -1] = deviation
    features, groups = (
        (*(names[at] for at in kept), DEVIATION) for names in (frame.features, frame.sensor_of)
    )
    return replace(frame, features=features, sensor_of=groups, values=values)


def add_deviation(frame: Frame, seen: Frame, normal: DeviationPredictor) -> Frame:
    """The frame with what a normal behaviour says of its rows as the feature DEVIATION.

    seen: the same rows with the features that the normal behaviour reads, without limits.
    """
    values = deviation_features(seen, normal.card)
    return with_deviation(frame, normal.deviations(values).deviation)


def deviation_sensors_text(residuals: Float64, shares: Float64, card: NormalCard) -> str:
    """Sensors behind a row's deviation in words, most first: "bearing_temp +9.1 (71 %)".

    residuals, shares: (n_sensors,). Those that move together are one: "bearing_temp, oil_temp
    +9.1 (71 %)", with the residual of the one that has most of it.
    """
    place = {sensor: number for number, sensor in enumerate(card.sensors)}
    parts = []
    for group in card.groups:
        members = sorted((place[name] for name in group), key=lambda at: (-shares[at], at))
        behind = [at for at in members if shares[at] >= _LEAST_SHARE]
        if behind:
            names = ", ".join(card.sensors[at] for at in behind)
            share = float(sum(shares[at] for at in members))
            parts.append((share, f"{names} {_signed(float(residuals[behind[0]]))}"))
    parts.sort(key=lambda part: -part[0])
    return ", ".join(f"{text} ({100 * share:.0f} %)" for share, text in parts[:_SHOWN])


def _signed(residual: float) -> str:
    return f"{residual:+.{_RESIDUAL_DIGITS}g}"
