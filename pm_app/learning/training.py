"""From targets to a trained network: how long, how strongly held back, and when to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pm_app.learning.calibration import event_truths
from pm_app.learning.evaluation import mean_average_precision
from pm_app.learning.network import (
    Fitting,
    Outputs,
    Schedule,
    answers,
    build_network,
    load_network,
    set_scaling,
)
from pm_app.learning.targets import Float32, Rows, encode_targets
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.learning import Allocation, Head
from pm_app.scores import raw_risk

Progress = Callable[[float, str], None]

STEPS = 2500
EPOCHS = (12, 60)
BATCH_ROWS = (32, 2048)
# Validation is scored each epoch: more rows would cost more than the epoch and tell nothing.
_SCORED_ROWS = 40_000
_PATIENCE = 0.4


@dataclass(frozen=True, eq=False)
class Study:
    """What is learned from: rows of a frame to fit, rows to judge by, and the head."""

    frame: Frame
    labels: Labels
    train: Rows
    validation: Rows
    head: Head


@dataclass(frozen=True, eq=False)
class Trained:
    """A network at its best epoch, counted from 1, and its validation score (more is better)."""

    network: Any
    epoch: int
    schedule: Schedule
    score: float


def silent(done: float, text: str) -> None:
    """Progress nobody asked for."""


def plan_schedule(rows: int, *, effort: float = 1.0) -> Schedule:
    """Epochs and batch size for this many rows; effort 0.3 trains about a third as long."""
    low, high = BATCH_ROWS
    batch = int(np.clip(2 ** round(np.log2(max(rows, 1) / 60)), low, high))
    epochs = int(np.clip(round(STEPS * batch / max(rows, 1)), *EPOCHS))
    return Schedule(epochs=max(2, round(epochs * effort)), batch_rows=batch)


def train_network(
    study: Study,
    allocation: Allocation,
    *,
    seed: int,
    effort: float = 1.0,
    warm_start: bytes | None = None,
    progress: Progress = silent,
) -> Trained:
    """The network of an allocation, fitted to `study.train`, stopped by `study.validation`.

    warm_start: a stored network of the same allocation to go on from, at a third of the rate.
    """
    schedule = plan_schedule(len(study.train), effort=effort)
    network, fitting = _prepare(study, allocation, schedule, seed, warm_start)
    order = np.random.default_rng(seed)
    best, best_epoch, weights = -np.inf, 0, network.get_weights()
    for epoch in range(1, schedule.epochs + 1):
        fitting.epoch(order.permutation(len(study.train)))
        score = validation_score(study, network)
        progress(epoch / schedule.epochs, f"epoch {epoch} of {schedule.epochs}: {score:.4f}")
        if score > best:
            best, best_epoch, weights = score, epoch, network.get_weights()
        elif epoch - best_epoch > _PATIENCE * schedule.epochs:
            break
    network.set_weights(weights)
    return Trained(network, best_epoch, schedule, float(best))


def refit_network(
    study: Study,
    allocation: Allocation,
    *,
    seed: int,
    like: Trained,
    warm_start: bytes | None = None,
    progress: Progress = silent,
) -> Trained:
    """The same training on train and validation rows together, for as many epochs as `like`."""
    rows = np.sort(np.concatenate([study.train, study.validation]))
    whole = replace(study, train=rows)
    network, fitting = _prepare(whole, allocation, like.schedule, seed, warm_start)
    order = np.random.default_rng(seed)
    for epoch in range(1, like.epoch + 1):
        fitting.epoch(order.permutation(len(rows)))
        progress(epoch / like.epoch, f"epoch {epoch} of {like.epoch} on all labelled rows")
    return Trained(network, like.epoch, like.schedule, like.score)


def validation_score(study: Study, network: Any) -> float:
    """Mean average precision over the horizons, or minus the RMSE of a regressed column.

    Where validation holds no failure, or nothing else, minus the loss decides.
    """
    rows = _spread(study.validation, _SCORED_ROWS)
    output = answers(network, study.frame.values[rows])
    if study.head.kind == "regression":
        return -float(np.sqrt(np.mean((output[:, 0] - study.labels.value[rows]) ** 2)))
    truth = event_truths(study.labels, rows, study.head)
    score = mean_average_precision(raw_risk(output, study.head), truth)
    return score if np.isfinite(score) else -negative_log_likelihood(study, rows, output)


def negative_log_likelihood(study: Study, rows: Rows, output: Float32) -> float:
    """Mean loss of a row given the averaged answers, in nats (Gensheimer & Narasimhan 2019)."""
    targets = encode_targets(study.labels, rows, study.head)
    alive = np.clip(output.astype(np.float64), 1e-7, 1.0)
    if study.head.kind == "classification":
        alive = np.clip(1.0 - alive, 1e-7, 1.0)
    stays = alive / np.hstack([np.ones((len(alive), 1)), alive[:, :-1]])
    stays = np.clip(stays, 1e-7, 1 - 1e-7)
    spans = targets.happened * np.log1p(-stays) + targets.survived * np.log(stays)
    return -float(spans.sum(axis=1).mean())


def strengthen(allocation: Allocation, *, l1: float, dropout: float) -> Allocation:
    """The allocation with mean L1 strength `l1` over its sensors and mean dropout `dropout`.

    Only the ratios among sensors and among tiers are kept: how strong the penalty must be as
    a whole depends on the data. Where all are 0, all become the mean.
    """
    strengths = _around(allocation.l1, l1)
    rates = _around([tier.dropout for tier in allocation.tiers], dropout)
    tiers = tuple(
        replace(tier, dropout=min(rate, 0.7))
        for tier, rate in zip(allocation.tiers, rates, strict=True)
    )
    return replace(allocation, tiers=tiers, l1=tuple(strengths))


def _around(values: Sequence[float], mean: float) -> list[float]:
    now = float(np.mean(values))
    return [mean * value / now for value in values] if now > 0 else [mean] * len(values)


def _prepare(
    study: Study, allocation: Allocation, schedule: Schedule, seed: int, warm: bytes | None
) -> tuple[Any, Fitting]:
    values = study.frame.values[study.train]
    targets = encode_targets(study.labels, study.train, study.head)
    outputs = Outputs(study.head.kind, targets.happened.shape[1], targets.zero, targets.unit)
    if warm is None:
        network = build_network(allocation, study.frame.sensor_of, outputs, seed=seed)
        set_scaling(network, values)
    else:
        network = load_network(warm)
        schedule = replace(schedule, rate=schedule.rate / 3)
    return network, Fitting(network, values, targets.happened, targets.survived, schedule=schedule)


def _spread(rows: Rows, most: int) -> Rows:
    """At most this many rows, evenly spread."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]
