"""A plant that gets a small file at a time, for a long time: what each costs, and what stays.

    python -m pytest -m slow tests/benchmarks/test_soak.py -s

prints the time of a look, that of its processor, and the memory of the process as files add up.
Looking through the folder asks the system for the size of every file in it, so that part of a
look grows with them: it is told apart, and the rest must not grow.
PM_APP_SOAK_BATCHES says how many files (default 10,000).
"""

import os
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from factories import NOW, PLANT_TOML, drop, make_plant, opened, promote_handmade, readings_table

from pm_app.jobs.score import score

BATCHES = int(os.environ.get("PM_APP_SOAK_BATCHES", "10000"))
ASSETS = 30
# Until then caches fill; each time is that of so many files.
WARM_UP, SPAN = min(500, BATCHES // 4), max(BATCHES // 10, 1)
MOST_GROWTH = 20_000_000
# Of the processor: a disk that others use as well has times of its own.
MOST_SLOWER = 1.2


def resident_bytes():
    """Memory of this process that is not swapped out."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def listing_seconds(site):
    """Processor time of looking through the folder once, the least of a few."""

    def once():
        start = time.process_time()
        for _ in site.readings.list():
            pass
        return time.process_time() - start

    return min(once() for _ in range(5))


def tell(number, times, memory, listing):
    look, busy = 1000 * np.median(times[-SPAN:], axis=0)
    print(
        f"{number:>7,} files: {look:6.1f} ms a look, {busy:5.1f} busy, {1000 * listing:5.1f} of it "
        f"listing, {memory / 1e6:6.1f} MB"
    )


@pytest.mark.slow
def test_a_long_life_neither_grows_nor_slows(tmp_path):
    config = make_plant(tmp_path / "plant", toml=PLANT_TOML)
    times, memory, listings = [], [], []
    with opened(config) as site:
        promote_handmade(site)
        for number in range(BATCHES):
            table = readings_table(assets=ASSETS, hours=1, first_hour=number, missing=0, a_pane=1)
            drop(config, f"{number:06d}.parquet", table)
            start = time.perf_counter(), time.process_time()
            score(site, now=NOW + timedelta(hours=number))
            times.append((time.perf_counter() - start[0], time.process_time() - start[1]))
            memory.append(resident_bytes())
            if (number + 1) % SPAN == 0 or number + 1 == WARM_UP:
                listings.append(listing_seconds(site))
                tell(number + 1, times, memory[-1], listings[-1])
    busy = np.array(times)[:, 1]
    early, late = np.median(busy[WARM_UP : WARM_UP + SPAN]), np.median(busy[-SPAN:])
    slower = (late - listings[-1]) / (early - listings[0])
    growth = memory[-1] - memory[WARM_UP]
    print(
        f"since file {WARM_UP:,}: {growth / 1e6:+.1f} MB, {slower:.2f} times as long busy but for "
        f"listing, which takes {1e6 * listings[-1] / BATCHES:.1f} microseconds a file"
    )

    assert growth < MOST_GROWTH
    assert slower < MOST_SLOWER
