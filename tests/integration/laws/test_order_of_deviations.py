"""Law 3 with deviations: however readings and events come, the same is said and stands."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from factories import (
    ALARMING_TOML,
    NOW,
    drop,
    events_table,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from normals import make_normal_card, promote_handmade_normal

from pm_app.jobs.score.replay import replay
from pm_app.jobs.score.run import score
from pm_app.times import HOUR_NS

EVENTS = [
    ("pump-00", 7.5, "failure", ""),
    ("pump-00", 9.2, "maintenance", "seal"),
    ("pump-01", 26.4, "maintenance", "belt"),
    ("pump-01", 31.0, "failure", ""),
    ("pump-01", 33.0, "maintenance", "overhaul 1"),
]
HISTORY = ("revision", "scored_at")
TABLE = readings_table(assets=2, hours=48, missing=0.2)
TOML = f'{ALARMING_TOML}\n[events]\nrenewals = ["overhaul*"]\n'


def watching(new_plant, *, failures: bool, **files):
    """A plant whose normal behaviour looks back on lives; its failure model, if any, on windows."""
    config = new_plant(champion=False, toml=TOML, **files)
    with opened(config) as plant:
        spec = make_spec(plant.settings)
        deep = replace(spec, change=True, beginning_ns=4 * HOUR_NS, smooth_ns=(5 * HOUR_NS,))
        promote_handmade_normal(plant, card=make_normal_card(deep, level=1.2))
        if failures:
            promote_handmade(plant)
    return config


def standing(store):
    rows = store.alarms.alarms(only_open=True)
    return {(row.asset_id, row.kind) for row in rows if row.state != "returned"}


def clean_run(new_plant, table, events, *, failures):
    config = watching(
        new_plant,
        failures=failures,
        readings={"all.parquet": table},
        events={"all.parquet": events_table(events)},
    )
    with opened(config) as plant:
        score(plant, now=NOW)
        return said(plant.store, without=HISTORY), standing(plant.store)


def replayed(plant):
    return replay(plant, first=NOW - timedelta(days=90), last=NOW).differing


@pytest.mark.parametrize("failures", [False, True], ids=["watched", "scored"])
def test_events_that_come_late_are_said_as_if_they_had_come_in_time(new_plant, failures):
    config = watching(new_plant, failures=failures, readings={"all.parquet": TABLE})
    with opened(config) as plant:
        score(plant, now=NOW)
        for at in (3, 0, 4, 1, 2):
            drop(config, f"{at}.parquet", events_table([EVENTS[at]]), source="events")
            score(plant, now=NOW + timedelta(minutes=at + 1))
        found = said(plant.store, without=HISTORY), standing(plant.store)

        assert replayed(plant) == 0
    assert found == clean_run(new_plant, TABLE, EVENTS, failures=failures)


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 2**32), batches=st.integers(2, 4), failures=st.booleans())
def test_any_split_order_and_repetition_says_the_same(new_plant, seed, batches, failures):
    rng = np.random.default_rng(seed)
    table = readings_table(assets=2, hours=40, seed=seed % 100, missing=0.2)
    owner = rng.integers(0, batches, len(table))
    parts = [
        table.filter(pa.array((owner == at) | (rng.random(len(table)) < 0.2)))
        for at in range(batches)
    ]
    events = {"all.parquet": events_table(EVENTS)}
    config = watching(new_plant, failures=failures, events=events)
    with opened(config) as plant:
        for turn, at in enumerate(rng.permutation(batches).tolist()):
            drop(config, f"{at}.parquet", parts[at])
            score(plant, now=NOW + timedelta(minutes=turn))
        found = said(plant.store, without=HISTORY), standing(plant.store)

        assert replayed(plant) == 0
    assert found == clean_run(new_plant, table, EVENTS, failures=failures)
