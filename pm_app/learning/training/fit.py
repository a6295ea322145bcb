"""Training of a network: epochs, regularization strength, early stopping, warm starts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pm_app.errors import BadVersion
from pm_app.features.limits import bases_of
from pm_app.learning.data.case_control import TrainingRows, sample_rows
from pm_app.learning.data.feed_gaps import FeedGaps
from pm_app.learning.data.targets import (
    Rows,
    Targets,
    encode_targets,
    tell_modes_apart,
    weigh_targets,
)
from pm_app.learning.dataset import LearningTask
from pm_app.learning.network import (
    Fitting,
    Outputs,
    Schedule,
    build_network,
    load_network,
    set_scaling,
    transfer_weights,
    widen_bounds,
)
from pm_app.learning.training.losses import row_losses, score_of
from pm_app.progress import Progress, silent
from pm_app.records.learning import Allocation
from pm_app.records.readings import Float32, Float64

Revise = Callable[[Any, Allocation], Allocation | None]

STEPS = 900
# When importance is measured again on the network itself: late enough that it has learned
# what matters, early enough that a new shape can.
LOOK = 0.3
RATE = 2e-3
EPOCHS = (12, 80)
BATCH_ROWS = (64, 2048)
_MANY_FEATURES = 200
# Validation is scored each epoch: more rows would cost more than the epoch and tell nothing.
_SCORED_ROWS = 40_000
_SAMPLED_ROWS = 2_000
_PATIENCE = 0.3
_MOST_DROPOUT = 0.7
_WARM_RATE = 1 / 3


@dataclass(frozen=True)
class Training:
    """A network of this plan, trained at this rate: the same wherever it is done."""

    allocation: Allocation
    rate: float
    seed: int


@dataclass(frozen=True, eq=False)
class Trained:
    """A network at its best epoch, counted from 1, and its losses of the judged rows, as
    `row_losses` gives them.

    allocation: the plan it has now, which a revision may have changed after `revised_at`
    epochs (0: never).
    """

    network: Any
    epoch: int
    schedule: Schedule
    losses: Float64
    allocation: Allocation
    revised_at: int = 0

    @property
    def score(self) -> float:
        """`score_of` its losses: more is better."""
        return score_of(self.losses)


def plan_schedule(rows: int, *, features: int, rate: float = RATE) -> Schedule:
    """Epochs and batch size for this many rows.

    Few features leave little to tell classes apart by but their products, which take up to
    twice as many steps to find, and each step costs less.
    """
    low, high = BATCH_ROWS
    batch = int(np.clip(2 ** round(np.log2(max(rows, 1) / 60)), low, high))
    steps = STEPS * float(np.clip(_MANY_FEATURES / max(features, 1), 1.0, 2.0))
    epochs = int(np.clip(round(steps * batch / max(rows, 1)), *EPOCHS))
    return Schedule(epochs=epochs, batch_rows=batch, rate=rate)


def train_network(
    task: LearningTask,
    training: Training,
    *,
    schedule: Schedule | None = None,
    warm_start: bytes | None = None,
    revise: Revise | None = None,
    progress: Progress = silent,
) -> Trained:
    """The network of an allocation, fitted to the train rows, stopped by validation.

    schedule: in place of the one that `plan_schedule` makes of the rate.
    warm_start: a stored network of the same allocation to go on from, at a third of the rate.
    revise: asked once, after `LOOK` of the epochs, for a better plan of the network as it is.
    """
    lesson = sample_rows(task, task.split.train)
    rows, features = lesson.rows, len(task.frame.features)
    schedule = schedule or plan_schedule(len(rows), features=features, rate=training.rate)
    network, fitting = _prepare(task, lesson, training, schedule, warm_start)
    look = round(LOOK * schedule.epochs) if revise else 0
    order = np.random.default_rng(training.seed)
    gaps = FeedGaps(task.frame, rows, seed=training.seed)
    judged = FeedGaps(task.frame, judged_rows(task), seed=training.seed).values()
    now = Trained(network, 0, schedule, _lose(task, fitting, judged), training.allocation)
    best, weights = now, network.get_weights()
    for epoch in range(1, schedule.epochs + 1):
        fitting.epoch(order.permutation(len(rows)), gaps.draw(epoch))
        now = replace(now, epoch=epoch, losses=_lose(task, fitting, judged))
        lost = ", ".join(f"{mean:.4f}" for mean in now.losses.mean(axis=0))
        progress(epoch / schedule.epochs, f"epoch {epoch} of {schedule.epochs}: loss {lost}")
        if now.score > best.score:
            best, weights = now, now.network.get_weights()
        elif epoch - best.epoch > _PATIENCE * schedule.epochs and epoch > look:
            break
        if epoch == look and (plan := revise and revise(now.network, now.allocation)):
            now, fitting = _reshape(task, rows, now, plan, fitting, training.seed)
            best, weights = now, now.network.get_weights()
    fitting.end()
    best.network.set_weights(weights)
    return best


def judged_rows(task: LearningTask) -> Rows:
    """The validation rows that are scored each epoch, evenly spread."""
    return spread_rows(task.split.validation, _SCORED_ROWS)


def refit_network(
    task: LearningTask,
    training: Training,
    *,
    rows: Rows,
    like: Trained,
    warm_start: bytes | None = None,
    progress: Progress = silent,
) -> Trained:
    """The same training on these rows, for as many epochs as `like`.

    training: what `like` began with; where its plan was revised on the way, so is this one.
    """
    lesson = sample_rows(task, rows)
    rows = lesson.rows
    network, fitting = _prepare(task, lesson, training, like.schedule, warm_start)
    order = np.random.default_rng(training.seed)
    gaps = FeedGaps(task.frame, rows, seed=training.seed)
    whole = replace(like, network=network, allocation=training.allocation)
    for epoch in range(1, like.epoch + 1):
        fitting.epoch(order.permutation(len(rows)), gaps.draw(epoch))
        progress(epoch / like.epoch, f"epoch {epoch} of {like.epoch} on all labelled rows")
        if epoch == like.revised_at:
            whole, fitting = _reshape(task, rows, whole, like.allocation, fitting, training.seed)
    fitting.end()
    return replace(like, network=whole.network)


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
    """Mean L1 strength over features and mean dropout over tiers: what `strengthen` sets.

    sensor_of: the sensor of each feature; those without a place do not count.
    """
    strengths = dict(zip(allocation.sensors, allocation.l1, strict=True))
    l1 = float(np.mean([strengths[sensor] for sensor in sensor_of if sensor in strengths]))
    return l1, float(np.mean([tier.dropout for tier in allocation.tiers]))


def _scaled(values: Sequence[float], now: float, mean: float) -> list[float]:
    return [mean * value / now for value in values] if now > 0 else [mean] * len(values)


def _lose(task: LearningTask, fitting: Fitting, judged: Float32) -> Float64:
    return row_losses(fitting.answers(judged), task.labels, judged_rows(task), task.head)


def _prepare(
    task: LearningTask,
    lesson: TrainingRows,
    training: Training,
    schedule: Schedule,
    warm: bytes | None,
) -> tuple[Any, Fitting]:
    values = task.frame.values[lesson.rows]
    old = None if warm is None else load_network(warm)
    answer = None if old is None else old.get_layer("answer")
    scale = {} if answer is None else {"zero": answer.zero, "unit": answer.unit}
    targets = encode_targets(task.labels, lesson.rows, task.head, **scale)
    targets = weigh_targets(targets, lesson.weights)
    network = _build(task, training.allocation, targets, training.seed)
    if old is None:
        set_scaling(network, values)
    else:
        _take_weights(network, old)
        widen_bounds(network, values)
        schedule = replace(schedule, rate=schedule.rate * _WARM_RATE)
    happened, modes = targets.happened, len(task.head.modes)
    if modes:
        happened = tell_modes_apart(happened, task.labels.mode[lesson.rows], modes)
    data = (values, happened, targets.survived)
    basis = bases_of(task.frame.features, task.frame.sensor_of)
    return network, Fitting(network, *data, schedule=schedule, basis=basis)


def _build(task: LearningTask, allocation: Allocation, targets: Targets, seed: int) -> Any:
    head, frame, width = task.head, task.frame, targets.happened.shape[1]
    outputs = Outputs(head.kind, width, targets.zero, targets.unit, max(len(head.modes), 1))
    return build_network(allocation, frame.sensor_of, outputs, seed=seed, features=frame.features)


def _reshape(
    task: LearningTask, rows: Rows, now: Trained, plan: Allocation, fitting: Fitting, seed: int
) -> tuple[Trained, Fitting]:
    """The network in the shape of a plan, answering as it did, and its further fitting."""
    targets = encode_targets(task.labels, rows, task.head)
    fresh = _build(task, plan, targets, seed)
    sample = task.frame.values[spread_rows(rows, _SAMPLED_ROWS)]
    transfer_weights(now.network, fresh, now.allocation, plan, sample, seed=seed)
    reshaped = replace(now, network=fresh, allocation=plan, revised_at=now.epoch)
    return reshaped, fitting.go_on(fresh)


def _take_weights(network: Any, old: Any) -> None:
    needed = [tuple(weight.shape) for weight in network.get_weights()]
    came = [tuple(weight.shape) for weight in old.get_weights()]
    if came != needed:
        raise BadVersion(
            f"a warm start needs weights of shapes {needed} as its allocation plans, got {came}"
        )
    network.set_weights(old.get_weights())


def spread_rows(rows: Rows, most: int) -> Rows:
    """At most this many rows, evenly spread."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]
