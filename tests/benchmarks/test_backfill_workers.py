"""Two workers against one at scoring the past again.

    python -m pytest -m benchmark tests/benchmarks/test_backfill_workers.py -s

prints how long backfill takes in this process, and in turn with one worker and with two, and how
much processor time went to the workers and to the one process that writes the store: what one
writer needs is the bound of what many workers can gain. The goal of 1.7 holds on a machine that
has two cores for it alone, and a past that is long beside the second in which a worker starts:
PM_APP_BENCHMARK_ASSETS says of how many assets (default 600, six minutes in all).
"""

import hashlib
import os
import resource
import shutil
import time
from collections import defaultdict

import pytest
from factories import (
    NOW,
    REMEMBERING_TOML,
    drop,
    hour,
    make_plant,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
)
from factories import make_card as card_of

from connectors.engines import LocalEngine
from pm_app.jobs.backfill.run import backfill
from pm_app.jobs.ingest.run import ingest

ASSETS = int(os.environ.get("PM_APP_BENCHMARK_ASSETS", "600"))
HOURS, SENSORS, TIMES = 1500, 16, 3
SPEND = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def spent():
    """Seconds of the processor that this process and those it has waited for have used."""
    used = [resource.getrusage(who) for who in SPEND]
    return [one.ru_utime + one.ru_stime for one in used]


def timed(config, engine):
    """Wall seconds, processor seconds here and in workers, the rows said and their digest."""
    with opened(config) as plant:
        before, start = spent(), time.monotonic()
        backfill(plant, first=hour(0), last=hour(HOURS + 1), now=NOW, engine=engine)
        wall = time.monotonic() - start
        here, workers = (after - first for after, first in zip(spent(), before, strict=True))
        return wall, here, workers, *told(plant.store)


def told(store):
    """How many rows are said, and the digest of all that is said in them."""
    rows, digest = 0, hashlib.sha256()
    for table in store.tables.predictions():
        for row in table.drop_columns(["scored_at"]).to_pylist():
            digest.update(repr(row).encode())
            rows += 1
    return rows, digest.hexdigest()


@pytest.mark.benchmark
def test_two_workers_against_one(tmp_path):
    config = make_plant(tmp_path / "plant", toml=REMEMBERING_TOML)
    table = readings_table(assets=ASSETS, hours=HOURS, a_pane=1, sensors=SENSORS)
    drop(config, "all.parquet", table)
    with opened(config) as plant:
        promote_handmade(plant, card=card_of(make_spec(plant.settings, sensors=SENSORS)))
        ingest(plant, now=NOW)
    engines = {"in this process": None, "local:1": LocalEngine(1), "local:2": LocalEngine(2)}
    walls, tables = defaultdict(list), set()
    for number, name in enumerate(("in this process", *("local:1", "local:2") * TIMES)):
        copy = tmp_path / f"{number}"
        shutil.copytree(tmp_path / "plant", copy)
        wall, here, workers, *found = timed(copy / "plant.toml", engines[name])
        walls[name].append(wall)
        tables.add(tuple(found))
        print(
            f"{name:16} {wall:6.1f} s  processor: here {here:5.1f} s, workers "
            f"{workers:5.1f} s  {found[0]:,} rows"
        )
    gains = [one / two for one, two in zip(walls["local:1"], walls["local:2"], strict=True)]
    print(f"two workers against one: {min(gains):.2f} to {max(gains):.2f} times as fast")

    assert len(tables) == 1
    assert found[0] > ASSETS * HOURS
