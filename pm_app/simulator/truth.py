"""What a simulated plant knows of itself: every work and why, every life, every part's state."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pm_app.records.readings import Flags, Float64, Int64, Text
from pm_app.simulator.lives import PartStates, PolicyWear
from pm_app.simulator.plan import PlantPlan
from pm_app.simulator.wear import Stop


@dataclass(frozen=True, eq=False)
class TrueFailures:
    """The truth about every failure, in order of asset, then time; shapes (n_failures,).

    time: when it failed; onset: when its fault began (for sudden ones just before);
    both nanoseconds since 1970 UTC. mode: one of MODES.
    """

    asset: Text
    time: Int64
    onset: Int64
    mode: Text


@dataclass(frozen=True, eq=False)
class TrueWork:
    """All work and inspections, in order of asset, then end; shapes (n_work,).

    begin, end: nanoseconds since 1970 UTC; the pump stands still between them, and the event has
    the time `end`. kind, code: of the event. mode: of the part, "" for none or all. reason: one
    of policy.REASONS, "" for an inspection. restored: share of the life that it restores, 1 as
    good as new. failure: position in TrueFailures of what it repairs, -1 for none.
    """

    asset: Text
    begin: Int64
    end: Int64
    kind: Text
    code: Text
    mode: Text
    reason: Text
    restored: Float64
    failure: Int64


@dataclass(frozen=True, eq=False)
class TrueLives:
    """Every life of every part, in order of asset, then begin; shapes (n_lives,).

    begin, end: nanoseconds since 1970 UTC; a failure ends one when it happens, a renewal when
    work begins. ended: "failure", "renewal" or "record" (it goes on). failure: position in
    TrueFailures, -1 for none. start_age_hours: running time that the part had at its begin.
    """

    asset: Text
    mode: Text
    begin: Int64
    end: Int64
    ended: Text
    failure: Int64
    start_age_hours: Float64


@dataclass(frozen=True, eq=False)
class TruePlant:
    """What no file of the plant says. Steps are those of the readings.

    running: shape (n_assets, n_steps). states: see PartStates. stress: shape (n_assets,
    n_steps), hours of nominal load that each step is worth to a pump that runs.
    """

    plan: PlantPlan
    work: TrueWork
    lives: TrueLives
    running: Flags
    states: PartStates
    stress: Float64


@dataclass(frozen=True, eq=False)
class StopTimes:
    """Times of a plant's steps and stops.

    time: shape (n_steps,), nanoseconds since 1970 UTC; moments: when each stop began.
    """

    assets: tuple[str, ...]
    time: Int64
    stops: tuple[Stop, ...]
    moments: list[int]

    def at(self, steps: Iterable[int], every_ns: int) -> Int64:
        """The times of steps, also of the one past the last."""
        return np.asarray(self.time[0] + _whole(steps) * every_ns, dtype=np.int64)

    def failures(self, stops: Iterable[int]) -> Int64:
        """Position in TrueFailures of each stop (by its position), -1 where it is none."""
        failed = np.array([*(stop.failed for stop in self.stops), False])
        numbers = np.where(failed, np.cumsum(failed) - 1, -1)
        return np.asarray(numbers[_whole(stops)], dtype=np.int64)


def true_plant(plan: PlantPlan, lived: PolicyWear, stress: Float64, times: StopTimes) -> TruePlant:
    """The truth of a plant under a policy; stress: see TruePlant."""
    return TruePlant(
        plan=plan,
        work=_work(plan, lived, times),
        lives=_lives(plan, lived, times),
        running=lived.wear.running,
        states=lived.states,
        stress=stress,
    )


def _work(plan: PlantPlan, lived: PolicyWear, times: StopTimes) -> TrueWork:
    work = sorted(lived.work, key=lambda each: (each.asset, each.end))
    return TrueWork(
        asset=_text(times.assets[each.asset] for each in work),
        begin=times.at((each.begin for each in work), plan.step_ns),
        end=times.at((each.end for each in work), plan.step_ns),
        kind=_text(each.kind for each in work),
        code=_text(each.code for each in work),
        mode=_text(each.mode for each in work),
        reason=_text(each.reason for each in work),
        restored=np.array([each.restored for each in work], dtype=np.float64),
        failure=times.failures(each.failure for each in work),
    )


def _lives(plan: PlantPlan, lived: PolicyWear, times: StopTimes) -> TrueLives:
    lives = lived.lives
    failure = times.failures(each.stop for each in lives)
    ends = times.at((each.end for each in lives), plan.step_ns)
    moments = np.array([*times.moments, 0], dtype=np.int64)[_whole(each.stop for each in lives)]
    return TrueLives(
        asset=_text(times.assets[each.asset] for each in lives),
        mode=_text(each.mode for each in lives),
        begin=times.at((each.begin for each in lives), plan.step_ns),
        end=np.where(failure >= 0, moments, ends),
        ended=_text(each.ended for each in lives),
        failure=failure,
        start_age_hours=np.array([each.start_age for each in lives]) * plan.step_hours,
    )


def _text(values: Iterable[str]) -> Text:
    return np.array(list(values), dtype=object)


def _whole(values: Iterable[int]) -> Int64:
    return np.fromiter(values, dtype=np.int64)
