"""Predictor: scores from a stored graph by ONNX Runtime and numpy, never TensorFlow."""

from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as errors

from pm_app.errors import BadVersion
from pm_app.records.learning import Calibration, Head
from pm_app.records.readings import Float32, Float64
from pm_app.records.scores import (
    Scores,
    calibrated_log_odds,
    horizon_shares,
    raw_risk,
    scores_of,
)

# Rows and values a graph is given at once: more leave the processor's cache. A network of 297
# embedded features takes 22 us a row by 512 rows, 55 us by 8192.
CHUNK_ROWS, CHUNK_CELLS = 8192, 100_000
# A share that is smaller tells nothing, and its logarithm must stay finite.
_LEAST_SHARE = 1e-6
_UNREADABLE = (
    errors.Fail,
    errors.InvalidArgument,
    errors.InvalidGraph,
    errors.InvalidProtobuf,
    errors.NotImplemented,
    errors.RuntimeException,
    ValueError,
)


class Predictor:
    """A version, ready to score rows of the features it was trained on, in that order.

    Raises BadVersion when the graph cannot be read or does not take len(features) values.
    """

    def __init__(
        self, onnx: bytes, *, head: Head, calibration: Calibration, features: tuple[str, ...]
    ) -> None:
        self.head, self.calibration, self.features = head, calibration, features
        self._session = open_graph(onnx)
        entry = self._session.get_inputs()[0]
        if entry.shape[-1] != len(features):
            raise BadVersion(
                f"the stored graph takes {entry.shape[-1]} features, its card names {len(features)}"
            )
        self._input = entry.name
        # After its answers a graph gives shares of modes where the head has any, then those of
        # attention where it has a gate over sensors.
        self._names = [output.name for output in self._session.get_outputs()]
        self._answering = 2 if head.modes else 1

    def outputs(self, values: Float32) -> Float32:
        """Raw outputs as `Head` says, (n, outputs), for feature rows (n, n_features)."""
        return self._answers(values, self._names[:1])[0]

    def mode_shares(self, values: Float32) -> Float32 | None:
        """Shares of modes in what happens in each span, (n, outputs, modes); None without modes."""
        return self._answers(values, self._names[1:2])[0] if self.head.modes else None

    def _answers(self, values: Float32, names: list[str]) -> list[Float32]:
        if values.ndim != 2 or values.shape[1] != len(self.features):
            raise ValueError(
                f"rows must hold {len(self.features)} features, got shape {values.shape}"
            )
        rows = np.ascontiguousarray(values, dtype=np.float32)
        step = max(1, min(CHUNK_ROWS, CHUNK_CELLS // len(self.features)))
        starts = range(0, max(len(rows), 1), step)
        parts = [self._run(rows[start : start + step], names) for start in starts]
        return [
            np.concatenate(part).astype(np.float32, copy=False) for part in zip(*parts, strict=True)
        ]

    def _run(self, block: Float32, names: list[str]) -> list[Float32]:
        # ONNX Runtime adds up a row that comes alone in another order than one among others:
        # what is said of a cutoff must not depend on which others are scored with it.
        rows = np.repeat(block, 2, axis=0) if len(block) == 1 else block
        outputs = self._session.run(names, {self._input: rows})
        return [each[: len(block)] for each in outputs]

    def predict(self, values: Float32) -> Scores:
        """Calibrated scores of feature rows, (n, n_features) float32 with NaN for missing."""
        return self._scores(self._answers(values, self._names[: self._answering]))

    def _scores(self, answers: list[Float32]) -> Scores:
        return scores_of(answers[0], self.head, self.calibration, *answers[1 : self._answering])

    def predict_attending(self, values: Float32) -> tuple[Scores, Float32 | None]:
        """What `predict` says, and each sensor's share of the network's attention.

        Shares (n, n_sensors), rows summing to 1, sensors in the order of the version's
        `allocation.sensors`; None where the version has no gate over sensors.
        """
        answers = self._answers(values, self._names[: self._answering + 1])
        attention = answers[self._answering :]
        return self._scores(answers), attention[0] if attention else None

    def signal(self, values: Float32) -> Float64:
        """What contributions explain, (n,): log-odds of the longest horizon's risk.

        Before clipping to a probability, so that it still moves where risk is nearly 0 or
        1. For a regressed column, the value.
        """
        return self._signal(self.outputs(values))

    def signals(self, values: Float32) -> Float64:
        """`signal`, then the same of the risk of each failure mode, (n, 1 + n_modes)."""
        output, *shares = self._answers(values, self._names[: self._answering])
        whole = self._signal(output)[:, None]
        if not shares:
            return whole
        share = horizon_shares(output, shares[0], self.head)[:, -1]
        return np.hstack([whole, _log_odds_of_part(whole, share)])

    def _signal(self, output: Float32) -> Float64:
        if self.head.kind == "regression":
            return output[:, 0].astype(np.float64)
        return calibrated_log_odds(raw_risk(output, self.head), self.calibration)[:, -1]


def _log_odds_of_part(log_odds: Float64, share: Float64) -> Float64:
    """Log-odds of a share of a probability, which may be nearly 0 or 1."""
    inside = -np.logaddexp(0.0, -log_odds)
    outside = -np.logaddexp(0.0, log_odds)
    kept = np.clip(share, _LEAST_SHARE, 1.0 - _LEAST_SHARE)
    part = inside + np.log(kept)
    return np.asarray(part - np.logaddexp(outside, inside + np.log1p(-kept)))


def open_graph(onnx: bytes) -> Any:
    """A session of a stored graph, on one thread. Raises BadVersion."""
    options = onnxruntime.SessionOptions()
    # One keeps a small server responsive and is as fast for small batches.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # An arena keeps the largest block for ever: a daemon's memory should fall again.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            onnx, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except _UNREADABLE as error:
        raise BadVersion(f"the stored graph cannot be read: {error}") from error
