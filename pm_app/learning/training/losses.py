"""Losses of a network's answers on labelled rows: of all spans, and of the horizons shown."""

import numpy as np

from pm_app.learning.data.targets import Rows, Targets, encode_targets
from pm_app.records.labels import Labels
from pm_app.records.learning import Head
from pm_app.records.readings import Float32, Float64
from pm_app.records.scores import raw_risk

_SMALLEST = 1e-7


def row_losses(output: Float32, labels: Labels, rows: Rows, head: Head) -> Float64:
    """Losses of these rows given the answers, (n_rows, n_figures): less is better.

    First what the network is trained for: nats of all spans, nats of a class, or squared
    error of a value. Of a life also what operators act on, the risk within the horizons
    (`horizon_losses`). The two part ways: on FD001 (3 splits by engine) networks of a third
    of the size, without embeddings, had the same nats of all spans, but 25 % more at the
    horizon and 0.988 average precision where the larger ones had 0.993.

    The loss of all spans is when to stop: later and better than average precision, which few
    lives make noisy (FD001: 0.9875 against 0.9863 average precision on engines held out).
    """
    if head.kind == "regression":
        return np.asarray((output[:, :1] - labels.value[rows][:, None]) ** 2, dtype=np.float64)
    trained_for = span_losses(output, encode_targets(labels, rows, head), head)[:, None]
    if head.kind == "classification":
        return trained_for
    return np.hstack([trained_for, horizon_losses(output, labels, rows, head)[:, None]])


def span_losses(output: Float32, targets: Targets, head: Head) -> Float64:
    """Loss of each row given the averaged answers, in nats (Gensheimer & Narasimhan 2019)."""
    predicted = output.astype(np.float64)
    if head.kind == "classification":
        fails = predicted
    else:
        before = np.hstack([np.ones((len(predicted), 1)), predicted[:, :-1]])
        fails = 1.0 - predicted / np.maximum(before, _SMALLEST)
    fails = np.clip(fails, _SMALLEST, 1.0 - _SMALLEST)
    spans = targets.happened * np.log(fails) + targets.survived * np.log1p(-fails)
    return np.asarray(-spans.sum(axis=1))


def horizon_losses(output: Float32, labels: Labels, rows: Rows, head: Head) -> Float64:
    """Log loss of the risk within each horizon, in nats, summed over horizons; (n_rows,).

    A horizon whose outcome a row does not know counts 0.
    """
    risk = np.clip(raw_risk(output, head), _SMALLEST, 1.0 - _SMALLEST)
    truth = np.column_stack([labels.fails_within(hours)[rows] for hours in head.horizons_hours])
    lost = -np.where(truth > 0, np.log(risk), np.log1p(-risk))
    return np.asarray(np.where(np.isfinite(truth), lost, 0.0).sum(axis=1))
