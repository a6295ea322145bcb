"""Which columns are settings, what regimes they make, and what is none."""

import json
import os
import re
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from factories import HOUR, START
from pydantic import TypeAdapter

from pm_app.features.panes.panes import build_panes
from pm_app.features.regimes.search import describe_regimes, find_regimes, followers, settle_regimes
from pm_app.records.features import FeatureSpec, Regimes
from pm_app.records.readings import Readings

ASSETS, HOURS, A_PANE = 6, 300, 4
DATA = Path(os.environ.get("PM_APP_TEST_DATA", Path(__file__).parents[4] / "shared" / "data"))


def switching(rng, regimes, *, hours=4.0):
    """Regime of each reading, kept some hours on average, (ASSETS, readings)."""
    shape = (ASSETS, HOURS * A_PANE)
    switch = rng.random(shape) < 1 / (hours * A_PANE)
    switch[:, 0] = True
    kept = np.maximum.accumulate(np.where(switch, np.arange(shape[1]), 0), axis=1)
    return np.take_along_axis(rng.integers(regimes, size=shape), kept, axis=1)


def panes_of(columns, *, pane_ns=HOUR):
    """Panes from columns of shape (ASSETS, readings)."""
    rows = HOURS * A_PANE
    readings = Readings(
        assets=tuple(f"pump-{number}" for number in range(ASSETS)),
        asset=np.repeat(np.arange(ASSETS, dtype=np.int32), rows),
        time=np.tile(START + np.arange(rows) * (HOUR // A_PANE), ASSETS),
        sensors=tuple(columns),
        values=np.array([values.ravel() for values in columns.values()], dtype=float),
    )
    return build_panes(readings, pane_ns=pane_ns)


def plant(levels=(70.0, 85.0, 100.0), *, seed=0, follow=0.3, noise=1.0, **more):
    """A load at these levels, a sensor that follows it and one that does not."""
    rng = np.random.default_rng(seed)
    load = np.array(levels)[switching(rng, len(levels))]
    shape = load.shape
    columns = {
        "current": follow * load + noise * rng.normal(size=shape),
        "load": load + 0.5 * rng.normal(size=shape),
        "weather": 10 + 3 * rng.normal(size=shape),
    }
    return columns | {name: make(rng, load) for name, make in more.items()}


def find(columns, names=None):
    return find_regimes(panes_of(columns), columns=names, stretch_panes=96)


@pytest.mark.parametrize("levels", [(70, 100), (70, 85, 100), (50, 62, 74, 86, 98, 110)])
def test_regimes_of_a_load_are_found_where_they_are(levels):
    regimes = find(plant(levels)).regimes

    assert regimes.columns == ("load",)
    np.testing.assert_allclose(np.array(regimes.centres)[:, 0], levels, atol=0.3)
    assert sum(regimes.shares) == pytest.approx(1.0)
    current = regimes.sensors.index("current")
    np.testing.assert_allclose(
        np.array(regimes.levels)[:, current], 0.3 * np.array(levels), atol=0.3
    )
    np.testing.assert_allclose(np.array(regimes.spreads)[:, current], 1.0, atol=0.2)


def test_finding_twice_finds_the_same():
    columns = plant()

    assert find(columns) == find(columns)


def smooth(rng, load):
    hours = np.arange(load.shape[1]) / A_PANE
    phase = rng.uniform(0, 6, (len(load), 1))
    return 80 + 15 * np.sin(2 * np.pi * hours / 24 + phase) + rng.normal(size=load.shape)


def test_a_load_that_varies_smoothly_makes_no_regimes_and_says_so_when_named():
    columns = plant()
    rng = np.random.default_rng(1)
    columns["load"] = smooth(rng, columns["load"])
    columns["current"] = 0.3 * columns["load"] + rng.normal(size=columns["load"].shape)

    assert find(columns).regimes is None
    named = find(columns, ("load",))
    assert named.regimes is None
    assert named.reason == "no regimes: load varies smoothly"


def between_rests(rng, load, *, resting_hours, ramp_hours):
    """A load that goes from rest to rest, at three places, in a straight line."""
    steps = load.shape[1]
    rest, ramp = round(resting_hours * A_PANE), round(ramp_hours * A_PANE)
    stops = rng.integers(3, size=(len(load), steps // (rest + ramp) + 2))
    places = np.array([70.0, 85.0, 100.0])[stops]
    at = np.arange(steps)
    number, into = at // (rest + ramp), at % (rest + ramp)
    way = np.clip((into - rest) / max(ramp, 1), 0.0, 1.0)
    return (
        (1 - way) * places[:, number] + way * places[:, number + 1] + rng.normal(0, 0.3, load.shape)
    )


def loaded(**rests):
    """A plant with such a load, and a current that follows it."""
    columns, rng = plant(), np.random.default_rng(8)
    columns["load"] = between_rests(rng, columns["load"], **rests)
    columns["current"] = 0.3 * columns["load"] + rng.normal(size=columns["load"].shape)
    return columns


def test_a_load_that_moves_slowly_between_rests_has_no_levels():
    columns = loaded(resting_hours=5.0, ramp_hours=4.0)

    assert find(columns).regimes is None
    reason = find(columns, ("load",)).reason
    assert re.fullmatch("no regimes: load is at its 3 levels only 7.% of the time", reason)


def test_levels_with_short_ramps_between_them_are_found():
    regimes = find(loaded(resting_hours=6.0, ramp_hours=0.5)).regimes

    assert regimes.columns == ("load",)
    np.testing.assert_allclose(np.array(regimes.centres)[:, 0], (70, 85, 100), atol=0.3)


def test_six_flight_conditions_of_one_reading_a_pane_are_found():
    rng = np.random.default_rng(9)
    conditions = np.array(
        [
            (0, 0, 100),
            (10, 0.25, 100),
            (20, 0.7, 100),
            (25, 0.62, 60),
            (35, 0.84, 100),
            (42, 0.84, 100),
        ]
    )
    drawn = rng.integers(6, size=(ASSETS, HOURS * A_PANE))
    flown = conditions[drawn] + rng.normal(0, (0.002, 0.0003, 0), (*drawn.shape, 3))
    columns = dict(zip(("altitude", "mach", "throttle"), np.moveaxis(flown, 2, 0), strict=True))
    columns["temperature"] = 600 - 3 * columns["altitude"] + rng.normal(size=drawn.shape)
    panes = panes_of(columns, pane_ns=HOUR // A_PANE)

    regimes = find_regimes(panes, columns=None, stretch_panes=96).regimes

    assert len(regimes.centres) == 6


def test_a_counter_of_wear_is_no_setting():
    rng = np.random.default_rng(2)
    columns = plant()
    step = np.arange(HOURS * A_PANE) // (HOURS * A_PANE // 6)
    columns["load"] = np.tile(70.0 + 10 * step, (ASSETS, 1)) + rng.normal(size=(ASSETS, step.size))
    columns["current"] = 0.3 * columns["load"] + rng.normal(size=columns["load"].shape)

    assert find(columns).regimes is None


def test_a_state_that_few_assets_have_is_no_regime():
    columns = plant()
    columns["load"][2:] = 70 + 0.5 * np.random.default_rng(3).normal(size=columns["load"][2:].shape)
    columns["current"] = 0.3 * columns["load"]

    assert find(columns).regimes is None


def test_standing_still_now_and_then_is_no_regime():
    columns = plant((100.0, 100.0))
    columns["load"][:, 100:130] = 0.0
    columns["load"][:, 700:730] = 0.0
    columns["current"] = 0.3 * columns["load"]

    assert find(columns).regimes is None
    assert "load is at one level 95% of the time" in find(columns, ("load",)).reason


def test_a_setting_that_nothing_follows_makes_no_regimes():
    columns = plant(follow=0.0)

    assert find(columns).regimes is None
    assert "no sensor follows load" in find(columns, ("load",)).reason


def test_two_settings_are_combined_and_only_what_occurs_counts():
    def speed(rng, load):
        at = switching(rng, 2, hours=7.0)
        return np.where(load < 80, 1000.0, 1000.0 + 500 * at) + 3 * rng.normal(size=load.shape)

    columns = plant((70.0, 100.0), speed=speed)
    columns["flow"] = 0.1 * columns["speed"] + np.random.default_rng(4).normal(size=(ASSETS, 1))

    for names in (None, ("load", "speed")):
        regimes = find(columns | {"flow": columns["flow"] + columns["weather"]}, names).regimes
        assert regimes.columns == ("load", "speed")
        np.testing.assert_allclose(
            regimes.centres, [(70, 1000), (100, 1000), (100, 1500)], rtol=0.01
        )


def test_named_columns_that_make_too_many_regimes_are_refused_in_words():
    columns = plant(
        (70.0, 80.0, 90.0, 100.0), speed=lambda rng, load: 100.0 * switching(rng, 4, hours=3.0)
    )

    assert "load and speed make 16 regimes" in find(columns, ("load", "speed")).reason


def test_an_empty_list_switches_regimes_off():
    assert find(plant(), ()).regimes is None


def test_a_wild_reading_moves_no_regime():
    columns = plant()
    expected = find(columns).regimes
    columns["current"][0, ::200] = 1e6
    columns["load"][1, ::200] = -1e6

    regimes = find(columns).regimes

    np.testing.assert_allclose(regimes.centres, expected.centres, atol=0.1)
    np.testing.assert_allclose(regimes.levels, expected.levels, atol=1.0)


def test_what_was_never_read_in_a_regime_has_finite_numbers_all_the_same():
    columns = plant()
    columns["weather"][columns["load"] > 92] = np.nan
    columns["silent"] = np.full_like(columns["load"], np.nan)
    columns["constant"] = np.full_like(columns["load"], 5.0)

    regimes = find(columns).regimes

    assert np.isfinite(regimes.levels).all()
    assert (np.array(regimes.spreads) > 0).all()


def test_only_sensors_that_follow_the_setting_are_its_followers():
    assert set(followers(regimes_of(another=twice))) == {"current", "another"}


# Found again.


def regimes_of(levels=(70.0, 85.0, 100.0), **kw):
    return find(plant(levels, **kw)).regimes


def test_regimes_found_again_keep_their_numbers():
    before, found = regimes_of(), regimes_of(seed=1)

    assert found != before
    assert settle_regimes(found, before) == before


@pytest.mark.parametrize("levels", [(70, 85, 110), (70, 100), (60, 70, 85, 100)])
def test_other_regimes_replace_those_before(levels):
    before, found = regimes_of(), regimes_of(levels)

    assert settle_regimes(found, before) == found
    assert settle_regimes(None, before) is None
    assert settle_regimes(found, None) == found


def twice(rng, load):
    return 2 * load + rng.normal(0, 3, load.shape)


def test_the_columns_before_are_taken_again_where_they_would_do():
    panes = panes_of(plant(setpoint=lambda rng, load: load.copy()))

    columns = [
        find_regimes(panes, columns=None, stretch_panes=96, rather=rather).regimes.columns
        for rather in ((), ("load",), ("weather",))
    ]

    assert columns == [("setpoint",), ("load",), ("setpoint",)]


def test_a_sensor_that_is_new_joins_the_regimes_before():
    before, found = regimes_of(), regimes_of(another=twice)

    settled = settle_regimes(found, before)

    assert settled.sensors == (*before.sensors, "another")
    assert [row[:-1] for row in settled.levels] == list(before.levels)
    np.testing.assert_allclose([row[-1] for row in settled.levels], [140, 170, 200], rtol=0.01)


def test_regimes_are_described_in_one_line():
    regimes = replace(regimes_of((70.0, 100.0)), centres=((70.0,), (100.0,)), shares=(0.25, 0.75))

    assert describe_regimes(regimes) == "2 regimes by load: 70 (25%), 100 (75%)"


def test_a_spec_with_regimes_survives_its_journey_as_json_and_an_old_one_has_none():
    adapter = TypeAdapter(FeatureSpec)
    spec = FeatureSpec(("load",), HOUR, (HOUR,), (), (), None, regimes_of())
    sent = asdict(spec)

    assert adapter.validate_json(json.dumps(sent)) == spec
    assert isinstance(adapter.validate_json(json.dumps(sent)).regimes, Regimes)
    del sent["beside"]
    assert adapter.validate_json(json.dumps(sent)) == spec
    del sent["regimes"]
    assert adapter.validate_json(json.dumps(sent)).regimes is None


@pytest.mark.parametrize("subset", ["FD001", "FD003"])
def test_engines_of_one_flight_condition_have_no_regimes(subset):
    path = DATA / "cmapss" / f"train_{subset}.txt.gz"
    if not path.exists():
        pytest.skip(f"needs {path.name} in the data folder")
    table = pd.read_csv(path, sep=r"\s+", header=None).to_numpy(float)
    readings = Readings(
        assets=tuple(f"engine-{number:03d}" for number in range(1, 101)),
        asset=table[:, 0].astype(np.int32) - 1,
        time=table[:, 1].astype(np.int64) * HOUR,
        sensors=tuple(f"column-{number:02d}" for number in range(table.shape[1] - 2)),
        values=table[:, 2:].T.copy(),
    )
    panes = build_panes(readings, pane_ns=HOUR)

    assert find_regimes(panes, columns=None, stretch_panes=80).regimes is None
