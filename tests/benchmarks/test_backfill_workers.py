"""Two workers against one at scoring the past again.

    python -m pytest -m benchmark tests/benchmarks/test_backfill_workers.py -s

prints how long backfill takes in this process, with one worker and with two, and how much
processor time went to the workers and to the one process that writes the store: what one writer
needs is the bound of what many workers can gain. PM_APP_BENCHMARK_ASSETS says how many assets
(default 40); the goal of 1.7 holds on a machine that has two cores for it alone.
"""

import os
import resource
import shutil
import time

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
    said,
)
from factories import make_card as card_of

from connectors.engines import LocalEngine
from pm_app.jobs.backfill import backfill
from pm_app.jobs.ingest import ingest

ASSETS = int(os.environ.get("PM_APP_BENCHMARK_ASSETS", "40"))
HOURS, SENSORS = 1500, 16
SPEND = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def spent():
    """Seconds of the processor that this process and those it has waited for have used."""
    used = [resource.getrusage(who) for who in SPEND]
    return [one.ru_utime + one.ru_stime for one in used]


def timed(config, engine):
    """Wall seconds, processor seconds here and in workers, and what was said."""
    with opened(config) as site:
        before, start = spent(), time.monotonic()
        backfill(site, first=hour(0), last=hour(HOURS + 1), now=NOW, engine=engine)
        wall = time.monotonic() - start
        here, workers = (after - first for after, first in zip(spent(), before, strict=True))
        return wall, here, workers, said(site.store, without=["scored_at"])


@pytest.mark.benchmark
def test_two_workers_against_one(tmp_path):
    config = make_plant(tmp_path / "plant", toml=REMEMBERING_TOML)
    table = readings_table(assets=ASSETS, hours=HOURS, a_pane=1, sensors=SENSORS)
    drop(config, "all.parquet", table)
    with opened(config) as site:
        promote_handmade(site, card=card_of(make_spec(site.settings, sensors=SENSORS)))
        ingest(site, now=NOW)
    runs = {"in this process": None, "local:1": LocalEngine(1), "local:2": LocalEngine(2)}
    walls, tables = {}, []
    for name, engine in runs.items():
        copy = tmp_path / name.replace(":", "-").replace(" ", "-")
        shutil.copytree(tmp_path / "plant", copy)
        walls[name], here, workers, rows = timed(copy / "plant.toml", engine)
        tables.append(rows)
        print(
            f"{name:16} {walls[name]:6.1f} s  processor: here {here:5.1f} s, workers "
            f"{workers:5.1f} s  {len(rows):,} rows"
        )
    print(f"two workers against one: {walls['local:1'] / walls['local:2']:.2f} times as fast")

    assert tables[0] == tables[1] == tables[2]
    assert len(tables[0]) > ASSETS * HOURS
