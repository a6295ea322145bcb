"""Law 1 (one feature path) and law 2 (nothing from the future), at the features themselves."""

from dataclasses import replace

import numpy as np
import pytest
from factories import HOUR, START, random_readings
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.features.frame import build_frame, feature_names, see_panes, select_features
from pm_app.features.lives import life_starts
from pm_app.features.memory import BLOCK_PANES, no_memory, remember
from pm_app.features.panes.panes import build_panes, merge_panes
from pm_app.features.panes.readings import take_readings
from pm_app.records.features import (
    FeatureLimits,
    FeatureSpec,
    FeedPace,
    Frame,
    Panes,
    Regimes,
    RunningRule,
)
from pm_app.records.memory import Memory
from pm_app.records.readings import EVENT_KINDS, Events, Readings, sort_events

SPEC = FeatureSpec(
    sensors=("sensor-0", "sensor-1", "sensor-2"),
    pane_ns=HOUR,
    windows_ns=(3 * HOUR, 24 * HOUR),
    maintenance_codes=("seal",),
    error_codes=("E1", "E2"),
    clock="Europe/Berlin",
    life=True,
    change=True,
    scaled_change=True,
    beginning_ns=5 * HOUR,
    smooth_ns=(12 * HOUR,),
    inspections=True,
    inspection_codes=("leak",),
    own_minima=True,
)


REGIMES = Regimes(
    columns=("sensor-0",),
    centres=((10.0,), (20.0,), (30.0,)),
    scale=(1.0,),
    shares=(0.5, 0.25, 0.25),
    sensors=("sensor-1", "sensor-2"),
    levels=((1.0, 2e4), (1.5, 3e4), (2.5, 1e4)),
    spreads=((0.1, 1e3), (0.3, 2e3), (0.7, 3e3)),
)
BESIDE = replace(SPEC, regimes=REGIMES, beside=("sensor-2",))
LIMITS = FeatureLimits(
    highest=(("age", 50.0), ("since.failure", 9.0), ("errors.E1.1d", 1.0)),
    lived_hours=20.0,
    feeds=(FeedPace("failure", 1.0, 6.0), FeedPace("error", 1.0, 4.0)),
)
RENEWED = replace(
    SPEC,
    renewals=("se*",),
    limits=replace(LIMITS, renews=True),
    mode_renewals=(("wear", ("le*", "E1")), ("rust", ("E2",))),
)
SPECS = pytest.mark.parametrize(
    "spec",
    [SPEC, BESIDE, replace(SPEC, limits=LIMITS), RENEWED],
    ids=["raw", "regimes", "limits", "renewals"],
)


def switching_readings(seed: int) -> Readings:
    """Random readings whose first sensor jumps between the centres of the regimes."""
    readings = random_readings(rows=400, seed=seed)
    rng = np.random.default_rng(seed)
    setting = 10.0 * rng.integers(1, 4, 400) + rng.normal(0, 0.5, 400)
    readings.values[0] = np.where(np.isnan(readings.values[0]), np.nan, setting)
    return readings


def random_events(seed: int, *, count: int = 40) -> Events:
    rng = np.random.default_rng(seed)
    return sort_events(
        asset=np.array([f"pump-{n}" for n in rng.integers(0, 4, count)], dtype=object),
        time=START + rng.integers(0, 60, count) * HOUR,
        kind=np.array(rng.choice(EVENT_KINDS, count), dtype=object),
        code=np.array(rng.choice(["seal", "E1", "E2", "leak"], count), dtype=object),
    )


def features_of(readings: Readings, events: Events, spec: FeatureSpec = SPEC) -> Frame:
    panes = build_panes(readings, pane_ns=HOUR)
    return build_frame(panes, events, spec, first_seen=first_seen(readings))


def memory_of(
    panes: Panes, events: Events, readings: Readings, spec: FeatureSpec, *, boundary: int
) -> Memory:
    """What all assets remember at a boundary."""
    keys = (panes.assets, panes.asset, (panes.pane + 1) * HOUR)
    seen = first_seen(readings)
    start = life_starts(keys, events, first_seen=seen, pane_ns=HOUR, renewals=spec.renewals)
    return remember(see_panes(panes, spec), start, spec, before=no_memory(spec), boundary=boundary)


def first_seen(readings: Readings) -> dict[str, int]:
    return {
        name: int(readings.time[readings.asset == number].min(initial=2**62))
        for number, name in enumerate(readings.assets)
    }


@SPECS
@given(seed=st.integers(0, 10_000), cuts=st.lists(st.floats(1, 59), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_features_built_batch_by_batch_equal_those_built_in_one_go_to_the_bit(spec, seed, cuts):
    readings, events = switching_readings(seed), random_events(seed)
    whole = features_of(readings, events, spec)
    rows = {
        (asset, cutoff): values
        for asset, cutoff, values in zip(whole.asset, whole.cutoff, whole.values, strict=True)
    }

    bounds = [START + int(cut * HOUR) for cut in sorted(cuts)]
    history = None
    for low, high in zip([0, *bounds], [*bounds, 2**62], strict=True):
        part = take_readings(readings, (readings.time >= low) & (readings.time < high))
        touched = build_panes(part, pane_ns=HOUR, onto=history)
        parts = [touched] if history is None else [history, touched]
        history = merge_panes(parts, pane_ns=HOUR)
        if not len(touched.pane):
            continue
        boundary = int(touched.pane.min()) // BLOCK_PANES * BLOCK_PANES
        earliest = min(int(touched.pane.min()) - 23, boundary)
        recent = history.take(history.pane >= earliest)
        frame = build_frame(
            recent,
            events,
            spec,
            first_seen=first_seen(readings),
            memory=memory_of(history, events, readings, spec, boundary=boundary),
        )
        done = (frame.cutoff // HOUR - 1 >= touched.pane.min()) & (frame.cutoff <= high)
        for asset, cutoff, values in zip(
            frame.asset[done], frame.cutoff[done], frame.values[done], strict=True
        ):
            np.testing.assert_array_equal(values, rows.pop((asset, cutoff)))

    # What is left ends in a pane that a cut went through and that the next batch completed.
    assert {cutoff // HOUR - 1 for _, cutoff in rows} <= {bound // HOUR for bound in bounds}


@SPECS
@given(seed=st.integers(0, 10_000), share=st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_features_of_some_panes_are_to_the_bit_what_they_are_among_those_of_all(spec, seed, share):
    readings, events = switching_readings(seed), random_events(seed)
    spec = replace(spec, running=RunningRule("sensor-0", 12.0))
    panes = build_panes(readings, pane_ns=HOUR)
    wanted = np.flatnonzero(np.random.default_rng(seed).random(len(panes.pane)) < share)
    seen = first_seen(readings)

    some = build_frame(panes, events, spec, first_seen=seen, wanted=wanted)

    expected = build_frame(panes, events, spec, first_seen=seen).take(wanted)
    assert some.values.tobytes() == expected.values.tobytes()
    for ours, theirs in zip(some.row_facts(), expected.row_facts(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal([some.asset, some.cutoff], [expected.asset, expected.cutoff])


@SPECS
@given(seed=st.integers(0, 10_000), cut=st.integers(2, 58))
@settings(max_examples=30, deadline=None)
def test_changing_anything_after_a_cutoff_never_changes_its_features(spec, seed, cut):
    readings, events = switching_readings(seed), random_events(seed)
    at = START + cut * HOUR
    rng = np.random.default_rng(seed)
    values = readings.values.copy()
    values[:, readings.time >= at] = rng.normal(size=(3, int((readings.time >= at).sum())))
    changed = Readings(readings.assets, readings.asset, readings.time, readings.sensors, values)
    other = random_events(seed + 1)
    later = sort_events(
        *(
            np.concatenate(
                [getattr(events, name)[events.time <= at], getattr(other, name)[other.time > at]]
            )
            for name in ("asset", "time", "kind", "code")
        )
    )

    before, after = features_of(readings, events, spec), features_of(changed, later, spec)

    known = before.cutoff <= at
    assert known.any()
    np.testing.assert_array_equal(before.values[known], after.values[known])
    assert not np.array_equal(before.values[~known], after.values[~known], equal_nan=True)


def test_regimes_change_the_sensors_they_know_and_nothing_else():
    readings, events = switching_readings(0), random_events(0)
    raw = features_of(readings, events)
    normalised = features_of(readings, events, replace(SPEC, regimes=REGIMES))

    assert (normalised.features, normalised.sensor_of) == (raw.features, raw.sensor_of)
    for number, (name, sensor) in enumerate(zip(raw.features, raw.sensor_of, strict=True)):
        same = np.array_equal(raw.values[:, number], normalised.values[:, number], equal_nan=True)
        assert same == (sensor not in REGIMES.sensors or ".missing." in name), name


def test_beside_the_readings_stand_as_they_are_and_as_regimes_see_them():
    readings, events = switching_readings(0), random_events(0)
    raw, in_place = (
        features_of(readings, events),
        features_of(readings, events, replace(SPEC, regimes=REGIMES)),
    )
    beside = features_of(readings, events, BESIDE)

    assert select_features(beside, raw.features).values.tobytes() == raw.values.tobytes()
    own = tuple(name for name in raw.features if name.startswith("sensor-2."))
    within = tuple(f"{name}.in_regime" for name in own)
    assert set(beside.features) == {*raw.features, *within}
    assert {beside.sensor_of[beside.features.index(name)] for name in within} == {"sensor-2"}
    np.testing.assert_array_equal(
        select_features(beside, within).values, select_features(in_place, own).values
    )


def test_event_features_equal_a_plain_loop():
    readings, events = random_readings(rows=300), random_events(7)
    frame = features_of(readings, events)

    for row in range(len(frame.cutoff)):
        asset, cutoff = frame.assets[frame.asset[row]], frame.cutoff[row]
        past = [
            (kind, code, time)
            for name, time, kind, code in zip(
                events.asset, events.time, events.kind, events.code, strict=True
            )
            if name == asset and time <= cutoff
        ]
        seals = [time for kind, code, time in past if (kind, code) == ("maintenance", "seal")]
        errors = [t for kind, code, t in past if (kind, code) == ("error", "E1")]
        looked = [time for kind, _, time in past if kind == "inspection"]
        leaks = [t for kind, code, t in past if (kind, code) == ("inspection", "leak")]
        value = dict(zip(frame.features, frame.values[row], strict=True))
        for name, times in (("since.inspection", looked), ("since.inspection.leak", leaks)):
            expected = (cutoff - max(times)) / HOUR if times else np.nan
            assert value[name] == pytest.approx(expected, nan_ok=True)
        expected = (cutoff - max(seals)) / HOUR if seals else np.nan
        assert value["since.maintenance.seal"] == pytest.approx(expected, nan_ok=True)
        assert value["errors.E1.1d"] == sum(time > cutoff - 24 * HOUR for time in errors)
        start = readings.time[readings.asset == frame.asset[row]].min()
        assert value["age"] == pytest.approx((cutoff - start) / HOUR)


def test_age_counts_from_the_newest_renewal_and_goes_on_through_repairs():
    readings, events = switching_readings(3), random_events(3, count=60)
    spec = replace(RENEWED, limits=None)
    frame = features_of(readings, events, spec)
    seen = first_seen(readings)

    age = frame.values[:, frame.features.index("age")]
    renewed = 0
    for row in range(len(age)):
        name, cutoff = frame.assets[frame.asset[row]], frame.cutoff[row]
        rows = zip(events.asset, events.time, events.kind, events.code, strict=True)
        turns = [
            int(time)
            for asset, time, kind, code in rows
            if asset == name and time <= cutoff and (kind, code) == ("maintenance", "seal")
        ]
        begun = max([seen[name], *turns])
        renewed += begun > seen[name]
        assert age[row] == pytest.approx((cutoff - begun) / HOUR, rel=1e-6)
    assert renewed > 10


def test_the_age_of_a_mode_counts_from_its_own_renewals_and_those_of_the_asset():
    readings, events = switching_readings(5), random_events(5, count=60)
    frame = features_of(readings, events, replace(RENEWED, limits=None))
    seen, places = first_seen(readings), np.arange(len(frame.cutoff))

    renewed = 0
    for mode, codes in (("wear", ("seal", "leak", "E1")), ("rust", ("seal", "E2"))):
        age = frame.values[:, frame.features.index(f"since.renewal.{mode}")]
        done = (events.kind == "maintenance") & np.isin(events.code.astype(str), codes)
        for row, hours in zip(places.tolist(), age.tolist(), strict=True):
            name, cutoff = frame.assets[frame.asset[row]], frame.cutoff[row]
            times = events.time[done & (events.asset == name) & (events.time <= cutoff)]
            begun = max([seen[name], *times.tolist()])
            renewed += begun > seen[name]
            assert hours == pytest.approx((cutoff - begun) / HOUR, rel=1e-6)
    assert renewed > 20


def test_without_renewals_every_feature_is_what_it_was_to_the_bit():
    readings, events = switching_readings(4), random_events(4)

    plain, nothing = (
        features_of(readings, events, replace(SPEC, renewals=renewals))
        for renewals in ((), ("no such code*",))
    )

    assert plain.values.tobytes() == nothing.values.tobytes()
    assert FeatureSpec(*[getattr(SPEC, name) for name in BEFORE_MEMORY]).renewals == ()


def test_versions_of_before_read_the_minimum_of_the_longest_window_in_all():
    readings, events = switching_readings(4), random_events(4)

    own, before = (
        features_of(readings, events, replace(SPEC, own_minima=own)) for own in (True, False)
    )

    column = {name: number for number, name in enumerate(own.features)}
    for sensor in SPEC.sensors:
        short, long = (column[f"{sensor}.minimum.{length}"] for length in ("3h", "1d"))
        np.testing.assert_array_equal(before.values[:, short], own.values[:, long])
        assert (own.values[:, short] > own.values[:, long]).any()
        own.values[:, short] = before.values[:, short]
    assert own.values.tobytes() == before.values.tobytes()


BEFORE_MEMORY = (
    "sensors", "pane_ns", "windows_ns", "maintenance_codes", "error_codes", "clock",
)  # fmt: skip


def test_clock_features_follow_the_plants_own_time_through_a_clock_change():
    # 2024-03-31: Berlin jumps from 02:00 to 03:00 at 01:00 UTC.
    cutoffs = 1_711_846_800_000_000_000 + np.array([-1, 1]) * HOUR
    readings = Readings(
        ("a",), np.zeros(2, dtype=np.int32), cutoffs - HOUR, ("sensor-0",), np.ones((1, 2))
    )

    frame = features_of(readings, random_events(0))

    angle = np.arctan2(
        frame.values[:, frame.features.index("hour.sin")],
        frame.values[:, frame.features.index("hour.cos")],
    )
    hour = (angle / (2 * np.pi) * 24) % 24
    np.testing.assert_allclose(hour, [1, 4], atol=1e-4)


def test_features_are_selected_by_name():
    frame = features_of(random_readings(rows=50), random_events(0))
    names = ("age", "sensor-2.mean.3h")

    selected = select_features(frame, names)

    assert (selected.features, selected.sensor_of) == (names, ("age", "sensor-2"))
    np.testing.assert_array_equal(
        selected.values[:, 1], frame.values[:, frame.features.index(names[1])]
    )
    assert len(set(feature_names(SPEC)[0])) == len(feature_names(SPEC)[0])
