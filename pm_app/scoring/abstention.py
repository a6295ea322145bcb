"""Abstention: when the model should not speak, and why."""

import numpy as np

from pm_app.records.features import Frame
from pm_app.records.learning import VersionCard
from pm_app.records.readings import Flags, Float64, Text
from pm_app.times import HOUR_NS, duration_text

# A risk that rests on less than half of what the model learned from would be a guess.
MOST_MISSING = 0.5
MOST_OUTSIDE = 0.5
MOST_STILL = 0.5
MOST_WITHHELD = 0.5
# Beyond the training range by its own width: sensors differ between assets, but not so much.
MARGIN = 1.0
_TELLING = ("deviation", "minimum", "maximum", "slope")


def statuses(frame: Frame, card: VersionCard) -> Text:
    """The status of each row, shape (n_rows,): "scored", or why the model abstains.

    What comes first here is told where several hold. machine_off: as `readings.running` says.
    not_enough_history: the asset is younger than the shortest window. sensor_missing: sensors
    with over half of the importance have no value in the longest window. stale_input: sensors
    with over half of the importance have kept one value through the longest window, which in
    training they never did: a transmitter or a historian repeats its last word; or over half of
    the version's skill is lost without the features that are missing by its limits, because a
    feed of events is silent or went on beyond what training saw (law 12).
    out_of_distribution: sensors with over half of the importance read further outside their
    training range than that range is wide. The frame holds the card's features, in order.
    """
    result = np.full(len(frame.cutoff), "scored", dtype=object)
    last = [number for number, name in enumerate(frame.features) if name.endswith(".last")]
    weight = _weights(card, [frame.sensor_of[number] for number in last])
    values = frame.values[:, last].astype(float)
    low = np.array([card.feature_low[number] for number in last])
    high = np.array([card.feature_high[number] for number in last])
    margin = MARGIN * (high - low)
    with np.errstate(invalid="ignore"):
        outside = (values < low - margin) | (values > high + margin)
    result[outside @ weight > MOST_OUTSIDE] = "out_of_distribution"
    still = _still(frame, card, [frame.sensor_of[number] for number in last])
    result[(still @ weight > MOST_STILL) | _rests_on_silence(frame, card)] = "stale_input"
    result[np.isnan(values) @ weight > MOST_MISSING] = "sensor_missing"
    if card.spec.windows_ns and "age" in frame.features:
        age = frame.values[:, frame.features.index("age")]
        result[age < card.spec.windows_ns[0] / HOUR_NS] = "not_enough_history"
    if frame.off is not None:
        result[frame.off] = "machine_off"
    return result


def _rests_on_silence(frame: Frame, card: VersionCard) -> Flags:
    """Rows without features that over half of the version's skill rests on, (n_rows,)."""
    if frame.withheld is None or not card.reliance:
        return np.zeros(len(frame.cutoff), dtype=np.bool_)
    place = frame.withheld @ (1 << np.arange(frame.withheld.shape[1]))
    return np.asarray(np.array(card.reliance)[place] > MOST_WITHHELD)


def _still(frame: Frame, card: VersionCard, sensors: list[str]) -> Flags:
    """Where a sensor kept one value, though in training it never did, (n_rows, n_sensors)."""
    still = np.zeros((len(frame.cutoff), len(sensors)), dtype=np.bool_)
    if not card.spec.windows_ns:
        return still
    window = duration_text(card.spec.windows_ns[-1])
    place = {name: number for number, name in enumerate(frame.features)}
    for column, sensor in enumerate(sensors):
        names = [f"{sensor}.{each}.{window}" for each in _TELLING]
        if any(name not in place for name in names):
            continue
        deviation, minimum, maximum, slope = (place[name] for name in names)
        if card.feature_low[deviation] > 0:
            # Of a single reading nothing can be told; a slope takes more than one pane.
            finite = np.isfinite(frame.values[:, slope])
            still[:, column] = finite & (frame.values[:, minimum] == frame.values[:, maximum])
    return still


def _weights(card: VersionCard, sensors: list[str]) -> Float64:
    """Importance of these sensors, scaled to sum to 1; equal where none carries any.

    A sensor that the version does not read is worth nothing to it.
    """
    share = dict(zip(card.importance.sensors, card.importance.shares, strict=True))
    read = np.isin(sensors, list(card.read_sensors)).astype(np.float64)
    weight = np.array([share.get(sensor, 0.0) for sensor in sensors]) * read
    weight = weight if weight.sum() > 0 else read
    return np.asarray(weight / (weight.sum() or 1.0))
