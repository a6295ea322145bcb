"""How fast the server makes the pages of an asset with two years behind it and of a long ledger.

python -m pytest -m benchmark tests/benchmarks/test_views_speed.py -s
"""

import statistics
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from browsing import ask, open_to_all, resources
from factories import HOUR, START, hour, make_plant, opened, promote_handmade, readings_table
from sqlalchemy import insert

from pm_app.jobs.ingest.run import ingest
from pm_app.records.predictions import Predictions
from pm_app.settings.plant import read_settings
from pm_app.store.schema.ledger import batches
from pm_app.web.app import make_app

HOURS = 2 * 365 * 24
SENSORS = 20
FILES = 100_000
TIMES = 7
NOW = datetime(2027, 1, 1, tzinfo=UTC)
PROMISED_SECONDS = 2.0
ADDRESSES = (
    "/assets/pump-00?days=30",
    "/assets/pump-00?days=730",
    "/assets/pump-00?days=730&sensors=all",
    "/models",
    "/data",
)


def said_every_hour(asset: str) -> Predictions:
    """Two horizons at every hour of two years, a risk that wanders."""
    rng = np.random.default_rng(0)
    count = 2 * HOURS
    risk = np.abs(np.cumsum(rng.normal(0, 0.02, count))) % 1.0
    words = np.array(["sensor-1 62 %, sensor-2 21 %"] * count, dtype=object)
    return Predictions(
        assets=(asset,),
        asset=np.zeros(count, dtype=np.int32),
        cutoff=np.repeat(START + HOUR * (1 + np.arange(HOURS)), 2),
        horizon_hours=np.tile([24.0, 72.0], HOURS),
        status=np.array(["scored"] * count, dtype=object),
        risk=risk,
        rul_hours=240 * (1 - risk),
        rul_low_hours=100 * (1 - risk),
        rul_high_hours=240 * (1 - 0.9 * risk),
        value=np.full(count, np.nan),
        top_sensors=words,
        attention=np.array([""] * count, dtype=object),
        extrapolated=np.zeros(count),
        model_version=1,
    )


def old_files(count: int) -> list[dict[str, object]]:
    """Rows of the ledger for files of ten minutes each, long ago."""
    start = hour(0) - timedelta(minutes=10 * count)
    told = {"source": "readings", "size_bytes": 1, "rows": 100, "rejected": 0, "settled": 1}
    told |= {"status": "ingested", "reason": "", "segments": []}
    return [
        told
        | {"name": f"{number}.parquet", "digest": f"{number}", "modified_ns": number}
        | {name: start + timedelta(minutes=10 * number) for name in ("first_time", "last_time")}
        | {name: start + timedelta(minutes=10 * number) for name in ("ingested_at", "scored_at")}
        for number in range(count)
    ]


@pytest.mark.benchmark
def test_two_years_of_an_asset_are_shown_in_two_seconds(tmp_path):
    table = readings_table(assets=2, hours=HOURS, sensors=SENSORS, a_pane=1)
    config = make_plant(tmp_path, {"a.parquet": table})
    with opened(config) as plant:
        with plant.store._database.writing() as connection:
            connection.execute(insert(batches), old_files(FILES))
        ingest(plant, now=NOW)
        promote_handmade(plant)
        said = [said_every_hour("pump-00")]
        plant.store.writer.commit_predictions(said, scored_at=NOW)
    settings = read_settings(config)
    app = make_app(open_to_all(settings), resources(settings), now=lambda: NOW)

    print(f"\n{2 * HOURS:,} predictions and {HOURS:,} panes of {SENSORS} sensors; {FILES:,} files")
    for address in ADDRESSES:
        seconds = []
        for _ in range(TIMES):
            began = time.perf_counter()
            answer = ask(app, address)
            seconds.append(time.perf_counter() - began)
            assert answer.status_code == 200
        size = len(answer.content) / 1000
        print(f"{address}: median {1000 * statistics.median(seconds):.0f} ms, {size:.0f} kB")
        assert statistics.median(seconds) < PROMISED_SECONDS
