"""More files than can be scored in time: what waits is told exactly, memory stays, all is said."""

import tracemalloc
from datetime import timedelta

from factories import NOW, drop, opened, readings_table, said

from pm_app.daemon.status import count_backlog
from pm_app.jobs.score.run import score

USUAL, FLOOD = 1, 10
# Files that can be taken in between two looks.
PACE = 3
WHEN = ["scored_at", "revision"]
BEFORE, DURING, AFTER = 10, 20, 3


def pieces():
    """Small files of four assets, in order of time, as many as come in all."""
    count = USUAL * (BEFORE + AFTER) + FLOOD * DURING
    table = readings_table(hours=count // 4, a_pane=4, missing=0).sort_by("timestamp")
    size = len(table) // count
    return [table.slice(at * size, size) for at in range(count)]


def after(asks):
    """Something that says stop once it was asked so many times."""
    left = [asks]

    def stop():
        left[0] -= 1
        return left[0] < 0

    return stop


def test_ten_times_the_rate_waits_in_order_is_counted_and_drains(new_plant):
    files = {f"{at:04d}.parquet": table for at, table in enumerate(pieces())}
    coming = iter(files.items())
    config, peaks, longest = new_plant(), {USUAL: 0, FLOOD: 0}, 0
    tracemalloc.start()
    with opened(config) as plant:
        dropped = 0
        for look, rate in enumerate([USUAL] * BEFORE + [FLOOD] * DURING + [USUAL] * AFTER):
            for _ in range(rate):
                name, table = next(coming)
                drop(config, name, table)
                dropped += 1
            tracemalloc.reset_peak()
            at = tracemalloc.get_traced_memory()[0]
            now = NOW + timedelta(minutes=look)
            score(plant, now=now, stop=after(PACE))
            peak = tracemalloc.get_traced_memory()[1] - at
            peaks[rate] = max(peaks[rate], peak) if look > 1 else 0
            read = plant.store.ledger.batches()
            waits = count_backlog(plant.store, plant.readings, plant.events)
            assert waits.unread_readings == dropped - len(read)
            assert waits.unscored == sum(row.scored_at is None for row in read)
            longest = max(longest, waits.unread_readings)
        tracemalloc.stop()
        score(plant, now=NOW)
        waits = count_backlog(plant.store, plant.readings, plant.events)

        assert (waits.unread_readings, waits.unscored, waits.quarantined) == (0, 0, 0)
        assert longest > DURING * FLOOD // 2
        assert peaks[FLOOD] < 2 * peaks[USUAL]
        flooded = said(plant.store, without=WHEN)
    with opened(new_plant(files)) as plant:
        score(plant, now=NOW)

        assert said(plant.store, without=WHEN) == flooded
