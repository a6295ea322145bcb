"""Law 3 for work orders: whenever a correction comes, the same is said in the end."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pyarrow as pa
import pytest
from factories import (
    NOW,
    PLANT_TOML,
    REMEMBERING_TOML,
    drop,
    events_table,
    make_card,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)

from pm_app.jobs.score.replay import replay
from pm_app.jobs.score.run import score

HISTORY = ("revision", "scored_at")
ORDERS = '\n[events]\norder_column = "order"\nchanged_column = "changed"\nkinds = {"-" = "error"}\n'
# Order 1 was booked for the wrong pump and day, order 2 with the wrong code, and order 3 was none.
# Of the renewals, order 5 was booked late for the wrong day, order 6 was none, and order 7 one only
# once its code was right.
BOOKED = [
    ("1", 0.0, ("pump-00", 7.5, "failure", "")),
    ("2", 0.0, ("pump-00", 9.2, "maintenance", "belt")),
    ("3", 0.0, ("pump-02", 25.5, "failure", "")),
    ("4", 0.0, ("pump-01", 3.0, "error", "trip")),
    ("6", 0.0, ("pump-02", 16.5, "maintenance", "overhaul 2")),
    ("7", 0.0, ("pump-02", 21.4, "maintenance", "oil")),
]
CHANGED = [
    ("1", 40.0, ("pump-02", 12.5, "failure", "")),
    ("3", 40.0, ("pump-02", 25.5, "?", "")),
    ("5", 40.0, ("pump-00", 11.5, "maintenance", "overhaul 1")),
    ("6", 40.0, ("pump-02", 16.5, "?", "")),
]
CHANGED_AGAIN = [
    ("1", 50.0, ("pump-01", 13.5, "failure", "")),
    ("2", 50.0, ("pump-00", 9.2, "maintenance", "seal")),
    ("5", 50.0, ("pump-00", 18.5, "maintenance", "overhaul 1")),
    ("7", 50.0, ("pump-02", 21.4, "maintenance", "overhaul 2")),
]
IN_THE_END = [
    ("pump-01", 13.5, "failure", ""),
    ("pump-00", 9.2, "maintenance", "seal"),
    ("pump-01", 3.0, "error", "trip"),
    ("pump-00", 18.5, "maintenance", "overhaul 1"),
    ("pump-02", 21.4, "maintenance", "overhaul 2"),
]


def orders_table(rows):
    table = events_table([event for _, _, event in rows])
    changed = events_table([("", hours, "", "") for _, hours, _ in rows])["timestamp"]
    return table.append_column("order", pa.array([number for number, _, _ in rows])).append_column(
        "changed", changed
    )


FILES = {
    "a.parquet": orders_table(BOOKED),
    "b.parquet": orders_table(CHANGED),
    "c.parquet": orders_table(CHANGED_AGAIN),
}


def plant_of(new_plant, remembers, *, toml="", **files):
    usual = REMEMBERING_TOML if remembers else PLANT_TOML
    config = new_plant(
        {"all.parquet": readings_table()}, toml=usual + toml, champion=not remembers, **files
    )
    if remembers:
        with opened(config) as plant:
            spec = replace(
                make_spec(plant.settings),
                renewals=("overhaul*",),
                mode_renewals=(("wear", ("seal", "oil")),),
            )
            promote_handmade(plant, card=make_card(spec))
    return config


@pytest.fixture
def expected(new_plant, remembers):
    config = plant_of(new_plant, remembers, events={"all.parquet": events_table(IN_THE_END)})
    with opened(config) as plant:
        score(plant, now=NOW)
        return said(plant.store, without=HISTORY)


@pytest.mark.parametrize(
    "remembers",
    [True, pytest.param(False, marks=pytest.mark.slow)],
    ids=["lives", "windows"],
)
@pytest.mark.parametrize(
    "order",
    [
        pytest.param(order, marks=[pytest.mark.slow] if number else [], id="".join(order)[::9])
        for number, order in enumerate(permutations(FILES))
    ],
)
def test_corrections_say_what_one_right_export_says_whenever_they_come(
    new_plant, remembers, order, expected
):
    config = plant_of(new_plant, remembers, toml=ORDERS)
    with opened(config) as plant:
        score(plant, now=NOW)
        for turn, name in enumerate(order, 1):
            drop(config, name, FILES[name], source="events")
            score(plant, now=NOW + timedelta(minutes=turn))

        assert said(plant.store, without=HISTORY) == expected
        done = replay(plant, first=NOW - timedelta(days=60), last=NOW + timedelta(days=1))
        assert (done.rows > 0, done.differing) == (True, 0)
