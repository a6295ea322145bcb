"""A plant that gets a small file at a time, for a long time: what each costs, and what stays.

    python -m pytest -m slow tests/benchmarks/test_soak.py -s

prints the time of a look, that of its processor, and the memory of the process as files add up.
Looking through the folder asks the system for the size of every file in it, so that part of a
look grows with them: it is told apart, and the rest must not grow.
PM_APP_SOAK_BATCHES says how many files (default 10,000).
"""

import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from factories import NOW, PLANT_TOML, drop, make_plant, opened, promote_handmade, readings_table

from pm_app.jobs.score.run import score

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


class Timed:
    """A source whose listing is timed, in seconds of the processor."""

    def __init__(self, source):
        self._source, self.seconds = source, 0.0

    def __getattr__(self, name):
        return getattr(self._source, name)

    def list(self):
        """As the source, all at once."""
        start = time.process_time()
        found = list(self._source.list())
        self.seconds += time.process_time() - start
        return iter(found)


def tell(number, times, memory):
    look, busy, listing = 1000 * np.median(times[-SPAN:], axis=0)
    print(
        f"{number:>7,} files: {look:6.1f} ms a look, {busy:5.1f} busy, {listing:5.1f} more "
        f"listing, {memory / 1e6:6.1f} MB"
    )


@pytest.mark.slow
def test_a_long_life_neither_grows_nor_slows(tmp_path):
    config = make_plant(tmp_path / "plant", toml=PLANT_TOML)
    times, memory = [], []
    with opened(config) as live:
        plant = replace(live, readings=Timed(live.readings))
        promote_handmade(plant)
        for number in range(BATCHES):
            table = readings_table(assets=ASSETS, hours=1, first_hour=number, missing=0, a_pane=1)
            drop(config, f"{number:06d}.parquet", table)
            start, plant.readings.seconds = (time.perf_counter(), time.process_time()), 0.0
            score(plant, now=NOW + timedelta(hours=number))
            look, busy = time.perf_counter() - start[0], time.process_time() - start[1]
            times.append((look, busy - plant.readings.seconds, plant.readings.seconds))
            memory.append(resident_bytes())
            if (number + 1) % SPAN == 0 or number + 1 == WARM_UP:
                tell(number + 1, times, memory[-1])
    _, busy, listing = np.array(times).T
    slower = np.median(busy[-SPAN:]) / np.median(busy[WARM_UP : WARM_UP + SPAN])
    growth = memory[-1] - memory[WARM_UP]
    print(
        f"since file {WARM_UP:,}: {growth / 1e6:+.1f} MB, {slower:.2f} times as long busy but for "
        f"listing, which takes {1e6 * np.median(listing[-SPAN:]) / BATCHES:.1f} microseconds a file"
    )

    assert growth < MOST_GROWTH
    assert slower < MOST_SLOWER
