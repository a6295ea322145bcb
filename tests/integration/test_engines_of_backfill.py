"""The past scored on engines: the same table as in one process, whoever dies meanwhile."""

import shutil
from dataclasses import replace
from functools import partial

import pytest
from dying import deaths, die_bringing_back, dying_worker
from factories import (
    NOW,
    REMEMBERING_TOML,
    drop,
    events_table,
    hour,
    opened,
    promote_handmade,
    readings_table,
    said,
)

from connectors.engines import LocalEngine, opened_engine
from pm_app.errors import BadSettings, TerminalError, TransientError
from pm_app.jobs.backfill import backfill
from pm_app.jobs.ground import Known
from pm_app.jobs.partition_worker import score_partition
from pm_app.jobs.partitions import ANSWER, split_spans
from pm_app.jobs.predict import Span
from pm_app.jobs.score import score

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
    with opened(config) as site:
        score(site, now=NOW)
        promote_handmade(site)
    alone = config.parent.parent / "alone"
    shutil.copytree(config.parent, alone)
    with opened(alone / "plant.toml") as site:
        counts = everything(site)
        return config, counts, said(site.store)


@pytest.fixture
def plant(grown, tmp_path):
    """A copy of that plant to score the past of."""
    shutil.copytree(grown[0].parent, tmp_path / "plant")
    return tmp_path / "plant" / "plant.toml"


def everything(site, engine=None, **more):
    return backfill(site, first=hour(0), last=hour(HOURS + 1), now=NOW, engine=engine, **more)


def assert_same(config, grown, engine):
    """As in one process, and nothing left behind."""
    _, counts, expected = grown
    with opened(config) as site:
        done = everything(site, engine)
        found = said(site.store)
        left = site.settings.state / "backfill"

    assert done == counts
    assert done.new + done.revised > 5 * HOURS
    assert found == expected
    assert not left.exists()


def test_two_processes_say_what_one_says(plant, grown):
    told = []
    with opened(plant) as site:
        done = everything(site, LocalEngine(2), progress=lambda share, text: told.append(share))
        assert said(site.store) == grown[2]

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
    with opened(plant) as site:
        with pytest.raises(TerminalError, match="local:1: scoring pump-0.* lost its worker 3 time"):
            everything(site, engine)
        kept = said(site.store)
        again = everything(site)
        whole = said(site.store)

    # What others did before stays, and the next run says the rest.
    assert deaths(marker) == 3
    assert any(row in grown[2] for row in kept)
    assert again.unchanged > 0
    assert whole == grown[2]


def test_segments_that_are_gone_are_rebuilt_by_the_one_who_asked(plant, grown):
    for folder in ("panes", "events"):
        for path in (plant.parent / "state" / folder).iterdir():
            path.unlink()

    assert_same(plant, grown, LocalEngine(2))


def test_a_cluster_says_what_one_process_says_though_a_worker_is_killed(plant, grown, tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs pip install pm-app[cluster]")
    marker = str(tmp_path / "death")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
        ) as cluster,
        opened_engine(cluster.scheduler_address.replace("tcp://", "dask://")) as engine,
    ):
        assert engine.width == 2
        engine.client.run(die_bringing_back, marker, 1)
        assert_same(plant, grown, engine)

    assert deaths(marker) == 1


def test_a_worker_that_cannot_see_the_state_folder_says_where_it_looked(tmp_path):
    answer = ANSWER.validate_json(score_partition(str(tmp_path / "backfill"), 0))

    assert answer.kind == "BadSettings"
    assert "state folder under the same path" in answer.error
    assert str(tmp_path / "backfill" / "order.json") in answer.error


@pytest.mark.parametrize("name", ["", "local:0", "local:x", "spark://x", "dask:/x", "dask://x"])
def test_an_engine_that_is_none_is_told(name):
    kinds = (BadSettings, TransientError)
    with pytest.raises(kinds, match="engine takes|no scheduler"), opened_engine(name):
        pass


def test_a_scheduler_that_is_not_there_is_told(free_port):
    with (
        pytest.raises(TransientError, match="no scheduler of dask answers there"),
        opened_engine(f"dask://127.0.0.1:{free_port}"),
    ):
        pass
