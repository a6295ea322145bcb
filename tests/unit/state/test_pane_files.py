"""Panes on disk: what is read is what was written, damage is named, segments never mix."""

import errno
import gc
import os
import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow.parquet as pq
import pytest
from factories import HOUR, START, random_readings
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app.errors import TransientError
from pm_app.features.panes.panes import build_panes, merge_panes, select_sensors
from pm_app.records.features import PANE_TIMES, pane_arrays
from pm_app.records.readings import events_as_rows, events_from_rows
from pm_app.state import panes as history_module
from pm_app.state import segments
from pm_app.state.events import EventHistory
from pm_app.state.panes import History
from pm_app.state.segments import MissingSegment, Segment

STEM = "0123-0000"
FLIPS = 400


def make_panes(**kw):
    return build_panes(random_readings(**kw), pane_ns=HOUR)


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "panes", pane_ns=HOUR)


def reopened(history):
    """The same folder with nothing in memory."""
    return History(history.folder, pane_ns=HOUR)


def plain(panes):
    """Panes as rows by asset and pane, whatever list of assets they are under."""
    names = [panes.assets[number] for number in panes.asset]
    arrays = [values for name, values in pane_arrays(panes).items() if name != "asset"]
    rows = zip(*(values.tolist() for values in arrays), strict=True)
    return panes.sensors, [(name, *map(repr, row)) for name, row in zip(names, rows, strict=True)]


def assert_same(one, other):
    assert plain(one) == plain(other)


@pytest.mark.parametrize("cached", [True, False])
def test_what_was_written_is_read_to_the_bit(history, cached):
    panes = make_panes(missing=0.6)
    name = history.write(STEM, panes)
    found = history if cached else reopened(history)

    for _ in range(2):
        (read,) = found.read([name])
        assert read.assets == panes.assets
        for column, values in pane_arrays(panes).items():
            other = pane_arrays(read)[column]
            assert other.dtype == values.dtype, column
            np.testing.assert_array_equal(other, values, err_msg=column)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    assets=st.none() | st.sets(st.sampled_from(["pump-0", "pump-1", "pump-2", "pump-9"])),
    since=st.none() | st.integers(-5, 70),
    length=st.none() | st.integers(0, 70),
    group=st.sampled_from([4, 60, 100_000]),
    warm=st.booleans(),
)
def test_a_restricted_read_is_the_whole_read_restricted(
    tmp_path_factory, seed, assets, since, length, group, warm
):
    history = History(tmp_path_factory.mktemp("panes"), pane_ns=HOUR)
    panes = make_panes(seed=seed, rows=150)
    first = int(panes.pane.min())
    low = None if since is None else first + since
    high = None if length is None else (low or first) + length
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_module, "ROW_GROUP_CELLS", group)
        name = history.write(STEM, panes)
    if warm:
        list(history.read([name], times=False))
        list(history.read([name]))

    (read,) = history.read([name], assets=assets, since_pane=low, until_pane=high)

    sensors, rows = plain(panes)
    wanted = [
        row
        for row in rows
        if (assets is None or row[0] in assets)
        and (low is None or int(row[1]) >= low)
        and (high is None or int(row[1]) <= high)
    ]
    assert plain(read) == (sensors, wanted)


@pytest.mark.parametrize("group", [60, 100_000])
def test_panes_without_times_are_those_with_them_and_never_taken_for_them(
    history, monkeypatch, group
):
    monkeypatch.setattr(history_module, "ROW_GROUP_CELLS", group)
    panes = make_panes(missing=0.3)
    name = history.write(STEM, panes)
    asked = {"pump-0", "pump-1"}

    for times in (False, True, False):
        (read,) = history.read([name], assets=asked, times=times)
        expected = panes.take(panes.asset < 2)
        for column, values in pane_arrays(expected).items():
            if times or column not in PANE_TIMES:
                np.testing.assert_array_equal(pane_arrays(read)[column], values, err_msg=column)
            else:
                assert pane_arrays(read)[column].shape == (len(values), 0), column
        more = select_sensors(read, ("one more", *read.sensors))
        assert np.isnan(more.last[:, 0]).all()


def test_a_partial_read_is_never_taken_for_the_whole(history, monkeypatch):
    monkeypatch.setattr(history_module, "ROW_GROUP_CELLS", 4)
    panes = make_panes()
    name = history.write(STEM, panes)

    list(history.read([name], assets={"pump-1"}, until_pane=int(panes.pane.min()) + 3))
    (whole,) = history.read([name])

    assert_same(whole, panes)


def test_assets_asked_for_some_at_a_time_read_each_row_group_once(history, monkeypatch):
    monkeypatch.setattr(history_module, "ROW_GROUP_CELLS", 60)
    panes = make_panes(assets=9, rows=300)
    name = history.write(STEM, panes)
    read = []
    whole = Segment.read
    monkeypatch.setattr(
        Segment, "read", lambda self, **given: read.append(given["groups"]) or whole(self, **given)
    )

    for first in range(0, 9, 2):
        asked = panes.assets[first : first + 2]
        (part,) = history.read([name], assets=set(asked))
        assert part.assets == asked
        wanted = panes.take((panes.asset >= first) & (panes.asset < first + 2))
        assert plain(part) == plain(wanted)

    assert sorted(number for groups in read for number in groups) == list(range(len(read)))
    assert len(read) > 10


def test_many_segments_asked_for_some_assets_at_a_time_read_each_row_group_once(
    history, monkeypatch
):
    monkeypatch.setattr(history_module, "ROW_GROUP_CELLS", 300)
    parts = [make_panes(assets=9, rows=300, seed=seed) for seed in range(6)]
    names = [history.write(f"{number}", panes) for number, panes in enumerate(parts)]
    list(history.read(names[:1], assets={"pump-1"}))
    each = history._cache_bytes
    # Room for one row group of each segment and for one more: some assets lie in two.
    monkeypatch.setattr(history_module, "CACHE_BYTES", int(7.5 * each))
    read = []
    whole = History._read
    monkeypatch.setattr(
        History,
        "_read",
        lambda self, *given, **kw: read.append((given[0], *given[2])) or whole(self, *given, **kw),
    )

    for first in range(0, 9, 2):
        list(history.read(names, assets=set(parts[0].assets[first : first + 2])))

    assert len(read) == len(set(read)) > 12


def test_what_a_caller_does_with_panes_stays_out_of_the_next_read(history):
    panes = make_panes()
    name = history.write(STEM, panes)
    (read,) = history.read([name])
    before = plain(read)
    merge_panes([read, replace(read)], pane_ns=HOUR)

    (again,) = history.read([name])

    assert plain(again) == before


def test_segments_come_in_the_order_asked_for(history):
    one, two = make_panes(seed=1), make_panes(seed=2, sensors=5)
    b, a = history.write("b", one), history.write("a", two)

    found = list(history.read([b, a, b]))

    for read, written in zip(found, [one, two, one], strict=True):
        assert_same(read, written)


def test_keys_tell_who_has_which_panes(history):
    panes = make_panes()
    name = history.write(STEM, panes)

    (keys,) = history.keys([name])

    assert keys.sensors == ()
    assert keys.assets == panes.assets
    np.testing.assert_array_equal(keys.asset, panes.asset)
    np.testing.assert_array_equal(keys.pane, panes.pane)
    assert history.sensors(name) == panes.sensors


def test_names_of_sensors_survive_whatever_is_in_them(history):
    names = ("Torque [Nm]", "Größe/µm", "a\nb", 'say "x" \x00')
    panes = replace(make_panes(sensors=4), sensors=names)
    name = history.write(STEM, panes)

    assert reopened(history).sensors(name) == names
    (read,) = reopened(history).read([name])
    assert_same(read, panes)


@pytest.mark.parametrize("shape", [{"rows": 3, "assets": 2}, {"rows": 60, "assets": 30}, {}])
def test_memory_is_bounded_in_bytes_however_small_segments_are(history, monkeypatch, shape):
    monkeypatch.setattr(history_module, "CACHE_BYTES", 400_000)
    names = [history.write(f"{number}", make_panes(seed=number, **shape)) for number in range(120)]
    list(history.read(names[:1]))
    tracemalloc.start()
    list(history.read(names[1:]))
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert 5 < len(history._cache) < 119
    assert history._cache_bytes <= 400_000
    assert held < 1.1 * 400_000
    list(history.read(names))
    weighed = sum(history_module._weight(panes) for panes in history._cache.values())
    assert history._cache_bytes == weighed


def test_a_segment_that_is_gone_is_named(history):
    with pytest.raises(MissingSegment, match="0123-0000.parquet: not there") as raised:
        list(history.read(["0123-0000.parquet"]))

    assert raised.value.name == "0123-0000.parquet"


def in_a_child(looks):
    """What each look returns, below 100; a child whose process ends at one says no more."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        for look in looks:
            os.write(write, bytes([look()]))
        os._exit(0)
    os.close(write)
    with open(read, "rb") as said:
        outcomes = list(said.read())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, f"ended at {len(outcomes)}"
    return outcomes


def flipped(content, place, bit):
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


def footer_of(content):
    return len(content) - 8 - int.from_bytes(content[-8:-4], "little")


SAME, DAMAGED, WRONG = range(3)


def look_at(history, name, panes):
    """Whether a segment reads as it was written, by all three ways of reading it."""
    try:
        (read,) = reopened(history).read([name])
        (keys,) = reopened(history).keys([name])
        same = plain(read) == plain(panes) and np.array_equal(keys.pane, panes.pane)
        return SAME if same and reopened(history).sensors(name) == panes.sensors else WRONG
    except MissingSegment:
        return DAMAGED


@pytest.mark.parametrize("where", ["anywhere", "footer"])
def test_no_bit_flipped_in_a_segment_is_read_silently_or_ends_the_process(history, where):
    panes = make_panes(rows=150)
    name = history.write(STEM, panes)
    path = history.folder / name
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    first = 0 if where == "anywhere" else footer_of(good)
    places = rng.integers(first, len(good), FLIPS // 2).tolist()

    def look(place, bit):
        path.write_bytes(flipped(good, place, bit))
        return look_at(history, name, panes)

    outcomes = in_a_child(
        [partial(look, place, bit) for place in places for bit in [int(rng.integers(8))]]
    )

    assert set(outcomes) <= {SAME, DAMAGED}
    assert outcomes.count(DAMAGED) > (FLIPS // 2 - 1 if where == "footer" else FLIPS // 3)


def test_a_segment_of_another_length_of_panes_is_not_read(history):
    name = history.write(STEM, make_panes())
    other = History(history.folder, pane_ns=HOUR // 2)

    for look in (other.read, other.keys):
        with pytest.raises(MissingSegment, match=f"{name}: holds panes of {HOUR} ns, needed"):
            list(look([name]))


def test_a_whole_segment_under_the_name_of_another_is_damaged(history):
    one, other = (history.write(STEM, make_panes(seed=seed)) for seed in (1, 2))
    (history.folder / one).replace(history.folder / other)

    with pytest.raises(MissingSegment, match="damaged: its footer proves to be"):
        history.check(other)


def test_a_segment_that_cannot_be_read_now_is_not_taken_for_lost(history, monkeypatch):
    name = history.write(STEM, make_panes())

    def refused(path):
        raise PermissionError(errno.EACCES, "no", path)

    monkeypatch.setattr(segments.pa, "OSFile", refused)
    with pytest.raises(TransientError, match=f"{name}: cannot be read"):
        history.check(name)


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_segment_is_damaged(history, kept):
    name = history.write(STEM, make_panes())
    path = history.folder / name
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])

    for look in (lambda h: list(h.read([name])), lambda h: list(h.keys([name]))):
        with pytest.raises(MissingSegment, match="damaged"):
            look(reopened(history))


def test_only_what_no_row_names_is_removed(history):
    first, second, third = (history.write(f"{24 * letter}-0000", make_panes()) for letter in "abc")
    half, old = f".{24 * 'd'}-0000-{16 * '0'}.parquet.tmp", f"{24 * 'd'}-0000.parquet"
    for name in (half, old):
        (history.folder / name).write_bytes(b"half a segment")
    (history.folder / "notes.txt").write_bytes(b"somebody's")

    assert history.remove_unnamed({first, third}, stem=24 * "d") == [half, old]
    assert history.remove_unnamed({first, third}) == [second]
    left = sorted(path.name for path in history.folder.iterdir())
    assert left == [first, third, "notes.txt"]


def test_a_write_that_fails_leaves_the_old_segment(history, monkeypatch):
    panes = make_panes()
    name = history.write(STEM, panes)

    def fails(source, target):
        raise OSError("disk full")

    monkeypatch.setattr("pm_app.durable.os.replace", fails)
    with pytest.raises(TransientError, match=r"0123-0000-\w+.parquet: cannot be written"):
        history.write(STEM, make_panes(seed=9))

    assert [path.name for path in history.folder.iterdir()] == [name]
    (read,) = reopened(history).read([name])
    assert_same(read, panes)


def test_no_bit_flipped_in_events_is_read_silently_or_ends_the_process(tmp_path):
    rows = {
        (f"pump-{at % 3}", START + at, "failure", f"code {at % 5}", START + at - at % 2)
        for at in range(40)
    }
    events = EventHistory(tmp_path)
    name = events.write("0123", events_from_rows(rows))
    good = (tmp_path / name).read_bytes()
    rng = np.random.default_rng(0)

    def look(place, bit):
        (tmp_path / name).write_bytes(flipped(good, place, bit))
        try:
            found = events_as_rows(EventHistory(tmp_path).read([name]))
        except MissingSegment:
            return DAMAGED
        return SAME if found == rows else WRONG

    places = rng.integers(4, len(good), FLIPS // 2).tolist()
    outcomes = in_a_child(
        [partial(look, at, bit) for at in places for bit in rng.integers(8, size=1)]
    )

    assert set(outcomes) == {DAMAGED}
    assert len(outcomes) == FLIPS // 2


def test_events_of_uncertain_time_are_kept_beside_those_that_an_older_program_wrote(tmp_path):
    events = EventHistory(tmp_path)
    exact = {("pump-0", START, "failure", "", START)}
    spread = {("pump-1", START + 5, "failure", "", START + 2)}
    names = [
        events.write(stem, events_from_rows(rows)) for stem, rows in (("01", exact), ("02", spread))
    ]

    written = [pq.read_schema(tmp_path / name).names for name in names]
    assert written[0] == ["asset", "time", "kind", "code"]
    assert written[1] == [*written[0], "since"]
    assert events_as_rows(EventHistory(tmp_path).read(names)) == exact | spread
