"""Simulated pumps: plants with faults of every mode, stationary ones, and faults of data."""

from dataclasses import dataclass, replace

import numpy as np
from benchmarks.normality.sets import Fault, NormalSet, frame_of, make_spec

from pm_app.records.features import Frame, RunningRule
from pm_app.records.readings import Events, Readings, no_events
from pm_app.simulator import PlantPlan, simulate
from pm_app.simulator.sensors import draw_load
from pm_app.simulator.wear import Wear, wear_out
from pm_app.times import HOUR_NS

DAY_NS = 24 * HOUR_NS
MIX = {"bearing": 0.3, "seal": 0.3, "impeller": 0.3, "electrical": 0.1}
SPEC = replace(
    make_spec(2 * HOUR_NS, (6 * HOUR_NS, 24 * HOUR_NS, 72 * HOUR_NS), 3 * DAY_NS, 3 * DAY_NS),
    running=RunningRule("speed", 100.0),
)
TAUGHT_DAYS = 45
# What a plant that knows of a failure leaves out before it and after its repair.
BEFORE_NS, AFTER_NS = 5 * DAY_NS, 4 * DAY_NS
CHOOSING_SEEDS, JUDGED_SEEDS = (11, 12), (101, 102)


def faulty_plan(seed: int) -> PlantPlan:
    """Twenty pumps over half a year, all modes alike; work only where something failed."""
    return PlantPlan(
        assets=20, days=180, interval_minutes=60, seed=seed, mix_before=MIX, mix_after=MIX,
        typical_life_days=60.0, warning_days=6.0, maintenance_days=3000.0,
    )  # fmt: skip


def stationary_plan(seed: int, *, assets: int = 10, days: int = 118) -> PlantPlan:
    """Pumps that nothing ever happens to."""
    return PlantPlan(
        assets=assets, days=days, interval_minutes=60, seed=seed, typical_life_days=1e7,
        maintenance_days=3600.0, nuisance=2,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Pumps:
    """A plant's readings, events and wear."""

    readings: Readings
    events: Events
    wear: Wear
    time: np.ndarray


def make_pumps(plan: PlantPlan) -> Pumps:
    """The plant of a plan, with what wore in it; the same draws as `simulate` makes."""
    plant = simulate(plan)
    rng = np.random.default_rng(plan.seed)
    wear = wear_out(plan, draw_load(plan, rng), rng)
    count, steps = len(plant.assets), len(plant.time)
    readings = Readings(
        assets=plant.assets,
        asset=np.repeat(np.arange(count), steps).astype(np.int32),
        time=np.tile(plant.time, count),
        sensors=plant.sensors,
        values=plant.values.reshape(len(plant.sensors), -1),
    )
    return Pumps(readings, plant.events, wear, plant.time)


def pump_set(seed: int, *, choosing: bool) -> NormalSet:
    """What the first weeks teach, and every failure after them that had a warning."""
    pumps = make_pumps(faulty_plan(seed))
    end_of_teaching = pumps.time[0] + TAUGHT_DAYS * DAY_NS
    frame, spec = frame_of(pumps.readings, SPEC, pumps.events, until=int(end_of_teaching))
    step = np.clip(np.searchsorted(pumps.time, frame.cutoff) - 1, 0, len(pumps.time) - 1)
    growth = pumps.wear.growth.max(axis=0)[frame.asset, step]
    worn = growth > 0
    settled = ~around_stops(frame, pumps)
    teach = (frame.cutoff <= end_of_teaching) & settled & ~frame.off
    watched = (frame.cutoff > end_of_teaching) & ~frame.off
    faults = []
    for stop in pumps.wear.stops:
        begin, failed = int(pumps.time[stop.onset]), int(pumps.time[stop.begin])
        if stop.failed and begin > end_of_teaching:
            faults.append(Fault(stop.asset, begin, failed, stop.mode))
    return NormalSet(
        f"pumps, seed {seed}", frame, spec, teach=teach, unusual=watched & (growth > 0.5),
        usual=watched & ~worn, choosing=choosing, faults=tuple(faults), watched=watched,
        quiet=watched & ~worn,
    )  # fmt: skip


def around_stops(frame: Frame, pumps: Pumps) -> np.ndarray:
    """Rows that a plant knows better than to learn from: before a failure and after its repair."""
    around = np.zeros(len(frame.cutoff), dtype=bool)
    end = np.append(pumps.time, pumps.time[-1] + HOUR_NS)
    for stop in pumps.wear.stops:
        mine = frame.asset == stop.asset
        begin = int(pumps.time[stop.begin]) - (BEFORE_NS if stop.failed else 0)
        around |= mine & (frame.cutoff > begin) & (frame.cutoff <= end[stop.end] + AFTER_NS)
    return around


def stationary_set(seed: int, *, taught_days: int, days: int, assets: int = 10) -> NormalSet:
    """A plant without faults: every alarm in it is a false one."""
    pumps = make_pumps(stationary_plan(seed, assets=assets, days=days))
    until = int(pumps.time[0]) + taught_days * DAY_NS
    frame, spec = frame_of(pumps.readings, SPEC, no_events(), until=until)
    teach = (frame.cutoff <= until) & ~frame.off
    watched = (frame.cutoff > until) & ~frame.off
    nothing = np.zeros(len(teach), dtype=bool)
    return NormalSet(
        f"stationary, seed {seed}", frame, spec, teach=teach, unusual=nothing, usual=watched,
        choosing=False, watched=watched, quiet=watched,
    )  # fmt: skip


DATA_FAULTS = ("gap of a sensor", "gap of all", "stuck sensor", "clock an hour off")


def with_data_faults(seed: int) -> tuple[NormalSet, NormalSet, tuple[Fault, ...]]:
    """A stationary plant, the same with faults of data in its watched time, and where they are."""
    plan = stationary_plan(seed, assets=24, days=80)
    pumps, rng = make_pumps(plan), np.random.default_rng([seed, 5])
    until = int(pumps.time[0]) + TAUGHT_DAYS * DAY_NS
    readings, faults = pumps.readings, []
    values, time = readings.values.copy(), readings.time.copy()
    kept = np.ones(len(time), dtype=bool)
    # What measures, not the nuisance that nobody would look at.
    measuring = [n for n, name in enumerate(readings.sensors) if not name.startswith("nuisance")]
    for asset in range(plan.assets):
        for day in range(TAUGHT_DAYS + 4, plan.days - 6, 10):
            kind = DATA_FAULTS[(asset + day // 10) % len(DATA_FAULTS)]
            begin = int(pumps.time[0]) + day * DAY_NS + int(rng.integers(24)) * HOUR_NS
            length = 24 if kind.startswith("clock") else int(rng.integers(12, 72))
            end = begin + length * HOUR_NS
            rows = np.flatnonzero(
                (readings.asset == asset) & (readings.time >= begin) & (readings.time < end)
            )
            sensor = measuring[int(rng.integers(len(measuring)))]
            if kind == "gap of a sensor":
                values[sensor, rows] = np.nan
            elif kind == "gap of all":
                kept[rows] = False
            elif kind == "stuck sensor":
                values[sensor, rows] = values[sensor, rows[0] - 1]
            else:
                time[rows] += HOUR_NS
            faults.append(Fault(asset, begin, end, kind))
    harmed = replace(readings, values=values[:, kept], time=time[kept], asset=readings.asset[kept])
    made = []
    for each in (readings, harmed):
        frame, spec = frame_of(each, SPEC, no_events(), until=until)
        teach = (frame.cutoff <= until) & ~frame.off
        watched = (frame.cutoff > until) & ~frame.off
        none = np.zeros(len(teach), dtype=bool)
        made.append(NormalSet(f"faults of data, seed {seed}", frame, spec, teach, none, watched,
                              choosing=False, watched=watched, quiet=watched))  # fmt: skip
    return made[0], made[1], tuple(faults)
