"""Evidence for renewals on a small fleet in which it is known what each code does."""

from dataclasses import replace

import numpy as np
import pytest

from pm_app.features.panes.panes import build_panes
from pm_app.learning.data.work_moments import CONTROL, FIRST, join_moments, work_moments
from pm_app.learning.evaluation.renewal_evidence import weigh_renewals
from pm_app.records.readings import Readings, sort_events
from pm_app.times import HOUR_NS

START = 1_700_006_400 * 1_000_000_000
PANE = 4 * HOUR_NS
DAYS, ASSETS = 90, 12
CODES = ("part replaced", "grease", "filter cleaned", "inspected", "rare")
SENSORS = ("vibration", "pressure drop", "load")


def fleet(seed=0):
    """Twelve machines: vibration rises before failures and a new part ends that; pressure drop
    rises until the filter is cleaned; grease comes with every new part and now and then alone."""
    rng = np.random.default_rng(seed)
    steps = DAYS * 6
    values = rng.standard_normal((3, ASSETS, steps))
    events = []
    for asset in range(ASSETS):
        name = f"m-{asset:02d}"
        for day in range(12 + asset % 5, DAYS - 4, 13):
            end = day * 6
            values[0, asset, end - 30 : end] += np.linspace(0, 6, 30)
            at = START + end * PANE
            events += [(name, at - HOUR_NS, "failure", "bearing")]
            events += [(name, at, "maintenance", code) for code in ("part replaced", "grease")]
        for day in range(8 + asset % 3, DAYS - 2, 9):
            values[1, asset, (day - 8) * 6 : day * 6] += np.linspace(0, 6, 48)
            events.append((name, START + day * 6 * PANE, "maintenance", "filter cleaned"))
        for code in ("grease", "inspected"):
            for day in rng.choice(DAYS - 6, 4, replace=False) + 3:
                events.append((name, START + int(day) * 6 * PANE, "maintenance", code))
    events += [("m-00", START + day * 24 * HOUR_NS, "maintenance", "rare") for day in (20, 40)]
    # No machine reads as another does.
    values[:, :, :] += 20 * rng.standard_normal((3, ASSETS, 1))
    return values, events


def moments_of(values, events, assets=range(ASSETS), codes=CODES):
    steps, names = values.shape[2], tuple(f"m-{asset:02d}" for asset in assets)
    readings = Readings(
        names,
        np.repeat(np.arange(len(names)), steps).astype(np.int32),
        np.tile(START + np.arange(steps) * PANE, len(names)),
        SENSORS,
        values[:, list(assets)].reshape(3, -1),
    )
    asset, time, kind, code = zip(*events, strict=True)
    columns = (np.array(column, dtype=object) for column in (asset, kind, code))
    asset, kind, code = columns
    found = sort_events(asset, np.array(time, dtype=np.int64), kind, code)
    return work_moments(build_panes(readings, pane_ns=PANE), found, codes, ("bearing",))


@pytest.fixture(scope="module")
def moments():
    return moments_of(*fleet())


@pytest.fixture(scope="module")
def evidence(moments):
    return {each.code: each for each in weigh_renewals(moments, (9,) * len(CODES))}


def test_a_new_part_after_which_readings_return_is_asked_about(evidence):
    part = evidence["part replaced"]

    assert part.returns
    assert part.sensor == "vibration"
    assert part.back >= 0.9 * part.gone > 0
    assert 0 < part.low < part.change < part.high
    assert "is it a renewal? set events.renewals" in part.text


def test_what_returns_but_announces_no_failure_is_no_renewal(evidence):
    assert not evidence["filter cleaned"].returns


def test_work_that_comes_with_a_new_part_is_judged_by_its_other_occasions(evidence, moments):
    grease = evidence["grease"]

    assert not grease.returns
    assert LEAST_ALONE <= grease.times < (moments.what == CODES.index("grease")).sum() / 1.2
    assert not evidence["inspected"].returns


LEAST_ALONE = 8


def test_a_code_that_came_too_seldom_says_so(evidence):
    assert not evidence["rare"].returns
    assert "came 9 times, " in evidence["rare"].text


def test_codes_that_are_renewals_are_not_asked_and_take_their_occasions(moments):
    found = weigh_renewals(moments, (9,) * len(CODES), renewing=("part replaced",))

    assert "part replaced" not in {each.code for each in found}
    assert not any(each.returns for each in found)


def test_the_risk_falls_after_what_renews_and_stays_where_nothing_does(moments):
    rng = np.random.default_rng(0)
    column = moments.sensors.index("vibration")
    known = np.stack([moments.before[:, column], moments.after[:, column]], axis=1)
    level = [np.nanmedian(known[moments.asset == asset]) for asset in range(ASSETS)]
    odds = known - np.array(level)[moments.asset, None] + rng.standard_normal(known.shape) / 4 - 3
    found = weigh_renewals(replace(moments, risk=1 / (1 + np.exp(-odds))), (9,) * len(CODES))
    risk = {each.code: each.risk for each in found}

    before, after, fall, low, high = risk["part replaced"]
    assert before > 0.4 > 0.1 > after
    assert 1 < low < fall < high
    before, after, fall, low, high = risk["filter cleaned"]
    assert abs(before - after) < 0.2
    assert low < 0 < high
    assert risk["rare"] is None


def test_a_code_booked_at_random_is_found_in_about_one_plant_in_twenty():
    booked = (9,) * len(CODES)
    found = [weigh_renewals(moments_of(*fleet(seed)), booked, seed=seed) for seed in range(3)]
    hits = sum(each.returns for plant in found for each in plant if each.code == "inspected")

    assert hits <= 1


def test_without_failures_that_readings_announce_nothing_is_asked():
    values, events = fleet()
    values[0] = np.random.default_rng(1).standard_normal(values[0].shape)
    found = weigh_renewals(moments_of(values, events), (9,) * len(CODES))

    assert {each.text for each in found} == {
        f"{code!r}: no reading announces failures" for code in CODES
    }


def test_moments_of_assets_apart_are_those_of_all_together(moments):
    values, events = fleet()
    parts = [
        moments_of(values, [row for row in events if int(row[0][2:]) in some], some)
        for some in (range(5), range(5, ASSETS))
    ]
    joined = join_moments(parts)

    for name in ("asset", "what", "near", "before", "after"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(moments, name))


def test_no_moment_of_nothing_looks_on_a_failing_machine_and_each_asset_begins_once(moments):
    control = moments.what == CONTROL
    column = moments.sensors.index("vibration")
    ahead = (moments.after - moments.before)[control, column]

    # A fault adds 3.5 to a day's median two days before it fails, 5 and more after.
    assert control.sum() > 30 * ASSETS
    assert ahead.max() < 5
    assert (moments.what == FIRST).sum() == ASSETS
