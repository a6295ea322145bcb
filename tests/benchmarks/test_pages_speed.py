"""How fast the server makes the fleet page over a large store.

PM_APP_PAGES_ASSETS and PM_APP_PAGES_CUTOFFS set the size: 5000 and 1000 are ten million rows.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pytest
from browsing import doors
from factories import make_plant

from pm_app.settings import read_settings
from pm_app.store import open_store
from pm_app.store.schema import PREDICTION_COLUMNS
from pm_app.web.app import make_app
from pm_app.wiring import store_url

ASSETS = int(os.environ.get("PM_APP_PAGES_ASSETS", "500"))
CUTOFFS = int(os.environ.get("PM_APP_PAGES_CUTOFFS", "100"))
START = datetime(2026, 1, 1, tzinfo=UTC)
PROMISED_SECONDS = 0.1
LOOKS = 60
ADDRESSES = (
    "/fleet",
    "/fleet?page=3",
    "/fleet?order=life&direction=up",
    "/fleet?search=9",
    "/fleet?level=raised",
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
                last = (None, "vibration 62 %, load 21 %", 1, 1, instant, "")
                yield (f"pump-{asset:05d}", instant, hours, "scored", *map(float, told), *last)


@pytest.mark.benchmark
def test_the_fleet_page_is_made_in_a_tenth_of_a_second(tmp_path):
    settings = read_settings(make_plant(tmp_path))
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
    app = make_app(
        settings,
        doors(settings),
        now=lambda: START + timedelta(minutes=10 * CUTOFFS),
    )

    taken = asyncio.run(_looks(app))

    print(f"\n{ASSETS:,} assets, {2 * ASSETS * CUTOFFS:,} predictions")
    for address, seconds in taken.items():
        middle, slow = np.quantile(seconds, [0.5, 0.95])
        print(f"{address}: median {1000 * middle:.0f} ms, p95 {1000 * slow:.0f} ms")
    assert np.quantile(np.concatenate(list(taken.values())), 0.95) <= PROMISED_SECONDS


async def _looks(app) -> dict[str, list[float]]:
    transport = httpx.ASGITransport(app)
    taken: dict[str, list[float]] = {address: [] for address in ADDRESSES}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        for _ in range(LOOKS):
            for address, seconds in taken.items():
                began = time.perf_counter()
                answer = await client.get(address)
                seconds.append(time.perf_counter() - began)
                assert answer.status_code == 200
    return taken
