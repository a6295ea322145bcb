"""From targets to a trained network: how long, how strongly held back, and when to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pm_app.errors import BadVersion
from pm_app.learning.network import (
    Fitting,
    Outputs,
    Schedule,
    answers,
    build_network,
    load_network,
    set_scaling,
)
from pm_app.learning.targets import Float32, Rows, Targets, encode_targets
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.learning import Allocation, Head

Progress = Callable[[float, str], None]

STEPS = 1500
RATE = 2e-3
EPOCHS = (12, 80)
BATCH_ROWS = (64, 2048)
_MANY_FEATURES = 200
# Validation is scored each epoch: more rows would cost more than the epoch and tell nothing.
_SCORED_ROWS = 40_000
_PATIENCE = 0.3
_SMALLEST = 1e-7
_MOST_DROPOUT = 0.7
_WARM_RATE = 1 / 3


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


def part_of(progress: Progress, start: float, end: float) -> Progress:
    """Progress of a step that covers the work from `start` to `end`."""
    return lambda done, text: progress(start + (end - start) * done, text)


def plan_schedule(rows: int, *, features: int, effort: float = 1.0, rate: float = RATE) -> Schedule:
    """Epochs and batch size for this many rows; effort 0.3 trains about a third as long.

    Few features leave little to tell classes apart by but their products, which take up to
    twice as many steps to find, and each step costs less.
    """
    low, high = BATCH_ROWS
    batch = int(np.clip(2 ** round(np.log2(max(rows, 1) / 60)), low, high))
    steps = STEPS * float(np.clip(_MANY_FEATURES / max(features, 1), 1.0, 2.0))
    epochs = int(np.clip(round(steps * batch / max(rows, 1)), *EPOCHS))
    return Schedule(epochs=max(2, round(epochs * effort)), batch_rows=batch, rate=rate)


def train_network(
    study: Study,
    allocation: Allocation,
    *,
    seed: int,
    effort: float = 1.0,
    rate: float = RATE,
    warm_start: bytes | None = None,
    progress: Progress = silent,
) -> Trained:
    """The network of an allocation, fitted to `study.train`, stopped by `study.validation`.

    warm_start: a stored network of the same allocation to go on from, at a third of the rate.
    """
    schedule = plan_schedule(
        len(study.train), features=len(study.frame.features), effort=effort, rate=rate
    )
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
    """Minus the mean loss of a validation row, or minus the RMSE of a regressed column.

    The loss of all spans stops later and better than average precision, which few lives make
    noisy: on FD001 (3 splits by engine) 0.9875 against 0.9863 average precision within 30
    cycles on engines held out, and 10.0 against 10.5 cycles RMSE.
    """
    rows = _spread(study.validation, _SCORED_ROWS)
    output = answers(network, study.frame.values[rows])
    if study.head.kind == "regression":
        return -float(np.sqrt(np.mean((output[:, 0] - study.labels.value[rows]) ** 2)))
    return -mean_loss(output, encode_targets(study.labels, rows, study.head), study.head)


def mean_loss(output: Float32, targets: Targets, head: Head) -> float:
    """Mean loss of a row given the averaged answers, in nats (Gensheimer & Narasimhan 2019)."""
    said = output.astype(np.float64)
    if head.kind == "classification":
        fails = said
    else:
        before = np.hstack([np.ones((len(said), 1)), said[:, :-1]])
        fails = 1.0 - said / np.maximum(before, _SMALLEST)
    fails = np.clip(fails, _SMALLEST, 1.0 - _SMALLEST)
    spans = targets.happened * np.log(fails) + targets.survived * np.log1p(-fails)
    return -float(spans.sum(axis=1).mean())


def strengthen(
    allocation: Allocation, sensor_of: Sequence[str], *, l1: float, dropout: float
) -> Allocation:
    """The allocation with mean L1 strength `l1` over features, and mean dropout over tiers.

    Only the ratios among sensors and among tiers are kept: how strong the penalty must be as
    a whole depends on the data. Where all are 0, all become the mean.
    """
    average, rate_now = mean_strength(allocation, sensor_of)
    rates = [tier.dropout for tier in allocation.tiers]
    tiers = tuple(
        replace(tier, dropout=min(rate, _MOST_DROPOUT))
        for tier, rate in zip(allocation.tiers, _scaled(rates, rate_now, dropout), strict=True)
    )
    return replace(allocation, tiers=tiers, l1=tuple(_scaled(allocation.l1, average, l1)))


def mean_strength(allocation: Allocation, sensor_of: Sequence[str]) -> tuple[float, float]:
    """Mean L1 strength over features and mean dropout over tiers: what `strengthen` sets."""
    strengths = dict(zip(allocation.sensors, allocation.l1, strict=True))
    l1 = float(np.mean([strengths[sensor] for sensor in sensor_of]))
    return l1, float(np.mean([tier.dropout for tier in allocation.tiers]))


def _scaled(values: Sequence[float], now: float, mean: float) -> list[float]:
    return [mean * value / now for value in values] if now > 0 else [mean] * len(values)


def _prepare(
    study: Study, allocation: Allocation, schedule: Schedule, seed: int, warm: bytes | None
) -> tuple[Any, Fitting]:
    values = study.frame.values[study.train]
    old = None if warm is None else load_network(warm)
    answer = None if old is None else old.get_layer("answer")
    targets = encode_targets(
        study.labels,
        study.train,
        study.head,
        zero=answer.zero if answer else None,
        unit=answer.unit if answer else None,
    )
    outputs = Outputs(study.head.kind, targets.happened.shape[1], targets.zero, targets.unit)
    network = build_network(allocation, study.frame.sensor_of, outputs, seed=seed)
    if old is None:
        set_scaling(network, values)
    else:
        _take_weights(network, old)
        schedule = replace(schedule, rate=schedule.rate * _WARM_RATE)
    return network, Fitting(network, values, targets.happened, targets.survived, schedule=schedule)


def _take_weights(network: Any, old: Any) -> None:
    needed = [tuple(weight.shape) for weight in network.get_weights()]
    came = [tuple(weight.shape) for weight in old.get_weights()]
    if came != needed:
        raise BadVersion(
            f"a warm start needs weights of shapes {needed} as its allocation plans, got {came}"
        )
    network.set_weights(old.get_weights())


def _spread(rows: Rows, most: int) -> Rows:
    """At most this many rows, evenly spread."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]
