"""Memory kept beside the panes: never stale, never needed, and what makes scoring flat."""

import shutil
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from factories import (
    HOUR,
    NOW,
    REMEMBERING_TOML,
    START,
    drop,
    events_table,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)

from pm_app.features.lives import life_starts
from pm_app.features.memory import BLOCK_PANES, no_memory, remember
from pm_app.features.panes.panes import merge_panes
from pm_app.jobs.backfill.run import backfill
from pm_app.jobs.plant import first_seen_ns
from pm_app.jobs.score import memory as memory_module
from pm_app.jobs.score.memory import boundary_before, restore_memory
from pm_app.jobs.score.run import score
from pm_app.records.memory import MEMORY_KEYS, MEMORY_STATISTICS
from pm_app.state.panes import History
from pm_app.times import to_moment

FIRST = boundary_before(START // HOUR)
EVENTS = [
    ("pump-00", 40.5, "failure", ""),
    ("pump-00", 44.2, "maintenance", "seal"),
    ("pump-01", 150.0, "failure", ""),
]
TABLE = readings_table(hours=340, a_pane=2)
HOURS = (TABLE["timestamp"].cast(pa.int64()).to_numpy() - START) / HOUR


class CountingHistory:
    """A history that counts the panes it is asked for."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.panes = 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._history, name)

    def read(self, names, **bounds):
        for panes in self._history.read(names, **bounds):
            self.panes += len(panes.pane)
            yield panes


def plant(new_plant, table=TABLE, events=EVENTS):
    """A plant whose champion remembers lives, nothing scored yet."""
    config = new_plant(
        {"all.parquet": table},
        events={"all.parquet": events_table(events)},
        toml=REMEMBERING_TOML,
        champion=False,
    )
    with opened(config) as live:
        promote_handmade(live)
    return config


def spec_of(live):
    return make_spec(live.settings)


def recalled(live, boundaries):
    spec, events = spec_of(live), events_of(live)
    seen = first_seen_ns(live.ledger)
    return restore_memory(live.view, spec, events, first_seen=seen, boundaries=boundaries)


def events_of(live):
    rows = live.store.ledger.ingested_batches("events")
    return live.event_history.read([name for row in rows for name in row.segments])


def folded_at_once(live, boundary):
    """What every asset remembers at a boundary, from all panes there are."""
    rows = live.store.ledger.ingested_batches("readings")
    parts = live.history.read([name for row in rows for name in row.segments])
    panes = merge_panes(list(parts), pane_ns=HOUR)
    keys = (panes.assets, panes.asset, (panes.pane + 1) * HOUR)
    start = life_starts(keys, events_of(live), first_seen=first_seen_ns(live.ledger), pane_ns=HOUR)
    spec = spec_of(live)
    return remember(panes, start, spec, before=no_memory(spec), boundary=boundary)


def facts(memory):
    arrays = (getattr(memory, name) for name in MEMORY_KEYS + MEMORY_STATISTICS)
    return memory.assets, [array.tobytes() for array in arrays]


def last_hours(live):
    """What is said of the last hours, anew: they lie blocks behind the beginning."""
    backfill(live, first=to_moment(START + 320 * HOUR), last=to_moment(START * 2), now=NOW)
    return said(live.store, without=("revision", "scored_at"))


def panes_read_for_an_hour_after(new_plant, hours):
    """How many panes scoring reads for an hour of readings after so many."""
    table = readings_table(hours=hours + 2, missing=0)
    hour = (table["timestamp"].cast(pa.int64()).to_numpy() - START) // HOUR
    config = plant(new_plant, table.filter(pa.array(hour < hours)))
    with opened(config) as live:
        score(live, now=NOW)
    # The first hour folds all lives once; this is about every one that follows.
    for newest in (hours, hours + 1):
        drop(config, f"{newest}.parquet", table.filter(pa.array(hour == newest)))
        with opened(config) as live:
            counting = CountingHistory(live.history)
            done = score(replace(live, history=counting), now=NOW + timedelta(hours=1))
        assert done.committed.new == 3 * 2
    return counting.panes


def test_scoring_a_cutoff_reads_no_more_panes_however_long_the_history(new_plant):
    # As far into a block each time, so that only the length of history differs.
    short, long = (
        panes_read_for_an_hour_after(new_plant, 100 + blocks * BLOCK_PANES) for blocks in (1, 8)
    )

    assert short == long
    assert long <= 3 * 2 * BLOCK_PANES


@pytest.mark.parametrize("cells", [60_000, 1])
def test_kept_memory_is_that_of_all_panes_at_once_to_the_bit(new_plant, monkeypatch, cells):
    monkeypatch.setattr(memory_module, "GROUP_CELLS", cells)
    with opened(plant(new_plant)) as live:
        score(live, now=NOW)
        for blocks in (2, 1, 3):
            boundary = FIRST + blocks * BLOCK_PANES
            found = recalled(live, {f"pump-0{number}": boundary for number in range(3)})
            # Where the life that is led has no pane before the boundary there is nothing.
            expected = folded_at_once(live, boundary)
            assert facts(found) == facts(expected)
            assert len(found.assets) == 3


def test_assets_may_be_asked_for_at_boundaries_of_their_own(new_plant):
    with opened(plant(new_plant)) as live:
        score(live, now=NOW)
        wanted = {f"pump-0{number}": FIRST + (3 - number) * BLOCK_PANES for number in range(3)}
        found = recalled(live, wanted)

        for row, (name, boundary) in enumerate(wanted.items()):
            whole = folded_at_once(live, boundary)
            assert facts(found.take(np.array([row]))) == facts(
                whole.take(np.array([whole.assets.index(name)]))
            )


@pytest.mark.parametrize("harm", ["deleted", "damaged", "of another ledger"])
def test_memory_that_is_lost_is_made_again(new_plant, harm):
    with opened(plant(new_plant)) as live:
        score(live, now=NOW)
        expected = said(live.store, without=("revision", "scored_at"))
        assert last_hours(live) == expected
        files = sorted(live.memories.folder.glob("*.parquet"))
        assert files
        state = live.settings.state
        if harm == "of another ledger":
            for boundary in live.memories.boundaries():
                kept = live.memories.read(boundary)
                wrong = replace(kept.memory, mean=kept.memory.mean + 1e3)
                digest = np.full(len(kept.digest), "another", dtype=object)
                live.memories.put(boundary, replace(kept, memory=wrong, digest=digest))
            live.memories.flush()
    for file in files:
        if harm == "damaged":
            content = bytearray(file.read_bytes())
            content[len(content) // 3] ^= 0xFF
            file.write_bytes(content)
    if harm == "deleted":
        shutil.rmtree(state / "memory")

    with opened(state.parent / "plant.toml") as live:
        assert last_hours(live) == expected


def test_a_late_batch_before_a_boundary_changes_what_is_kept_there(new_plant):
    late = (
        (HOURS > 60)
        & (HOURS < 70)
        & np.array([name == "pump-01" for name in TABLE["asset_id"].to_pylist()])
    )
    config = plant(new_plant, TABLE.filter(pa.array(~late)))
    boundary = FIRST + 2 * BLOCK_PANES
    everyone = {f"pump-0{number}": boundary for number in range(3)}
    with opened(config) as live:
        score(live, now=NOW)
        before = recalled(live, everyone)
        drop(config, "late.parquet", TABLE.filter(pa.array(late)))
        score(live, now=NOW + timedelta(hours=1))
        after = recalled(live, everyone)

        assert facts(after) == facts(folded_at_once(live, boundary))
        changed = [
            name
            for row, name in enumerate(after.assets)
            if facts(after.take(np.array([row]))) != facts(before.take(np.array([row])))
        ]
        assert changed == ["pump-01"]


def test_a_repair_that_is_told_late_begins_the_life_anew(new_plant):
    config = plant(new_plant, events=EVENTS[:1])
    boundary = FIRST + 2 * BLOCK_PANES
    with opened(config) as live:
        score(live, now=NOW)
        before = recalled(live, {"pump-00": boundary})
        drop(config, "late.parquet", events_table(EVENTS[1:2]), source="events")
        score(live, now=NOW + timedelta(hours=1))
        after = recalled(live, {"pump-00": boundary})

    assert before.start.tolist() == [START // HOUR + 41]
    assert after.start.tolist() == [START // HOUR + 45]


def test_memory_of_a_champion_that_remembers_otherwise_is_removed(new_plant):
    with opened(plant(new_plant)) as live:
        score(live, now=NOW)
        before = live.memories.folder
        other = replace(spec_of(live), smooth_ns=(7 * HOUR,))
        live.memories.open(other, block_panes=BLOCK_PANES)

        assert not before.exists()
        assert live.memories.folder.exists()
        assert live.memories.boundaries() == []


def test_a_champion_that_remembers_nothing_keeps_nothing(new_plant):
    with opened(new_plant({"all.parquet": TABLE})) as live:
        score(live, now=NOW)

        assert list(live.memories.root.iterdir()) == []
