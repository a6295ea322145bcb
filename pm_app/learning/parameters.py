"""How many trainable parameters a planned network has, without building it."""

from collections.abc import Mapping, Sequence

from pm_app.records.learning import Tier


def count_gate(units: int, features: int, sensors: int) -> int:
    """Trainable parameters of a gate of that many units over sensors."""
    return features * units + units + units * sensors + sensors


def count_parameters(
    tiers: Sequence[Tier],
    shared_units: Sequence[int],
    members: int,
    *,
    features_per_sensor: Mapping[str, int],
    outputs: int,
    gate_units: int = 0,
    packs: int = 1,
) -> int:
    """Trainable parameters of the network that `network.build_network` makes of this plan.

    features_per_sensor counts indicators of missing values as well.

    Each layer is shared by all ensemble members of a pack but for a scale of its inputs, a
    scale of its outputs and a bias a member (BatchEnsemble, Wen, Tran & Ba 2020).
    """
    total, width = 0, 0
    for tier in tiers:
        features = sum(features_per_sensor[sensor] for sensor in tier.sensors)
        total += _embedding(features, tier.embedding)
        total += _ensemble_layer(features * (1 + tier.embedding), tier.units, members, packs)
        width += tier.units
    if gate_units:
        total += count_gate(gate_units, sum(features_per_sensor.values()), len(features_per_sensor))
    for units in (*shared_units, outputs):
        total += _ensemble_layer(width, units, members, packs)
        width = units
    return total


def _ensemble_layer(inputs: int, units: int, members: int, packs: int) -> int:
    return packs * inputs * units + members * (inputs + 2 * units)


def _embedding(features: int, width: int) -> int:
    # A frequency per feature and component, then one linear map from sines and cosines to
    # `width` values that all features of the tier share.
    return features * width + (2 * width + 1) * width if width else 0
