"""Sensors normalised within regimes: exact in one regime, put right where a pane mixes them."""

from dataclasses import replace

import numpy as np
import pytest
from factories import HOUR, START
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.features.panes.panes import (
    build_panes,
    pane_mean,
    pane_second_moment,
    select_sensors,
)
from pm_app.features.regimes.normalise import mixes_regimes, nearest_regime, normalise_panes
from pm_app.records.features import PANE_STATISTICS, Panes, Regimes
from pm_app.records.readings import Readings

REGIMES = Regimes(
    columns=("load",),
    centres=((50.0,), (80.0,), (100.0,)),
    scale=(1.0,),
    shares=(0.25, 0.5, 0.25),
    sensors=("current", "vibration"),
    levels=((20.0, 1.0), (32.0, 2.0), (40.0, 4.0)),
    spreads=((1.0, 0.2), (2.0, 0.2), (4.0, 0.8)),
)
A_PANE = 12


def drawn(regime, *, seed=0, missing=0.0, wear=0.0):
    """Readings of one asset, twelve an hour, at these regimes; wear in deviations."""
    rng = np.random.default_rng(seed)
    level, spread = np.array(REGIMES.levels)[regime], np.array(REGIMES.spreads)[regime]
    z = wear + rng.normal(size=(len(regime), 2))
    load = np.array(REGIMES.centres)[regime, 0] + rng.normal(0, 0.5, len(regime))
    values = np.vstack([(level + spread * z).T, load])
    values[rng.random(values.shape) < missing] = np.nan
    return Readings(
        assets=("pump-0",),
        asset=np.zeros(len(regime), dtype=np.int32),
        time=START + np.arange(len(regime)) * (HOUR // A_PANE),
        sensors=("current", "vibration", "load"),
        values=values,
    ), z


def steady_then_switching(seed, panes=40):
    """Regimes of each reading: some panes hold one, some change once or twice."""
    rng = np.random.default_rng(seed)
    switch = rng.random(panes * A_PANE) < 0.06
    switch[0] = True
    drawn_regimes = rng.integers(0, 3, switch.size)
    return drawn_regimes[np.maximum.accumulate(np.where(switch, np.arange(switch.size), 0))]


def of_regimes(panes):
    """The normalised sensors alone."""
    return select_sensors(panes, REGIMES.sensors)


def normalised_readings(readings):
    """Each reading by the regime of the load read with it: the slow way."""
    values = readings.values.copy()
    for row in range(values.shape[1]):
        regime = int(np.abs(np.array(REGIMES.centres)[:, 0] - values[2, row]).argmin())
        for sensor in range(2):
            level, spread = REGIMES.levels[regime][sensor], REGIMES.spreads[regime][sensor]
            values[sensor, row] = (values[sensor, row] - level) / spread
    return replace(readings, values=values)


@given(seed=st.integers(0, 10_000), wear=st.floats(-3, 3))
@settings(max_examples=25, deadline=None)
def test_a_pane_of_one_regime_is_as_if_its_readings_had_been_normalised(seed, wear):
    regime = np.repeat(np.random.default_rng(seed).integers(0, 3, 20), A_PANE)
    readings, _ = drawn(regime, seed=seed, wear=wear)

    panes = normalise_panes(build_panes(readings, pane_ns=HOUR), REGIMES)
    slow = build_panes(normalised_readings(readings), pane_ns=HOUR)

    for name in PANE_STATISTICS:
        np.testing.assert_allclose(getattr(panes, name), getattr(slow, name), atol=1e-9)


@pytest.mark.parametrize("wear", [-2.0, 0.0, 3.0])
def test_a_pane_that_mixes_regimes_comes_close_to_its_normalised_readings(wear):
    readings, _ = drawn(steady_then_switching(1, panes=400), wear=wear)
    raw = build_panes(readings, pane_ns=HOUR)
    mixed = mixes_regimes(select_sensors(raw, ("load",)), REGIMES)

    panes = of_regimes(normalise_panes(raw, REGIMES))
    slow = of_regimes(build_panes(normalised_readings(readings), pane_ns=HOUR))

    assert 50 < mixed.sum() < 350
    for name in ("first", "last"):
        np.testing.assert_allclose(getattr(panes, name), getattr(slow, name), atol=1e-9)
    off = (pane_mean(panes) - pane_mean(slow))[mixed]
    # Regimes lie 4 to 20 deviations apart: what is left of that is a small part of one.
    assert np.abs(off).mean() < 0.5
    assert abs(off.mean()) < 0.1
    # Extremes may be missed, but hardly ever made up.
    assert np.quantile((slow.minimum - panes.minimum)[mixed], 0.99) < 0.5
    assert np.quantile((panes.maximum - slow.maximum)[mixed], 0.99) < 0.5


def test_a_change_of_regime_leaves_no_trace_in_a_worn_machine():
    regime = np.tile(np.repeat([0, 2], A_PANE // 2), 200)
    readings, _ = drawn(regime, wear=1.5)
    panes = of_regimes(normalise_panes(build_panes(readings, pane_ns=HOUR), REGIMES))

    mean = pane_mean(panes).mean(axis=0)
    variance = (pane_second_moment(panes) / panes.count).mean(axis=0)

    np.testing.assert_allclose(mean, 1.5, atol=0.1)
    assert (variance < 2).all()
    assert (variance > 0.2).all()


def test_two_equal_halves_are_told_exactly_where_nothing_is_noisy():
    loads = np.repeat([50.0, 100.0], A_PANE // 2)
    readings, _ = drawn(np.zeros(A_PANE, dtype=int))
    values = np.vstack([0.4 * loads, 0.06 * loads - 2.0, loads])
    panes = build_panes(replace(readings, values=values), pane_ns=HOUR)

    changed = of_regimes(normalise_panes(panes, replace(REGIMES, scale=(1e-6,))))

    np.testing.assert_allclose(pane_mean(changed), 0.0, atol=1e-9)
    np.testing.assert_allclose(pane_second_moment(changed), 0.0, atol=1e-9)
    np.testing.assert_allclose(changed.maximum - changed.minimum, 0.0, atol=1e-9)


def test_three_regimes_in_a_pane_are_told_apart():
    loads = np.repeat([50.0, 100.0, 80.0], A_PANE // 3)
    readings, _ = drawn(np.zeros(A_PANE, dtype=int))
    current = np.repeat([20.0, 40.0, 32.0], A_PANE // 3)
    panes = build_panes(
        replace(readings, values=np.vstack([current, current, loads])), pane_ns=HOUR
    )

    changed = normalise_panes(panes, replace(REGIMES, scale=(1e-6,)))

    assert pane_mean(changed)[0, 0] == pytest.approx(0.0, abs=1e-9)
    assert pane_second_moment(changed)[0, 0] == pytest.approx(0.0, abs=1e-9)


def test_settings_and_sensors_that_regimes_do_not_know_stay_to_the_bit():
    readings, _ = drawn(steady_then_switching(3), missing=0.1)
    panes = build_panes(readings, pane_ns=HOUR)
    before = panes.take(np.arange(len(panes.pane)))

    changed = normalise_panes(panes, replace(REGIMES, sensors=("current", "elsewhere")))

    for name in PANE_STATISTICS:
        column = getattr(changed, name)
        raw = select_sensors(panes, ("load", "vibration"))
        kept = select_sensors(changed, ("load", "vibration"))
        assert getattr(kept, name).tobytes() == getattr(raw, name).tobytes()
        assert getattr(panes, name).tobytes() == getattr(before, name).tobytes()
        assert column.shape == getattr(panes, name).shape
    assert not np.array_equal(changed.first[:, 0], panes.first[:, 0])


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_panes_normalised_alone_equal_those_normalised_together_to_the_bit(seed):
    readings, _ = drawn(steady_then_switching(seed), seed=seed, missing=0.2)
    panes = build_panes(readings, pane_ns=HOUR)
    together = normalise_panes(panes, REGIMES)

    for row in np.random.default_rng(seed).integers(0, len(panes.pane), 6):
        alone = normalise_panes(panes.take(np.array([row])), REGIMES)
        for name in PANE_STATISTICS:
            assert getattr(alone, name)[0].tobytes() == getattr(together, name)[row].tobytes()


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_what_is_missing_stays_missing_and_extremes_stay_in_order(seed):
    readings, _ = drawn(steady_then_switching(seed), seed=seed, missing=0.6)
    panes = build_panes(readings, pane_ns=HOUR)

    changed = normalise_panes(panes, REGIMES)

    empty = panes.count == 0
    np.testing.assert_array_equal(changed.count, panes.count)
    for name in ("first", "last", "minimum", "maximum"):
        np.testing.assert_array_equal(np.isnan(getattr(changed, name)), empty)
    some = ~empty
    mean = pane_mean(changed)
    assert (changed.minimum <= mean + 1e-9)[some].all()
    assert (changed.maximum >= mean - 1e-9)[some].all()
    for name in ("total", "squares"):
        assert np.isfinite(getattr(changed, name)).all()


def test_a_reading_outside_every_regime_takes_the_nearest():
    loads = np.array([[10.0], [66.0], [64.0], [1e9], [np.nan]])

    assert nearest_regime(loads, REGIMES).tolist() == [0, 1, 0, 2, 3]


def test_without_a_setting_a_pane_is_held_against_all_regimes_together():
    readings, _ = drawn(np.full(A_PANE, 1))
    readings.values[2] = np.nan
    panes = build_panes(readings, pane_ns=HOUR)

    changed = normalise_panes(panes, REGIMES)

    share, level = np.array(REGIMES.shares), np.array(REGIMES.levels)[:, 0]
    middle = share @ level
    wide = np.sqrt(share @ (np.array(REGIMES.spreads)[:, 0] ** 2 + (level - middle) ** 2))
    current = panes.sensors.index("current")
    assert changed.last[0, current] == pytest.approx((panes.last[0, current] - middle) / wide)


def test_no_panes_stay_no_panes():
    readings, _ = drawn(np.zeros(0, dtype=int))
    panes: Panes = build_panes(readings, pane_ns=HOUR)

    assert normalise_panes(panes, REGIMES).first.shape == (0, 3)
