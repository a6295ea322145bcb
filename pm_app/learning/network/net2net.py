"""Reshaping of a trained network that keeps its answers (Net2Net).

Branches are widened by doubling units and halving what they send on (function-preserving,
Chen, Goodfellow & Shlens 2016, Net2Net) and pruned of the units that send on least, whose mean
goes on as a bias.
"""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from pm_app.learning.network.building import Network
from pm_app.records.learning import Allocation

Array = NDArray[np.float32]
# Twins part only if they differ a little: this share of a weight, random.
_JITTER = 0.01


def transfer_weights(
    old: Network, fresh: Network, before: Allocation, after: Allocation, values: Array, *, seed: int
) -> None:
    """Fill `fresh`, built from `after`, with what `old`, built from `before`, has learned.

    The plans have the same tiers of the same sensors and may differ in units and penalties.
    values: raw features, (n, n_features), on which units are judged. Where no branch shrinks
    the answers stay the same, but for a jitter that lets twin units part.
    """
    # The layer that reads the branches.
    behind = old.get_layer("shared_0" if before.shared_units else "logits")
    depend_on_units = {behind.name, *(f"{tier.name}_branch" for tier in before.tiers)}
    for layer in fresh.layers:
        if layer.weights and layer.name not in depend_on_units:
            layer.set_weights(old.get_layer(layer.name).get_weights())
    rng = np.random.default_rng(seed)
    kernel, inner, outer, bias = behind.get_weights()
    rows, gains, start = [], [], 0
    for tier, planned in zip(before.tiers, after.tiers, strict=True):
        mine = slice(start, start + tier.units)
        start += tier.units
        mean = _mean_activation(old, f"{tier.name}_drop", values)
        sent_on = kernel[:, mine]
        chosen = _choose_units(mean, sent_on, planned.units)
        gone = np.setdiff1d(np.arange(tier.units), chosen)
        bias = bias + outer * _contribution((mean * inner[:, mine])[:, gone], sent_on[:, gone])
        copies = np.bincount(chosen, minlength=tier.units)[chosen]
        rows.append(sent_on[:, chosen] / copies[:, None])
        gains.append(inner[:, mine][:, chosen])
        _fill_branch(old, fresh, f"{tier.name}_branch", chosen, copies, rng)
    weights = [np.concatenate(rows, axis=1), np.concatenate(gains, axis=1), outer, bias]
    fresh.get_layer(behind.name).set_weights(weights)


def _mean_activation(network: Network, layer: str, values: Array) -> Array:
    """Mean of each unit over the rows, (members, units)."""
    part = keras.Model(network.input, network.get_layer(layer).output)
    outputs: Array = np.asarray(part(values, training=False))
    return np.asarray(outputs.mean(axis=0))


def _choose_units(mean: Array, sent_on: Array, count: int) -> NDArray[np.intp]:
    """Which old unit each of `count` new ones copies: all where there is room, some twice.

    mean: (members, units). sent_on: (packs, units, units behind).
    """
    weight = np.abs(mean).mean(axis=0) * np.linalg.norm(sent_on, axis=(0, 2))
    ranked = np.argsort(-weight, kind="stable")
    times = -(-count // len(ranked))
    return np.sort(np.tile(ranked, times)[:count])


def _contribution(mean: Array, sent_on: Array) -> Array:
    """Sum that units of that mean, (members, units), send on: (members, units behind)."""
    own = np.repeat(sent_on, len(mean) // len(sent_on), axis=0)
    return np.asarray(np.einsum("ki,kiu->ku", mean, own))


def _fill_branch(
    old: Network,
    fresh: Network,
    name: str,
    chosen: NDArray[np.intp],
    copies: NDArray[np.intp],
    rng: np.random.Generator,
) -> None:
    kernel, inner, outer, bias = old.get_layer(name).get_weights()
    again: Any = np.append(False, chosen[1:] == chosen[:-1])
    jitter = 1.0 + _JITTER * rng.normal(size=(*kernel.shape[:2], len(chosen))) * again
    weights = [kernel[:, :, chosen] * jitter, inner, outer[:, chosen], bias[:, chosen]]
    fresh.get_layer(name).set_weights([part.astype(np.float32) for part in weights])
