"""The past scored on engines: the same table as in one process, whoever dies meanwhile."""

import platform
import resource
import shutil
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from dying_workers import deaths, die_bringing_back, dying_worker
from factories import (
    NOW,
    REMEMBERING_TOML,
    drop,
    events_table,
    hour,
    make_card_with_modes,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)
from pydantic import TypeAdapter

from connectors.engines import LocalEngine, opened_engine
from pm_app.errors import BadSettings, TerminalError, TransientError
from pm_app.jobs.backfill.run import backfill
from pm_app.jobs.backfill.workers import score_partition, split_spans
from pm_app.jobs.score.frames import PaneSpan
from pm_app.jobs.score.run import score
from pm_app.jobs.workers import dispatch as dispatch_module
from pm_app.jobs.workers.protocol import TaskAnswer
from pm_app.jobs.workers.snapshot import take_snapshot

ASSETS, HOURS = 6, 200
TABLE = readings_table(assets=ASSETS, hours=HOURS, a_pane=1)
EVENTS = events_table(
    [
        ("pump-00", 40.5, "failure", ""),
        ("pump-00", 44.2, "maintenance", "seal"),
        ("pump-03", 150.0, "failure", ""),
        ("pump-04", 90.0, "error", "trip"),
    ]
)


@pytest.fixture(scope="module")
def grown(tmp_path_factory):
    """A plant whose champion looks back on lives, and what one process says of its past."""
    config = tmp_path_factory.mktemp("grown") / "plant" / "plant.toml"
    for name in ("readings", "events"):
        (config.parent / name).mkdir(parents=True)
    config.write_text(REMEMBERING_TOML)
    drop(config, "a.parquet", TABLE.slice(0, 900))
    drop(config, "b.parquet", TABLE.slice(900))
    drop(config, "e.parquet", EVENTS, source="events")
    with opened(config) as live:
        score(live, now=NOW)
        promote_handmade(live, card=make_card_with_modes(make_spec(live.settings)))
    alone = config.parent.parent / "alone"
    shutil.copytree(config.parent, alone)
    with opened(alone / "plant.toml") as live:
        counts = everything(live)
        return config, counts, said(live.store)


@pytest.fixture
def plant(grown, tmp_path):
    """A copy of that plant to score the past of."""
    shutil.copytree(grown[0].parent, tmp_path / "plant")
    return tmp_path / "plant" / "plant.toml"


def everything(live, engine=None, **more):
    return backfill(live, first=hour(0), last=hour(HOURS + 1), now=NOW, engine=engine, **more)


@pytest.fixture
def dask_cluster():
    """Two workers and a scheduler on this machine."""
    distributed = pytest.importorskip("distributed", reason="needs pm-app[cluster]")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        yield cluster


def assert_same(config, grown, engine):
    """As in one process, and nothing left behind."""
    _, counts, expected = grown
    with opened(config) as live:
        done = everything(live, engine)
        found = said(live.store)
        left = list(live.settings.state.glob(".backfill-*"))

    assert done == counts
    assert done.new + done.revised > 5 * HOURS
    assert found == expected
    assert not left


def test_two_processes_say_what_one_says(plant, grown):
    told = []
    with opened(plant) as live:
        done = everything(live, LocalEngine(2), progress=lambda share, text: told.append(share))
        assert said(live.store) == grown[2]

    assert done == grown[1]
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) >= ASSETS


def test_a_process_that_is_killed_costs_its_partition_another_try(plant, grown, tmp_path):
    marker = str(tmp_path / "death")
    engine = LocalEngine(2, prepare=partial(dying_worker, marker, 1))

    assert_same(plant, grown, engine)
    assert deaths(marker) == 1


def test_a_partition_that_kills_every_worker_is_given_up_by_name(plant, grown, tmp_path):
    marker = str(tmp_path / "death")
    engine = LocalEngine(1, prepare=partial(dying_worker, marker, 99, "000001-"))
    with opened(plant) as live:
        with pytest.raises(TerminalError, match="local:1: scoring pump-0.* lost its worker 3 time"):
            everything(live, engine)
        kept = said(live.store)
        again = everything(live)
        whole = said(live.store)

    # What others did before stays, and the next run says the rest.
    assert deaths(marker) == 3
    assert any(row in grown[2] for row in kept)
    assert again.unchanged > 0
    assert whole == grown[2]


def test_segments_that_are_gone_are_rebuilt_by_the_one_who_asked(plant, grown):
    for folder in ("panes", "events"):
        for path in (plant.parent / "state" / folder).iterdir():
            path.unlink()

    assert_same(plant, grown, LocalEngine(1))


def test_a_cluster_says_what_one_process_says_though_a_worker_is_killed(
    plant, grown, dask_cluster, tmp_path
):
    marker = str(tmp_path / "death")
    with opened_engine(dask_cluster.scheduler_address.replace("tcp://", "dask://")) as engine:
        assert engine.width == 2
        engine.client.run(die_bringing_back, marker, 1)
        assert_same(plant, grown, engine)

    assert deaths(marker) == 1


def test_a_worker_that_cannot_see_the_state_folder_says_where_it_looked(tmp_path):
    answer = TypeAdapter(TaskAnswer).validate_json(score_partition(str(tmp_path / "run"), 0))

    assert answer.kind == "BadSettings"
    assert "state folder under the same path" in answer.error
    assert str(tmp_path / "run" / "request.json") in answer.error


@pytest.mark.parametrize("name", ["", "local:0", "local:x", "spark://x", "dask:/x"])
def test_an_engine_that_is_none_is_told(name):
    with pytest.raises(BadSettings, match='engine takes "local"'), opened_engine(name):
        pass


def test_a_scheduler_that_is_not_there_is_told(monkeypatch):
    cluster = pytest.importorskip("connectors.engines.cluster", reason="needs pm-app[cluster]")
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.2)
    with (
        pytest.raises(TransientError, match="no scheduler of dask answers there"),
        opened_engine("dask://127.0.0.1:9"),
    ):
        pass


def test_a_snapshot_of_the_ledger_answers_as_the_stores_does(grown):
    with opened(grown[0]) as live:
        ledger = live.ledger
        snapshot = take_snapshot(ledger)
        assert len(snapshot.readings) == 2
        for one in (ledger, snapshot):
            assert one.first_seen() == snapshot.first
            assert one.last_seen() == snapshot.last
            assert one.digests({1, 2, 99}) == ledger.digests({1, 2, 99})
        for source in ("readings", "events"):
            assert snapshot.ingested_batches(source) == ledger.ingested_batches(source)
            assert snapshot.newest_batch(source) == ledger.newest_batch(source)
            for at in (-10, 0, 60, HOURS, 2 * HOURS):
                spans = (source, hour(at), hour(at + 1))
                assert snapshot.batches_overlapping(*spans) == ledger.batches_overlapping(*spans)
                for sequence in (0, 1, 2):
                    after, until = (source, sequence), {"until": hour(at)}
                    expected = ledger.ingested_after(*after, **until)
                    assert snapshot.ingested_after(*after, **until) == expected


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("lengths", [[], [1], [5, 1, 1, 1], [1] * 30, [60_000, 60_000, 5]])
def test_partitions_hold_every_asset_once_and_are_of_like_size(lengths, workers):
    spans = {f"pump-{at:02d}": PaneSpan(7, 6 + length) for at, length in enumerate(lengths)}

    parts = split_spans(spans, workers=workers)

    assert [name for part in parts for name in part] == sorted(spans)
    assert {name: span for part in parts for name, span in part.items()} == spans
    fair = -(-sum(lengths) // (4 * workers))
    sizes = [sum(span.last - span.first + 1 for span in part.values()) for part in parts]
    assert all(size < fair + max(lengths) for size in sizes)
    assert len(parts) <= max(4 * workers, sum(lengths) / 50_000 + 1) if lengths else not parts


class EmptyEngine:
    """An engine whose workers have all gone, its futures never ending."""

    name, lanes, width, lost = "nowhere", 1, 2, (OSError,)

    def open(self):
        return self

    def submit(self, *task):
        return Future()

    def shutdown(self, wait):
        assert not wait

    def workers(self):
        return 0


def test_an_engine_without_workers_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(dispatch_module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(dispatch_module, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(dispatch_module, "GRACE_SECONDS", 0.01)
    beats = []
    tasks = dispatch_module.Tasks(score_partition, Path(), range(3), str)
    come = dispatch_module.dispatch(EmptyEngine(), tasks, beat=lambda: beats.append(1))

    with pytest.raises(TransientError, match="nowhere: no worker is left for"):
        list(come)
    assert len(beats) > 1


_BLOCK = 2_000_000


def faults_of_large_blocks():
    """How many pages the kernel had to find for 20 blocks of 16 MB, one after the other."""
    np.ones(_BLOCK)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(_BLOCK)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_worker_keeps_the_memory_it_has_freed():
    with LocalEngine(1).open() as executor:
        faults = executor.submit(faults_of_large_blocks).result()

    assert faults < 100
