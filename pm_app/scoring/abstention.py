"""Abstention: when the model should not speak, and why.

It is silent about what is missing or stands still, never because a row is extreme in the direction
of risk: the worst counters of a fleet are what it is there to tell of. Beyond what training saw the
network's scaling and the trees stay where they were at the edge, so their answer out there is that
of the edge. A risk that stands out even so calls a person to look, and is told. One that does not
would reassure about what nobody has seen, and is not. Either way `extrapolated` says how much of
what the risk rests on lies out there.
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from pm_app.records.features import Frame
from pm_app.records.learning import VersionCard
from pm_app.records.readings import Flags, Float32, Float64, Index, Text
from pm_app.records.scores import Scores
from pm_app.scoring.contributions import stands_out
from pm_app.scoring.predictor import Predictor
from pm_app.times import HOUR_NS, duration_text

# A risk that rests on less than half of what the model learned from would be a guess.
MOST_MISSING = 0.5
MOST_OUTSIDE = 0.5
MOST_STILL = 0.5
MOST_WITHHELD = 0.5
# Beyond the training range by its own width: sensors differ between assets, but not so much.
MARGIN = 1.0
# A risk is shown to so many digits; what follows has no meaning.
RISK_DIGITS: Final = 4
_EXTREME: Final = "out_of_distribution"
_TELLING = ("deviation", "minimum", "maximum", "slope")


@dataclass(frozen=True, eq=False)
class Answers:
    """What a version says of a frame.

    status: (n_rows,). rows: those that are scored; scores are of these, and so is attention, None
    where the version has no gate over sensors. extrapolated: share of importance beyond what was
    learned, (n_rows,); NaN where it says nothing of the readings, or cannot tell.
    """

    status: Text
    rows: Index
    scores: Scores
    attention: Float32 | None
    extrapolated: Float64


def answer_frame(frame: Frame, card: VersionCard, predictor: Predictor) -> Answers:
    """What a version says of each row of a frame that holds the card's features, in order."""
    status = statuses(frame, card)
    asked = np.flatnonzero((status == "scored") | (_stays_at_edge(card) & (status == _EXTREME)))
    scores, attention = predictor.predict_attending(frame.values[asked])
    status[asked] = judge_extremes(status[asked], scores.risk[:, -1], card)
    stays = status[asked] == "scored"
    parts = (getattr(scores, field.name) for field in fields(scores))
    parts = (part[stays] if len(part) == len(stays) else part for part in parts)
    looked = None if attention is None else attention[stays]
    return Answers(status, asked[stays], Scores(*parts), looked, _extrapolated(frame, card, status))


def judge_extremes(status: Text, risk: Float64, card: VersionCard) -> Text:
    """The statuses once the risk of the longest horizon is there, (n_rows,): what is far beyond
    training is scored where that risk stands out from the usual.

    Where there is no risk, or nobody knows the usual one, nothing tells which way is up.
    """
    # As the risk is shown: its last digits depend on what is scored together.
    loud = np.isfinite(risk) & stands_out(np.round(risk, RISK_DIGITS), card.usual_risk)
    has_usual = card.usual_risk is not None
    return np.where((status == _EXTREME) & loud & has_usual, "scored", status)


def _stays_at_edge(card: VersionCard) -> bool:
    """Whether what the version says beyond training is what it says at the edge; versions of
    before go on along whatever slope they have there."""
    return card.allocation.scaling == "bounded"


def _extrapolated(frame: Frame, card: VersionCard, status: Text) -> Float64:
    """As `Answers` says."""
    rows = np.flatnonzero((status == "scored") | (status == _EXTREME))
    result = np.full(len(status), np.nan)
    if not _stays_at_edge(card):
        return result
    values = frame.values[rows]
    with np.errstate(invalid="ignore"):
        outside = (values < np.array(card.feature_low)) | (values > np.array(card.feature_high))
    weight = _feature_weights(card, frame)
    # Row by row: a product with a matrix adds up otherwise for other neighbours.
    result[rows] = np.where(outside, weight, 0.0).sum(axis=1)
    return result


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
    training range than that range is wide; `judge_extremes` has the last word on these. The frame
    holds the card's features, in order.
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
    result[outside @ weight > MOST_OUTSIDE] = _EXTREME
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


def _feature_weights(card: VersionCard, frame: Frame) -> Float64:
    """Importance of each feature, summing to 1: that of its sensor, dealt evenly to the features
    of it that the version reads."""
    read = np.isin(frame.features, list(card.read_features)).astype(np.float64)
    place = np.array([frame.sensors.index(sensor) for sensor in frame.sensor_of])
    dealt = np.bincount(place, read)
    each = _weights(card, list(frame.sensors)) / np.maximum(dealt, 1.0)
    return np.asarray(each[place] * read)
