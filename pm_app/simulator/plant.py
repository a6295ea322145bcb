"""The simulated plant as its historian and its maintenance system would report it."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pm_app.records.readings import Events, Flags, Float64, Int64, events_from_rows
from pm_app.simulator.lives import live_by_policy
from pm_app.simulator.plan import PlantPlan
from pm_app.simulator.sensors import draw_load, lose_values, measure
from pm_app.simulator.truth import StopTimes, TrueFailures, TruePlant, true_plant
from pm_app.simulator.wear import Stop, stress_of, wear_out
from pm_app.times import HOUR_NS

_DAY_NS = 24 * HOUR_NS
_SPURIOUS_ERRORS_PER_DAY = 0.02
# Protection trips that operators know: an error is more likely the louder the symptom.
_ERROR_CODES = {"vibration": "high_vibration", "bearing_temperature": "high_temperature"}


@dataclass(frozen=True, eq=False)
class SimulatedPlant:
    """Readings, events and truth of a plan.

    time: shape (n_steps,), nanoseconds since 1970 UTC. values: shape (n_sensors, n_assets,
    n_steps), NaN missing. Days are numbered from 0. truth: of a plan with a policy alone.
    """

    plan: PlantPlan
    assets: tuple[str, ...]
    sensors: tuple[str, ...]
    time: Int64
    values: Float64
    events: Events
    failures: TrueFailures
    truth: TruePlant | None = None

    def readings(self, from_day: int, to_day: int) -> pa.Table:
        """Wide readings of days [from_day, to_day), sorted by time, then asset."""
        steps = slice(from_day * self.plan.steps_per_day, to_day * self.plan.steps_per_day)
        time = self.time[steps]
        names = pa.array(self.assets, pa.string())
        places = pa.array(np.tile(np.arange(len(self.assets)), len(time)))
        stamps = pa.array(np.repeat(time, len(self.assets)), pa.timestamp("ns", "UTC"))
        columns = {"asset_id": names.take(places), "timestamp": stamps}
        for sensor, values in zip(self.sensors, self.values, strict=True):
            column = values[:, steps].T.ravel()
            columns[sensor] = pa.array(column.astype(np.float32), from_pandas=True)
        return pa.table(columns)

    def events_table(self, from_day: int, to_day: int) -> pa.Table:
        """Events of days [from_day, to_day) as a maintenance system reports them."""
        first, last = (self.plan.start_ns + day * _DAY_NS for day in (from_day, to_day))
        rows = np.flatnonzero((self.events.time >= first) & (self.events.time < last))
        return pa.table(
            {
                "asset_id": pa.array(self.events.asset[rows], pa.string()),
                "timestamp": pa.array(self.events.time[rows], pa.timestamp("ns", "UTC")),
                "kind": pa.array(self.events.kind[rows], pa.string()),
                "code": pa.array(self.events.code[rows], pa.string()),
            }
        )


def simulate(plan: PlantPlan) -> SimulatedPlant:
    """The plant of this plan; the same plan gives the same plant, to the bit."""
    rng = np.random.default_rng(plan.seed)
    assets = tuple(f"pump-{number + 1:02d}" for number in range(plan.assets))
    steps = np.arange(plan.steps, dtype=np.int64)
    time = plan.start_ns + steps * plan.step_ns
    load = draw_load(plan, rng)
    wearing = np.ones_like(load) if plan.variable_speed else load
    lived = live_by_policy(plan, plan.policy, wearing, rng) if plan.policy else None
    wear = lived.wear if lived else wear_out(plan, wearing, rng)
    measured = measure(plan, load, wear, rng)
    # A pump fails at some moment between its last good reading and the next.
    delay = rng.random(len(wear.stops))
    moments = [_moment(time, stop, share) for stop, share in zip(wear.stops, delay, strict=True)]
    errors = _errors(plan, assets, time, measured, wear.running, rng)
    values = lose_values(plan, np.stack(list(measured.values())), rng)
    truth = None
    if lived:
        times = StopTimes(assets, time, wear.stops, moments)
        truth = true_plant(plan, lived, stress_of(plan, wearing), times)
    return SimulatedPlant(
        plan=plan,
        assets=assets,
        sensors=tuple(measured),
        time=time,
        values=values,
        events=_events(assets, wear.stops, moments, errors, time, truth),
        failures=_failures(assets, wear.stops, moments, time),
        truth=truth,
    )


def _moment(time: Int64, stop: Stop, share: float) -> int:
    end = int(time[stop.begin])
    before = int(time[max(stop.begin - 1, 0)])
    return before + max(1, round((end - before) * share)) if stop.failed else end


def _failures(
    assets: tuple[str, ...], stops: tuple[Stop, ...], moments: list[int], time: Int64
) -> TrueFailures:
    failed = [(stop, at) for stop, at in zip(stops, moments, strict=True) if stop.failed]
    return TrueFailures(
        asset=np.array([assets[stop.asset] for stop, _ in failed], dtype=object),
        time=np.array([at for _, at in failed], dtype=np.int64),
        onset=np.array([min(int(time[stop.onset]), at) for stop, at in failed], dtype=np.int64),
        mode=np.array([stop.mode for stop, _ in failed], dtype=object),
    )


def _events(
    assets: tuple[str, ...],
    stops: tuple[Stop, ...],
    moments: list[int],
    errors: list[tuple[str, int, str, str]],
    time: Int64,
    truth: TruePlant | None,
) -> Events:
    """Failures, work and errors; without a policy, work ends each stop that ends in time."""
    rows = list(errors)
    for stop, at in zip(stops, moments, strict=True):
        asset = assets[stop.asset]
        if stop.failed:
            rows.append((asset, at, "failure", stop.mode))
        if stop.end < len(time) and truth is None:
            rows.append((asset, int(time[stop.end]), "maintenance", stop.mode))
    if truth is not None:
        work = truth.work
        columns = (work.asset, work.end, work.kind, work.code)
        rows += zip(*(column.tolist() for column in columns), strict=True)
    return events_from_rows({(*row, row[1]) for row in rows})


def _errors(
    plan: PlantPlan,
    assets: tuple[str, ...],
    time: Int64,
    measured: dict[str, Float64],
    running: Flags,
    rng: np.random.Generator,
) -> list[tuple[str, int, str, str]]:
    rows = []
    for sensor, code in _ERROR_CODES.items():
        # A limit that sound pumps hardly ever pass, and passing it trips one time in ten.
        limit = np.quantile(measured[sensor], 0.995)
        tripped = (measured[sensor] > limit) & (rng.random(running.shape) < 0.1)
        spurious = rng.random(running.shape) < _SPURIOUS_ERRORS_PER_DAY / plan.steps_per_day
        for asset, step in np.argwhere((tripped | spurious) & running).tolist():
            rows.append((assets[asset], int(time[step]), "error", code))
    return rows
