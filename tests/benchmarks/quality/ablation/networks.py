"""Each ingredient of the network removed in turn, at the same number of parameters.

The full network is `regularized` with the penalty, dropout and rate that the control was tuned
to; nothing is tuned again without an ingredient. What is shared by all of a fold is made once.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import numpy as np
from benchmarks.quality.models.judging import Said, judge, risk_and_life
from benchmarks.quality.models.ours import learning_task, limit_fold, planner_of
from benchmarks.quality.sets.folds import Fold, Task

from pm_app.learning.allocation.planner import CONTROL, Planner, embedding_width
from pm_app.learning.allocation.sizing import MEMBERS, PlanRequest
from pm_app.learning.allocation.strategies import allocate, budget
from pm_app.learning.data.targets import encode_targets, known_lives
from pm_app.learning.dataset import LearningTask
from pm_app.learning.evaluation.calibration import calibrate
from pm_app.records.learning import Allocation, Calibration, Head
from pm_app.records.scores import scores_of
from pm_app.settings.plant import Settings

WEIGHTED = "regularized"
AVERAGED_EPOCHS = 5
PLAIN = {kind: Head(kind, (), (0.0,)) for kind in ("classification", "regression")}


@dataclass(frozen=True, eq=False)
class Bench:
    """A fold, and the full network on it: stopped by validation, and refitted.

    control: the trial that penalty, dropout and rate come from. Seconds of one processor.
    """

    fold: Fold
    task: Task
    study: Any
    planner: Planner
    control: Any
    seed: int
    full: Any = None
    whole: Any = None
    training_seconds: float = 0.0
    refit_seconds: float = 0.0

    def plan(
        self,
        *,
        strategy: str = WEIGHTED,
        members: int = MEMBERS,
        embedding: int | None = None,
        indicators: bool = True,
        outputs: int | None = None,
    ) -> Allocation:
        """A plan of the full size, as strong as the control's, by default the full network's."""
        from pm_app.learning.training.fit import mean_strength, strengthen

        planner, sensor_of = self.planner, self.fold.frame.sensor_of
        inputs = planner.inputs
        if not indicators:
            inputs = {name: sensor_of.count(name) for name in self.fold.frame.sensors}
        width = embedding_width(sum(inputs.values())) if embedding is None else embedding
        request = PlanRequest(
            inputs, planner.size, members, outputs or planner.outputs, embedding=width
        )
        plan = allocate(strategy, planner.importance, request)
        plan = replace(plan, indicators=planner.indicators if indicators else ())
        l1, dropout = mean_strength(self.control.allocation, sensor_of)
        return strengthen(plan, sensor_of, l1=l1, dropout=dropout)

    def training(self, plan: Allocation) -> Any:
        """One of a plan, at the control's rate."""
        from pm_app.learning.training.fit import Training

        return Training(plan, self.control.rate, self.seed)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a network without an ingredient comes to."""

    figures: dict[str, float]
    seconds: float
    note: dict[str, float | str]


def prepare(fold: Fold, task: Task, *, rows: int, seed: int) -> Bench:
    """Tune the control, train and refit the full network.

    rows: as many as the fold had to train on before it was thinned; networks are as large as
    the product makes them for these, else nothing would be left for embeddings.
    """
    from pm_app.learning.training.fit import refit_network, train_network
    from pm_app.learning.training.selection import tune_allocation

    fold = limit_fold(fold)
    study = learning_task(fold, task)
    planner = planner_of(study, seed=seed)
    size = budget(
        rows,
        Settings().allocation.max_parameters,
        features=len(fold.frame.features),
        outputs=planner.outputs,
    )
    planner = replace(planner, size=size)
    control = tune_allocation(study, CONTROL, planner.plan(CONTROL), seed=seed)
    bench = Bench(fold, task, study, planner, control, seed)
    begun = time.process_time()
    training = bench.training(bench.plan())
    full = train_network(study, training)
    between = time.process_time()
    whole = refit_network(study, training, rows=fold.split.learned, like=full)
    return replace(
        bench,
        full=full,
        whole=whole,
        training_seconds=between - begun,
        refit_seconds=time.process_time() - between,
    )


def as_it_is(bench: Bench) -> Outcome:
    """The full network."""
    seconds = bench.training_seconds + bench.refit_seconds
    return conclude(bench, bench.full, bench.whole, seconds)


def without_refit(bench: Bench) -> Outcome:
    """The network that validation stopped, which has learned from training rows only."""
    return conclude(bench, bench.full, bench.full, bench.training_seconds)


def without_calibration(bench: Bench) -> Outcome:
    """The full network's risks as they are."""
    seconds = bench.training_seconds + bench.refit_seconds
    return conclude(bench, None, bench.whole, seconds)


def at_last_epoch(bench: Bench) -> Outcome:
    """The full network refitted for all epochs of its schedule."""
    from pm_app.learning.training.fit import refit_network

    begun = time.process_time()
    last = replace(bench.full, epoch=bench.full.schedule.epochs)
    rows = bench.fold.split.learned
    training = bench.training(bench.full.allocation)
    whole = refit_network(bench.study, training, rows=rows, like=last)
    return conclude(bench, bench.full, whole, bench.training_seconds + time.process_time() - begun)


def with_plan(bench: Bench, allocation: Allocation, *, falling: bool = True) -> Outcome:
    """Another plan, or a rate that does not fall, trained and refitted as the full network."""
    from pm_app.learning.training.fit import plan_schedule, refit_network, train_network

    study, training = bench.study, bench.training(allocation)
    begun = time.process_time()
    schedule = plan_schedule(
        len(study.split.train), features=len(study.frame.features), rate=bench.control.rate
    )
    schedule = replace(schedule, falling=falling)
    trained = train_network(study, training, schedule=schedule)
    rows = bench.fold.split.learned
    whole = refit_network(study, training, rows=rows, like=trained)
    return conclude(bench, trained, whole, time.process_time() - begun)


def with_plain_scaling(bench: Bench) -> Outcome:
    """Mean and standard deviation, and no clipping, in place of quartiles and a smooth clip."""
    with plain_scaling():
        return with_plan(bench, bench.plan())


def with_averaged_weights(bench: Bench) -> Outcome:
    """The full network refitted, its weights the mean of those of its last epochs."""
    begun = time.process_time()
    rows, full = bench.fold.split.learned, bench.full
    network = refit_averaged(bench.study, full, rows, seed=bench.seed, epochs=AVERAGED_EPOCHS)
    seconds = bench.training_seconds + time.process_time() - begun
    return conclude(bench, full, replace(full, network=network), seconds)


def with_plain_heads(bench: Bench) -> Outcome:
    """One logit for failing within the horizon, one value for the life left: two networks, each
    of the full size, each learning only from rows whose truth is known."""
    begun = time.process_time()
    fold, task = bench.fold, bench.task
    risk = _answer_plainly(
        bench, "classification", fold.labels.fails_within(task.horizon_hours), calibrated=True
    )
    lives, known = known_lives(fold.labels, np.arange(len(fold.frame.asset)), task.cap_hours)
    left = np.full(len(fold.frame.asset), np.nan)
    left[known] = lives
    life = np.clip(_answer_plainly(bench, "regression", left), 0.0, task.cap_hours)
    figures = judge(fold, task, Said(risk_and_life(risk, life)))
    note: dict[str, float | str] = {"parameters": 2 * bench.planner.size}
    return Outcome(figures, time.process_time() - begun, note)


def refit_averaged(study: Any, like: Any, rows: np.ndarray, *, seed: int, epochs: int) -> Any:
    """`refit_network`, ending in the mean of the weights after each of the last epochs (Izmailov
    et al. 2018)."""
    from pm_app.learning.network import Fitting, Outputs, build_network, set_scaling

    frame, values = study.frame, study.frame.values[rows]
    targets = encode_targets(study.labels, rows, study.head)
    outputs = Outputs(study.head.kind, targets.happened.shape[1], targets.zero, targets.unit)
    network = build_network(
        like.allocation, frame.sensor_of, outputs, seed=seed, features=frame.features
    )
    set_scaling(network, values)
    fitting = Fitting(network, values, targets.happened, targets.survived, schedule=like.schedule)
    order, kept = np.random.default_rng(seed), []
    for epoch in range(1, like.epoch + 1):
        fitting.epoch(order.permutation(len(rows)))
        if epoch > like.epoch - epochs:
            kept.append(network.get_weights())
    network.set_weights([np.mean(parts, axis=0) for parts in zip(*kept, strict=True)])
    return network


@contextmanager
def plain_scaling() -> Iterator[None]:
    """Networks built, trained and asked inside standardise their inputs and clip nothing."""
    # The smooth clip is a constant inside a layer that stored versions name: no argument of it
    # would be for an operator.
    with (
        patch("pm_app.learning.network.layers._SOFT_LIMIT", 1e9),
        patch("pm_app.learning.training.fit.set_scaling", standardise),
    ):
        yield


def standardise(network: Any, values: np.ndarray) -> None:
    """Fit the scaling to rows (n, n_features) by mean and standard deviation; 0 for constants."""
    finite = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    finite[:, np.isnan(finite).all(axis=0)] = 0.0
    centre, spread = np.nanmean(finite, axis=0), np.nanstd(finite, axis=0)
    varies = spread > np.finfo(np.float32).eps * np.maximum(np.abs(centre), 1e-30)
    factor = np.where(varies, 1.0 / np.where(varies, spread, 1.0), 0.0)
    layer = network.get_layer("scaling")
    bounds = [np.full_like(centre, end) for end in (-1e30, 1e30)]
    weights = [*bounds, centre, factor][-len(layer.get_weights()) :]
    layer.set_weights([part.astype(np.float32) for part in weights])


def conclude(bench: Bench, held: Any | None, trained: Any, seconds: float) -> Outcome:
    """Judge a network, corrected by what `held`, which has not learned from calibration rows,
    says of them; None: not corrected."""
    from pm_app.learning.network import answers
    from pm_app.learning.training.losses import span_losses

    fold, head = bench.fold, bench.study.head
    split, labels = fold.split, fold.labels
    count = len(head.horizons_hours)
    calibration = Calibration((1.0,) * count, (0.0,) * count, 0.0, 0.0)
    if held is not None:
        output = answers(held.network, fold.frame.values[split.calibration])
        group = split.group[split.calibration]
        calibration = calibrate(output, labels, split.calibration, head, group=group)
    output = answers(trained.network, fold.frame.values[split.test])
    figures = judge(fold, bench.task, Said(scores_of(output, head, calibration)))
    losses = span_losses(output, encode_targets(labels, split.test, head), head)
    figures["loss"] = round(float(losses.mean()), 5)
    weights = trained.network.trainable_variables
    parameters = sum(int(np.prod(weight.shape)) for weight in weights)
    return Outcome(figures, seconds, {"parameters": parameters, "epochs": trained.epoch})


def _answer_plainly(
    bench: Bench, kind: str, value: np.ndarray, *, calibrated: bool = False
) -> np.ndarray:
    """What a network of one output says of the judged rows; value: (n_rows,), NaN unknown."""
    from pm_app.learning.network import answers
    from pm_app.learning.training.fit import refit_network, train_network

    fold, split = bench.fold, bench.fold.split
    known = np.isfinite(value)
    labels = replace(fold.labels, value=np.where(known, value, 0.0))
    train, validation, rest = (
        rows[known[rows]] for rows in (split.train, split.validation, split.calibration)
    )
    part = replace(split, train=train, validation=validation, calibration=rest)
    study = LearningTask(kind, (0.0,), fold.frame, labels, part, PLAIN[kind])
    training = bench.training(bench.plan(outputs=1))
    trained = train_network(study, training)
    network = refit_network(study, training, rows=part.learned, like=trained).network
    output = answers(network, fold.frame.values[split.test])
    if not calibrated:
        return np.asarray(output[:, 0], dtype=float)
    held = answers(trained.network, fold.frame.values[rest])
    found = calibrate(held, labels, rest, study.head, group=split.group[rest])
    return scores_of(output, study.head, found).risk[:, 0]
