"""Layers of the network. They hold only plain values, so a saved one loads safely."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

# Beyond this many spreads a value means "very far" and no more; also tames infinities.
_FARTHEST = 1e4
_SOFT_LIMIT = 3.0
_PACKAGE = "pm_app"


def _registered(layer: Any) -> Any:
    return keras.saving.register_keras_serializable(package=_PACKAGE)(layer)


@_registered
class BoundedScaling(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Raw features to values around zero; missing and constant ones to 0.

    asinh of (x - centre) * factor, in units of 3: nearly x within 3 units, a logarithm far
    beyond, so that tails keep their order and tell. Nothing is extrapolated: x stops at `low`
    and `high`, the range that was learned. (n, n_features) in and out. All four are weights:
    they travel with the model, and are not trained.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.low, self.high, self.centre, self.factor = (
            self.add_weight(shape=(input_shape[-1],), initializer=start, trainable=False, name=name)
            for name, start in (
                ("low", keras.initializers.Constant(-_FARTHEST)),
                ("high", keras.initializers.Constant(_FARTHEST)),
                ("centre", "zeros"),
                ("factor", "ones"),
            )
        )

    def call(self, values: Any) -> Any:
        filled = ops.where(ops.isnan(values), self.centre, values)
        scaled = (ops.clip(filled, self.low, self.high) - self.centre) * self.factor
        return _SOFT_LIMIT * ops.arcsinh(scaled / _SOFT_LIMIT)


@_registered
class Scaling(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Raw features to values around zero within ±3, in versions of before `BoundedScaling`.

    (x - centre) * factor, then x / sqrt(1 + (x / 3)²) (smooth clip, Holzmüller, Grinsztajn &
    Steinwart 2024). (n, n_features) in and out. Centre and factor are weights: they travel
    with the model, and are not trained.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        width = (input_shape[-1],)
        self.centre = self.add_weight(
            shape=width, initializer="zeros", trainable=False, name="centre"
        )
        self.factor = self.add_weight(
            shape=width, initializer="ones", trainable=False, name="factor"
        )

    def call(self, values: Any) -> Any:
        filled = ops.where(ops.isnan(values), self.centre, values)
        scaled = ops.clip((filled - self.centre) * self.factor, -_FARTHEST, _FARTHEST)
        return scaled / ops.sqrt(1.0 + ops.square(scaled / _SOFT_LIMIT))


@_registered
class Columns(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Some columns of its input, in the order given: (n, n_features) to (n, len(columns))."""

    def __init__(self, columns: Sequence[int], **settings: Any) -> None:
        super().__init__(**settings)
        self.columns = list(columns)

    def call(self, values: Any) -> Any:
        return ops.take(values, self.columns, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "columns": self.columns}


@_registered
class Missing(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """1 where a column is missing, else 0: (n, n_features) to (n, len(columns)).

    What a value's absence announces is lost once the gap is filled (Van Ness et al. 2023, "The
    missing indicator method").
    """

    def __init__(self, columns: Sequence[int], **settings: Any) -> None:
        super().__init__(**settings)
        self.columns = list(columns)

    def call(self, values: Any) -> Any:
        return ops.cast(ops.isnan(ops.take(values, self.columns, axis=1)), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "columns": self.columns}


@_registered
class SensorGate(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """A weight in (0, 2) per sensor, made of all features: (n, n_features) to (n, n_sensors).

    Squeeze-and-excitation (Hu, Shen & Sun 2018) over sensors: 2 sigmoid of a small network's
    scores, which begin at `start`.
    """

    def __init__(self, units: int, start: Sequence[float], seed: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.units, self.start, self.seed = units, list(start), seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        inputs, sensors = int(input_shape[-1] or 0), len(self.start)
        first = keras.initializers.GlorotUniform(seed=self.seed)
        second = keras.initializers.RandomNormal(stddev=0.01, seed=self.seed + 1)
        self.kernel = self.add_weight(shape=(inputs, self.units), initializer=first, name="kernel")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")
        self.scores = self.add_weight(
            shape=(self.units, sensors), initializer=second, name="scores"
        )
        begin = np.array(self.start) / 2.0
        self.score_bias = self.add_weight(shape=(sensors,), initializer="zeros", name="score_bias")
        self._begin = np.log(begin / (1.0 - begin)).astype(np.float32)

    def call(self, values: Any) -> Any:
        hidden = ops.relu(ops.matmul(values, self.kernel) + self.bias)
        return 2.0 * ops.sigmoid(ops.matmul(hidden, self.scores) + self.score_bias + self._begin)

    def get_config(self) -> dict[str, Any]:
        own = {"units": self.units, "start": self.start, "seed": self.seed}
        return {**super().get_config(), **own}


@_registered
class Gated(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Features times their sensor's weight: (n, n_features) and (n, n_sensors).

    owner: the place of each feature's sensor.
    """

    def __init__(self, owner: Sequence[int], **settings: Any) -> None:
        super().__init__(**settings)
        self.owner = list(owner)

    def call(self, values: Any, weights: Any) -> Any:
        return values * ops.take(weights, self.owner, axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "owner": self.owner}


@_registered
class Shares(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Weights as shares of their sum: (n, n_sensors), each row summing to 1."""

    def call(self, weights: Any) -> Any:
        return weights / ops.sum(weights, axis=1, keepdims=True)


@_registered
class Periodic(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """All values, then `width` times as many periodic ones: (n, f) to (n, (1 + width) * f).

    relu(linear(sin and cos of 2π c x)) with trained frequencies c a feature and one linear
    map for all (Gorishniy, Rubachev & Babenko 2022). Rows come last but one inside, so that
    sums run along whole features: half the time of a training step on 297 features.
    """

    def __init__(self, width: int, seed: int, spread: float = 0.1, **settings: Any) -> None:
        super().__init__(**settings)
        self.width, self.seed, self.spread = width, seed, spread

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        frequency = keras.initializers.RandomNormal(stddev=self.spread, seed=self.seed)
        kernel = keras.initializers.GlorotUniform(seed=self.seed + 1)
        self.frequency = self.add_weight(
            shape=(self.width, input_shape[-1]), initializer=frequency, name="frequency"
        )
        self.kernel = self.add_weight(
            shape=(2 * self.width, self.width), initializer=kernel, name="kernel"
        )
        self.bias = self.add_weight(shape=(self.width,), initializer="zeros", name="bias")

    def call(self, values: Any) -> Any:
        angle = 2.0 * np.pi * values * self.frequency[:, None, :]
        waves = ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=0)
        flat = ops.reshape(waves, (2 * self.width, -1))
        mixed = ops.matmul(ops.transpose(self.kernel), flat) + self.bias[:, None]
        embedded = ops.reshape(ops.relu(mixed), (self.width, -1, values.shape[-1]))
        return ops.concatenate([values, *ops.unstack(embedded, num=self.width)], axis=-1)

    def get_config(self) -> dict[str, Any]:
        own = {"width": self.width, "seed": self.seed, "spread": self.spread}
        return {**super().get_config(), **own}


@_registered
class EnsembleDense(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """One dense layer that members of a pack share but for scales and biases of their own.

    Member i gives ((x * r_i) W) * s_i + b_i (BatchEnsemble, Wen, Tran & Ba 2020), W that of
    its pack (packed ensembles, Laurent et al. 2023); only a layer that sees raw features
    (`first`) starts with random signs r (TabM, Gorishniy et al. 2025). Packs hold as many
    members each, one after the other. (n, inputs) or (n, members, inputs) to
    (n, members, units). `l1` holds a penalty per input that training reads.
    """

    def __init__(
        self,
        units: int,
        members: int,
        seed: int,
        packs: int = 1,
        first: bool = False,
        l1: Sequence[float] = (),
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.units, self.members, self.seed, self.packs = units, members, seed, packs
        self.first, self.l1 = first, list(l1)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        inputs = int(input_shape[-1] or 0)
        bound = float(np.sqrt(1.0 / inputs))
        uniform = keras.initializers.RandomUniform(-bound, bound, seed=self.seed)
        biases = keras.initializers.RandomUniform(-bound, bound, seed=self.seed + 1)
        scales: Any = RandomSigns(self.seed + 2) if self.first else "ones"
        outer = (self.members, self.units)
        self.kernel = self.add_weight(
            shape=(self.packs, inputs, self.units), initializer=uniform, name="kernel"
        )
        self.inner = self.add_weight(shape=(self.members, inputs), initializer=scales, name="inner")
        self.outer = self.add_weight(shape=outer, initializer="ones", name="outer")
        self.bias = self.add_weight(shape=outer, initializer=biases, name="bias")

    def call(self, values: Any) -> Any:
        if len(values.shape) == 2:
            # All members see the same rows: scaling the kernel costs less than the rows.
            kernels = ops.transpose(self.inner[:, :, None] * self._own_kernels(), (1, 0, 2))
            flat = ops.reshape(kernels, (-1, self.members * self.units))
            product = ops.reshape(ops.matmul(values, flat), (-1, self.members, self.units))
        elif self.packs == 1:
            product = ops.matmul(values * self.inner, self.kernel[0])
        else:
            product = ops.einsum("nki,kiu->nku", values * self.inner, self._own_kernels())
        return product * self.outer + self.bias

    def _own_kernels(self) -> Any:
        """Each member's kernel, (members, inputs, units); one for all where they share it."""
        if self.packs == 1:
            return self.kernel
        return ops.repeat(self.kernel, self.members // self.packs, axis=0)

    def get_config(self) -> dict[str, Any]:
        own = {"units": self.units, "members": self.members, "seed": self.seed}
        also = {"packs": self.packs, "first": self.first, "l1": self.l1}
        return {**super().get_config(), **own, **also}


@_registered
class RandomSigns(keras.initializers.Initializer):  # type: ignore[misc]  # Keras ships no types
    """+1 or -1, each with probability one half."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        signs = np.random.default_rng(self.seed).choice([-1.0, 1.0], size=shape)
        return ops.convert_to_tensor(signs, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}


@_registered
class Answer(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Mean answer of the members: (n, k, outputs) to (n, outputs).

    Their survival curves (logits of the hazard in each span; Gensheimer & Narasimhan 2019),
    probabilities or values are averaged; values are in `unit` around `zero`. With several modes
    logits are those of each output and mode, see `ModeShares`: (n, k, outputs * modes).
    """

    def __init__(
        self, kind: str, zero: float = 0.0, unit: float = 1.0, modes: int = 1, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.kind, self.zero, self.unit, self.modes = kind, zero, unit, modes

    def call(self, logits: Any) -> Any:
        if self.modes > 1:
            logits = log_sum_exp(by_mode(logits, self.modes))
        if self.kind == "hazard":
            return ops.mean(ops.exp(-ops.cumsum(ops.softplus(logits), axis=-1)), axis=1)
        if self.kind == "classification":
            return ops.mean(ops.sigmoid(logits), axis=1)
        return ops.mean(logits, axis=1) * self.unit + self.zero

    def get_config(self) -> dict[str, Any]:
        own = {"kind": self.kind, "zero": self.zero, "unit": self.unit, "modes": self.modes}
        return {**super().get_config(), **own}


@_registered
class ModeShares(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """Share of each mode in what happens in a span: (n, k, outputs * modes) to (n, outputs, modes).

    Cause-specific discrete hazards in multinomial form (Tutz & Schmid 2016, ch. 8): the hazard of
    mode m is exp(l_m) / (1 + sum of exp(l_j) over modes j); of one mode that is the sigmoid of its
    logit. A member counts for as much as it has left to fail in the span. Shares sum to 1.
    """

    def __init__(self, modes: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.modes = modes

    def call(self, logits: Any) -> Any:
        spans = by_mode(logits, self.modes)
        ending = ops.softplus(log_sum_exp(spans))
        reaching = ending - ops.cumsum(ending, axis=-1)
        scores = spans + ops.expand_dims(reaching - ending, -1)
        weights = ops.exp(scores - _highest(scores, (1, 3)))
        total = ops.sum(weights, axis=1)
        return total / ops.sum(total, axis=-1, keepdims=True)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "modes": self.modes}


def by_mode(logits: Any, modes: int) -> Any:
    """Logits of a layer, (n, k, outputs * modes), as (n, k, outputs, modes)."""
    members, width = logits.shape[1:]
    return ops.reshape(logits, (-1, members, width // modes, modes))


def _highest(values: Any, axis: Any) -> Any:
    # Where it may be lower than anything, Keras takes no rows as well.
    return ops.max(values, axis=axis, keepdims=True, initial=-1e30)


def log_sum_exp(logits: Any) -> Any:
    """Logarithm of the sum of exponentials over the last axis."""
    # That of Keras asks whether numbers are finite, which ONNX Runtime cannot be asked.
    highest = _highest(logits, -1)
    return ops.log(ops.sum(ops.exp(logits - highest), axis=-1)) + highest[..., 0]
