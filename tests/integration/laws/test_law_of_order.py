"""Law 3 as a machine: whatever arrives, breaks and comes back, the table is that of one clean file,
and the alarms that stand are those of the table.

What is expected comes from all readings folded at once and one frame of them: neither jobs,
nor history, nor the ledger have a part in it.
"""

import hashlib
import shutil
import sys
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from factories import (
    ALARMING_TOML,
    NOW,
    drop,
    events_table,
    expected_alarms,
    few_batches_a_run,
    make_card,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
    standing,
)
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pm_app.durable import INSTANT
from pm_app.features.frame import build_frame
from pm_app.features.panes.panes import build_panes
from pm_app.jobs.ingest.ownership import OwnershipMark, write_mark
from pm_app.jobs.ingest.repair import rebuild
from pm_app.jobs.plant import Orphans
from pm_app.jobs.score.champion import load_champion
from pm_app.jobs.score.predict import predict_frame
from pm_app.jobs.score.run import score
from pm_app.records.features import BASES, FeatureLimits, FeedPace
from pm_app.records.readings import Readings, events_from_rows
from pm_app.state.events import EventHistory
from pm_app.state.panes import History
from pm_app.store.schema.predictions import (
    alarm_events,
    alarm_marks,
    alarms,
    assets,
    batches,
    latest_predictions,
    prediction_history,
    predictions,
)

EXAMPLES, MANY_EXAMPLES = 150, 5_000  # on each of the two databases
KEY = ("asset_id", "cutoff", "horizon_hours")
NUMBERS = ("risk", "rul_hours", "rul_low_hours", "rul_high_hours", "value")
TABLE = readings_table(assets=2, hours=12, missing=0.2).sort_by("timestamp")
EVENTS = [
    ("pump-00", 3.5, "failure", ""),
    ("pump-00", 4.2, "maintenance", "seal"),
    ("pump-01", 3.0, "error", "trip"),
    ("pump-01", 9.1, "error", "trip"),
    ("pump-01", 5.2, "inspection", "leak"),
    ("pump-01", 6.3, "maintenance", "overhaul 1"),
    ("pump-00", 7.0, "maintenance", "overhaul 2"),
]
# Each feed is silent for some of these hours, until an event that comes later says otherwise.
LIMITS = FeatureLimits(
    (("age", 9.0),),
    feeds=(
        FeedPace("failure", 1.0, 4.0),
        FeedPace("maintenance", 1.0, 5.0),
        FeedPace("error", 1.0, 2.0),
    ),
    renews=True,
)
# Without errors it has nothing to say.
RELIANCE = tuple(float(places >> BASES.index("error") & 1) for places in range(2 ** len(BASES)))
FILES = st.sampled_from(["a", "b", "c/d", "e"]).map("{}.parquet".format)
PARTS = st.builds(
    lambda first, length, step: (
        frozenset(range(len(TABLE))) & frozenset(range(first, first + length, step))
    ),
    st.integers(0, len(TABLE) - 1),
    st.integers(1, len(TABLE)),
    st.integers(1, 3),
)


class Cut(Exception):
    """What ends a job at an instant."""


_left: list[int] = []


def _cut_when_due(event, _arguments):
    if _left and event == INSTANT:
        _left[0] -= 1
        if _left[0] < 0:
            _left.clear()
            raise Cut


sys.addaudithook(_cut_when_due)


def readings_of(table):
    """Rows of a wide table as the features take them."""
    names = table["asset_id"].to_pylist()
    sensors = tuple(name for name in table.column_names if name.startswith("sensor"))
    known = tuple(sorted(set(names)))
    return Readings(
        assets=known,
        asset=np.array([known.index(name) for name in names], dtype=np.int32),
        time=table["timestamp"].cast(pa.int64()).to_numpy(),
        sensors=sensors,
        values=np.array([pc.fill_null(table[name], np.nan).to_numpy() for name in sensors]),
    )


def expected_rows(rows, events, champion):
    """What the champion says of these rows of TABLE and these EVENTS, by key."""
    readings = readings_of(TABLE.take(sorted(rows)))
    first_seen = {
        name: int(readings.time[readings.asset == at].min())
        for at, name in enumerate(readings.assets)
    }
    panes = build_panes(readings, pane_ns=champion.card.spec.pane_ns)
    table = events_table([EVENTS[at] for at in sorted(events)] or EVENTS[:1])
    known = zip(
        table["asset_id"].to_pylist(),
        table["timestamp"].cast(pa.int64()).to_pylist(),
        table["kind"].to_pylist(),
        table["code"].to_pylist(),
        table["timestamp"].cast(pa.int64()).to_pylist(),
        strict=True,
    )
    frame = build_frame(
        panes,
        events_from_rows(set(known) if events else set()),
        champion.card.spec,
        first_seen=first_seen,
        memory=None,
    )
    told = predict_frame(frame, champion)
    columns = [told.status, *(getattr(told, name) for name in NUMBERS), told.top_sensors]
    return {
        (told.assets[asset], cutoff, horizon): tuple(None if v != v else v for v in values)
        for asset, cutoff, horizon, *values in zip(
            told.asset.tolist(),
            told.cutoff.tolist(),
            told.horizon_hours.tolist(),
            *(column.tolist() for column in columns),
            strict=True,
        )
    }


def key_of(row):
    asset, cutoff, horizon = (row[name] for name in KEY)
    return asset, int(cutoff.timestamp()) * 10**9, horizon


class Plant(RuleBasedStateMachine):
    """One plant, and beside it all rows and events that have arrived."""

    plant = None
    champion = None

    @initialize()
    def empty(self):
        _left.clear()
        self.now = NOW
        self.files: dict[str, frozenset[int]] = {}
        self.torn: dict[str, frozenset[int]] = {}
        self.event_files: dict[str, frozenset[int]] = {}
        self.delivered: dict[str, int] = {}
        folder = self.plant.settings.folder
        for source in ("readings", "events"):
            shutil.rmtree(folder / source)
            (folder / source).mkdir()
        with self.plant.store._database.writing() as connection:
            for table in (alarm_events, alarms, predictions, prediction_history):
                connection.execute(table.delete())
            for table in (alarm_marks, latest_predictions, batches, assets):
                connection.execute(table.delete())
        # A folder does not take a database that knows less than it did.
        identity = self.plant.store.identity.state().identity
        write_mark(self.plant.settings.state, OwnershipMark(identity))
        self.restart()

    @property
    def config(self):
        return self.plant.settings.folder / "plant.toml"

    def lay_down(self, name, rows):
        # Rows in any order: files need not be sorted.
        path = drop(self.config, name, TABLE.take(sorted(rows, key=lambda at: (at % 3, at))))
        self.delivered[hashlib.sha256(path.read_bytes()).hexdigest()] = len(rows)
        return path

    @rule(name=FILES, part=PARTS)
    def deliver_or_grow(self, name, part):
        if name not in self.torn:
            self.files[name] = self.files.get(name, frozenset()) | part
            self.lay_down(name, self.files[name])

    @precondition(lambda self: self.files)
    @rule(data=st.data(), name=st.sampled_from(["again.parquet", "c/again.parquet"]))
    def deliver_again_under_another_name(self, data, name):
        if name not in self.torn:
            same = data.draw(st.sampled_from(sorted(self.files)))
            self.files[name] = self.files[same] | self.files.get(name, frozenset())
            self.lay_down(name, self.files[name])

    @rule(name=st.sampled_from(["t.parquet", "u.parquet"]), part=PARTS, kept=st.floats(0, 0.99))
    def tear(self, name, part, kept):
        if name not in self.files:
            self.torn[name] = part
            path = self.lay_down(name, part)
            path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])

    @precondition(lambda self: self.torn)
    @rule(data=st.data())
    def mend(self, data):
        name = data.draw(st.sampled_from(sorted(self.torn)))
        self.files[name] = self.torn.pop(name)
        self.lay_down(name, self.files[name])

    @rule(name=FILES, which=st.sets(st.integers(0, len(EVENTS) - 1), min_size=1))
    def tell_events(self, name, which):
        self.event_files[name] = self.event_files.get(name, frozenset()) | which
        rows = [EVENTS[at] for at in sorted(self.event_files[name])]
        drop(self.config, name, events_table(rows), source="events")

    @rule(which=st.integers(0, 99), how=st.sampled_from(["remove", "flip", "truncate"]))
    def harm_a_segment(self, which, how):
        folders = self.plant.history.folder, self.plant.event_history.folder
        paths = sorted(path for folder in folders for path in folder.iterdir())
        if paths:
            path = paths[which % len(paths)]
            content = bytearray(path.read_bytes())
            content[which * len(content) // 100] ^= 4
            path.write_bytes(content[: None if how == "flip" else len(content) // 2])
            if how == "remove":
                path.unlink()
        self.restart()

    @rule()
    def delete_panes(self):
        shutil.rmtree(self.plant.history.folder)
        self.restart()

    @rule()
    def restart(self):
        state, pane_ns = self.plant.settings.state, self.plant.history.pane_ns
        fresh = History(state / "panes", pane_ns=pane_ns), EventHistory(state / "events")
        self.plant = replace(
            self.plant, history=fresh[0], event_history=fresh[1], orphans=Orphans()
        )

    @rule(instants=st.integers(0, 40))
    def score_cut_short(self, instants):
        _left[:] = [instants]
        with suppress(Cut):
            score(self.plant, now=self.now)
        _left.clear()
        self.restart()

    @rule()
    def score(self):
        self.now += timedelta(minutes=1)
        score(self.plant, now=self.now)
        self.check_what_is_said()
        self.check_the_books()
        assert standing(self.plant.store) == expected_alarms(self.plant.store)

    def check_what_is_said(self):
        rows = frozenset().union(*self.files.values())
        events = frozenset().union(*self.event_files.values())
        expected = expected_rows(rows, events, self.champion) if rows else {}
        table = said(self.plant.store)
        columns = ("status", *NUMBERS, "top_sensors")

        assert {key_of(row): tuple(row[c] for c in columns) for row in table} == expected
        newest = {(row["asset_id"], row["horizon_hours"]): row for row in table}
        latest = self.plant.store.tables.latest_predictions().to_pylist()
        assert sorted(latest, key=key_of) == sorted(newest.values(), key=key_of)
        before = defaultdict(list)
        for part in self.plant.store.tables.superseded():
            for row in part.to_pylist():
                before[key_of(row)].append(row["revision"])
        for row in table:
            assert before[key_of(row)] == list(range(1, row["revision"]))

    def check_the_books(self):
        noted = self.plant.store.ledger.batches()
        for row in noted:
            whole = row.source == "readings" and row.status == "ingested"
            assert not whole or row.rows + row.rejected == self.delivered[row.digest]
            assert not whole or row.rejected == 0
        statuses = {row.name: row.status for row in noted[::-1] if row.source == "readings"}
        # Two that are torn alike are the same content.
        alike = {name for name in self.torn if statuses[name] == "duplicate"}
        refused = {name for name in statuses if statuses[name] == "quarantined"}
        assert refused | alike == self.torn.keys()
        folders = self.plant.history.folder, self.plant.event_history.folder
        on_disk = {path.name for folder in folders for path in folder.iterdir()}
        assert on_disk <= self.plant.store.ledger.segments()

    def teardown(self):
        if not hasattr(self, "files"):
            return
        self.score()
        before = said(self.plant.store)
        rebuild(self.plant)
        self.score()

        assert said(self.plant.store) == before


@pytest.fixture
def new_url(on_both_databases):
    return on_both_databases


def run(new_plant, examples):
    with opened(new_plant(toml=ALARMING_TOML)) as plant, few_batches_a_run(3, 2, timedelta(0)):
        spec = replace(
            make_spec(plant.settings),
            limits=LIMITS,
            inspections=True,
            inspection_codes=("leak",),
            renewals=("overhaul*",),
            mode_renewals=(("wear", ("seal",)),),
        )
        promote_handmade(plant, card=make_card(spec, reliance=RELIANCE))
        machine = type("Plant", (Plant,), {"plant": plant, "champion": load_champion(plant)})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=8,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


def test_whatever_arrives_breaks_and_comes_back_the_table_is_that_of_one_file(new_plant):
    run(new_plant, EXAMPLES)


@pytest.mark.slow
def test_the_law_of_order_holds_for_ten_thousand_histories(new_plant):
    run(new_plant, MANY_EXAMPLES)
