"""Wear, failures and repairs of pumps: faults that begin, grow with load, and end in failure.

A fault of each mode begins at a random age (Weibull, shape 2) and grows with the load the
pump carries until its own limit, which nobody can measure: the gap between first sign and
failure is the P-F interval of Moubray, Reliability-centred Maintenance, 1997.
"""

from dataclasses import dataclass

import numpy as np

from pm_app.records.readings import Flags, Float64
from pm_app.simulator.plan import PlantPlan
from pm_app.simulator.policy import MODES

WARNING_SPREAD = 0.3  # sigma of the lognormal P-F interval
_SUDDEN_HOURS = 0.01


@dataclass(frozen=True)
class Stop:
    """A pump standing still: from step `begin` until before step `end`.

    mode is what failed, or what planned work renewed; onset is the first step of the fault
    (begin, where there was none).
    """

    asset: int
    failed: bool
    mode: str
    onset: int
    begin: int
    end: int


@dataclass(frozen=True, eq=False)
class Wear:
    """growth: shape (n_modes, n_assets, n_steps), 0 sound to 1 failing; running:
    shape (n_assets, n_steps); stops in order of asset, then time."""

    growth: Float64
    running: Flags
    stops: tuple[Stop, ...]


@dataclass(frozen=True, eq=False)
class _Fault:
    """From `onset` on, growth[i] at step onset + i; reaches 1 at step `failure`."""

    onset: int
    failure: int
    growth: Float64


def wear_out(plan: PlantPlan, load: Float64, rng: np.random.Generator) -> Wear:
    """The lives of all pumps under a load of shape (n_assets, n_steps), 1 being nominal."""
    growth = np.zeros((len(MODES), plan.assets, plan.steps))
    running = np.ones((plan.assets, plan.steps), dtype=np.bool_)
    stress = stress_of(plan, load)
    rates = onset_rates(plan)
    stops: list[Stop] = []
    for asset in range(plan.assets):
        pump = _Pump(plan, rates, stress[asset], np.random.default_rng(rng.integers(2**63)))
        for stop in pump.live(asset, growth[:, asset]):
            running[asset, stop.begin : stop.end] = False
            stops.append(stop)
    return Wear(growth, running, tuple(stops))


def stress_of(plan: PlantPlan, load: Float64) -> Float64:
    """Hours of nominal load that each step is worth, of a load of any shape."""
    # Load past nominal wears out of proportion (cube law of bearing life, ISO 281).
    return np.asarray(plan.step_hours * load**3)


def onset_rates(plan: PlantPlan) -> Float64:
    """Share of each mode at each step, shape (n_modes, n_steps)."""
    halves = []
    for mix in (plan.mix_before, plan.mix_after):
        shares = np.array([mix.get(mode, 0.0) for mode in MODES])
        halves.append(shares / shares.sum())
    after = np.arange(plan.steps) >= plan.change_step
    rates: Float64 = np.where(after, halves[1][:, None], halves[0][:, None])
    return rates


class _Pump:
    """One pump's faults, drawn afresh whenever a part is renewed."""

    def __init__(
        self, plan: PlantPlan, rates: Float64, stress: Float64, rng: np.random.Generator
    ) -> None:
        self._plan, self._rates, self._stress, self._rng = plan, rates, stress, rng
        self._total_stress = np.concatenate([[0.0], np.cumsum(stress)])

    def live(self, asset: int, growth: Float64) -> list[Stop]:
        """All stops; fills growth, shape (n_modes, n_steps), in place."""
        plan, rng = self._plan, self._rng
        # A plant does not start with all its pumps new.
        age = rng.uniform(0, 0.7 * plan.typical_life_days) * plan.steps_per_day
        faults = [self._draw(mode, 0, age) for mode in range(len(MODES))]
        planned = self._next_planned(0, rng.uniform(0.2, 1))
        stops: list[Stop] = []
        while True:
            mode = int(np.argmin([fault.failure for fault in faults]))
            failed = faults[mode].failure <= planned
            begin = faults[mode].failure if failed else planned
            if begin >= plan.steps:
                break
            if not failed:
                # Planned work renews the part at hand: seals and bearings in turn.
                mode = len(stops) % 2
            hours = rng.lognormal(np.log(plan.repair_hours), 0.4) if failed else 2.0
            end = min(begin + max(1, round(hours / plan.step_hours)), plan.steps)
            onset = min(faults[mode].onset, begin)
            stops.append(Stop(asset, failed, MODES[mode], onset, begin, end))
            for renewed in range(len(MODES)) if failed else [mode]:
                _record(growth[renewed], faults[renewed], begin)
                faults[renewed] = self._draw(renewed, end, 0.0)
            if not failed or planned < end:
                planned = self._next_planned(end, 1.0)
        for mode, fault in enumerate(faults):
            _record(growth[mode], fault, plan.steps)
        return stops

    def _next_planned(self, step: int, share: float) -> int:
        days = self._plan.maintenance_days * share * self._rng.uniform(0.8, 1.2)
        return step + max(1, round(days * self._plan.steps_per_day))

    def _draw(self, mode: int, start: int, age_steps: float) -> _Fault:
        steps, rng = self._plan.steps, self._rng
        scale = self._plan.typical_life_days * self._plan.steps_per_day
        ages = age_steps + np.arange(steps - start)
        shape = self._plan.life_shape
        hazard = np.cumsum(self._rates[mode, start:] * shape * ages ** (shape - 1) / scale**shape)
        onset = start + int(np.searchsorted(hazard, rng.exponential()))
        warning = rng.lognormal(np.log(24 * self._plan.warning_days), WARNING_SPREAD)
        limit = _SUDDEN_HOURS if MODES[mode] == "electrical" else warning
        suffered = self._total_stress[onset:] - self._total_stress[min(onset, steps)]
        failure = onset + max(1, int(np.searchsorted(suffered, limit)))
        return _Fault(onset, failure, np.minimum(suffered[:-1] / limit, 1.0))


def _record(growth: Float64, fault: _Fault, until: int) -> None:
    count = max(0, min(until, len(growth)) - fault.onset)
    growth[fault.onset : fault.onset + count] = fault.growth[:count]
