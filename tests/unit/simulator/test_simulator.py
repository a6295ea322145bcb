"""The simulated plant: repeatable, and as physical as it claims."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.errors import BadSettings
from pm_app.records.readings import EVENT_KINDS, Float64
from pm_app.simulator import PlantPlan, SimulatedPlant, simulate
from pm_app.times import HOUR_NS

DAY_NS = 24 * HOUR_NS


def small_plan(**changes: object) -> PlantPlan:
    return replace(PlantPlan(assets=6, days=40, interval_minutes=60), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plant() -> SimulatedPlant:
    return simulate(PlantPlan())


def rise_before_failure(plant: SimulatedPlant, mode: str) -> dict[str, float]:
    """How far each sensor moves in the last day before a failure, against a sound pump's days.

    In standard deviations of the sensor's daily means over days without any fault.
    """
    sound = sound_days(plant)
    daily = {s: daily_means(plant, i) for i, s in enumerate(plant.sensors)}
    chosen = np.flatnonzero(plant.failures.mode == mode)
    days = (plant.failures.time[chosen] - plant.plan.start_ns) // DAY_NS - 1
    assets = [plant.assets.index(name) for name in plant.failures.asset[chosen]]
    moved = {}
    for sensor, means in daily.items():
        usual = means[sound]
        last = np.nanmean(means[assets, np.maximum(days, 0)])
        moved[sensor] = float((last - np.nanmean(usual)) / np.nanstd(usual))
    return moved


def daily_means(plant: SimulatedPlant, sensor: int) -> Float64:
    shape = (len(plant.assets), plant.plan.days, -1)
    means: Float64 = np.nanmean(plant.values[sensor].reshape(shape), axis=2)
    return means


def sound_days(plant: SimulatedPlant) -> np.ndarray:
    sound = np.ones((len(plant.assets), plant.plan.days), dtype=bool)
    rows = zip(plant.failures.asset, plant.failures.onset, plant.failures.time, strict=True)
    for name, onset, time in rows:
        first, last = (int((t - plant.plan.start_ns) // DAY_NS) for t in (onset, time))
        sound[plant.assets.index(name), first : last + 2] = False
    return sound


def test_the_same_plan_gives_the_same_plant_and_another_seed_another() -> None:
    first, second = simulate(small_plan()), simulate(small_plan())
    other = simulate(small_plan(seed=1))

    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.events.time, second.events.time)
    assert first.readings(3, 5).equals(second.readings(3, 5))
    assert not np.array_equal(first.values, other.values)


@pytest.mark.parametrize(
    ("mode", "sensors"),
    [
        ("bearing", {"vibration": 1, "bearing_temperature": 1, "motor_current": 1}),
        ("seal", {"seal_leakage": 1}),
        ("impeller", {"flow": -1, "discharge_pressure": -1}),
    ],
)
def test_each_fault_moves_its_sensors_before_the_failure(
    plant: SimulatedPlant, mode: str, sensors: dict[str, int]
) -> None:
    moved = rise_before_failure(plant, mode)

    assert all(moved[sensor] * sign > 0 for sensor, sign in sensors.items()), moved
    leader = next(iter(sensors))
    assert abs(moved[leader]) > 1.5
    assert leader == max(moved, key=lambda sensor: abs(moved[sensor]))


def test_sudden_and_unrelated_readings_tell_nothing(plant: SimulatedPlant) -> None:
    nuisance = [s for s in plant.sensors if s.startswith("nuisance")]
    moved = rise_before_failure(plant, "bearing")

    assert len(nuisance) == plant.plan.nuisance
    assert max(abs(moved[sensor]) for sensor in nuisance) < 0.7


def test_another_failure_mode_dominates_after_the_change(plant: SimulatedPlant) -> None:
    middle = plant.plan.start_ns + plant.plan.days * DAY_NS // 2
    early = Counter(plant.failures.mode[plant.failures.time < middle])
    late = Counter(plant.failures.mode[plant.failures.time >= middle])

    assert early.most_common(1)[0][0] == "bearing"
    assert late.most_common(1)[0][0] == "impeller"
    assert min(early.total(), late.total()) >= 25


def test_faults_give_days_of_warning_but_never_the_same(plant: SimulatedPlant) -> None:
    announced = plant.failures.mode != "electrical"
    warning = (plant.failures.time - plant.failures.onset)[announced] / DAY_NS

    assert 2 < np.median(warning) < 10
    assert warning.std() > 1
    assert ((plant.failures.time - plant.failures.onset)[~announced] < HOUR_NS).all()


@given(
    assets=st.integers(1, 5),
    days=st.integers(1, 20),
    interval=st.sampled_from([30, 60, 240]),
    regimes=st.integers(1, 6),
    nuisance=st.integers(0, 3),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=25, deadline=None)
def test_any_plan_gives_a_whole_plant(
    assets: int, days: int, interval: int, regimes: int, nuisance: int, seed: int
) -> None:
    plan = PlantPlan(
        assets=assets,
        days=days,
        interval_minutes=interval,
        regimes=regimes,
        nuisance=nuisance,
        seed=seed,
        typical_life_days=4,
        missing_share=0,
        outages_per_sensor_month=0,
    )

    plant = simulate(plan)

    assert plant.values.shape == (len(plant.sensors), assets, plan.steps)
    assert np.isfinite(plant.values).all()
    assert set(plant.events.kind) <= set(EVENT_KINDS)
    assert np.count_nonzero(plant.events.kind == "failure") == len(plant.failures.time)
    tables = [plant.readings(day, day + 1) for day in range(days)]
    assert sum(table.num_rows for table in tables) == assets * plan.steps
    assert sum(plant.events_table(d, d + 1).num_rows for d in range(days)) == len(plant.events.time)


def test_a_failed_pump_stands_still_until_its_repair(plant: SimulatedPlant) -> None:
    speed = plant.values[plant.sensors.index("speed")]
    events = plant.events
    for name, failed in zip(plant.failures.asset, plant.failures.time, strict=True):
        repairs = events.time[
            (events.asset == name) & (events.kind == "maintenance") & (events.time >= failed)
        ]
        repaired = repairs[0] if len(repairs) else plant.time[-1] + 1
        down = (plant.time >= failed) & (plant.time < repaired)
        standing = speed[plant.assets.index(name), down]
        assert down.any() or not len(repairs)
        assert np.nan_to_num(standing).max(initial=0.0) == 0.0


def test_pumps_of_variable_speed_fail_alike_whatever_their_regimes() -> None:
    one, six = (
        simulate(small_plan(variable_speed=True, regimes=regimes, regime_hours=4.0))
        for regimes in (1, 6)
    )
    load = six.values[six.sensors.index("load")]
    running = load[load > 20]
    nearest = np.abs(running[:, None] - np.linspace(110, 50, 6)).min(axis=1)

    np.testing.assert_array_equal(one.failures.time, six.failures.time)
    np.testing.assert_array_equal(one.failures.mode, six.failures.mode)
    assert np.quantile(nearest, 0.99) < 3
    assert np.nanstd(one.values[one.sensors.index("load")]) < np.nanstd(load)


def test_values_go_missing_at_about_the_share_asked_for() -> None:
    plan = small_plan(missing_share=0.1, outages_per_sensor_month=0.0)

    missing = np.isnan(simulate(plan).values).mean()

    assert missing == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"assets": 0}, r"assets must lie in \[1, 10000\], got 0"),
        ({"interval_minutes": 7}, "interval_minutes must divide a day, got 7"),
        ({"mix_after": {"rust": 1.0}}, "mix_after must weigh some of .* got {'rust': 1.0}"),
        ({"mix_before": {}}, "mix_before must weigh some of"),
        ({"regimes": 9}, r"regimes must lie in \[1, 6\], got 9"),
        ({"regime_hours": 0.5}, r"regime_hours must lie in \[1.0, 8760\], got 0.5"),
    ],
)
def test_impossible_plans_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadSettings, match=message):
        small_plan(**changes)
