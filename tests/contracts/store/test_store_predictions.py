"""What every database must do with predictions."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, event

from pm_app.errors import StoreUnavailable, TerminalError
from pm_app.records.predictions import Predictions
from pm_app.store import CommitCounts, Store, open_reader, open_store, write_staged
from pm_app.store.database import connection as engine
from pm_app.store.predictions import staging
from pm_app.store.predictions.read import PREDICTIONS_SCHEMA
from pm_app.store.rows import BatchRow
from pm_app.store.schema.predictions import latest_predictions, prediction_history, predictions

DAY = datetime(2026, 3, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[3]


def hour(number: int) -> datetime:
    return DAY + timedelta(hours=number)


def key(asset: str = "pump-1", cutoff: int = 0, horizon: float = 24.0):
    return (asset, hour(cutoff), horizon)


def rows_of(tables: Iterable[pa.Table]) -> list[dict[str, Any]]:
    return [row for table in tables for row in table.to_pylist()]


def stored_rows(store: Store) -> list[dict[str, Any]]:
    return rows_of(store.tables.predictions())


def by_key(rows: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {(row["asset_id"], row["cutoff"], row["horizon_hours"]): row for row in rows}


def make_batch(digest: str = "d1") -> BatchRow:
    return BatchRow("readings", f"{digest}.parquet", digest, 10, 1, 5, 0, "ingested", DAY)


def test_what_is_written_reads_back(store, make_predictions):
    risks = {key(): 0.25, key(horizon=72.0): None}
    chunk = make_predictions(risks, version=4, attention="load 40 %", mode="bearing")

    counts = store.writer.commit_predictions([chunk], scored_at=DAY)

    first, second = stored_rows(store)
    assert counts == CommitCounts(new=2)
    assert first == {
        "asset_id": "pump-1",
        "cutoff": hour(0),
        "horizon_hours": 24.0,
        "status": "scored",
        "risk": 0.25,
        "rul_hours": 75.0,
        "rul_low_hours": 37.5,
        "rul_high_hours": 112.5,
        "value": None,
        "top_sensors": "vibration 62 %",
        "model_version": 4,
        "revision": 1,
        "scored_at": DAY,
        "attention": "load 40 %",
        "extrapolated": 0.125,
        "mode": "bearing",
        "mode_risks": '{"bearing": 0.25}',
        "mode_sensors": '{"bearing": "vibration 62 %"}',
        "deviation": None,
        "deviation_sensors": None,
        "normal_version": 0,
    }
    assert (second["status"], second["risk"], second["rul_hours"]) == ("machine_off", None, None)
    assert (second["attention"], second["extrapolated"]) == ("", None)
    assert (second["mode"], second["mode_risks"]) == (None, None)


def test_deviations_read_back_at_every_horizon_and_with_no_risk(store, make_predictions):
    deviations = {key(): 0.125, key(horizon=72.0): 1.5}
    chunk = make_predictions(dict.fromkeys(deviations), version=0, deviations=deviations, normal=3)
    store.writer.commit_predictions([chunk], scored_at=DAY)

    rows = stored_rows(store)
    assert [(row["status"], row["risk"]) for row in rows] == [("watched", None)] * 2
    assert [row["deviation"] for row in rows] == [0.125, 1.5]
    assert [row["deviation_sensors"] for row in rows] == ["", "heat +13.5 (71 %)"]
    assert [(row["model_version"], row["normal_version"]) for row in rows] == [(0, 3)] * 2
    assert store.tables.latest_predictions().num_rows == 2


@pytest.mark.parametrize(
    ("deviation", "normal"), [(1.5, 3), (0.125, 4), (None, 3)], ids=["number", "version", "none"]
)
def test_another_deviation_is_another_revision(store, make_predictions, deviation, normal):
    for number, (value, version) in enumerate([(0.125, 3), (deviation, normal)]):
        said = make_predictions({key(): 0.25}, deviations={key(): value}, normal=version)
        counts = store.writer.commit_predictions([said], scored_at=hour(number))

    (row,) = stored_rows(store)
    assert counts == CommitCounts(revised=1)
    assert (row["deviation"], row["normal_version"]) == (deviation, normal)
    assert [row["deviation"] for row in rows_of(store.tables.superseded())] == [0.125]


def test_writing_twice_changes_nothing(store, make_predictions):
    chunk = make_predictions({key(): 0.25, key(cutoff=1): None})
    sequence = store.ledger.record_batch(make_batch())
    store.writer.commit_scores([sequence], [chunk], scored_at=hour(1))
    before = stored_rows(store), store.ledger.batches(), store.tables.latest_predictions()

    counts = store.writer.commit_scores([sequence], [chunk], scored_at=hour(2))

    assert counts == CommitCounts(unchanged=2)
    assert (stored_rows(store), store.ledger.batches()) == before[:2]
    assert store.tables.latest_predictions() == before[2]
    assert rows_of(store.tables.superseded()) == []


@pytest.mark.parametrize(
    ("risk", "version", "attention", "beyond", "mode"),
    [
        (0.5, 1, "load 40 %", 0.125, "bearing"),
        (None, 1, "", None, None),
        (0.25, 2, "load 40 %", 0.125, "bearing"),
        (0.25, 1, "heat 50 %", 0.125, "bearing"),
        (0.25, 1, "load 40 %", 0.5, "bearing"),
        (0.25, 1, "load 40 %", 0.125, "seal"),
        (0.25, 1, "load 40 %", 0.125, None),
    ],
    ids=["number", "status", "version", "attention", "extrapolated", "mode", "no modes"],
)
def test_a_changed_row_moves_the_old_one_to_history(
    store, make_predictions, risk, version, attention, beyond, mode
):
    first = make_predictions({key(): 0.25}, attention="load 40 %", mode="bearing")
    store.writer.commit_predictions([first], scored_at=hour(1))
    old = stored_rows(store)

    counts = store.writer.commit_predictions(
        [
            make_predictions(
                {key(): risk},
                version=version,
                attention=attention,
                extrapolated=beyond or 0.0,
                mode=mode,
            )
        ],
        scored_at=hour(2),
    )

    (new,) = stored_rows(store)
    (latest,) = store.tables.latest_predictions().to_pylist()
    assert counts == CommitCounts(revised=1)
    assert new["attention"] == latest["attention"] == attention
    assert new["extrapolated"] == latest["extrapolated"] == beyond
    assert new["mode"] == latest["mode"] == mode
    assert (new["revision"], new["risk"], new["model_version"]) == (2, risk, version)
    assert new["scored_at"] == hour(2)
    assert rows_of(store.tables.superseded()) == old


def test_unchanged_rows_keep_when_they_were_scored(store, make_predictions):
    store.writer.commit_predictions(
        [make_predictions({key(): 0.25, key(cutoff=1): 0.5})], scored_at=hour(1)
    )

    counts = store.writer.commit_predictions(
        [make_predictions({key(): 0.25, key(cutoff=1): 0.75, key(cutoff=2): 0.5})],
        scored_at=hour(2),
    )

    assert counts == CommitCounts(new=1, revised=1, unchanged=1)
    assert [row["scored_at"] for row in stored_rows(store)] == [hour(1), hour(2), hour(2)]


def test_latest_never_goes_back(store, make_predictions):
    store.writer.commit_predictions([make_predictions({key(cutoff=5): 0.5})], scored_at=hour(6))

    store.writer.commit_predictions([make_predictions({key(cutoff=3): 0.9})], scored_at=hour(7))

    (latest,) = store.tables.latest_predictions().to_pylist()
    assert (latest["cutoff"], latest["risk"]) == (hour(5), 0.5)


def test_latest_follows_a_revision_of_its_cutoff(store, make_predictions):
    for risk in (0.5, 0.75):
        chunk = make_predictions({key(cutoff=4): 0.1, key(cutoff=5): risk})
        store.writer.commit_predictions([chunk], scored_at=hour(6))

    (latest,) = store.tables.latest_predictions().to_pylist()
    assert (latest["risk"], latest["revision"]) == (0.75, 2)


def test_latest_shows_the_riskiest_first_and_abstentions_last(store, make_predictions):
    risks = {key("pump-1"): 0.1, key("pump-2"): None, key("pump-3"): 0.9, key("pump-4"): 0.1}
    store.writer.commit_predictions([make_predictions(risks)], scored_at=DAY)

    shown = store.tables.latest_predictions()["asset_id"].to_pylist()

    assert shown == ["pump-3", "pump-1", "pump-4", "pump-2"]
    assert len(store.tables.latest_predictions(limit=2)) == 2
    assert len(store.tables.latest_predictions(asset="pump-2")) == 1
    assert len(store.tables.latest_predictions(horizon_hours=72.0)) == 0


def test_latest_leaves_out_a_horizon_no_longer_predicted(store, make_predictions):
    store.writer.commit_predictions(
        [make_predictions({key(): 0.1, key(horizon=72.0): 0.2})], scored_at=DAY
    )

    store.writer.commit_predictions([make_predictions({key(cutoff=1): 0.3})], scored_at=DAY)

    assert store.tables.latest_predictions()["horizon_hours"].to_pylist() == [24.0]


def test_a_failing_chunk_leaves_nothing_behind(store, make_predictions):
    sequence = store.ledger.record_batch(make_batch())
    store.writer.commit_predictions([make_predictions({key(): 0.25})], scored_at=hour(1))
    before = stored_rows(store), store.ledger.batches()

    def chunks():
        yield make_predictions({key(): 0.5, key(cutoff=1): 0.5})
        raise RuntimeError("the scorer broke")

    with pytest.raises(RuntimeError, match="the scorer broke"):
        store.writer.commit_scores([sequence], chunks(), scored_at=hour(2))

    assert (stored_rows(store), store.ledger.batches()) == before
    assert rows_of(store.tables.superseded()) == []
    assert [row.sequence for row in store.ledger.unscored_batches()] == [sequence]


def test_a_failed_commit_can_be_repeated(store, make_predictions):
    chunk = make_predictions({key(): 0.5})

    def chunks():
        yield chunk
        raise RuntimeError("the scorer broke")

    with pytest.raises(RuntimeError, match="broke"):
        store.writer.commit_predictions(chunks(), scored_at=DAY)

    assert store.writer.commit_predictions([chunk], scored_at=DAY) == CommitCounts(new=1)


def test_a_commit_without_rows_still_marks_its_batches(store, make_predictions):
    sequence = store.ledger.record_batch(make_batch())

    counts = store.writer.commit_scores([sequence], [make_predictions({})], scored_at=hour(3))

    assert counts == CommitCounts()
    assert store.ledger.unscored_batches() == []
    assert store.ledger.batches()[0].scored_at == hour(3)


def test_a_chunk_larger_than_an_insert_is_written_whole(store, make_predictions, monkeypatch):
    monkeypatch.setattr(staging, "ROWS_PER_INSERT", 3)
    risks = {key(f"pump-{asset}", cutoff): 0.5 for asset in range(4) for cutoff in range(5)}

    counts = store.writer.commit_predictions([make_predictions(risks)], scored_at=DAY)

    assert counts == CommitCounts(new=20)
    assert set(by_key(stored_rows(store))) == set(risks)
    assert len(store.tables.latest_predictions()) == 4


def test_readers_see_the_old_state_while_a_write_is_open(store, store_url, make_predictions):
    store.writer.commit_predictions([make_predictions({key(): 0.25})], scored_at=hour(1))
    read_risks = []

    def chunks():
        yield make_predictions({key(): 0.5})
        with open_reader(store_url) as reader:
            read_risks.extend(row["risk"] for row in stored_rows(reader))
        yield make_predictions({key(cutoff=1): 0.5})

    store.writer.commit_predictions(chunks(), scored_at=hour(2))

    assert read_risks == [0.25]
    assert [row["risk"] for row in stored_rows(store)] == [0.5, 0.5]


def test_others_may_write_while_predictions_are_still_made(
    store_url, make_predictions, monkeypatch
):
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    with open_store(store_url) as first, open_store(store_url) as second:

        def chunks():
            yield make_predictions({key(): 0.5})
            assert second.ledger.record_batch(make_batch()) == 1
            second.writer.commit_predictions([make_predictions({key(): 0.25})], scored_at=hour(1))

        assert first.writer.commit_predictions(chunks(), scored_at=DAY) == CommitCounts(revised=1)
        assert [row["risk"] for row in stored_rows(first)] == [0.5]


def test_a_second_writer_waits_then_may_try_again(store_url, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    with open_store(store_url) as first, open_store(store_url) as second:
        with first._database.writing(), pytest.raises(StoreUnavailable, match="lock"):
            second.ledger.record_batch(make_batch())

        assert second.ledger.record_batch(make_batch()) == 1


def test_what_a_failed_commit_laid_down_is_not_written_later(store, make_predictions):
    def chunks():
        yield make_predictions({key(): 0.5})
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        store.writer.commit_predictions(chunks(), scored_at=DAY)

    assert store.writer.commit_predictions([], scored_at=DAY) == CommitCounts()
    assert stored_rows(store) == []


def test_a_reader_cannot_write(store, store_url, make_predictions):
    with (
        open_reader(store_url) as reader,
        pytest.raises(TerminalError, match="was opened for reading"),
    ):
        reader.writer.commit_predictions([make_predictions({key(): 0.5})], scored_at=DAY)

    assert stored_rows(store) == []


KILLED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from conftest import predictions_of
from datetime import UTC, datetime
from pm_app.store import open_store

day = datetime(2026, 3, 1, tzinfo=UTC)

def chunks():
    yield predictions_of({("pump-1", day, 24.0): 0.75, ("pump-2", day, 24.0): 0.75})
    os._exit(9)

open_store(sys.argv[2]).writer.commit_scores([1], chunks(), scored_at=day)
"""


def test_a_killed_process_leaves_the_previous_state(store, store_url, make_predictions):
    store.ledger.record_batch(make_batch())
    store.writer.commit_predictions([make_predictions({key(): 0.25})], scored_at=hour(1))
    before = stored_rows(store), store.ledger.batches()

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(Path(__file__).parents[1]), store_url],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=60,
    )

    assert killed.returncode == 9
    assert (stored_rows(store), store.ledger.batches()) == before
    store.writer.commit_scores([1], [make_predictions({key(): 0.75})], scored_at=hour(2))
    assert [row["revision"] for row in stored_rows(store)] == [2]


def test_predictions_are_read_by_asset_and_half_open_span(store, make_predictions):
    risks = {key(asset, cutoff): 0.5 for asset in ("pump-1", "pump-2") for cutoff in range(6)}
    store.writer.commit_predictions([make_predictions(risks)], scored_at=DAY)

    tables = list(
        store.tables.predictions(asset="pump-2", since=hour(1), until=hour(5), rows_per_chunk=3)
    )

    assert [len(table) for table in tables] == [3, 1]
    assert all(table.schema == PREDICTIONS_SCHEMA for table in tables)
    assert [row["cutoff"] for row in rows_of(tables)] == [hour(n) for n in (1, 2, 3, 4)]
    assert {row["asset_id"] for row in rows_of(tables)} == {"pump-2"}


def test_a_span_without_an_asset_covers_all_of_them(store, make_predictions):
    risks = {key(asset, cutoff): 0.5 for asset in ("pump-2", "pump-1") for cutoff in range(4)}
    store.writer.commit_predictions([make_predictions(risks)], scored_at=DAY)

    since = list(by_key(rows_of(store.tables.predictions(since=hour(3)))))
    until = list(by_key(rows_of(store.tables.predictions(until=hour(1)))))

    assert since == [key("pump-1", 3), key("pump-2", 3)]
    assert until == [key("pump-1", 0), key("pump-2", 0)]


def test_cutoffs_wait_until_some_model_has_spoken_of_them(store, make_predictions):
    silent = make_predictions(
        {key(asset, at): None for asset in "ab" for at in range(6)}, version=0
    )
    silent = replace(silent, status=np.full(12, "no_model", dtype=object))
    store.writer.commit_predictions([silent], scored_at=DAY)
    store.writer.commit_predictions(
        [make_predictions({key("a", at, 72.0): 0.1 for at in (4, 5)})], scored_at=DAY
    )

    waiting = store.tables.cutoffs_without_model(hour(1))

    assert waiting == {"a": (hour(1), hour(3)), "b": (hour(1), hour(5))}
    assert store.tables.cutoffs_without_model(hour(6)) == {}


def test_watched_cutoffs_wait_for_the_first_failure_model_and_others_for_either(
    store, make_predictions
):
    of_a, of_b = ({key(asset, at): None for at in range(4)} for asset in "ab")
    deviations = {key("a", at): 0.5 for at in (0, 1)}
    watched = make_predictions(of_a, version=0, deviations=deviations, normal=1)
    silent = replace(make_predictions(of_b, version=0), status=np.full(4, "no_model", dtype=object))
    store.writer.commit_predictions([watched, silent], scored_at=DAY)

    for_failures = store.tables.cutoffs_without_model(hour(0))
    for_either = store.tables.cutoffs_without_model(hour(0), kind="normal")
    store.writer.commit_predictions([make_predictions({key("a", 3): 0.1})], scored_at=DAY)

    assert for_failures == {"a": (hour(0), hour(3)), "b": (hour(0), hour(3))}
    assert for_either == {"b": (hour(0), hour(3))}
    assert store.tables.cutoffs_without_model(hour(0))["a"] == (hour(0), hour(2))


@pytest.mark.parametrize(
    ("kind", "index"),
    [("failure", "predictions_without_failure_model"), ("normal", "predictions_no_model")],
)
def test_waiting_cutoffs_are_found_without_reading_all_that_was_said(tmp_path, kind, index):
    with open_store(f"sqlite:///{tmp_path}/pm.sqlite") as store:
        heard: list[Any] = []
        event.listen(
            store._database.engine, "before_cursor_execute", lambda *given: heard.append(given[2:4])
        )
        store.tables.cutoffs_without_model(DAY, kind=kind)
        statement, parameters = heard[-1]
        with store._database.engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()

    assert f"USING INDEX {index} (cutoff>?)" in plan[0].detail


def test_predictions_come_sorted_by_asset_cutoff_and_horizon(store, make_predictions):
    risks = {
        key(asset, cutoff, horizon): 0.5
        for asset in ("pump-2", "pump-10", "Pump-1")
        for cutoff in (9, 10, 100)
        for horizon in (24.0, 72.0, 100.0)
    }
    for each in risks:
        store.writer.commit_predictions([make_predictions({each: 0.5})], scored_at=DAY)

    assert list(by_key(stored_rows(store))) == sorted(risks)


keys = st.tuples(
    st.sampled_from(["pump-1", "pump-2"]),
    st.integers(0, 3).map(hour),
    st.sampled_from([24.0, 72.0]),
)
commits = st.lists(
    st.tuples(
        st.dictionaries(keys, st.none() | st.sampled_from([0.0, 0.25, 1.0]), max_size=8),
        st.integers(1, 2),
    ),
    max_size=5,
)


@settings(
    max_examples=25,
    deadline=None,
    # The store is emptied at the start of each example.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(commits=commits, rows_per_insert=st.integers(1, 5), from_file=st.booleans())
def test_the_tables_follow_a_plain_dictionary(
    store, make_predictions, tmp_path, commits, rows_per_insert, from_file
):
    _empty(store)
    current, history = {}, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "ROWS_PER_INSERT", rows_per_insert)
        for number, (risks, version) in enumerate(commits):
            chunk = make_predictions(risks, version=version)
            if from_file:
                write_staged(tmp_path / "staged", [chunk])
                store.writer.commit_staged(tmp_path / "staged", scored_at=hour(number))
            else:
                store.writer.commit_predictions([chunk], scored_at=hour(number))
            _say(current, history, risks, version, hour(number))

    latest = {key[::2]: key for key in sorted(current)}
    shown = {(key[0], key[2]): key for key in by_key(_all_latest(store))}
    assert _content(stored_rows(store)) == set(current.items())
    assert _content(rows_of(store.tables.superseded())) == {
        (key, content) for (key, _), content in history.items()
    }
    assert shown == latest
    assert _content(_all_latest(store)) == {(key, current[key]) for key in latest.values()}


def _say(current, history, risks, version, at):
    for each, risk in risks.items():
        old = current.get(each)
        if old is None:
            current[each] = (risk, version, 1, at)
        elif old[:2] != (risk, version):
            history[each, old[2]] = old
            current[each] = (risk, version, old[2] + 1, at)


def _content(rows):
    names = ("risk", "model_version", "revision", "scored_at")
    return {
        (
            (row["asset_id"], row["cutoff"], row["horizon_hours"]),
            tuple(row[name] for name in names),
        )
        for row in rows
    }


def _all_latest(store):
    with store._database.reading() as connection:
        return [dict(row._mapping) for row in connection.execute(latest_predictions.select())]


def _empty(store):
    with store._database.writing() as connection:
        for table in (predictions, prediction_history, latest_predictions):
            connection.execute(delete(table))


@pytest.mark.benchmark
@pytest.mark.parametrize("from_file", [False, True], ids=["said here", "brought in a file"])
def test_benchmark_of_commits(store, tmp_path, from_file):
    for label, seed, start in (
        ("new", 0, 0),
        ("unchanged", 0, 0),
        ("revised", 1, 0),
        ("new", 0, 1),
    ):
        chunk = _many(100_000, seed, start)
        write_staged(tmp_path / "staged", [chunk])
        began = time.process_time()
        if from_file:
            counts = store.writer.commit_staged(tmp_path / "staged", scored_at=DAY)
        else:
            counts = store.writer.commit_predictions([chunk], scored_at=DAY)
        seconds = time.process_time() - began
        print(
            f"{store._database.engine.dialect.name:12}{label:10}"
            f"{100_000 / seconds:10,.0f} rows a second here"
        )
        assert counts == CommitCounts(**{label: 100_000})


def _many(rows: int, seed: int, start: int) -> Predictions:
    rng, assets = np.random.default_rng(seed), 100
    step = np.tile(np.arange(rows // assets), assets) + start * rows
    columns = {
        name: rng.random(rows) for name in ("risk", "rul_hours", "rul_low_hours", "rul_high_hours")
    }
    return Predictions(
        assets=tuple(f"pump-{number:03d}" for number in range(assets)),
        asset=np.repeat(np.arange(assets, dtype=np.int32), rows // assets),
        cutoff=(1_700_000_000 + step // 2 * 600) * 10**9,
        horizon_hours=np.where(step % 2 == 0, 24.0, 72.0),
        status=np.full(rows, "scored", dtype=object),
        value=np.full(rows, np.nan),
        top_sensors=np.full(rows, "vibration 62 %, load 21 %", dtype=object),
        attention=np.full(rows, "", dtype=object),
        extrapolated=np.full(rows, np.nan),
        model_version=1,
        **columns,
    )


def revisions(store, **span):
    """What commits in a span said: asset, risk, revision, number of the commit."""
    names = ("asset_id", "risk", "revision", "commit_number")
    tables = store.tables.committed(**span, rows_per_chunk=2)
    return sorted(tuple(row[n] for n in names) for table in tables for row in table.to_pylist())


def test_commits_are_numbered_in_their_order_whatever_the_clock_says(store, make_predictions):
    first = make_predictions({("pump-1", DAY, 24.0): 0.2, ("pump-2", DAY, 24.0): 0.3})
    second = make_predictions({("pump-1", DAY, 24.0): 0.5, ("pump-2", DAY, 24.0): 0.3})
    assert store.tables.newest_commit() == 0
    store.writer.commit_predictions([first], scored_at=DAY)
    store.writer.commit_predictions([first], scored_at=hour(1))
    # Nothing was said, nothing is counted.
    assert store.tables.newest_commit() == 1
    store.writer.commit_predictions([second], scored_at=hour(-1))

    assert store.tables.newest_commit() == 2
    assert revisions(store, after=1, until=2) == [("pump-1", 0.5, 2, 2)]
    assert revisions(store, after=-1, until=1) == [("pump-1", 0.2, 1, 1), ("pump-2", 0.3, 1, 1)]
    assert len(revisions(store, after=-1, until=9)) == 3
    assert revisions(store, after=2, until=9) == []


def test_a_commit_that_fails_uses_no_number(store, make_predictions):
    def breaking():
        yield make_predictions({("pump-1", DAY, 24.0): 0.2})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.writer.commit_predictions(breaking(), scored_at=DAY)

    assert store.tables.newest_commit() == 0


def test_what_is_new_is_found_by_an_index(store, make_predictions):
    if store._database.engine.dialect.name != "sqlite":
        pytest.skip("how PostgreSQL finds rows depends on how many there are")
    asked = []
    event.listen(
        store._database.engine,
        "before_cursor_execute",
        lambda connection, cursor, statement, values, *rest: asked.append((statement, values)),
    )
    list(store.tables.committed(after=1, until=2))
    statement, values = asked[-1]
    with store._database.reading() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()

    found = " ".join(str(step) for step in plan)
    assert "predictions_commit_number" in found
    assert "prediction_history_commit_number" in found
    assert "SCAN" not in found
