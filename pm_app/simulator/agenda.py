"""Agenda of planned work on a pump: what is due next, by the age of parts and by the calendar."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from pm_app.records.readings import Float64
from pm_app.simulator.plan import PlantPlan
from pm_app.simulator.policy import INSPECTION, MODES, OVERHAUL, ROUTINE, MaintenancePolicy


@dataclass(frozen=True, order=True)
class PlannedWork:
    """Planned work at step `due`; reason: one of REASONS or INSPECTION; what: mode or code."""

    due: int
    reason: str
    what: str = ""


class Agenda:
    """What is planned for one pump, as it stands after all that was done.

    Work by calendar recurs a period after it was done last, from a start of the pump's own;
    routine does not keep its days so exactly.
    """

    def __init__(
        self, plan: PlantPlan, policy: MaintenancePolicy, rng: np.random.Generator
    ) -> None:
        self._policy, self._rng, self._day = policy, rng, plan.steps_per_day
        self._never = PlannedWork(plan.steps, "")
        self._calendar = [
            PlannedWork(self._steps(days * rng.uniform(0.1, 1)), reason, what)
            for reason, what, days in self._periods()
        ]
        self._findings: list[PlannedWork] = []

    def next_job(self, now: int, age: Float64) -> PlannedWork:
        """The first work after step `now`, given the parts' ages of shape (n_modes,) then.

        What came due while the pump stood still is done at its next step.
        """
        jobs = [*self._calendar, *self._findings, *self._by_age(now, age), self._never]
        first = min(jobs)
        return first if first.due > now else PlannedWork(now + 1, first.reason, first.what)

    def done(self, job: PlannedWork, step: int) -> None:
        """Plans the next of what recurs."""
        for place, each in enumerate(self._calendar):
            if (each.reason, each.what) == (job.reason, job.what):
                days = self._days_of(job)
                if job.reason == "routine":
                    days *= self._rng.uniform(0.7, 1.3)
                self._calendar[place] = PlannedWork(step + self._steps(days), job.reason, job.what)

    def renewed(self, mode: str) -> None:
        """A part is new: what was found on the old one is no matter any more."""
        self._findings = [job for job in self._findings if job.what != mode]

    def new_findings(self, modes: Iterable[int], step: int) -> tuple[str, ...]:
        """Plans the replacement of parts in which a fault was found; those not planned before."""
        pending = {job.what for job in self._findings}
        new = tuple(MODES[mode] for mode in modes if MODES[mode] not in pending)
        for mode in new:
            lead = self._policy.lead_days * self._rng.uniform(0.5, 1.5)
            self._findings.append(PlannedWork(step + self._steps(lead), "finding", mode))
        return new

    def _by_age(self, now: int, age: Float64) -> Iterator[PlannedWork]:
        for mode, days in self._policy.age_replacement_days.items():
            left = days * self._day - age[MODES.index(mode)]
            yield PlannedWork(now + max(1, int(np.ceil(left))), "age", mode)

    def _periods(self) -> Iterator[tuple[str, str, float]]:
        policy = self._policy
        for mode, days in policy.block_replacement_days.items():
            yield "block", mode, days
        if policy.overhaul_days:
            yield OVERHAUL, "", policy.overhaul_days
        if policy.inspection_days:
            yield INSPECTION, "", policy.inspection_days
        if policy.routine_days:
            for code in ROUTINE:
                yield "routine", code, policy.routine_days

    def _days_of(self, job: PlannedWork) -> float:
        periods = {(reason, what): days for reason, what, days in self._periods()}
        return periods[job.reason, job.what]

    def _steps(self, days: float) -> int:
        return max(1, round(days * self._day))
