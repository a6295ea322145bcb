"""Building of a network from its allocation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from pm_app.learning.network.layers import (
    Answer,
    BoundedScaling,
    Columns,
    EnsembleDense,
    Gated,
    Missing,
    ModeShares,
    Periodic,
    Scaling,
    SensorGate,
    Shares,
)
from pm_app.records.learning import Allocation, Gate, Tier

Network = Any  # keras.Model, which ships no types
_SEEDS_A_LAYER = 10
_SCALINGS: dict[str, Any] = {"clipped": Scaling, "bounded": BoundedScaling}


@dataclass(frozen=True)
class Outputs:
    """Outputs of a member: how many numbers, and what they mean; `kind` as in `Head`.

    A regressed value is `zero` where the network gives 0, and `unit` more where it gives 1. modes:
    into how many each output is told apart.
    """

    kind: str
    width: int
    zero: float = 0.0
    unit: float = 1.0
    modes: int = 1


def build_network(
    allocation: Allocation,
    sensor_of: Sequence[str],
    outputs: Outputs,
    *,
    seed: int,
    features: Sequence[str] = (),
) -> Network:
    """A network of raw features, (n, n_features) float32 with NaN for missing, to answers.

    Tier by tier: the tier's features, scaled, through a branch of its own; branches
    concatenated, shared layers, one head a member, members averaged (`Answer`). The layer
    "logits" holds the logits of each member, (n, members, outputs * modes). Scaling starts as
    identity: see `set_scaling`. features: their names, needed where the plan has indicators or
    reads some features only. With a gate the layer "gate" holds each sensor's weight,
    (n, n_sensors), sensors in the order of `allocation.sensors`.
    """
    values = keras.Input((len(sensor_of),), dtype="float32", name="features")
    scaled = _SCALINGS[allocation.scaling](name="scaling")(values)
    if allocation.gate is not None:
        scaled = _gated(scaled, allocation, allocation.gate, sensor_of, seed + 500)
    branches = [
        _branch((values, scaled), tier, allocation, sensor_of, features, seed + 1000 * at)
        for at, tier in enumerate(allocation.tiers, start=1)
    ]
    hidden = keras.layers.Concatenate(name="branches")(branches) if branches[1:] else branches[0]
    dropout = max(tier.dropout for tier in allocation.tiers)
    members, packs = allocation.members, allocation.packs
    for at, units in enumerate(allocation.shared_units):
        start = seed + _SEEDS_A_LAYER * (at + 1)
        hidden = EnsembleDense(units, members, start, packs, name=f"shared_{at}")(hidden)
        hidden = keras.layers.Activation("relu", name=f"shared_{at}_relu")(hidden)
        hidden = keras.layers.Dropout(dropout, seed=start + 5, name=f"shared_{at}_drop")(hidden)
    width = outputs.width * outputs.modes
    logits = EnsembleDense(width, members, seed, packs, name="logits")(hidden)
    scale = outputs.zero, outputs.unit, outputs.modes
    answer = Answer(outputs.kind, *scale, name="answer")(logits)
    return keras.Model(values, answer, name="network")


def whole_network(network: Network) -> Network:
    """The same network giving answers, then shares of modes and of attention where it has them.

    Modes as `ModeShares` has them; of attention each sensor's.
    """
    outputs = [network.output]
    modes = modes_of(network)
    if modes > 1:
        outputs.append(ModeShares(modes, name="modes")(network.get_layer("logits").output))
    gate = next((layer for layer in network.layers if layer.name == "gate"), None)
    if gate is not None:
        outputs.append(Shares(name="attention")(gate.output))
    return keras.Model(network.input, outputs, name="network") if outputs[1:] else network


def modes_of(network: Network) -> int:
    """How many modes a network tells apart, 1 for none."""
    return int(network.get_layer("answer").modes)


def _gated(
    scaled: Any, allocation: Allocation, gate: Gate, sensor_of: Sequence[str], seed: int
) -> Any:
    place = {sensor: at for at, sensor in enumerate(allocation.sensors)}
    weights = SensorGate(gate.units, gate.start, seed, name="gate")(scaled)
    return Gated([place[sensor] for sensor in sensor_of], name="gated")(scaled, weights)


def _branch(
    inputs: tuple[Any, Any],
    tier: Tier,
    allocation: Allocation,
    sensor_of: Sequence[str],
    features: Sequence[str],
    seed: int,
) -> Any:
    """The hidden values of one tier, (n, members, tier.units). inputs: raw and scaled features."""
    strengths = dict(zip(allocation.sensors, allocation.l1, strict=True))
    members, packs = allocation.members, allocation.packs
    place = {sensor: at for at, sensor in enumerate(tier.sensors)}
    columns = sorted(
        (at for at in range(len(sensor_of)) if sensor_of[at] in place),
        key=lambda at: place[sensor_of[at]],
    )
    if tier.features:
        columns = [at for at in columns if features[at] in tier.features]
    own = [at for at in columns if allocation.indicators and features[at] in allocation.indicators]
    values = Columns(columns, name=f"{tier.name}_columns")(inputs[1])
    if own:
        missing = Missing(own, name=f"{tier.name}_missing")(inputs[0])
        values = keras.layers.Concatenate(name=f"{tier.name}_inputs")([values, missing])
    if tier.embedding:
        values = Periodic(tier.embedding, seed + 10, name=f"{tier.name}_periodic")(values)
    l1 = [strengths[sensor_of[at]] for _ in range(1 + tier.embedding) for at in columns + own]
    name = f"{tier.name}_branch"
    dense = EnsembleDense(tier.units, members, seed, packs, first=True, l1=l1, name=name)
    hidden = keras.layers.Activation("relu", name=f"{tier.name}_relu")(dense(values))
    return keras.layers.Dropout(tier.dropout, seed=seed + 5, name=f"{tier.name}_drop")(hidden)
