"""Sound sensors that are hard to judge: what drifts, wanders, counts, rests, is rounded or rare."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from pm_app.features.panes.panes import build_panes
from pm_app.records.features import Panes
from pm_app.records.readings import Float64, Readings
from pm_app.times import HOUR_NS

START_NS = 1_704_067_200_000_000_000  # 2024-01-01, a Monday
PANE_NS = HOUR_NS // 6


@dataclass(frozen=True, eq=False)
class MachineHours:
    """What a machine does, a value a reading: hours since it began, its load, where it runs."""

    hours: Float64
    load: Float64
    on: Float64
    steps_per_hour: int

    @property
    def size(self) -> int:
        """Readings."""
        return len(self.hours)


def wander(size: int, memory: float, rng: np.random.Generator) -> Float64:
    """Noise of unit variance that forgets within about `memory` readings."""
    keep = np.exp(-1 / memory)
    white = rng.standard_normal(size)
    white[1:] *= np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], white))


def _machine(days: int, rng: np.random.Generator) -> MachineHours:
    """Switches between loads now and then; some rest at night, on Sundays, or once for a day."""
    steps = 6
    size = days * 24 * steps
    hours = np.arange(size) / steps
    levels = rng.uniform(0.4, 1.1, rng.integers(1, 5))
    switch = rng.random(size) < 1 / (steps * rng.uniform(4, 60))
    place = np.maximum.accumulate(np.where(switch, np.arange(size), 0))
    load = levels[rng.integers(len(levels), size=size)[place]]
    on = np.ones(size)
    pause = rng.integers(4)
    if pause == 1:
        on[(hours % 24 < 6) | (hours % 168 >= 144)] = 0
    if pause == 2:
        on[hours % 168 >= 120] = 0
    if pause == 3:
        begin = rng.integers(size)
        on[begin : begin + steps * rng.integers(4, 40)] = 0
    return MachineHours(hours, load * on, on, steps)


def _lagged(values: Float64, readings: float) -> Float64:
    keep = np.exp(-1 / readings)
    return np.asarray(lfilter([1 - keep], [1.0, -keep], values, zi=[keep * values[0]])[0])


Draw = Callable[[MachineHours, np.random.Generator], Float64]


def _compressed(values: Float64, band: float) -> Float64:
    """As a historian tells by exception: the last value told, until it is left by a band."""
    shown = values.copy()
    for at in range(1, len(shown)):
        if abs(values[at] - shown[at - 1]) < band:
            shown[at] = shown[at - 1]
    return shown


def _sawtooth(machine: MachineHours, rng: np.random.Generator) -> Float64:
    filled = np.cumsum(0.02 + 0.01 * machine.load) % rng.uniform(1, 4)
    return 100 * filled + rng.standard_normal(machine.size)


def _rare(machine: MachineHours, rng: np.random.Generator) -> Float64:
    values = wander(machine.size, 300, rng)
    values[np.arange(machine.size) % (8 * machine.steps_per_hour) != 0] = np.nan
    return values


def _torn(machine: MachineHours, rng: np.random.Generator) -> Float64:
    values = wander(machine.size, 30, rng)
    values[rng.random(machine.size) < 0.3] = np.nan
    return values


# Each draws a sensor of a machine.
SENSORS: dict[str, Draw] = {
    "load": lambda m, rng: 100 * m.load + 0.5 * rng.standard_normal(m.size),
    "current": lambda m, rng: 40 * m.load**1.5 * (1 + 0.02 * rng.standard_normal(m.size)),
    "heat": lambda m, rng: 20 + _lagged(30 * m.load, 12) + 0.5 * rng.standard_normal(m.size),
    "weather": lambda m, rng: 15 + 6 * np.sin(m.hours * np.pi / 12) + 4 * wander(m.size, 400, rng),
    "vibration": lambda m, rng: 2 * m.load**2 * np.exp(0.2 * rng.standard_normal(m.size)),
    "slow": lambda m, rng: 50 + 10 * wander(m.size, rng.uniform(6, 600), rng),
    "walk": lambda m, rng: np.cumsum(0.05 * rng.standard_normal(m.size)),
    "drift": lambda m, rng: 0.01 * m.hours + 0.3 * rng.standard_normal(m.size),
    "rounded": lambda m, rng: np.round(2 * (20 + 3 * wander(m.size, 100, rng))) / 2,
    "by exception": lambda m, rng: _compressed(10 * wander(m.size, 60, rng), 2.0),
    "counter": lambda m, rng: np.cumsum(m.on * rng.uniform(0, 2, m.size)),
    "running": lambda m, rng: m.on,
    "constant": lambda m, rng: np.full(m.size, 7.0),
    "set point": lambda m, rng: np.repeat(rng.uniform(50, 90, m.size // 144 + 1).round(), 144)[
        : m.size
    ],
    "heavy tails": lambda m, rng: rng.standard_t(2.5, m.size),
    "bursts": lambda m, rng: np.exp(0.7 * wander(m.size, 200, rng)) * rng.standard_normal(m.size),
    "flow": lambda m, rng: 80 * m.load + m.on * rng.standard_normal(m.size),
    "level": _sawtooth,
    "rare": _rare,
    "torn": _torn,
}


def hostile_plant(machines: int, days: int, seed: int) -> tuple[tuple[str, ...], Float64]:
    """Names of sensors, and readings (n_sensors, n_machines, n_readings), one in ten minutes."""
    rng = np.random.default_rng([seed, 19])
    names = tuple(sorted(SENSORS))
    values = []
    for _ in range(machines):
        machine = _machine(days, rng)
        values.append([SENSORS[name](machine, rng) for name in names])
    return names, np.array(values).transpose(1, 0, 2)


def panes_of(names: tuple[str, ...], values: Float64, *, step_ns: int, pane_ns: int) -> Panes:
    """Panes of readings (n_sensors, n_assets, n_readings), one every `step_ns`, sensors sorted."""
    count, assets, size = values.shape
    readings = Readings(
        tuple(f"m-{number:03d}" for number in range(assets)),
        np.repeat(np.arange(assets, dtype=np.int32), size),
        np.tile(START_NS + np.arange(size, dtype=np.int64) * step_ns, assets),
        names,
        values.reshape(count, -1),
    )
    return build_panes(readings, pane_ns=pane_ns)
