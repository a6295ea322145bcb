"""Law 3: however readings and events are delivered, the same is said in the end."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from factories import (
    NOW,
    PLANT_TOML,
    REMEMBERING_TOML,
    drop,
    events_table,
    hours_after_start,
    opened,
    promote_handmade,
    readings_table,
    said,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pm_app.jobs.score.run import score

HISTORY = ("revision", "scored_at")
TABLE = readings_table()
EVENTS = [
    ("pump-00", 7.5, "failure", ""),
    ("pump-00", 9.2, "maintenance", "seal"),
    ("pump-01", 3.0, "error", "trip"),
    ("pump-01", 4.1, "error", "trip"),
    ("pump-02", 25.5, "failure", ""),
    # No feature counts this code, but a life begins anew.
    ("pump-02", 26.4, "maintenance", "belt"),
]


@pytest.fixture
def new_url(on_both_databases):
    return on_both_databases


def remembering(new_plant, *, remembers=True, **files):
    """A plant whose champion looks back on whole lives, or on windows alone."""
    toml = REMEMBERING_TOML if remembers else PLANT_TOML
    config = new_plant(toml=toml, champion=not remembers, **files)
    if remembers:
        with opened(config) as plant:
            promote_handmade(plant)
    return config


def clean_run(new_plant, table=TABLE, events=EVENTS, *, remembers=False):
    """What is said of one file with everything in it."""
    config = remembering(
        new_plant,
        remembers=remembers,
        readings={"all.parquet": table},
        events={"all.parquet": events_table(events)},
    )
    with opened(config) as plant:
        score(plant, now=NOW)
        return said(plant.store, without=HISTORY)


def daily(table, hours=6):
    """The same readings in files of some hours each, by name."""
    hour = (table["timestamp"].cast(pa.int64()).to_numpy() // 3_600_000_000_000) // hours
    return {
        f"part-{number:07d}.parquet": table.filter(pa.array(hour == number))
        for number in np.unique(hour)
    }


def deliver(plant, config, files, *, source="readings"):
    """Drop the files one by one and score after each."""
    for turn, (name, table) in enumerate(files):
        drop(config, name, table, source=source)
        score(plant, now=NOW + timedelta(minutes=turn))


def test_files_of_some_hours_say_what_one_file_says(new_plant):
    config = new_plant(events={"all.parquet": events_table(EVENTS)})
    with opened(config) as plant:
        deliver(plant, config, daily(TABLE).items())
        found = said(plant.store, without=HISTORY)

    assert found == clean_run(new_plant)


@pytest.mark.parametrize("remembers", [False, True], ids=["windows", "lives"])
@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
)
def test_the_order_of_delivery_does_not_matter(new_plant, seed, remembers):
    files = list(daily(TABLE).items())
    order = np.random.default_rng(seed).permutation(len(files))
    config = remembering(
        new_plant, remembers=remembers, events={"all.parquet": events_table(EVENTS)}
    )
    with opened(config) as plant:
        deliver(plant, config, [files[at] for at in order])
        found = said(plant.store, without=HISTORY)

    assert found == clean_run(new_plant, remembers=remembers)


def test_the_order_of_delivery_does_not_matter_across_restarts(new_plant):
    files = list(daily(TABLE).items())[::-1]
    config = new_plant(events={"all.parquet": events_table(EVENTS)})
    for file in files:
        with opened(config) as plant:
            deliver(plant, config, [file])
    with opened(config) as plant:
        found = said(plant.store, without=HISTORY)

    assert found == clean_run(new_plant)


def test_a_file_delivered_twice_under_two_names_changes_nothing(new_plant):
    config = new_plant({"a.parquet": TABLE})
    with opened(config) as plant:
        score(plant, now=NOW)
        before = said(plant.store)
        drop(config, "b.parquet", TABLE)
        done = score(plant, now=NOW + timedelta(hours=1))

        assert said(plant.store) == before
        assert done.ingested.rows == 0
        assert [row.status for row in plant.store.ledger.batches()] == ["duplicate", "ingested"]


def changed(table):
    """The same readings with other values, and some of them no more."""
    values = pa.array(table["sensor-0"].to_numpy(zero_copy_only=False) + 3.0)
    place = table.column_names.index("sensor-0")
    return table.set_column(place, "sensor-0", values).slice(0, table.num_rows - 90)


@pytest.mark.parametrize("copy", ["earlier.parquet", "other.parquet"])
def test_a_file_corrected_beside_its_copy_says_what_both_say_at_once(new_plant, copy):
    wrong, name = changed(TABLE), "name.parquet"
    config = new_plant()
    with opened(config) as plant:
        # The other half comes late, and asks for everything anew.
        deliver(plant, config, [(name, wrong), (copy, wrong), (name, TABLE)])
        drop(config, "late.parquet", TABLE.slice(0, 50))
        score(plant, now=NOW + timedelta(hours=1))
        found = said(plant.store, without=HISTORY)
    at_once = new_plant({copy: wrong, name: TABLE, "late.parquet": TABLE.slice(0, 50)})
    with opened(at_once) as plant:
        score(plant, now=NOW)

        assert found == said(plant.store, without=HISTORY)


def test_overlapping_exports_say_what_one_file_says(new_plant):
    hour = (TABLE["timestamp"].cast(pa.int64()).to_numpy() - 470_000 * 3_600_000_000_000) / 3.6e12
    config = new_plant(events={"all.parquet": events_table(EVENTS)})
    with opened(config) as plant:
        spans = [(0, 11.4), (4.3, 17.7), (17.2, 30), (9, 21.6)]
        parts = [TABLE.filter(pa.array((hour >= low) & (hour < high))) for low, high in spans]
        deliver(plant, config, [(f"{at}.parquet", part) for at, part in enumerate(parts)])
        found = said(plant.store, without=HISTORY)

    assert found == clean_run(new_plant)


def test_a_file_that_grows_under_one_name_says_what_one_file_says(new_plant):
    config = new_plant(events={"all.parquet": events_table(EVENTS)})
    order = TABLE.sort_by("timestamp")
    with opened(config) as plant:
        cuts = [50, 51, 120, 180, len(order)]
        deliver(plant, config, [("today.parquet", order.slice(0, cut)) for cut in cuts])
        found = said(plant.store, without=HISTORY)

    assert found == clean_run(new_plant)


@pytest.mark.parametrize("remembers", [False, True], ids=["windows", "lives"])
def test_events_that_come_late_are_said_as_if_they_had_come_in_time(new_plant, remembers):
    config = remembering(new_plant, remembers=remembers, readings={"all.parquet": TABLE})
    with opened(config) as plant:
        score(plant, now=NOW)
        deliver(
            plant,
            config,
            [(f"{at}.parquet", events_table([EVENTS[at]])) for at in (3, 0, 4, 1, 2, 5)],
            source="events",
        )
        found = said(plant.store, without=HISTORY)

    assert found == clean_run(new_plant, remembers=remembers)


def test_a_late_batch_revises_only_the_cutoffs_it_touches(new_plant):
    files = daily(TABLE)
    names = sorted(files)
    late = names.pop(2)
    config = new_plant({name: files[name] for name in names})
    with opened(config) as plant:
        score(plant, now=NOW)
        before = {(r["asset_id"], r["cutoff"], r["horizon_hours"]): r for r in said(plant.store)}
        drop(config, late, files[late])
        done = score(plant, now=NOW + timedelta(hours=1))
        after = {(r["asset_id"], r["cutoff"], r["horizon_hours"]): r for r in said(plant.store)}
        superseded = pa.concat_tables(plant.store.tables.superseded()).to_pylist()

    first = min(hours_after_start(t) for t in files[late]["timestamp"].to_pylist())
    last = max(hours_after_start(t) for t in files[late]["timestamp"].to_pylist())
    revised = [key for key in before if after[key]["revision"] == 2]
    assert revised
    assert all(first < hours_after_start(cutoff) <= last + 6 for _, cutoff, _ in revised)
    assert all(after[key] == before[key] for key in before if key not in revised)
    assert superseded == [before[key] for key in sorted(revised)]
    assert done.committed.revised == len(revised)
    assert done.committed.new == len(after) - len(before)


@settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_split_order_and_repetition_says_the_same(new_plant, data):
    table = readings_table(assets=2, hours=18, seed=data.draw(st.integers(0, 100)), missing=0.2)
    batches = data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    owner = rng.integers(0, batches, len(table))
    if data.draw(st.booleans()):
        owner = np.sort(owner)
    parts = [
        table.filter(pa.array((owner == at) | (rng.random(len(table)) < 0.2)))
        for at in range(batches)
    ]
    parts = [part for part in parts if len(part)]
    names = rng.permutation(len(parts))
    remembers = data.draw(st.booleans())
    events = {"all.parquet": events_table(EVENTS[:4])}
    config = remembering(new_plant, remembers=remembers, events=events)
    with opened(config) as plant:
        deliver(plant, config, [(f"{n}.parquet", p) for n, p in zip(names, parts, strict=True)])
        found = said(plant.store, without=HISTORY)

    assert found == clean_run(new_plant, table, EVENTS[:4], remembers=remembers)


def test_an_export_that_repeats_what_is_known_leaves_a_former_champion_its_words(new_plant):
    files = daily(TABLE)
    first, *rest = sorted(files)
    config = new_plant(
        {name: files[name] for name in (first, *rest[:-1])},
        events={"all.parquet": events_table(EVENTS[:4])},
    )
    with opened(config) as plant:
        score(plant, now=NOW)
        before = said(plant.store)
        promote_handmade(plant, at=NOW, seed=1)
        drop(config, "export.parquet", TABLE)
        repeated = events_table([*EVENTS[:4], ("pump-00", 1.0, "inspection", "")])
        drop(config, "export.parquet", repeated, source="events")
        score(plant, now=NOW + timedelta(hours=1))
        after = said(plant.store)

    newest = files[rest[-1]]["timestamp"].to_pylist()
    untouched = [row for row in after if row["cutoff"] < min(newest)]
    assert untouched == [row for row in before if row["cutoff"] < min(newest)]
    assert {row["model_version"] for row in after if row["cutoff"] > min(newest)} == {2}
