"""Losses of a network's answers on labelled rows: of spans, of the risk, of the life left."""

import numpy as np

from pm_app.learning.data.targets import Rows, Targets, encode_targets
from pm_app.learning.evaluation.calibration import event_truths, event_weights, platt
from pm_app.records.labels import Labels
from pm_app.records.learning import Head
from pm_app.records.readings import Float32, Float64, Int32
from pm_app.records.scores import logit, raw_risk

_SMALLEST = 1e-7
# Keeps the logarithm of no loss at all finite.
_NOTHING = 1e-12


def row_losses(output: Float32, labels: Labels, rows: Rows, head: Head) -> Float64:
    """Losses of these rows given the answers, (n_rows, n_figures): less is better.

    Of what people read: of a life the risk within the horizons (`horizon_losses`) and the life
    left (`life_losses`), nats of a class, or squared error of a value. What the network descends
    on, the nats of all its spans (`span_losses`), is another thing: networks stopped by it had
    0.02 less average precision and 1 % more error of the life left than stopped by both of these
    (8 splits: two plants of pumps, three single machines, blocks of UR3, FD001; 4 trainings
    each). Average precision itself is made noisy by few lives.
    """
    if head.kind == "regression":
        return np.asarray((output[:, :1] - labels.value[rows][:, None]) ** 2, dtype=np.float64)
    if head.kind == "classification":
        return span_losses(output, encode_targets(labels, rows, head), head)[:, None]
    both = (horizon_losses, life_losses)
    return np.stack([loss(output, labels, rows, head) for loss in both], axis=1)


def corrected_losses(
    output: Float32, labels: Labels, rows: Rows, head: Head, *, group: Int32
) -> Float64:
    """`row_losses` of answers whose risks are corrected first, as a version's are (`platt`).

    A model that ranks well and is off in level or too sure loses nothing by it once it is
    published. group: (n_rows,), what fails as one.
    """
    losses = row_losses(output, labels, rows, head)
    if head.kind == "regression":
        return losses
    score, truths = logit(raw_risk(output, head)), event_truths(labels, rows, head)
    lost = np.zeros(len(rows))
    for at, weights in enumerate(event_weights(labels, rows, head)):
        labelled = np.isfinite(truths[:, at])
        heavy = np.ones(len(rows)) if weights is None else weights
        risk, truth = score[labelled, at], truths[labelled, at]
        failing = len(np.unique(group[labelled][truth > 0]))
        slope, intercept = platt(risk, truth, groups=failing, weights=heavy[labelled])
        line = slope * risk + intercept
        lost[labelled] += heavy[labelled] * (np.logaddexp(0.0, line) - truth * line)
    return np.column_stack([lost, losses[:, 1:]])


def score_of(losses: Float64) -> float:
    """Minus the logarithm of the mean losses, summed over figures: more is better.

    A tenth less of one loss is worth a tenth more of another. losses: (n_rows, n_figures).
    """
    return -float(np.log(losses.mean(axis=0) + _NOTHING).sum())


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

    A horizon whose outcome a row does not know counts 0, one that it knows for others as well as
    often as it weighs there.
    """
    risk = np.clip(raw_risk(output, head), _SMALLEST, 1.0 - _SMALLEST)
    truth = np.column_stack([labels.fails_within(hours)[rows] for hours in head.horizons_hours])
    lost = -np.where(truth > 0, np.log(risk), np.log1p(-risk))
    if len(labels.weighed_hours):
        weights = [labels.weights_within(hours) for hours in head.horizons_hours]
        lost *= np.column_stack([each[rows] for each in weights if each is not None])
    return np.asarray(np.where(np.isfinite(truth), lost, 0.0).sum(axis=1))


def life_losses(output: Float32, labels: Labels, rows: Rows, head: Head) -> Float64:
    """Continuous ranked probability score of the life left, as a share of the cap; (n_rows,).

    The squared distance of the survival curve, straight between edges, from the step that the
    life is, over all ages up to the cap; of a censored life up to where it was seen to run
    (Survival-CRPS, Avati et al. 2020).
    """
    edges = np.array((0.0, *head.edges_hours))
    curve = np.hstack([np.ones((len(output), 1)), output.astype(np.float64)])
    start, end = edges[:-1], edges[1:]
    ends = np.clip(labels.duration_hours[rows][:, None], start, end)
    share = (ends - start) / (end - start)
    there = curve[:, :-1] + share * (curve[:, 1:] - curve[:, :-1])
    alive = (ends - start) * _mean_square(1.0 - curve[:, :-1], 1.0 - there)
    dead = (end - ends) * _mean_square(there, curve[:, 1:])
    lost = alive + np.where(labels.failed[rows][:, None], dead, 0.0)
    return np.asarray(lost.sum(axis=1) / edges[-1])


def _mean_square(first: Float64, last: Float64) -> Float64:
    """Mean of the squares of what goes straight from `first` to `last`."""
    return (first**2 + first * last + last**2) / 3.0
