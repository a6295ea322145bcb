"""What every database must do with a file of predictions that somebody else has laid down."""

from datetime import UTC, datetime, timedelta

import pytest
from query_plans import whole_table_reads

from pm_app.errors import StoreUnavailable, TerminalError, TransientError
from pm_app.store import CommitCounts, open_store, require_whole, write_staged
from pm_app.store.database import connection as engine

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def key(asset="pump-1", hours=0, horizon=24.0):
    return (asset, DAY + timedelta(hours=hours), horizon)


def rows_of(tables):
    return [row for table in tables for row in table.to_pylist()]


@pytest.fixture
def laid_down(tmp_path, make_predictions):
    """A factory of files; returns where one is."""
    paths = []

    def lay_down(*chunks, **more):
        path = tmp_path / f"staged-{len(paths)}"
        paths.append(path)
        write_staged(path, [make_predictions(risks, **more) for risks in chunks])
        return path

    return lay_down


def test_a_file_is_written_as_its_chunks_are(store, store_url, laid_down, make_predictions):
    chunks = [
        {key("pump-1", hours, 72.0): None if hours == 3 else hours / 7 for hours in range(9)},
        {key("pümp-2", hours): 0.1 for hours in range(5)},
    ]
    written = [make_predictions(risks, version=3, mode="seal") for risks in chunks]
    store.writer.commit_predictions(written, scored_at=DAY)
    expected = rows_of(store.tables.predictions())
    again = laid_down(*chunks, version=3, mode="seal")

    counts = store.writer.commit_staged(again, scored_at=DAY)

    assert counts == CommitCounts(unchanged=14)
    assert rows_of(store.tables.predictions()) == expected


def test_what_a_file_says_anew_keeps_what_was_said_before(store, laid_down):
    first, second = {key(hours=0): 0.25, key(hours=1): 0.5}, {key(hours=1): 0.75, key(hours=2): 1.0}
    store.writer.commit_staged(laid_down(first), scored_at=DAY)

    counts = store.writer.commit_staged(laid_down(second), scored_at=DAY)

    assert counts == CommitCounts(new=1, revised=1)
    assert [row["risk"] for row in rows_of(store.tables.predictions())] == [0.25, 0.75, 1.0]
    assert [row["risk"] for row in rows_of(store.tables.superseded())] == [0.5]
    assert [row["risk"] for row in rows_of([store.tables.latest_predictions()])] == [1.0]


def test_one_connection_takes_files_and_chunks_in_turn(store, laid_down, make_predictions):
    for number in range(12):
        store.writer.commit_staged(laid_down({key(hours=2 * number): 0.5}), scored_at=DAY)
        chunk = make_predictions({key(hours=2 * number + 1): 0.25})
        store.writer.commit_predictions([chunk], scored_at=DAY)

    assert [row["risk"] for row in rows_of(store.tables.predictions())] == [0.5, 0.25] * 12


def test_a_file_that_could_not_be_committed_can_be_later(store_url, laid_down, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    path = laid_down({key(): 0.5})
    with open_store(store_url) as first, open_store(store_url) as second:
        with first._database.writing(), pytest.raises(StoreUnavailable, match="lock"):
            second.writer.commit_staged(path, scored_at=DAY)

        assert second.writer.commit_staged(path, scored_at=DAY) == CommitCounts(new=1)


def test_a_file_is_merged_without_reading_all_that_was_said(tmp_path, laid_down):
    with open_store(f"sqlite:///{tmp_path}/pm.sqlite") as store:
        store.writer.commit_staged(laid_down({key(): 0.5}), scored_at=DAY)
        with whole_table_reads(store) as found:
            store.writer.commit_staged(laid_down({key(): 0.75}), scored_at=DAY)

    assert found == []


def test_an_empty_file_says_nothing(store, laid_down):
    assert store.writer.commit_staged(laid_down(), scored_at=DAY) == CommitCounts()


def test_a_file_that_is_none_of_ours_is_refused(store, tmp_path):
    path = tmp_path / "staged"
    path.write_bytes(b"no database" * 100)

    with pytest.raises((TransientError, TerminalError), match="not a database"):
        store.writer.commit_staged(path, scored_at=DAY)

    assert rows_of(store.tables.predictions()) == []


@pytest.mark.parametrize("place", [0, 5000, -1])
def test_a_file_with_another_byte_is_not_whole(tmp_path, make_predictions, place):
    path = tmp_path / "staged"
    digest = write_staged(path, [make_predictions({key(hours=at): 0.5 for at in range(200)})])
    require_whole(path, digest)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)

    with pytest.raises(TransientError, match="damaged: its SHA-256 is"):
        require_whole(path, digest)


def test_a_file_that_is_gone_is_not_whole(tmp_path):
    with pytest.raises(TransientError, match="cannot be read: No such file"):
        require_whole(tmp_path / "staged", "0" * 64)


def test_a_file_is_whole_or_not_there(tmp_path, make_predictions):
    def breaking():
        yield make_predictions({key(): 0.5})
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        write_staged(tmp_path / "staged", breaking())

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_is_told(make_predictions, tmp_path):
    folder = tmp_path / "gone"

    with pytest.raises(TransientError, match="gone/staged: cannot be written"):
        write_staged(folder / "staged", [make_predictions({key(): 0.5})])
