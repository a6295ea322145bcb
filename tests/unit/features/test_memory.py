"""Long memory against a plain loop over the readings of a life, and against itself in pieces."""

import numpy as np
import pytest
from factories import HOUR, START, random_readings, sorted_readings
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pm_app.features.fading_means import LEAST_WEIGHT
from pm_app.features.frame import build_frame
from pm_app.features.lives import life_starts
from pm_app.features.memory import BLOCK_PANES, AssetMemories, no_memory, recall, remember
from pm_app.features.panes.panes import build_panes
from pm_app.records.features import FeatureSpec, Panes
from pm_app.records.memory import MEMORY_KEYS, MEMORY_STATISTICS, Memory
from pm_app.records.readings import Events, sort_events

SPEC = FeatureSpec(
    sensors=("sensor-0", "sensor-1", "sensor-2"),
    pane_ns=HOUR,
    windows_ns=(3 * HOUR, 24 * HOUR),
    maintenance_codes=(),
    error_codes=(),
    clock=None,
    life=True,
    change=True,
    scaled_change=True,
    beginning_ns=30 * HOUR,
    smooth_ns=(5 * HOUR, 200 * HOUR),
)
seeds = st.integers(0, 10_000)
# Some blocks long, so that lives go through whole blocks, begin and end inside others.
spans = st.sampled_from([3, 60, 5 * BLOCK_PANES])
# Codes of maintenance that begins a life without a failure before it.
renewing = st.sampled_from([(), ("seal",)])


def random_events(seed: int, *, hours: float, count: int = 12) -> Events:
    """Failures and repairs of some of the pumps, some at whole hours, some at one time."""
    rng = np.random.default_rng(seed)
    at = rng.uniform(-5, hours + 5, count)
    at[rng.random(count) < 0.5] //= 1
    return sort_events(
        asset=np.array([f"pump-{n}" for n in rng.integers(1, 4, count)], dtype=object),
        time=START + np.round(at * HOUR).astype(np.int64),
        kind=np.array(rng.choice(["failure", "maintenance", "error"], count), dtype=object),
        code=np.array(rng.choice(["seal", "E1"], count), dtype=object),
    )


def first_seen(panes: Panes) -> dict[str, int]:
    return {
        name: int(panes.first_row_time[panes.asset == number].min(initial=2**62))
        for number, name in enumerate(panes.assets)
    }


def starts_of(
    panes: Panes, events: Events, seen: dict[str, int], renewals: tuple[str, ...] = ()
) -> np.ndarray:
    keys = (panes.assets, panes.asset, (panes.pane + 1) * HOUR)
    return life_starts(keys, events, first_seen=seen, pane_ns=HOUR, renewals=renewals)


def start_by_hand(
    events: Events, asset: str, cutoff: int, first: int, renewals: tuple[str, ...]
) -> int:
    """The first pane of the life a cutoff lies in, one event after another."""
    start, failed = first // HOUR, False
    rows = zip(events.asset, events.time, events.kind, events.code, strict=True)
    for name, time, kind, code in rows:
        if name == asset and time <= cutoff and kind in ("failure", "maintenance"):
            if kind == "failure" or failed or code in renewals:
                start = -(-int(time) // HOUR)
            failed = kind == "failure"
    return start


def columns_of(recalled: AssetMemories) -> list[np.ndarray]:
    return [*recalled.life, *recalled.beginning, *recalled.smooth]


@given(hours=spans, rows=st.integers(1, 400), seed=seeds, renewals=renewing)
@example(hours=640, rows=95, seed=351, renewals=())  # the newest reading itself is nearly forgotten
@settings(max_examples=40, deadline=None)
def test_memory_equals_a_plain_loop_over_the_readings_of_the_life(hours, rows, seed, renewals):
    readings = sorted_readings(random_readings(rows=rows, hours=hours, missing=0.4, seed=seed))
    events = random_events(seed, hours=hours)
    panes = build_panes(readings, pane_ns=HOUR)
    seen = first_seen(panes)

    start = starts_of(panes, events, seen, renewals)
    found = columns_of(recall(panes, start, SPEC, before=no_memory(SPEC)))

    pane = readings.time // HOUR
    for row in np.random.default_rng(seed).integers(0, len(panes.pane), 10):
        asset, now = panes.asset[row], panes.pane[row]
        name = panes.assets[asset]
        expected = start_by_hand(events, name, (now + 1) * HOUR, seen[name], renewals)
        assert start[row] == expected
        lived = (readings.asset == asset) & (pane >= start[row]) & (pane <= now)
        begun = pane[lived].min(initial=2**62)
        for sensor, column in enumerate(readings.values):
            there = lived & ~np.isnan(column)
            early = there & (pane < begun + 30)
            faded = [0.5 ** ((now - pane[there]) / half) for half in (5, 200)]
            expected = [
                column[there].mean() if there.any() else np.nan,
                column[there].std() if there.any() else np.nan,
                column[there].min() if there.any() else np.nan,
                column[there].max() if there.any() else np.nan,
                column[early].mean() if early.any() else np.nan,
                column[early].std() if early.any() else np.nan,
                *((weight * column[there]).sum() / weight.sum() if there.any() else np.nan
                  for weight in faded),
            ]  # fmt: skip
            if there.any() and now - pane[there].max() > 20 * 5:
                expected[6] = found[6][row, sensor]  # nearly forgotten, or quite
            scale = np.abs(column[there]).max(initial=1.0)
            said = [values[row, sensor] for values in found]
            np.testing.assert_allclose(said[:6], expected[:6], rtol=1e-6, atol=1e-8 * scale)
            for at, weight in enumerate(faded, 6):
                # What weighs next to nothing is forgotten, each reading at most once.
                lost = LEAST_WEIGHT * there.sum() / max(weight.sum(), LEAST_WEIGHT)
                np.testing.assert_allclose(
                    said[at], expected[at], rtol=1e-6, atol=(1e-8 + 2 * lost) * scale
                )


@given(
    cuts=st.lists(st.integers(-1, 7), min_size=1, max_size=4),
    rows=st.integers(1, 600),
    seed=seeds,
    renewals=renewing,
)
@settings(max_examples=40, deadline=None)
def test_memory_continued_from_a_boundary_is_the_same_to_the_bit(cuts, rows, seed, renewals):
    hours = 5 * BLOCK_PANES
    panes = build_panes(random_readings(rows=rows, hours=hours, seed=seed), pane_ns=HOUR)
    events, seen = random_events(seed, hours=hours, count=5), first_seen(panes)
    start = starts_of(panes, events, seen, renewals)
    whole = recall(panes, start, SPEC, before=no_memory(SPEC))

    before, done = no_memory(SPEC), -(2**62)
    for cut in sorted(cuts):
        boundary = (START // HOUR // BLOCK_PANES + cut) * BLOCK_PANES
        part = np.flatnonzero((panes.pane >= done) & (panes.pane < boundary))
        # Every other time an asset is met that has nothing since: it keeps what it had.
        before = remember(panes.take(part), start[part], SPEC, before=before, boundary=boundary)
        done = boundary
    # What windows need from before the boundary changes nothing.
    rest = np.flatnonzero(panes.pane >= done - 24)
    partial = recall(panes.take(rest), start[rest], SPEC, before=before)

    here = panes.pane[rest] >= done
    for expected, values in zip(columns_of(whole), columns_of(partial), strict=True):
        np.testing.assert_array_equal(values[here], expected[rest][here])


@given(
    hours=spans, rows=st.integers(1, 600), share=st.floats(0, 1), cut=st.integers(-1, 5), seed=seeds
)
@settings(max_examples=30, deadline=None)
def test_memory_of_some_panes_is_to_the_bit_what_it_is_among_that_of_all(
    hours, rows, share, cut, seed
):
    rng = np.random.default_rng(seed)
    panes = build_panes(
        random_readings(rows=rows, hours=hours, missing=0.4, seed=seed), pane_ns=HOUR
    )
    events, seen = random_events(seed, hours=hours, count=5), first_seen(panes)
    start = starts_of(panes, events, seen)
    boundary = (START // HOUR // BLOCK_PANES + cut) * BLOCK_PANES
    past = np.flatnonzero(panes.pane < boundary)
    before = remember(
        panes.take(past), start[past], SPEC, before=no_memory(SPEC), boundary=boundary
    )
    last = np.append(panes.asset[1:] != panes.asset[:-1], True)[: len(panes.asset)]

    whole = recall(panes, start, SPEC, before=before)

    for chosen in (last, rng.random(len(last)) < share):
        wanted = np.flatnonzero(chosen)
        some = recall(panes, start, SPEC, before=before, wanted=wanted)
        for one, all_of_them in zip(columns_of(some), columns_of(whole), strict=True):
            assert one.tobytes() == all_of_them[wanted].tobytes()


@given(cut=st.integers(2, 2 * BLOCK_PANES), seed=seeds)
@settings(max_examples=30, deadline=None)
def test_what_comes_after_a_pane_never_changes_its_memory(cut, seed):
    hours = 2 * BLOCK_PANES
    panes = build_panes(random_readings(rows=400, hours=hours, seed=seed), pane_ns=HOUR)
    events, seen = random_events(seed, hours=hours), first_seen(panes)
    at = START + cut * HOUR
    known = events.time <= at
    past = Events(*(getattr(events, name)[known] for name in ("asset", "time", "kind", "code")))
    rows = np.flatnonzero((panes.pane + 1) * HOUR <= at)

    whole = recall(panes, starts_of(panes, events, seen), SPEC, before=no_memory(SPEC))
    early = panes.take(rows)
    known_then = recall(early, starts_of(early, past, seen), SPEC, before=no_memory(SPEC))

    for expected, values in zip(columns_of(known_then), columns_of(whole), strict=True):
        np.testing.assert_array_equal(values[rows], expected)


@given(seed=seeds)
@settings(max_examples=20, deadline=None)
def test_assets_do_not_know_of_each_other(seed):
    panes = build_panes(random_readings(rows=300, hours=300, seed=seed), pane_ns=HOUR)
    events, seen = random_events(seed, hours=300), first_seen(panes)
    start = starts_of(panes, events, seen)
    together = columns_of(recall(panes, start, SPEC, before=no_memory(SPEC)))

    for asset in range(len(panes.assets)):
        rows = np.flatnonzero(panes.asset == asset)
        alone = recall(panes.take(rows), start[rows], SPEC, before=no_memory(SPEC))
        for expected, values in zip(together, columns_of(alone), strict=True):
            np.testing.assert_array_equal(values, expected[rows])


def test_a_life_begins_anew_with_a_failure_and_with_its_repair_only():
    hours = np.array([0, 1, 2, 3, 4, 5, 6, 7])
    events = sort_events(
        asset=np.array(["a"] * 4, dtype=object),
        time=np.array([int(at * HOUR) for at in (1.0, 3.5, 5.0, 6.0)]),
        kind=np.array(["maintenance", "failure", "maintenance", "maintenance"], dtype=object),
        code=np.array(["seal"] * 4, dtype=object),
    )
    keys = (("a",), np.zeros(8, dtype=np.int32), (hours + 1) * HOUR)

    start = life_starts(keys, events, first_seen={"a": 0}, pane_ns=HOUR)

    # The pane from 3 to 4 holds the failure: it is of no life. The repair is at 5, and the
    # cutoff there knows of it. The maintenance at 1 and that at 6 follow no failure.
    np.testing.assert_array_equal(start, [0, 0, 0, 4, 5, 5, 5, 5])


def test_a_life_begins_anew_with_a_renewal_without_a_failure():
    hours = np.arange(8)
    events = sort_events(
        asset=np.array(["a"] * 2, dtype=object),
        time=np.array([int(at * HOUR) for at in (2.5, 5.0)]),
        kind=np.array(["maintenance"] * 2, dtype=object),
        code=np.array(["oil", "overhaul 2"], dtype=object),
    )
    keys = (("a",), np.zeros(8, dtype=np.int32), (hours + 1) * HOUR)

    start = life_starts(keys, events, first_seen={"a": 0}, pane_ns=HOUR, renewals=("overhaul*",))

    np.testing.assert_array_equal(start, [0, 0, 0, 0, 5, 5, 5, 5])


def test_features_of_long_memory_are_named_for_what_they_are():
    panes = build_panes(random_readings(rows=300, hours=100, missing=0.0), pane_ns=HOUR)
    frame = build_frame(panes, random_events(0, hours=1), SPEC, first_seen=first_seen(panes))
    value = {
        name: frame.values[:, at].astype(float)
        for at, name in enumerate(frame.features)
        if name.startswith("sensor-0.")
    }

    assert [name for name in value if not name.endswith((".3h", ".1d", ".last"))] == [
        f"sensor-0.{name}"
        for name in (
            "mean.life", "deviation.life", "minimum.life", "maximum.life", "change",
            "change.scaled", "smooth.5h", "above.5h", "smooth.200h", "above.200h",
        )
    ]  # fmt: skip
    for window in ("5h", "200h"):
        np.testing.assert_allclose(
            value[f"sensor-0.above.{window}"],
            value["sensor-0.mean.3h"] - value[f"sensor-0.smooth.{window}"],
            rtol=1e-3, atol=1e-3 * np.abs(value["sensor-0.last"]).max(),
        )  # fmt: skip
    assert set(np.array(frame.sensor_of)[: len(value)]) == {"sensor-0"}


def test_change_is_counted_in_deviations_of_the_beginning_where_there_are_any():
    readings = random_readings(rows=400, hours=100, assets=1, missing=0.0)
    readings.values[1] = 7.0
    panes = build_panes(readings, pane_ns=HOUR)
    frame = build_frame(panes, random_events(0, hours=1), SPEC, first_seen=first_seen(panes))

    def column(name: str) -> np.ndarray:
        return frame.values[:, frame.features.index(name)]

    early = readings.values[0][readings.time // HOUR < panes.pane[0] + 30]
    np.testing.assert_allclose(
        column("sensor-0.change.scaled")[-1],
        column("sensor-0.change")[-1] / early.std(),
        rtol=1e-4,
    )
    assert (column("sensor-1.change") == 0).all()
    assert np.isnan(column("sensor-1.change.scaled")).all()


def test_memory_of_no_panes_is_none():
    panes = build_panes(random_readings(rows=0), pane_ns=HOUR)
    nothing = np.empty(0, dtype=np.int64)

    recalled = recall(panes, nothing, SPEC, before=no_memory(SPEC))
    memory = remember(panes, nothing, SPEC, before=no_memory(SPEC), boundary=0)

    assert {values.shape for values in columns_of(recalled)} == {(0, 3)}
    assert memory.assets == ()


def facts(memory: Memory) -> list[bytes]:
    return [getattr(memory, name).tobytes() for name in MEMORY_KEYS + MEMORY_STATISTICS]


@pytest.mark.parametrize("asset", ["pump-0", "pump-1"])
def test_an_asset_that_says_nothing_keeps_its_memory(asset):
    panes = build_panes(random_readings(rows=300, hours=100), pane_ns=HOUR)
    start = starts_of(panes, random_events(0, hours=1, count=0), first_seen(panes))
    boundary = (START // HOUR // BLOCK_PANES + 1) * BLOCK_PANES
    memory = remember(panes, start, SPEC, before=no_memory(SPEC), boundary=boundary)
    none = panes.take(np.empty(0, dtype=np.intp))

    later = remember(none, start[:0], SPEC, before=memory, boundary=boundary + BLOCK_PANES)

    assert set(later.boundary.tolist()) == {boundary + BLOCK_PANES}
    assert facts(later)[1:] == facts(memory)[1:]
    assert asset in later.assets
