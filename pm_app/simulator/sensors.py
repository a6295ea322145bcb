"""Sensors of a simulated pump, given its load and its faults.

Affinity laws of centrifugal pumps (Gülich, Centrifugal Pumps, 2014, section 3.4): flow
follows speed, pressure its square, power its cube.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from pm_app.records.readings import Float64, Index
from pm_app.simulator.plan import PlantPlan
from pm_app.simulator.policy import MODES
from pm_app.simulator.wear import Wear

_BEARING, _SEAL, _IMPELLER = (MODES.index(mode) for mode in ("bearing", "seal", "impeller"))


@dataclass(frozen=True)
class _Scatter:
    """Chance for readings of shape (n_assets, n_steps)."""

    shape: tuple[int, ...]
    rng: np.random.Generator

    def own(self, spread: float) -> Float64:
        """What is peculiar to each pump, around 1; shape (n_assets, 1)."""
        return 1 + spread * self.rng.standard_normal((self.shape[0], 1))

    def noise(self, size: float) -> Float64:
        """What each reading is off by."""
        return size * self.rng.standard_normal(self.shape)


def draw_load(plan: PlantPlan, rng: np.random.Generator) -> Float64:
    """Load on each pump, shape (n_assets, n_steps), nominal 1: day, week, regime and chance.

    With variable speed: the regime alone, without a draw from `rng`.
    """
    hours = np.arange(plan.steps) * plan.step_hours
    daily = 0.06 * np.sin(2 * np.pi * (hours - 8) / 24)
    weekly = np.where(hours % 168 >= 120, -0.08, 0.02)
    lowest = 0.5 if plan.variable_speed else 0.7
    levels = np.linspace(1.1, lowest, plan.regimes) if plan.regimes > 1 else np.ones(1)
    if plan.variable_speed:
        return levels[_switching(plan, np.random.default_rng([plan.seed, 1]))]
    regime = levels[_switching(plan, rng)]
    wander = 0.04 * _wander((plan.assets, plan.steps), 6 / plan.step_hours, rng)
    return np.clip(regime + daily + weekly + wander, 0.4, 1.35)


def measure(
    plan: PlantPlan, load: Float64, wear: Wear, rng: np.random.Generator
) -> dict[str, Float64]:
    """Readings by sensor, each of shape (n_assets, n_steps), no value missing.

    A pump at rest shows no speed, flow, current or vibration, and cools to ambient.
    """
    on = wear.running.astype(float)
    bearing, seal, impeller = (_symptom(wear, mode, rng) for mode in (_BEARING, _SEAL, _IMPELLER))
    scatter = _Scatter(load.shape, rng)
    own, noise = scatter.own, scatter.noise
    ambient = _ambient(plan, rng) + noise(0.4)
    inlet = 2.0 + 0.15 * _wander((1, plan.steps), 24 / plan.step_hours, rng)
    speed = (load if plan.variable_speed else 0.75 + 0.25 * load) * on
    # Two modes a sensor, three pairs: shaking, heat and flow.
    shared = plan.shared_symptoms
    heat = _lag((24 * load + 8 * bearing + 8 * shared * seal) * on, 1.5 / plan.step_hours)
    friction = 1 + 0.07 * (1 - shared) * bearing**2
    shaking = 1.2 * bearing + (0.2 + shared) * impeller
    head = 1 - 0.1 * impeller - (0.02 + 0.08 * shared) * seal
    through = 1 - 0.16 * impeller - (0.02 + 0.14 * shared) * seal
    leaking = 0.3 + 0.7 * on + 1.5 * (1 - shared) * seal * on
    vibration = 2.2 * own(0.1) * speed**2 * (1 + shaking)
    temperature = ambient + own(0.05) * heat
    return {
        "load": 100 * (load * on + noise(0.01)),
        "speed": 1480 * speed * (1 + noise(0.002)),
        "suction_pressure": inlet * own(0.01) + noise(0.03),
        "discharge_pressure": inlet + 6 * own(0.01) * speed**2 * head + noise(0.08),
        "flow": 120 * own(0.01) * speed * through * (1 + noise(0.015)),
        "motor_current": 42 * own(0.02) * load * on * friction * (1 + noise(0.02)),
        "bearing_temperature": temperature + noise(0.8),
        "bearing_temperature_rear": temperature - 3 + noise(1.0),
        "vibration": vibration * np.exp(noise(0.12)),
        "vibration_rear": 2.0 * own(0.1) * speed**2 * (1 + 0.4 * shaking) * np.exp(noise(0.25)),
        "seal_leakage": 0.6 * own(0.1) * leaking * np.exp(noise(0.35)),
        "oil_debris": 20 * own(0.15) * (1 + 0.35 * (1 - shared) * bearing) * np.exp(noise(0.3)),
        "ambient_temperature": ambient + noise(0.3),
        **_nuisance(plan, rng),
    }


def lose_values(plan: PlantPlan, values: Float64, rng: np.random.Generator) -> Float64:
    """The same readings, shape (n_sensors, n_assets, n_steps), with values missing as NaN."""
    lost = rng.random(values.shape, dtype=np.float32) < plan.missing_share
    expected = plan.outages_per_sensor_month * plan.days / 30 * values[..., 0].size
    for _ in range(rng.poisson(expected)):
        sensor, asset = rng.integers(values.shape[0]), rng.integers(values.shape[1])
        begin = rng.integers(values.shape[2])
        length = round(rng.uniform(2, 18) / plan.step_hours)
        lost[sensor, asset, begin : begin + length] = True
    return np.where(lost, np.nan, values)


def _symptom(wear: Wear, mode: int, rng: np.random.Generator) -> Float64:
    """How clearly a fault shows: late growth shows most, and each pump tells it differently."""
    growth = wear.growth[mode]
    loudness = np.exp(0.25 * rng.standard_normal((growth.shape[0], 1)))
    return np.asarray(loudness * growth**1.5)


def _nuisance(plan: PlantPlan, rng: np.random.Generator) -> dict[str, Float64]:
    shape = (plan.assets, plan.steps)
    return {
        f"nuisance_{number + 1}": 50
        + 10 * _wander(shape, rng.uniform(1, 72) / plan.step_hours, rng)
        + rng.standard_normal(shape)
        for number in range(plan.nuisance)
    }


def _ambient(plan: PlantPlan, rng: np.random.Generator) -> Float64:
    hours = np.arange(plan.steps) * plan.step_hours
    weather = 3 * _wander((1, plan.steps), 72 / plan.step_hours, rng)
    return np.asarray(18 + 5 * np.sin(2 * np.pi * (hours - 9) / 24) + weather)


def _switching(plan: PlantPlan, rng: np.random.Generator) -> Index:
    """Regime of each pump at each step."""
    switch = rng.random((plan.assets, plan.steps)) < plan.step_hours / plan.regime_hours
    switch[:, 0] = True
    drawn = rng.integers(plan.regimes, size=switch.shape)
    last = np.maximum.accumulate(np.where(switch, np.arange(plan.steps), 0), axis=1)
    return np.take_along_axis(drawn, last, axis=1)


def _wander(shape: tuple[int, int], memory_steps: float, rng: np.random.Generator) -> Float64:
    """Noise of unit variance that forgets within about `memory_steps` (first-order AR)."""
    keep = np.exp(-1 / max(memory_steps, 1e-9))
    white = rng.standard_normal(shape)
    white[:, 1:] *= np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], white, axis=1))


def _lag(values: Float64, steps: float) -> Float64:
    """What follows `values` with a first-order delay, starting settled."""
    keep = np.exp(-1 / max(steps, 1e-9))
    state = keep * values[:, :1]
    return np.asarray(lfilter([1 - keep], [1.0, -keep], values, axis=1, zi=state)[0])
