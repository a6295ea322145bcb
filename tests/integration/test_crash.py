"""Law 4: killed at any instant, scoring loses nothing and says nothing twice."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from factories import NOW, drop, events_table, opened, readings_table, said

from pm_app.jobs.score import score

SHOTS = 5  # of each kind
HOUR = timedelta(hours=1)
KILLING = Path(__file__).parents[1] / "killing.py"
EVENTS = events_table([("pump-00", 5.5, "failure", ""), ("pump-01", 9.0, "maintenance", "seal")])
LATE_EVENTS = events_table([("pump-02", 3.0, "failure", "")])


@pytest.fixture
def started(new_plant):
    """A factory of plants that have said something, with a late file, new ones and events."""
    table = readings_table()
    part = (np.arange(len(table)) // 10) % 5

    def make():
        files = {f"{at}.parquet": table.filter(pa.array(part == at)) for at in range(5)}
        late = files.pop("2.parquet")
        config = new_plant(files, events={"e.parquet": EVENTS})
        with opened(config) as site:
            score(site, now=NOW)
        drop(config, "2.parquet", late)
        drop(config, "export.parquet", table.slice(0, 150))
        drop(config, "new.parquet", readings_table(first_hour=30, hours=20, seed=1))
        drop(config, "late.parquet", LATE_EVENTS, source="events")
        return config

    return make


def outcome(config):
    """All that is said and noted, but for when."""
    with opened(config) as site:
        ledger = [
            (row.source, row.name, row.status, row.rows, row.reason, row.scored_at is None)
            for row in site.store.ledger.batches()
        ]
        superseded = [row for table in site.store.views.superseded() for row in table.to_pylist()]
        latest = site.store.views.latest_predictions().drop_columns("scored_at")
        files = {path.name for path in site.history.folder.iterdir()}
        files |= {path.name for path in site.event_history.folder.iterdir()}
        assert files == site.store.ledger.segments()
        assert site.store.ledger.unscored_batches() == []
        return said(site.store, without=["scored_at"]), superseded, latest, ledger


@pytest.mark.parametrize("begun", [False, True], ids=["from nothing", "with history"])
def test_a_killed_score_run_again_says_what_an_undisturbed_one_says(started, new_plant, begun):
    table = readings_table()
    make = (
        started
        if begun
        else lambda: new_plant(
            {f"{at}.parquet": table.slice(50 * at, 50) for at in range(5)},
            events={"e.parquet": EVENTS},
        )
    )
    plants = [make() for _ in range(2 * (SHOTS + 1))]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(KILLING), *map(str, plants)]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    with opened(undisturbed := make()) as site:
        score(site, now=NOW + HOUR)
    expected = outcome(undisturbed)
    assert bool(expected[1]) == begun

    for config in plants:
        with opened(config) as site:
            score(site, now=NOW + HOUR)
        assert outcome(config) == expected
