"""Fitting of a network by gradient descent, each epoch one call into a compiled graph."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pm_app.learning.network.building import Network, modes_of, whole_network
from pm_app.learning.network.layers import by_mode, log_sum_exp
from pm_app.records.readings import Flags, Float32, Index

# Rows asked at once: more leave the processor's cache, fewer cost calls.
_COMPILED_ROWS, _EAGER_ROWS = 2048, 8192
_NUMBERS = count()
# The logit of what cannot have happened: finite, for gradients.
_NO_LOGIT = -1e9
_UNDECAYED = ["bias", "inner", "outer", "frequency", "centre", "factor"]


@dataclass(frozen=True)
class Schedule:
    """Schedule of the learning rate: it falls from `rate` to 0 along half a cosine.

    falling: False keeps it at `rate` after the warm-up, for comparison.
    """

    epochs: int
    batch_rows: int
    rate: float
    weight_decay: float = 1e-4
    warmup: float = 0.05
    falling: bool = True


class Fitting:
    """A network on its way. Arrays stay in the process; each epoch is one graph call.

    values: raw features, (n, n_features) float32. happened, survived: (n, outputs) float32;
    for hazard and classification the loss of a member is the sum over outputs of
    happened * -log p + survived * -log(1 - p); for regression it is the Huber loss of
    `happened`, a value in the network's own unit. The loss is the mean over members, each on
    its own, plus the L1 penalty of the branches (the mean over packs). A network that tells modes
    apart takes `happened` as (n, outputs, modes), positive for the modes that it may have been of,
    equal among them; p is then the hazard of these together (`ModeShares`). basis: (n_features,),
    by which column of an epoch's gaps a feature is missing, -1 by none.

    The rows are a graph's arguments, never its constants: a graph stays until Python looks for
    cycles, which arrays do not make it do, and would keep the rows of every training before.
    """

    def __init__(
        self,
        network: Network,
        values: Float32,
        happened: Float32,
        survived: Float32,
        *,
        schedule: Schedule,
        basis: Index | None = None,
    ) -> None:
        self._basis = np.full(values.shape[1], -1) if basis is None else basis
        self._data: Any = tuple(tf.constant(part) for part in (values, happened, survived))
        self.schedule, self._done = schedule, 0
        self._take(network)

    def go_on(self, network: Network) -> "Fitting":
        """The rest of this schedule for another network."""
        self._take(network)
        return self

    def _take(self, network: Network) -> None:
        self.network = network
        self._members = keras.Model(network.input, network.get_layer("logits").output)
        self._regression = network.get_layer("answer").kind == "regression"
        self._modes = modes_of(network)
        steps = self.schedule.epochs * self._steps
        self._optimizer = _optimizer(self.schedule, steps, self._done * self._steps)
        self._optimizer.build(network.trainable_variables)
        # In large graphs TensorFlow keeps sums in variables named after their nodes, for all of
        # the process: graphs that run at the same time must not share a name (tensorflow#23780).
        self._scope = f"training_{next(_NUMBERS)}"
        self._epoch = tf.function(self._run, reduce_retracing=True)
        rows = tf.TensorSpec((None, int(network.input_shape[-1])), tf.float32)
        self._answer = tf.function(self._ask, [rows])

    @property
    def _steps(self) -> int:
        return max(1, round(int(self._data[0].shape[0]) / self.schedule.batch_rows))

    def epoch(self, order: NDArray[np.int64], gaps: Flags | None = None) -> float:
        """One pass over the rows in this order; the mean loss.

        gaps: (n, n_bases), what rows miss in this pass, by the features' basis. Rows that miss
        something are learned from both as they are and without it.
        """
        self._done += 1
        missing = () if gaps is None else (tf.constant(gaps),)
        return float(self._epoch(tf.constant(order), *self._data, *missing))

    def end(self) -> None:
        """Let go of the rows, after the last epoch."""
        self._data = ()

    def answers(self, values: Float32) -> Float32:
        """The network's answers now: as `answers`, twice as fast from the second time on."""
        return _in_chunks(self._answer, values, _COMPILED_ROWS)

    def _ask(self, values: Any) -> Any:
        with tf.name_scope(self._scope):
            return self.network(values, training=False)

    def _run(self, order: Any, *data: Any) -> Any:
        with tf.name_scope(self._scope):
            return self._pass(order, data)

    def _pass(self, order: Any, data: Sequence[Any]) -> Any:
        total = tf.constant(0.0)
        count = tf.shape(order)[0]
        for step in tf.range(self._steps):
            first, last = step * count // self._steps, (step + 1) * count // self._steps
            total += self._step(order[first:last], data)
        return total / self._steps

    def _step(self, rows: Any, data: Sequence[Any]) -> Any:
        values, happened, survived, *gaps = (tf.gather(part, rows) for part in data)
        for gap in gaps:
            some = tf.reduce_any(gap, axis=1)
            # A last column that nobody misses is what -1 stands for.
            missing = tf.gather(tf.pad(gap, [[0, 0], [0, 1]]), self._columns(gap), axis=1)
            without = tf.where(missing, np.float32(np.nan), values)
            values = tf.concat([values, without[some]], axis=0)
            happened, survived = (
                tf.concat([part, part[some]], axis=0) for part in (happened, survived)
            )
        with tf.GradientTape() as tape:
            logits = self._members(values, training=True)
            loss = self._loss(logits, happened[:, None], survived[:, None]) + self._penalty()
        weights = self.network.trainable_variables
        self._optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    def _columns(self, gap: Any) -> Any:
        width = int(gap.shape[1])
        return tf.constant(np.where(self._basis < 0, width, self._basis), tf.int32)

    def _loss(self, logits: Any, happened: Any, survived: Any) -> Any:
        if self._regression:
            apart = tf.abs(logits - happened)
            inside = tf.minimum(apart, 1.0)
            return tf.reduce_mean(inside * (apart - 0.5 * inside))
        if self._modes > 1:
            return loss_by_mode(by_mode(logits, self._modes), happened, survived)
        spans = happened * tf.nn.softplus(-logits) + survived * tf.nn.softplus(logits)
        return tf.reduce_mean(tf.reduce_sum(spans, axis=-1))

    def _penalty(self) -> Any:
        layers = [layer for layer in self.network.layers if getattr(layer, "l1", None)]
        strength = [tf.constant(layer.l1, tf.float32)[:, None] for layer in layers]
        parts = [
            tf.reduce_sum(each * tf.abs(layer.kernel)) / layer.packs
            for each, layer in zip(strength, layers, strict=True)
        ]
        return tf.add_n(parts) if parts else tf.constant(0.0)


def loss_by_mode(logits: Any, happened: Any, survived: Any) -> Any:
    """The loss of spans given logits (n, members, outputs, modes), and happened alike."""
    ends = tf.nn.softplus(log_sum_exp(logits))
    own = log_sum_exp(tf.where(happened > 0.0, logits, _NO_LOGIT))
    spans = tf.reduce_max(happened, axis=-1) * (ends - own) + survived * ends
    return tf.reduce_mean(tf.reduce_sum(spans, axis=-1))


def answers(network: Network, values: Float32) -> Float32:
    """A network's answers to raw features, (n, outputs), some rows at a time."""
    # Not `predict`: it leaks about 5 KiB a call and costs 50 ms.
    return _in_chunks(lambda rows: network(rows, training=False), values, _EAGER_ROWS)


def mode_shares(network: Network, values: Float32) -> Float32:
    """Shares of modes in what happens in each span, (n, outputs, modes), as `ModeShares` has."""
    whole = whole_network(network)
    return _in_chunks(lambda rows: whole(rows, training=False)[1], values, _EAGER_ROWS)


def _in_chunks(answer: Callable[[Any], Any], values: Float32, rows: int) -> Float32:
    starts = range(0, max(len(values), 1), rows)
    return np.concatenate(
        [np.asarray(answer(tf.constant(values[start : start + rows]))) for start in starts]
    )


class _Rate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # no types
    """Up from a hundredth in the warm-up, then as scheduled, `done` steps along."""

    def __init__(self, schedule: Schedule, steps: int, done: int) -> None:
        self.rate, self.steps, self.done = schedule.rate, steps, done
        self.warmup = max(1, round(schedule.warmup * steps))
        self.falling = schedule.falling

    def __call__(self, step: Any) -> Any:
        at = tf.cast(step, tf.float32) + self.done
        rising = 0.01 + 0.99 * at / self.warmup
        if not self.falling:
            return self.rate * tf.minimum(rising, 1.0)
        left = max(1, self.steps - self.warmup)
        along = tf.clip_by_value((at - self.warmup) / left, 0.0, 1.0)
        return self.rate * tf.minimum(rising, 0.5 * (1.0 + tf.cos(np.pi * along)))


def _optimizer(schedule: Schedule, steps: int, done: int) -> Any:
    optimizer = keras.optimizers.AdamW(
        _Rate(schedule, steps, done), weight_decay=schedule.weight_decay, global_clipnorm=1.0
    )
    optimizer.exclude_from_weight_decay(var_names=_UNDECAYED)
    return optimizer
