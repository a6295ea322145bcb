"""What a reading and a prediction cost, and what a fleet at 1 Hz would need by that.

    python -m pytest -m benchmark tests/benchmarks/test_scale.py -s

prints the tables of pm_app/docs/scale.md. Each is measured at two sizes, so that a cost that
grew with the size would be seen. Seconds are the processor's in this process, which other work
on the machine does not lengthen much; what a PostgreSQL server spends beside it is not among them.
"""

import math
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass

import psycopg
import pyarrow.compute as pc
import pytest
from factories import (
    HOUR,
    NOW,
    START,
    drop,
    make_card,
    make_plant,
    make_spec,
    opened,
    promote_handmade,
)
from factories import readings_table as table_of

from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.score.run import score

SENSORS, PANE_MINUTES, HORIZONS = 16, 10, 2
# Assets and hours. Readings at 1 Hz are ingested, and two a pane scored: what scoring costs is
# counted by the pane.
READ = {"small": (2, 6), "large": (2, 24)}
SPOKEN = {"small": (100, 24), "large": (400, 24)}
# One day of a fleet.
FLEET, DAY = 100_000, 86_400
FLAT = 1.6
TOML = """\
[plant]
name = "Fleet"

[features]
pane = "10min"
windows = ["1h", "8h", "24h"]

[target]
horizons = ["24h", "72h"]
rul_cap = "10d"
"""


@dataclass(frozen=True)
class Read:
    """What ingesting costs: readings a second of one core, bytes of a reading as it comes, of a
    pane on disk."""

    rate: float
    arriving: float
    pane: float


@dataclass(frozen=True)
class Spoken:
    """What predictions cost: rows a second of one core where a day is scored at once, bytes of a
    row with its indexes, and seconds of a turn, in which every asset has one pane more."""

    rate: float
    row: float
    turn: float


def folder_bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure_reading(folder, assets, hours):
    table = table_of(assets=assets, hours=hours, a_pane=3600, sensors=SENSORS, missing=0.0)
    config = make_plant(folder, {"a.parquet": table}, toml=TOML)
    with opened(config) as plant:
        start = time.process_time()
        ingest(plant, now=NOW)
        seconds = time.process_time() - start
        panes = folder_bytes(plant.settings.state / "panes")
    arriving = folder_bytes(config.parent / "readings")
    rows, kept = table.num_rows, assets * hours * 60 // PANE_MINUTES
    return Read(rows / seconds, arriving / rows, panes / kept)


def database_bytes(plant, url):
    """Of all tables and indexes that predictions are in."""
    if not url:
        with closing(sqlite3.connect(plant.settings.state / "pm.sqlite")) as connection:
            pragmas = [connection.execute(f"PRAGMA {name}") for name in ("page_count", "page_size")]
            return math.prod(pragma.fetchone()[0] for pragma in pragmas)
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT pg_database_size(current_database())").fetchone()[0]


def measure_speaking(folder, assets, hours, url=""):
    toml = TOML + (f'\n[store]\nurl = "{url}"\n' if url else "")
    config = make_plant(folder, toml=toml)
    table = table_of(assets=assets, hours=hours + 1, a_pane=12, sensors=SENSORS, missing=0.0)
    since = pc.subtract(table.column("timestamp").cast("int64"), START)
    day, pane = hours * HOUR, HOUR * PANE_MINUTES // 60
    drop(config, "a.parquet", table.filter(pc.less(since, day)))
    rows = assets * hours * 60 // PANE_MINUTES * HORIZONS
    with opened(config) as plant:
        promote_handmade(plant, card=make_card(make_spec(plant.settings, sensors=SENSORS)))
        ingest(plant, now=NOW)
        before = database_bytes(plant, url)
        seconds = seconds_of_scoring(plant, rows)
        after = database_bytes(plant, url)
        one_more = pc.and_(pc.greater_equal(since, day), pc.less(since, day + pane))
        drop(config, "b.parquet", table.filter(one_more))
        turn = seconds_of_scoring(plant, assets * HORIZONS)
    return Spoken(rows / seconds, (after - before) / rows, turn)


def seconds_of_scoring(plant, rows):
    start = time.process_time()
    done = score(plant, now=NOW)
    seconds = time.process_time() - start
    assert done.committed.new == rows
    return seconds


def require_flat(small, large):
    """Neither a row's time nor its bytes grow with the size."""
    for name in vars(small).keys() - {"turn"}:
        first, second = getattr(small, name), getattr(large, name)
        worse = first / second if name == "rate" else second / first
        assert worse < FLAT, f"{name}: {first:,.0f} small, {second:,.0f} large"


@pytest.mark.benchmark
def test_what_a_fleet_needs(tmp_path, postgresql_copies):
    read = {size: measure_reading(tmp_path / f"read-{size}", *READ[size]) for size in READ}
    spoken = {
        kind: {
            size: measure_speaking(tmp_path / f"{kind}-{size}", *SPOKEN[size], url=url())
            for size in SPOKEN
        }
        for kind, url in (("SQLite", lambda: ""), ("PostgreSQL", postgresql_copies))
    }
    print("\n| measured | small | large |\n| --- | --- | --- |")
    for what, name in (
        ("readings a second of one core into panes", "rate"),
        ("bytes of a reading as it comes (Parquet)", "arriving"),
        ("bytes of a pane on disk", "pane"),
    ):
        print(f"| {what} | " + " | ".join(f"{getattr(o, name):,.0f}" for o in read.values()) + " |")
    for kind, sizes in spoken.items():
        for what, name in (("rows a second of one core", "rate"), ("bytes of a row", "row")):
            told = " | ".join(f"{getattr(one, name):,.0f}" for one in sizes.values())
            print(f"| predictions, {kind}: {what} | {told} |")
        turns = " | ".join(f"{one.turn:.2f}" for one in sizes.values())
        what = "seconds of a scoring run, one more pane for each asset"
        print(f"| predictions, {kind}: {what} | {turns} |")
    tell_fleet(read["large"], *spoken["PostgreSQL"].values())
    require_flat(*read.values())
    for sizes in spoken.values():
        require_flat(*sizes.values())


def tell_fleet(read, small, spoken):
    """A day of the fleet, and the cores that keep up with it."""
    readings = FLEET * DAY
    panes = readings / (60 * PANE_MINUTES)
    rows = panes * HORIZONS
    assets = SPOKEN["large"][0] - SPOKEN["small"][0]
    turn = FLEET * (spoken.turn - small.turn) / assets
    print("\n| a day of the fleet | |\n| --- | --- |")
    for what, figure in (
        ("readings", f"{readings / 1e9:,.2f} thousand million"),
        ("bytes arriving", f"{readings * read.arriving / 1e9:,.0f} GB"),
        ("network", f"{readings * read.arriving * 8 / DAY / 1e6:,.0f} Mbit/s"),
        ("panes on disk", f"{panes / 1e6:,.1f} million, {panes * read.pane / 1e9:,.1f} GB"),
        ("prediction rows", f"{rows / 1e6:,.1f} million, {rows * spoken.row / 1e9:,.1f} GB"),
        ("cores for ingest", f"{readings / read.rate / DAY:,.2f}"),
        ("cores for scoring, a day at once", f"{rows / spoken.rate / DAY:,.2f}"),
        ("a scoring run every pane", f"{turn:,.0f} s, {turn / (60 * PANE_MINUTES):,.2f} cores"),
    ):
        print(f"| {what} | {figure} |")
