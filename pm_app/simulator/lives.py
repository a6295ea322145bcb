"""Lives of parts under a maintenance policy: each mode ages, begins to fail and is renewed alone.

A fault of a mode begins at a random running age of its part (Weibull) and grows with the load
the pump carries. It breaks at a limit that shows in no reading: what can be measured is its
damage, the limit's distribution alone is what the truth knows. So its hazard is no oracle's:
`hazards.py` has it in closed form.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from pm_app.records.readings import Float64, Index
from pm_app.simulator.agenda import Agenda, PlannedWork
from pm_app.simulator.plan import PlantPlan
from pm_app.simulator.policy import (
    INSPECTION,
    MODES,
    OVERHAUL,
    ROUTINE,
    MaintenancePolicy,
    finding,
    repaired,
    replaced,
)
from pm_app.simulator.wear import WARNING_SPREAD, Stop, Wear, onset_rates, stress_of

SUDDEN = np.array([mode == "electrical" for mode in MODES])
_REPLACEMENT_HOURS, _OVERHAUL_HOURS = 4.0, 24.0


@dataclass(frozen=True)
class Work:
    """Work on a pump, done at step `end`; the pump stands still from `begin`, if they differ.

    kind, code: of the event. mode: of the part, "" for none or all. reason: one of REASONS,
    "" for an inspection. restored: share of the part's life, 1 as good as new. failure: the
    position of the stop that it repairs, -1 for none.
    """

    asset: int
    begin: int
    end: int
    kind: str
    code: str
    mode: str
    reason: str
    restored: float
    failure: int = -1


@dataclass(frozen=True)
class Life:
    """A part from step `begin` to `end`: until it failed, was renewed, or the record ends.

    ended: "failure", "renewal" or "record"; stop: the position of the failure's stop, -1 for
    none. start_age: steps it had run at its begin, by what a repair left of them.
    """

    asset: int
    mode: str
    begin: int
    end: int
    ended: str
    stop: int
    start_age: float


@dataclass(frozen=True, eq=False)
class PartStates:
    """Each part at each reading, shape (n_modes, n_assets, n_steps), after work at that reading.

    age: steps it ran since it was new, by what a repair left of them. damage: load that its
    fault has suffered, in hours of nominal load; NaN while no fault has begun.
    """

    age: Float64
    damage: Float64


@dataclass(frozen=True, eq=False)
class PolicyWear:
    """What a policy made of all pumps; work and lives in order of asset, then time."""

    wear: Wear
    states: PartStates
    work: tuple[Work, ...]
    lives: tuple[Life, ...]


def live_by_policy(
    plan: PlantPlan, policy: MaintenancePolicy, load: Float64, rng: np.random.Generator
) -> PolicyWear:
    """The lives of all pumps under a load of shape (n_assets, n_steps), 1 being nominal."""
    shape = (len(MODES), plan.assets, plan.steps)
    states = PartStates(np.zeros(shape), np.full(shape, np.nan))
    running = np.ones(shape[1:], dtype=np.bool_)
    stress, rates = stress_of(plan, load), onset_rates(plan)
    stops: list[Stop] = []
    work: list[Work] = []
    lives: list[Life] = []
    for asset in range(plan.assets):
        own = np.random.default_rng(rng.integers(2**63))
        parts = _Parts(plan, rates, stress[asset], own)
        record = PartStates(states.age[:, asset], states.damage[:, asset])
        pump = _PolicyPump(asset, policy, parts, Agenda(plan, policy, own))
        pump.first_stop = len(stops)
        pump.live(record)
        for stop in pump.stops:
            running[asset, stop.begin : stop.end] = False
        stops += pump.stops
        work += pump.work
        lives += sorted(pump.lives, key=lambda life: (life.begin, MODES.index(life.mode)))
    growth = np.nan_to_num(states.damage) / (24 * plan.warning_days)
    return PolicyWear(Wear(growth, running, tuple(stops)), states, tuple(work), tuple(lives))


class _Parts:
    """State of the parts of one pump, by mode: each array has shape (n_modes,).

    left: of the cumulative hazard until a fault begins; limit: the damage it breaks at.
    """

    def __init__(
        self, plan: PlantPlan, rates: Float64, stress: Float64, rng: np.random.Generator
    ) -> None:
        self.plan, self.rng, self._rates = plan, rng, rates
        self._total = np.concatenate([[0.0], np.cumsum(stress)])
        self._scale = plan.typical_life_days * plan.steps_per_day
        # A plant does not start with all its pumps new, nor with parts past their replacement.
        replaced_at = plan.policy.age_replacement_days if plan.policy else {}
        usual = 0.7 * plan.typical_life_days
        oldest = np.array([min(usual, replaced_at.get(mode, usual)) for mode in MODES])
        self.age = np.floor(rng.random(len(MODES)) * oldest * plan.steps_per_day)
        self.left = rng.exponential(size=len(MODES))
        self.damage = np.full(len(MODES), np.nan)
        self.limit = np.zeros(len(MODES))
        self.onset = np.zeros(len(MODES), dtype=np.intp)
        self.begin = np.zeros(len(MODES), dtype=np.intp)
        self.start_age = self.age.copy()

    def run(self, now: int, until: int, record: PartStates) -> tuple[int, int | None]:
        """Runs from step `now` to `until`, or to where a part fails: that step, and its mode."""
        ages = self.age[:, None] + np.arange(until - now + 1)
        spent, damage, onset = self._foresee(now, until, ages)
        failing = damage >= self.limit[:, None]
        first = np.where(failing.any(axis=1), failing.argmax(axis=1), until - now + 1)
        mode = int(np.argmin(first))
        failed = bool(first[mode] <= until - now)
        count = int(first[mode]) if failed else until - now
        record.age[:, now : now + count] = ages[:, :count]
        record.damage[:, now : now + count] = damage[:, :count]
        self.onset = np.where(onset <= count, now + onset, self.onset)
        self.age, self.damage = ages[:, count].copy(), damage[:, count].copy()
        self.left = self.left - spent[:, count]
        self._outlast(mode if failed else None)
        return now + count, mode if failed else None

    def renew(self, mode: int, step: int, *, restored: float) -> None:
        """A part without a fault, and `restored` of its life younger."""
        self.age[mode] = np.floor((1 - restored) * self.age[mode])
        self.damage[mode] = np.nan
        self.left[mode] = self.rng.exponential()
        self.begin[mode], self.start_age[mode] = step, self.age[mode]

    def growth(self) -> Float64:
        """Damage as share of the median limit."""
        share: Float64 = np.nan_to_num(self.damage) / (24 * self.plan.warning_days)
        return share

    def _foresee(self, now: int, until: int, ages: Float64) -> tuple[Float64, Float64, Index]:
        """Cumulative hazard of onset, damage, and the place of onset, if nothing is done.

        The first two at each reading of [now, until], shape (n_modes, n). Draws the limit of a
        fault that begins; one that a stop forestalls is drawn anew.
        """
        steps = until - now + 1
        shape = self.plan.life_shape
        hazard = np.diff((ages / self._scale) ** shape, axis=1) * self._rates[:, now:until]
        spent = np.concatenate([np.zeros((len(MODES), 1)), np.cumsum(hazard, axis=1)], axis=1)
        suffered = self._total[now : until + 1] - self._total[now]
        damage = self.damage[:, None] + suffered
        onset = np.full(len(MODES), steps)
        for mode in np.flatnonzero(np.isnan(self.damage)).tolist():
            place = int(np.searchsorted(spent[mode], self.left[mode]))
            if place < steps:
                onset[mode] = place
                damage[mode, place:] = suffered[place:] - suffered[place]
                self.limit[mode] = self._draw_limit(mode, 0.0)
        return spent, damage, onset

    def _outlast(self, failed: int | None) -> None:
        """Parts that would have failed in the very step in which another did, outlast it."""
        for mode in np.flatnonzero(self.damage >= self.limit).tolist():
            if mode == failed:
                continue
            self.limit[mode] = self._draw_limit(mode, self.damage[mode])
            if SUDDEN[mode]:
                self.damage[mode], self.left[mode] = np.nan, self.rng.exponential()

    def _draw_limit(self, mode: int, damage: float) -> float:
        """The damage at which a fault breaks, given that it has not at this."""
        if SUDDEN[mode]:
            return 0.0
        median = np.log(24 * self.plan.warning_days)
        passed = ndtr((np.log(damage) - median) / WARNING_SPREAD) if damage > 0 else 0.0
        drawn = ndtri(passed + (1 - passed) * self.rng.random())
        return float(np.exp(median + WARNING_SPREAD * drawn))


class _PolicyPump:
    """What happens to one pump: runs, fails, is worked on."""

    def __init__(
        self, asset: int, policy: MaintenancePolicy, parts: _Parts, agenda: Agenda
    ) -> None:
        self._asset, self._policy, self._parts, self._agenda = asset, policy, parts, agenda
        self._rng, self._plan = parts.rng, parts.plan
        self.first_stop = 0
        self.stops: list[Stop] = []
        self.work: list[Work] = []
        self.lives: list[Life] = []

    def live(self, record: PartStates) -> None:
        """All stops, work and lives; fills the record, shape (n_modes, n_steps), in place."""
        now, steps = 0, self._plan.steps
        while now < steps:
            job = self._agenda.next_job(now, self._parts.age)
            begin, failed = self._parts.run(now, min(job.due, steps), record)
            if begin >= steps:
                break
            now = self._fail(failed, begin) if failed is not None else self._do(job, begin)
            record.age[:, begin:now] = self._parts.age[:, None]
            record.damage[:, begin:now] = self._parts.damage[:, None]
        for mode in range(len(MODES)):
            if self._parts.begin[mode] < steps:
                self._end_life(mode, steps, "record")

    def _fail(self, mode: int, begin: int) -> int:
        """A part failed: repaired or replaced; returns the step at which the pump runs again."""
        hours = self._rng.lognormal(np.log(self._plan.repair_hours), 0.4)
        poorly = self._rng.random() < self._policy.imperfect_repair.get(MODES[mode], 0.0)
        end = self._stand(begin, hours, mode, failed=True)
        code = repaired(MODES[mode]) if poorly else replaced(MODES[mode])
        restored = self._policy.repair_restores if poorly else 1.0
        failure = self.first_stop + len(self.stops) - 1
        work = Work(
            self._asset, begin, end, "maintenance", code, MODES[mode], "failure", restored, failure
        )
        self._end_life(mode, begin, "failure")
        self._finish(work, [mode])
        self._use_the_stop(begin, end)
        return end

    def _do(self, job: PlannedWork, begin: int) -> int:
        """Planned work; returns the step at which the pump runs again."""
        self._agenda.done(job, begin)
        if job.reason == INSPECTION:
            self._inspect(begin)
            return begin
        if job.reason == "routine":
            self._routine(job.what, begin, begin)
            return begin
        whole = job.reason == OVERHAUL
        modes = list(range(len(MODES))) if whole else [MODES.index(job.what)]
        hours = _OVERHAUL_HOURS if whole else _REPLACEMENT_HOURS
        end = self._stand(begin, hours, modes[0], failed=False)
        code = OVERHAUL if whole else replaced(job.what)
        mode = "" if whole else job.what
        work = Work(self._asset, begin, end, "maintenance", code, mode, job.reason, 1.0)
        for each in modes:
            self._end_life(each, begin, "renewal")
        self._finish(work, modes)
        self._use_the_stop(begin, end)
        return end

    def _stand(self, begin: int, hours: float, mode: int, *, failed: bool) -> int:
        end = min(begin + max(1, round(hours / self._plan.step_hours)), self._plan.steps)
        parts = self._parts
        onset = begin if np.isnan(parts.damage[mode]) else int(parts.onset[mode])
        self.stops.append(Stop(self._asset, failed, MODES[mode], onset, begin, end))
        return end

    def _use_the_stop(self, begin: int, end: int) -> None:
        """Other old parts are replaced as the pump stands still anyway, and routine is done."""
        for mode, name in enumerate(MODES):
            oldest = self._policy.opportunistic_days.get(name, np.inf) * self._plan.steps_per_day
            if self._parts.age[mode] >= oldest:
                code = replaced(name)
                work = Work(self._asset, begin, end, "maintenance", code, name, "opportunity", 1.0)
                self._end_life(mode, begin, "renewal")
                self._finish(work, [mode])
        for code in ROUTINE:
            if self._rng.random() < self._policy.routine_on_stops:
                self._routine(code, begin, end)

    def _routine(self, code: str, begin: int, end: int) -> None:
        self._finish(Work(self._asset, begin, end, "maintenance", code, "", "routine", 0.0), [])

    def _inspect(self, step: int) -> None:
        found = self._parts.growth() >= self._policy.finding_at
        found &= self._rng.random(len(MODES)) < self._policy.detection
        new = self._agenda.new_findings(np.flatnonzero(found).tolist(), step)
        for code, mode in [(finding(mode), mode) for mode in new] or [(INSPECTION, "")]:
            self._finish(Work(self._asset, step, step, INSPECTION, code, mode, "", 0.0), [])

    def _end_life(self, mode: int, step: int, ended: str) -> None:
        parts = self._parts
        stop = self.first_stop + len(self.stops) - 1 if ended == "failure" else -1
        start = int(parts.begin[mode])
        life = Life(
            self._asset, MODES[mode], start, step, ended, stop, float(parts.start_age[mode])
        )
        self.lives.append(life)

    def _finish(self, work: Work, modes: list[int]) -> None:
        """What work ends within the record is reported; the parts it renews begin anew."""
        for mode in modes:
            self._parts.renew(mode, work.end, restored=work.restored)
            self._agenda.renewed(MODES[mode])
        if work.end < self._plan.steps:
            self.work.append(work)
