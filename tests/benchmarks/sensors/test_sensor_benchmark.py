"""Sensor quality measured: false statements about sound sensors, and faults that are found.

    python -m pytest -m benchmark tests/benchmarks/sensors/test_sensor_benchmark.py -s

Prints two tables and writes them to results/sensors.md. Seeds from 20,000 on were not looked at
while the method was built. Some two minutes of one processor.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from benchmarks.sensors.hostile_sensors import PANE_NS, hostile_plant, panes_of

from pm_app.features.sensor_quality.grading import QualityRules, grade_sensors, look_back
from pm_app.records.features import Panes
from pm_app.simulator import PlantPlan, simulate

RESULTS = Path(__file__).parent / "results" / "sensors.md"
FIRST_SEED, DAYS = 20_000, 30
LATE = 2**62
pytestmark = pytest.mark.benchmark


@dataclass(frozen=True)
class InjectedFault:
    """A fault put on one sensor of each pump; size: hours, or times what is usual."""

    kind: str
    size: float
    words: str

    def onto(self, values, rng, steps_per_hour):
        """The same readings with the fault, which lasts until the end."""
        values, size = values.copy(), len(values)
        hours = self.size if self.kind in ("stuck", "dropped") else rng.uniform(24, 7 * 24)
        start = size - round(hours * steps_per_hour)
        if self.kind == "stuck":
            held = values[:start][~np.isnan(values[:start])][-1]
            values[start:] = np.where(np.isnan(values[start:]), np.nan, held)
        if self.kind == "dropped":
            values[start:] = np.nan
        if self.kind == "noisy":
            start = size - 30 * steps_per_hour
            usual = np.nanmedian(np.abs(np.diff(values, 2))) / np.sqrt(6) / 0.67
            values[start:] += self.size * usual * rng.standard_normal(size - start)
        if self.kind == "step":
            low, high = np.nanpercentile(values, [16, 84])
            values[start:] += self.size * (high - low) * rng.choice([-1, 1])
        return values


FAULTS = (
    InjectedFault("stuck", 4, "stuck for 4 hours"),
    InjectedFault("stuck", 12, "stuck for 12 hours"),
    InjectedFault("stuck", 48, "stuck for 2 days"),
    InjectedFault("dropped", 6, "no values for 6 hours"),
    InjectedFault("noisy", 6, "noise 6 times what is usual, for 30 hours"),
    InjectedFault("noisy", 10, "noise 10 times what is usual, for 30 hours"),
    InjectedFault("step", 1, "a step of the middle 68 % of its values, 1 to 7 days ago"),
    InjectedFault("step", 2, "a step of twice that"),
    InjectedFault("step", 4, "a step of four times that"),
)


def newest(panes: Panes) -> Panes:
    return panes.take(panes.pane > panes.pane.max() - look_back(panes.pane_ns))


def remarks_on(panes: Panes):
    return [r for q in grade_sensors(newest(panes), QualityRules(), now=LATE) for r in q.remarks]


def pump_panes(plant, values):
    order = np.argsort(plant.sensors)
    names = tuple(np.array(plant.sensors)[order].tolist())
    step = plant.plan.step_ns
    return panes_of(
        names, values[order].astype(np.float32).astype(float), step_ns=step, pane_ns=step
    )


@cache
def pumps(seed, *, minutes, outages=0.0, assets=10):
    plan = PlantPlan(
        assets=assets,
        days=DAYS,
        seed=seed,
        interval_minutes=minutes,
        outages_per_sensor_month=outages,
    )
    return simulate(plan)


def sound_rows():
    """(what, sensors looked at, remarks by kind) of plants whose sensors are sound."""
    for minutes in (10, 30, 60):
        found, looked = Counter(), 0
        for seed in range(FIRST_SEED, FIRST_SEED + 10):
            plant = pumps(seed, minutes=minutes, assets=5)
            found.update(each.kind for each in remarks_on(pump_panes(plant, plant.values)))
            looked += plant.values[..., 0].size
        yield f"pumps that wear and fail, a value in {minutes} min", looked, found
    found, looked = Counter(), 0
    for seed in range(FIRST_SEED, FIRST_SEED + 20):
        names, values = hostile_plant(5, DAYS, seed)
        panes = panes_of(names, values, step_ns=PANE_NS, pane_ns=PANE_NS)
        found.update(each.kind for each in remarks_on(panes))
        looked += values[..., 0].size
    yield "sensors that are hard to judge (hostile_sensors.py), 10 min", looked, found


def found_of(fault, minutes):
    """Of how many sensors with the fault it is told, of how many, and other remarks."""
    hits = count = others = 0
    for seed in range(FIRST_SEED, FIRST_SEED + 4):
        plant, rng = pumps(seed, minutes=minutes), np.random.default_rng(seed)
        values, faulty = plant.values.copy(), {}
        for asset in range(values.shape[1]):
            sensor = rng.integers(len(plant.sensors))
            per_hour = plant.plan.steps_per_day // 24
            values[sensor, asset] = fault.onto(values[sensor, asset], rng, per_hour)
            faulty[f"m-{asset:03d}"] = plant.sensors[sensor]
        marks = {(r.asset, r.sensor, r.kind) for r in remarks_on(pump_panes(plant, values))}
        right = {(asset, sensor, fault.kind) for asset, sensor in faulty.items()}
        hits, count, others = (
            hits + len(marks & right),
            count + len(right),
            others + len(marks - right),
        )
    return hits, count, others


def counted(marks):
    return ", ".join(f"{count} {kind}" for kind, count in marks.items()) or "none"


def test_sensor_quality_is_measured():
    sound = list(sound_rows())
    lines = ["| sound sensors, 30 days | sensors | remarks |", "| --- | --- | --- |"]
    lines += [f"| {what} | {looked:,} | {counted(marks)} |" for what, looked, marks in sound]
    lines += ["", "| fault | values of 10 min | values of 30 min | other remarks |"]
    lines += ["| --- | --- | --- | --- |"]
    rates = {}
    for fault in FAULTS:
        fast, slow = found_of(fault, 10), found_of(fault, 30)
        rates[fault.words] = fast[0] / fast[1]
        figures = " | ".join(f"{hits} of {count}" for hits, count, _ in (fast, slow))
        lines.append(f"| {fault.words} | {figures} | {fast[2] + slow[2]} |")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))

    assert sum(sum(found.values()) for *_, found in sound) <= sum(row[1] for row in sound) / 1000
    assert rates["stuck for 12 hours"] >= 0.95 and rates["no values for 6 hours"] >= 0.95
    assert rates["a step of four times that"] >= 0.8
