"""Comparison of a new normal with the one before: what moved, and whether a person has to look.

A slow fault must not become normal. Whatever is learned again is held against the levels of the
last normal that was first or that a person accepted, not of the last one, or a fault would creep
in by steps that each are nothing. What counts is what the other sensors do not explain.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from pm_app.learning.normality.inputs import SensorLevels
from pm_app.learning.normality.model import NormalModel
from pm_app.records.normality import MovedSensor, NormalCard
from pm_app.records.readings import Float64

# Spreads by which a level may have moved without a person's word: of a normal that rests on
# weeks, and of one that rests on days, which has seen little of what is usual.
_SPREADS, _SPREADS_OF_DAYS = 1.0, 3.0
_FIRM_DAYS = 14


@dataclass(frozen=True)
class NormalVerdict:
    """Whether a new normal may score, why, what moved, and its centres and anchor for the card.

    checks: figures behind it, by name.
    """

    publish: bool
    reason: str
    moved: tuple[MovedSensor, ...]
    centres: tuple[float, ...]
    anchor: tuple[float, ...]
    checks: dict[str, float] = field(default_factory=dict)


def compare_normals(model: NormalModel, usual: Float64, before: NormalCard | None) -> NormalVerdict:
    """The verdict on a model whose residuals have this usual spread, (n_sensors,)."""
    unit = np.array(model.inputs.unit)
    centres = model.clouds[-1].centre * unit
    own = tuple(centres.tolist())
    if before is None:
        return NormalVerdict(True, "the first normal behaviour", (), own, own)
    anchor = _anchor(before)
    start = np.array([anchor.get(sensor, np.nan) for sensor in model.inputs.sensors])
    moved = _moved(model, centres, start, before)
    kept = tuple(np.where(np.isfinite(start), start, centres).tolist())
    if not moved:
        return NormalVerdict(True, "no sensor's usual level has moved", (), own, kept)
    shown = ", ".join(
        f"{each.sensor} {each.now - each.before:+.3g} (usual {each.usual:.3g})" for each in moved
    )
    reason = f"waits for a person: usual levels have moved beyond what is usual: {shown}"
    return NormalVerdict(False, reason, moved, own, kept)


def _anchor(before: NormalCard) -> dict[str, float]:
    """What later normals are held against: where a person has accepted what moved, that."""
    levels = before.centres if before.moved else before.anchor
    return dict(zip(before.sensors, levels, strict=True))


def _moved(
    model: NormalModel, centres: Float64, start: Float64, before: NormalCard
) -> tuple[MovedSensor, ...]:
    unit = np.array(model.inputs.unit)
    level = np.repeat((start / unit)[None, None], len(model.clouds), axis=0)
    # As if rows lay where the normal before had its middle, at the slowest scale alone.
    level[:-1] = np.nan
    clock = np.zeros((1, model.clouds[0].clock.shape[0]))
    _, residual = model.answer_levels(SensorLevels(level, clock))
    most = _SPREADS if _days(before) >= _FIRM_DAYS else _SPREADS_OF_DAYS
    usual = dict(zip(before.sensors, before.usual, strict=True))
    found = []
    for number, sensor in enumerate(model.inputs.sensors):
        bound = most * usual.get(sensor, np.inf)
        apart = min(abs(residual[0, number]), abs(centres[number] - start[number]))
        if apart > bound:
            before_level, now = float(start[number]), float(centres[number])
            found.append(MovedSensor(sensor, before_level, now, usual[sensor]))
    return tuple(found)


def _days(card: NormalCard) -> float:
    first, last = (
        datetime.fromisoformat(text)
        for text in (card.taught.trained_from, card.taught.trained_until)
    )
    return (last - first).total_seconds() / 86_400
