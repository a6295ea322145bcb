"""How fast a server makes the fleet page over a large store, while a scorer writes into it.

The server is `pm-app serve`, the scorer commits a cutoff of the whole fleet again and again, each
a process of its own. PM_APP_PAGES_ASSETS and PM_APP_PAGES_CUTOFFS set the size: 5000 and 1000 are
ten million predictions.
"""

import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from factories import PLANT_TOML, make_plant

from pm_app.records.predictions import Predictions
from pm_app.settings.plant import read_settings
from pm_app.store import open_store
from pm_app.store.schema.predictions import PREDICTION_COLUMNS
from pm_app.wiring import store_url

ASSETS = int(os.environ.get("PM_APP_PAGES_ASSETS", "500"))
CUTOFFS = int(os.environ.get("PM_APP_PAGES_CUTOFFS", "100"))
START = datetime(2026, 1, 1, tzinfo=UTC)
PROMISED_SECONDS = 0.1
LOOKS, READERS, PATIENCE_SECONDS = 60, 50, 30.0
ADDRESSES = (
    "/fleet?page={page}",
    "/fleet?order=life&direction=up&page={page}",
    "/fleet?search=9&page={page}",
    "/fleet?level=raised&page={page}",
)


def rows(cutoffs: range) -> Iterator[tuple[object, ...]]:
    """Rows of the predictions table in the order of its key."""
    rng = np.random.default_rng(0)
    instants = [
        (START + timedelta(minutes=10 * n)).strftime("%Y-%m-%dT%H:%M:%S.000000Z") for n in cutoffs
    ]
    for asset in range(ASSETS):
        risks = rng.beta(1, 6, len(cutoffs)).round(4)
        for instant, risk in zip(instants, risks, strict=True):
            for hours in (24.0, 72.0):
                told = (risk * hours / 72, 100 * (1 - risk), 50 * (1 - risk), 150 * (1 - risk))
                last = (None, "vibration 62 %, load 21 %", 1, 1, instant, "", 0.0)
                yield (f"pump-{asset:05d}", instant, hours, "scored", *map(float, told), *last)


def fill(settings) -> None:
    """Rows of the past, by the shortest way."""
    open_store(store_url(settings), folder=settings.folder).close()
    marks = ", ".join("?" * len(PREDICTION_COLUMNS))
    with sqlite3.connect(settings.state / "pm.sqlite") as connection:
        for table, cutoffs in (
            ("predictions", range(CUTOFFS)),
            ("latest_predictions", range(CUTOFFS - 1, CUTOFFS)),
        ):
            into = f"INSERT INTO {table} ({', '.join(PREDICTION_COLUMNS)}) VALUES ({marks})"
            connection.executemany(into, rows(cutoffs))
    connection.close()


def keep_writing(config: str) -> None:
    """Commit one cutoff of every asset after the other, for ever."""
    settings, rng = read_settings(Path(config)), np.random.default_rng(1)
    with open_store(store_url(settings), folder=settings.folder) as store:
        for number in range(CUTOFFS, 10**9):
            at = START + timedelta(minutes=10 * number)
            store.writer.commit_predictions([_said(at, rng.beta(1, 6, ASSETS))], scored_at=at)
            print(number, flush=True)
            time.sleep(0.5)


def _said(at: datetime, risks) -> Predictions:
    names = tuple(f"pump-{number:05d}" for number in range(ASSETS))
    twice = np.repeat(risks, 2)
    return Predictions(
        assets=names,
        asset=np.repeat(np.arange(ASSETS, dtype=np.int32), 2),
        cutoff=np.full(2 * ASSETS, int(at.timestamp()) * 10**9, dtype=np.int64),
        horizon_hours=np.tile([24.0, 72.0], ASSETS),
        status=np.full(2 * ASSETS, "scored", dtype=object),
        risk=twice,
        rul_hours=100 * (1 - twice),
        rul_low_hours=50 * (1 - twice),
        rul_high_hours=150 * (1 - twice),
        value=np.full(2 * ASSETS, np.nan),
        top_sensors=np.full(2 * ASSETS, "vibration 62 %, load 21 %", dtype=object),
        attention=np.full(2 * ASSETS, "", dtype=object),
        extrapolated=np.zeros(2 * ASSETS),
        model_version=1,
    )


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A process of our own, ended at the end."""
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def serving(config: str) -> Iterator[httpx.Client]:
    """A client of `pm-app serve`, which is a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    limits = httpx.Limits(max_connections=READERS)
    with (
        running("-m", "pm_app", "serve", "-c", config, "--listen", address),
        httpx.Client(
            base_url=f"http://{address}", timeout=PATIENCE_SECONDS, limits=limits
        ) as client,
    ):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                client.get("/sign-in")
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        yield client


def look(client: httpx.Client, address: str) -> float:
    """Seconds that the server took over a page, as it says."""
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return float(answer.headers["server-timing"].partition("dur=")[2]) / 1000


@pytest.mark.benchmark
def test_the_fleet_page_is_made_in_a_tenth_of_a_second_while_the_scorer_writes(tmp_path):
    config = make_plant(tmp_path, toml=f"{PLANT_TOML}\n[web]\nopen = true\n")
    fill(read_settings(config))
    here = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")]
    writer = f"import sys; sys.path[:0] = {here!r}; "
    writer += f"from test_pages_speed import keep_writing; keep_writing({str(config)!r})"

    with serving(str(config)) as client, running("-c", writer) as scorer:
        assert scorer.stdout is not None and scorer.stdout.readline()
        # Another page each time: what is asked for twice is remembered for two seconds.
        taken = {
            address: [look(client, address.format(page=1 + n)) for n in range(LOOKS)]
            for address in ADDRESSES
        }
        began = time.perf_counter()
        with ThreadPoolExecutor(READERS) as readers:
            waits = list(readers.map(lambda _: look(client, "/fleet"), range(4 * READERS)))
        rush = time.perf_counter() - began
        scorer.terminate()
        written = len(scorer.stdout.read().split())

    print(
        f"\n{ASSETS:,} assets, {2 * ASSETS * CUTOFFS:,} predictions, load {os.getloadavg()[0]:.1f}"
    )
    for address, seconds in taken.items():
        middle, slow = np.quantile(seconds, [0.5, 0.95])
        print(f"{address}: median {1000 * middle:.0f} ms, p95 {1000 * slow:.0f} ms")
    print(
        f"{READERS} readers at once: {len(waits)} pages in {rush:.1f} s, none refused, the slowest "
        f"{1000 * max(waits):.0f} ms; meanwhile {written} commits of {2 * ASSETS:,} predictions"
    )
    assert written > 1
    assert np.quantile(np.concatenate(list(taken.values())), 0.95) <= PROMISED_SECONDS
