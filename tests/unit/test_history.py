"""Panes on disk: what is read is what was written, damage is named, segments never mix."""

from dataclasses import replace

import numpy as np
import pytest
from factories import HOUR, random_readings
from hypothesis import given, settings
from hypothesis import strategies as st

from pm_app import history as history_module
from pm_app.errors import TransientError
from pm_app.features.panes import fold_panes, merge_panes
from pm_app.history import History, MissingSegment
from pm_app.records.features import pane_arrays

NAME = "0123-0000.parquet"


def make_panes(**kw):
    return fold_panes(random_readings(**kw), pane_ns=HOUR)


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
    history.write(NAME, panes)
    found = history if cached else reopened(history)

    for _ in range(2):
        (read,) = found.read([NAME])
        assert read.assets == panes.assets
        for name, values in pane_arrays(panes).items():
            other = pane_arrays(read)[name]
            assert other.dtype == values.dtype, name
            np.testing.assert_array_equal(other, values, err_msg=name)


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
        history.write(NAME, panes)
    if warm:
        list(history.read([NAME]))

    (read,) = history.read([NAME], assets=assets, since_pane=low, until_pane=high)

    sensors, rows = plain(panes)
    wanted = [
        row
        for row in rows
        if (assets is None or row[0] in assets)
        and (low is None or int(row[1]) >= low)
        and (high is None or int(row[1]) <= high)
    ]
    assert plain(read) == (sensors, wanted)


def test_a_partial_read_is_never_taken_for_the_whole(history, monkeypatch):
    monkeypatch.setattr(history_module, "ROW_GROUP_CELLS", 4)
    panes = make_panes()
    history.write(NAME, panes)

    list(history.read([NAME], assets={"pump-1"}, until_pane=int(panes.pane.min()) + 3))
    (whole,) = history.read([NAME])

    assert_same(whole, panes)


def test_what_a_caller_does_with_panes_stays_out_of_the_next_read(history):
    panes = make_panes()
    history.write(NAME, panes)
    (read,) = history.read([NAME])
    before = plain(read)
    merge_panes([read, replace(read)], pane_ns=HOUR)

    (again,) = history.read([NAME])

    assert plain(again) == before


def test_segments_come_in_the_order_asked_for(history):
    one, two = make_panes(seed=1), make_panes(seed=2, sensors=5)
    history.write("b", one)
    history.write("a", two)

    found = list(history.read(["b", "a", "b"]))

    for read, written in zip(found, [one, two, one], strict=True):
        assert_same(read, written)


def test_keys_tell_who_has_which_panes(history):
    panes = make_panes()
    history.write(NAME, panes)

    (keys,) = history.keys([NAME])

    assert keys.sensors == ()
    assert keys.assets == panes.assets
    np.testing.assert_array_equal(keys.asset, panes.asset)
    np.testing.assert_array_equal(keys.pane, panes.pane)
    assert history.sensors(NAME) == panes.sensors


def test_names_of_sensors_survive_whatever_is_in_them(history):
    names = ("Torque [Nm]", "Größe/µm", "a\nb", 'say "x"')
    panes = replace(make_panes(sensors=4), sensors=names)
    history.write(NAME, panes)

    assert reopened(history).sensors(NAME) == names
    (read,) = reopened(history).read([NAME])
    assert_same(read, panes)


def test_memory_holds_a_bounded_number_of_segments(history, monkeypatch):
    monkeypatch.setattr(history_module, "CACHE_CELLS", 8_000)
    for number in range(60):
        history.write(f"{number}", make_panes(seed=number))
    list(history.read([f"{number}" for number in range(60)]))

    held = sum(panes.count.size for panes in history._cache.values())
    assert 0 < held <= 8_000


def test_a_segment_that_is_gone_is_named(history):
    with pytest.raises(MissingSegment, match="0123-0000.parquet: not there"):
        list(history.read([NAME]))


def test_no_bit_flipped_in_the_values_is_read_silently(history):
    panes = make_panes()
    history.write(NAME, panes)
    path = history.folder / NAME
    good = path.read_bytes()
    footer = len(good) - 8 - int.from_bytes(good[-8:-4], "little")
    rng = np.random.default_rng(0)
    damaged = 0
    for place in rng.integers(0, footer, 300).tolist():
        flipped = good[place] ^ (1 << int(rng.integers(8)))
        path.write_bytes(good[:place] + bytes([flipped]) + good[place + 1 :])
        try:
            assert_same(next(reopened(history).read([NAME])), panes)
        except MissingSegment:
            damaged += 1

    assert damaged > 200


def test_a_footer_that_lost_a_column_is_damaged(history):
    history.write(NAME, make_panes())
    path = history.folder / NAME
    path.write_bytes(path.read_bytes().replace(b"squares", b"squarfs"))

    with pytest.raises(MissingSegment, match="damaged: no .'squares'"):
        list(history.read([NAME]))


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_segment_is_damaged(history, kept):
    history.write(NAME, make_panes())
    path = history.folder / NAME
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])

    for look in (lambda h: list(h.read([NAME])), lambda h: list(h.keys([NAME]))):
        with pytest.raises(MissingSegment, match="damaged"):
            look(reopened(history))


def test_only_what_no_row_names_is_removed(history):
    first, second, third = (f"{24 * letter}-0000.parquet" for letter in "abc")
    for name in (first, second, third):
        history.write(name, make_panes())
    half = f".{24 * 'd'}-0000.parquet.tmp"
    (history.folder / half).write_bytes(b"half a segment")
    (history.folder / "notes.txt").write_bytes(b"somebody's")

    assert history.remove_unnamed({first, third}) == [half, second]
    left = sorted(path.name for path in history.folder.iterdir())
    assert left == [first, third, "notes.txt"]


def test_a_write_that_fails_leaves_the_old_segment(history, monkeypatch):
    panes = make_panes()
    history.write(NAME, panes)

    def fails(table, path, **kw):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(history_module.pq, "write_table", fails)
    with pytest.raises(TransientError, match="0123-0000.parquet: cannot be written: disk full"):
        history.write(NAME, make_panes(seed=9))

    (read,) = reopened(history).read([NAME])
    assert_same(read, panes)
