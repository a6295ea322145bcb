"""From targets to a trained network: how long, how strongly held back, and when to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pm_app.errors import BadVersion
from pm_app.learning.data.targets import Rows, Targets, encode_targets
from pm_app.learning.network import (
    Fitting,
    Outputs,
    Schedule,
    build_network,
    load_network,
    set_scaling,
    transfer_weights,
)
from pm_app.learning.training.losses import row_losses
from pm_app.progress import Progress, silent
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.learning import Allocation, Head
from pm_app.records.readings import Float64, Int32

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


@dataclass(frozen=True, eq=False)
class Study:
    """What is learned from: rows of a frame to fit, rows to judge by, and the head.

    group: per row of the frame, what is held out together, by default its asset.
    """

    frame: Frame
    labels: Labels
    train: Rows
    validation: Rows
    head: Head
    group: Int32 | None = None

    @property
    def judged(self) -> Rows:
        """The validation rows that are scored each epoch, evenly spread."""
        return _spread(self.validation, _SCORED_ROWS)

    @property
    def judged_groups(self) -> Int32:
        """What each of the judged rows is held out with."""
        return (self.frame.asset if self.group is None else self.group)[self.judged]


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
        """Minus the mean loss it is trained for: more is better."""
        return -float(self.losses[:, 0].mean())


def part_of(progress: Progress, start: float, end: float) -> Progress:
    """Progress of a step that covers the work from `start` to `end`."""
    return lambda done, text: progress(start + (end - start) * done, text)


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
    study: Study,
    allocation: Allocation,
    *,
    seed: int,
    rate: float = RATE,
    schedule: Schedule | None = None,
    warm_start: bytes | None = None,
    revise: Revise | None = None,
    progress: Progress = silent,
) -> Trained:
    """The network of an allocation, fitted to `study.train`, stopped by `study.validation`.

    schedule: in place of the one that `plan_schedule` makes of `rate`.
    warm_start: a stored network of the same allocation to go on from, at a third of the rate.
    revise: asked once, after `LOOK` of the epochs, for a better plan of the network as it
    then is; the network goes on in that shape with what it has learned.
    """
    if schedule is None:
        schedule = plan_schedule(len(study.train), features=len(study.frame.features), rate=rate)
    network, fitting = _prepare(study, allocation, schedule, seed, warm_start)
    look = round(LOOK * schedule.epochs) if revise else 0
    revised_at = 0
    order = np.random.default_rng(seed)
    rows = study.judged
    judged = study.frame.values[rows]

    def lose() -> Float64:
        return row_losses(fitting.answers(judged), study.labels, rows, study.head)

    losses = lose()
    best, weights = Trained(network, 0, schedule, losses, allocation), network.get_weights()
    for epoch in range(1, schedule.epochs + 1):
        fitting.epoch(order.permutation(len(study.train)))
        losses = lose()
        now = Trained(network, epoch, schedule, losses, allocation, revised_at)
        progress(epoch / schedule.epochs, f"epoch {epoch} of {schedule.epochs}: {now.score:.4f}")
        if now.score > best.score:
            best, weights = now, network.get_weights()
        elif epoch - best.epoch > _PATIENCE * schedule.epochs and epoch > look:
            break
        if revise is not None and epoch == look:
            better = revise(network, allocation)
            if better is not None:
                network, fitting = _reshape(study, network, (allocation, better), fitting, seed)
                allocation, revised_at = better, epoch
                best = Trained(network, epoch, schedule, losses, allocation, revised_at)
                weights = network.get_weights()
    fitting.end()
    network.set_weights(weights)
    return best


def refit_network(
    study: Study,
    allocation: Allocation,
    rows: Rows,
    *,
    seed: int,
    like: Trained,
    warm_start: bytes | None = None,
    progress: Progress = silent,
) -> Trained:
    """The same training on these rows, for as many epochs as `like`.

    allocation: the plan `like` began with; where it was revised on the way, so is this one.
    """
    whole = replace(study, train=rows)
    network, fitting = _prepare(whole, allocation, like.schedule, seed, warm_start)
    order = np.random.default_rng(seed)
    for epoch in range(1, like.epoch + 1):
        fitting.epoch(order.permutation(len(rows)))
        progress(epoch / like.epoch, f"epoch {epoch} of {like.epoch} on all labelled rows")
        if epoch == like.revised_at:
            plans = (allocation, like.allocation)
            network, fitting = _reshape(whole, network, plans, fitting, seed)
    fitting.end()
    return replace(like, network=network)


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
    network = _build(study, allocation, targets, seed)
    if old is None:
        set_scaling(network, values)
    else:
        _take_weights(network, old)
        schedule = replace(schedule, rate=schedule.rate * _WARM_RATE)
    return network, Fitting(network, values, targets.happened, targets.survived, schedule=schedule)


def _build(study: Study, allocation: Allocation, targets: Targets, seed: int) -> Any:
    outputs = Outputs(study.head.kind, targets.happened.shape[1], targets.zero, targets.unit)
    frame = study.frame
    return build_network(allocation, frame.sensor_of, outputs, seed=seed, features=frame.features)


def _reshape(
    study: Study, network: Any, plans: tuple[Allocation, Allocation], fitting: Fitting, seed: int
) -> tuple[Any, Fitting]:
    """The network in the second plan's shape, saying what it said, and its further fitting."""
    before, after = plans
    targets = encode_targets(study.labels, study.train, study.head)
    fresh = _build(study, after, targets, seed)
    sample = study.frame.values[_spread(study.train, _SAMPLED_ROWS)]
    transfer_weights(network, fresh, before, after, sample, seed=seed)
    return fresh, fitting.go_on(fresh)


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
