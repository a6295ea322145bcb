"""Renewals while scoring: what begins anew with them, told in time or late; by which version."""

import json
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest
from factories import (
    HOUR,
    NOW,
    REMEMBERING_TOML,
    START,
    drop,
    events_table,
    hours_after_start,
    make_card,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)

from pm_app.features.lives import life_starts
from pm_app.features.memory import BLOCK_PANES, no_memory, remember
from pm_app.features.panes.panes import merge_panes
from pm_app.jobs.plant import first_seen_ns
from pm_app.jobs.score.memory import boundary_before, restore_memory
from pm_app.jobs.score.replay import replay
from pm_app.jobs.score.run import score
from pm_app.records.memory import MEMORY_KEYS, MEMORY_STATISTICS

READINGS = readings_table(assets=2, hours=290, missing=0.0)
RENEWALS = ("overhaul*",)
FIRST = ("pump-00", 40.5, "maintenance", "overhaul 1")
OIL = ("pump-01", 50.0, "maintenance", "oil")
LATE = ("pump-00", 70.0, "maintenance", "overhaul 2")
BOUNDARY = boundary_before(START // HOUR) + 2 * BLOCK_PANES
WITHOUT = ("revision", "scored_at")


def plant(new_plant, *events, toml=REMEMBERING_TOML):
    config = new_plant(
        {"all.parquet": READINGS},
        events={"all.parquet": events_table(events)} if events else {},
        toml=toml,
        champion=False,
    )
    with opened(config) as live:
        promote_handmade(live, card=make_card(spec_of(live)))
        score(live, now=NOW)
    return config


def spec_of(live):
    return replace(make_spec(live.settings), renewals=RENEWALS)


def events_of(live):
    rows = live.store.ledger.ingested_batches("events")
    return live.event_history.read([name for row in rows for name in row.segments])


def memory_kept(live):
    names = {f"pump-0{number}": BOUNDARY for number in range(2)}
    return restore_memory(
        live.view, spec_of(live), events_of(live), first_seen=first_seen_ns(live.ledger),
        boundaries=names,
    )  # fmt: skip


def memory_folded_at_once(live):
    rows = live.store.ledger.ingested_batches("readings")
    parts = live.history.read([name for row in rows for name in row.segments])
    panes, seen = merge_panes(list(parts), pane_ns=HOUR), first_seen_ns(live.ledger)
    keys = (panes.assets, panes.asset, (panes.pane + 1) * HOUR)
    start = life_starts(keys, events_of(live), first_seen=seen, pane_ns=HOUR, renewals=RENEWALS)
    spec = spec_of(live)
    return remember(panes, start, spec, before=no_memory(spec), boundary=BOUNDARY)


def facts(memory):
    arrays = (getattr(memory, name) for name in MEMORY_KEYS + MEMORY_STATISTICS)
    return memory.assets, [array.tobytes() for array in arrays]


def test_a_renewal_that_is_told_late_revises_its_asset_from_then_on_and_nothing_else(new_plant):
    config = plant(new_plant, FIRST, OIL)
    with opened(config) as live:
        before = said(live.store, without=("scored_at",))
        drop(config, "late.parquet", events_table([LATE, FIRST]), source="events")
        score(live, now=NOW + timedelta(hours=1))
        after = said(live.store, without=("scored_at",))
        found = said(live.store, without=WITHOUT)

        changed = [row for row in after if row not in before]
        assert {(row["asset_id"], row["revision"]) for row in changed} == {("pump-00", 2)}
        cutoffs = {hours_after_start(row["cutoff"]) for row in changed}
        assert min(cutoffs) == 70
        assert max(cutoffs) == 290
        assert memory_kept(live).start.tolist() == [START // HOUR + 70, START // HOUR]
        assert facts(memory_kept(live)) == facts(memory_folded_at_once(live))
    with opened(plant(new_plant, FIRST, OIL, LATE)) as live:
        assert said(live.store, without=WITHOUT) == found


def test_a_renewal_that_is_corrected_gives_back_the_life_it_had_cut(new_plant):
    toml = REMEMBERING_TOML + '\n[events]\norder_column = "order"\nchanged_column = "changed"\n'
    right = ("pump-00", 120.5, "maintenance", "overhaul 1")
    found = []
    for orders in ([ordered(FIRST, 1), ordered(right, 2)], [ordered(right, 2)]):
        config = plant(new_plant, toml=toml)
        with opened(config) as live:
            for number, table in enumerate(orders):
                drop(config, f"{number}.parquet", table, source="events")
                score(live, now=NOW + timedelta(hours=1 + number))
            found.append(said(live.store, without=WITHOUT))
            assert memory_kept(live).start.tolist() == [START // HOUR + 121, START // HOUR]
            assert facts(memory_kept(live)) == facts(memory_folded_at_once(live))

    assert found[0] == found[1]


def ordered(event, day):
    """One order that was last changed on a day."""
    changed = pa.array([NOW + timedelta(days=day)], pa.timestamp("us", "UTC"))
    table = events_table([event]).append_column("order", pa.array(["4711"]))
    return table.append_column("changed", changed)


def test_memory_kept_from_before_a_renewal_is_that_of_the_new_life_to_the_bit(new_plant):
    with opened(plant(new_plant, FIRST, OIL)) as live:
        kept = memory_kept(live)

        assert kept.start.tolist() == [START // HOUR + 41, START // HOUR]
        assert facts(kept) == facts(memory_folded_at_once(live))


def test_a_renewal_makes_an_asset_young_for_versions_that_learned_so(new_plant):
    risks = []
    for events in ([OIL], [OIL, FIRST]):
        with opened(plant(new_plant, *events)) as live:
            rows = said(live.store, without=WITHOUT)
        risks.append({(row["asset_id"], row["cutoff"]): row["risk"] for row in rows})
    differing = {key for key in risks[0] if risks[0][key] != risks[1][key]}

    assert {asset for asset, _ in differing} == {"pump-00"}
    assert min(hours_after_start(cutoff) for _, cutoff in differing) == 41


@pytest.mark.parametrize("renewals", ['["oil"]', '["*"]', "[]"])
def test_settings_that_change_later_leave_what_a_version_says_as_it_was(new_plant, renewals):
    config = plant(new_plant, FIRST, OIL)
    toml = config.read_text()
    assert "[events]" not in toml
    config.write_text(f"{toml}\n[events]\nrenewals = {renewals}\n")

    with opened(config) as live:
        assert live.settings.events.renewals == tuple(json.loads(renewals))
        done = replay(live, first=NOW - timedelta(days=100), last=NOW)

    assert done.rows > 500
    assert done.differing == 0
