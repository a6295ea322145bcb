"""The simulated pumps' own hazard and risk, by mode and in closed form.

What a pump is at a reading (the age of its parts, the damage of its faults) and the load it is
about to carry are given; the limits at which faults break, and faults to come, are not. The risk
is that of failing within the horizon if nobody intervenes: what planned work censors. Whoever
knows less (sensors say less than damage) is calibrated if, among all cutoffs of one stated risk,
this one has that mean.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from pm_app.records.readings import Float64, Index
from pm_app.simulator.lives import SUDDEN
from pm_app.simulator.plan import PlantPlan
from pm_app.simulator.truth import TruePlant
from pm_app.simulator.wear import WARNING_SPREAD, onset_rates

# Onsets within a horizon are put on so many cells; a cell of one step is exact.
_CELLS = 24


@dataclass(frozen=True, eq=False)
class TrueRisks:
    """Risk of failing within the horizon, NaN where a pump stands still or the record ends first.

    risk: shape (n_assets, n_cutoffs), of any mode. by_mode: shape (n_modes, n_assets,
    n_cutoffs), cumulative incidence: the first failure is of that mode; adds up to the risk.
    """

    risk: Float64
    by_mode: Float64


def true_hazards(truth: TruePlant) -> Float64:
    """Probability that a part fails before the next reading, shape (n_modes, n_assets, n_steps).

    Given that no other does; NaN while the pump stands still. Summed over a time it is how
    often the part was due to fail (the compensator of its failures).
    """
    plan = truth.plan
    survival = _survival(truth, np.arange(plan.steps), np.array([0, 1]))[1]
    return np.where(truth.running, 1 - survival, np.nan)


def true_risks(truth: TruePlant, cutoffs: Index, *, horizon_hours: float) -> TrueRisks:
    """Risks at the readings of these steps, shape (n_cutoffs,), within the next hours."""
    ahead = max(1, round(horizon_hours / truth.plan.step_hours))
    cells = np.unique(np.linspace(0, ahead, min(ahead, _CELLS) + 1).round().astype(np.intp))
    survival = _survival(truth, np.minimum(cutoffs, truth.plan.steps - 1), cells)
    total = survival.prod(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Within a cell the first failure is of a mode in proportion to its hazard there.
        force = -np.diff(np.log(np.maximum(survival, 1e-300)), axis=0)
        share = np.nan_to_num(force / force.sum(axis=1, keepdims=True))
    by_mode = (share * -np.diff(total, axis=0)[:, None]).sum(axis=0)
    usable = truth.running[:, np.minimum(cutoffs, truth.plan.steps - 1)]
    usable &= cutoffs + ahead <= truth.plan.steps - 1
    return TrueRisks(np.where(usable, 1 - total[-1], np.nan), np.where(usable, by_mode, np.nan))


def _survival(truth: TruePlant, cutoffs: Index, cells: Index) -> Float64:
    """Probability to outlast each cell border, shape (n_cells, n_modes, n_assets, n_cutoffs)."""
    plan = truth.plan
    shape = (truth.stress.shape[0], 1)
    total = np.concatenate([np.zeros(shape), np.cumsum(truth.stress, axis=1)], axis=1)
    ends = [np.minimum(cutoffs + cell, plan.steps) for cell in cells]
    suffered = [total[:, end] - total[:, cutoffs] for end in ends]
    sound = np.stack([_sound(truth, cutoffs, int(cell)) for cell in cells])
    damage = truth.states.damage[:, :, cutoffs]
    begun = ~np.isnan(damage)
    held = _outlasts(plan, np.where(begun, damage, 0.0))
    survival = np.empty_like(sound)
    for number, at in enumerate(suffered):
        fresh = sound[number].copy()
        for before in range(number):
            middle = (cells[before] + cells[before + 1] + 1) // 2
            onset = total[:, np.minimum(cutoffs + middle, plan.steps)] - total[:, cutoffs]
            begins = sound[before] - sound[before + 1]
            fresh += begins * np.where(SUDDEN[:, None, None], 0.0, _outlasts(plan, at - onset))
        begun_now = _outlasts(plan, np.where(begun, damage, 0.0) + at) / np.maximum(held, 1e-300)
        survival[number] = np.where(begun, begun_now, fresh)
    return survival


def _sound(truth: TruePlant, cutoffs: Index, ahead: int) -> Float64:
    """Probability that no fault begins in the next steps, shape (n_modes, n_assets, n_cutoffs)."""
    plan = truth.plan
    rates = onset_rates(plan)
    scale, shape = plan.typical_life_days * plan.steps_per_day, plan.life_shape
    age = truth.states.age[:, :, cutoffs]
    until_change = np.clip(plan.change_step - cutoffs, 0, ahead)
    start, change, end = (
        ((age + more) / scale) ** shape for more in (np.zeros_like(cutoffs), until_change, ahead)
    )
    first, last = rates[:, :1, None], rates[:, -1:, None]
    return np.asarray(np.exp(-first * (change - start) - last * (end - change)))


def _outlasts(plan: PlantPlan, damage: Float64) -> Float64:
    """Probability that the limit of a fault lies beyond this damage."""
    with np.errstate(divide="ignore"):
        distance = (np.log(damage) - np.log(24 * plan.warning_days)) / WARNING_SPREAD
    return np.asarray(ndtr(-distance))
