"""Small segments joined: fewer files, and nothing that is read, said or rebuilt is another."""

import shutil
from datetime import timedelta
from functools import cache
from itertools import count

import numpy as np
import pyarrow as pa
import pytest
from factories import (
    NOW,
    PLANT_TOML,
    REMEMBERING_TOML,
    FakeTrainer,
    drop,
    events_table,
    few_batches_a_run,
    hour,
    make_stocked_plant,
    opened,
    promote_handmade,
    readings_table,
    said,
)

from pm_app.features.panes.panes import merge_panes
from pm_app.jobs.backfill.run import backfill
from pm_app.jobs.ingest import housekeeping as compact_module
from pm_app.jobs.ingest.housekeeping import compact
from pm_app.jobs.operations.backup import backup, restore
from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.run import score
from pm_app.records.features import pane_arrays
from pm_app.settings.plant import read_settings
from pm_app.store import segments_of
from pm_app.wiring import store_url

LATER = NOW + timedelta(days=3)
HOURS = 20
TABLE = readings_table(hours=HOURS, a_pane=4, missing=0.1)
WHEN = ["scored_at"]


def pieces(table=TABLE, hold_back=()):
    """Files of half an hour, so that two share each pane; every fifth comes late."""
    second = table["timestamp"].cast(pa.int64()).to_numpy() // 10**9
    slot = (second - second.min()) // 1800
    order = sorted(set(slot.tolist()), key=lambda at: (at % 5 == 0, at))
    files = {f"{at:03d}.parquet": table.filter(pa.array(slot == at)) for at in order}
    return {name: part for name, part in files.items() if name not in hold_back}


@pytest.fixture(scope="module")
def grown(tmp_path_factory, empty_states):
    """Plants that have taken in one file at a time, each grown once; tests take copies."""
    folder = tmp_path_factory.mktemp("grown")
    number = count()

    @cache
    def grow(toml, hold_back):
        config = make_stocked_plant(
            folder / str(next(number)), empty_states, toml=toml, champion=False
        )
        with opened(config) as live:
            promote_handmade(live)
            for name, part in pieces(hold_back=hold_back).items():
                drop(config, name, part)
                score(live, now=NOW)
        return config

    return grow


@pytest.fixture
def plant(grown, tmp_path):
    """A plant that has taken in one file at a time; toml and the files held back."""
    number = count()

    def make(toml=PLANT_TOML, hold_back=()):
        config = grown(toml, hold_back)
        copy = shutil.copytree(config.parent, tmp_path / f"plant-{next(number)}")
        return copy / config.name

    return make


def test_nothing_is_joined_while_a_trainer_reads_it(plant):
    class Beside(FakeTrainer):
        """A training beside which scoring has its turn."""

        def __call__(self, *arguments):
            counts.append(joined(live))
            super().__call__(*arguments)

    counts = []
    with opened(plant()) as live:
        done = retrain(live, now=LATER, trainer=Beside("rebuild", seed=1))

        assert (done.version, counts) == (2, [0])
        assert joined(live) > 0


def joined(live, now=LATER):
    """The plant with all joined that can be; how many runs that took."""
    runs = 0
    with few_batches_a_run():
        while compact(live, now=now):
            runs += 1
    return runs


def panes_of(live):
    rows = live.store.ledger.ingested_batches("readings")
    return merge_panes(list(live.history.read(segments_of(rows))), pane_ns=live.history.pane_ns)


def test_panes_are_to_the_bit_what_they_were_and_files_are_few(plant):
    with opened(plant()) as live:
        before, files = panes_of(live), len(list(live.history.folder.iterdir()))
        runs = joined(live)
        after = panes_of(live)
        on_disk = {path.name for path in live.history.folder.iterdir()}

        assert (after.assets, after.sensors) == (before.assets, before.sensors)
        for name, values in pane_arrays(before).items():
            np.testing.assert_array_equal(pane_arrays(after)[name], values, err_msg=name)
        assert on_disk == live.store.ledger.segments()
        assert runs == files // 16
        assert len(on_disk) == files - 15 * runs


@pytest.mark.parametrize("toml", [PLANT_TOML, REMEMBERING_TOML], ids=["windows", "memory"])
def test_features_and_predictions_are_what_they_were(plant, toml):
    with opened(plant(toml)) as live:
        before = said(live.store)
        assert joined(live)
        live.memories.folder = live.memories.root
        done = backfill(live, first=hour(0), last=hour(HOURS + 1), now=LATER)

        assert (done.new, done.revised) == (0, 0)
        assert done.unchanged > 100
        assert said(live.store) == before


@pytest.mark.parametrize(
    ("toml", "gone"),
    [
        pytest.param(PLANT_TOML, False, id="files there, windows"),
        pytest.param(REMEMBERING_TOML, True, id="files gone, memory"),
        pytest.param(PLANT_TOML, True, id="files gone, windows", marks=pytest.mark.slow),
        pytest.param(REMEMBERING_TOML, False, id="files there, memory", marks=pytest.mark.slow),
    ],
)
def test_late_readings_meet_what_they_would_have_met(plant, toml, gone):
    late = ("010.parquet", "023.parquet", "024.parquet", "031.parquet")
    found = []
    for joins in (False, True):
        config = plant(toml, hold_back=late)
        with opened(config) as live:
            assert not joins or joined(live)
            if gone:
                for path in sorted((config.parent / "readings").iterdir())[::3]:
                    path.unlink()
            for name in late:
                drop(config, name, pieces()[name])
            drop(
                config,
                "e.parquet",
                events_table([("pump-01", 9.0, "failure", "")]),
                source="events",
            )
            score(live, now=LATER)
            found.append((said(live.store, without=WHEN), told(live)))

    assert found[0] == found[1]


@pytest.mark.parametrize("harm", ["remove", "flip"])
def test_a_joined_segment_that_is_lost_is_rebuilt_from_all_its_files(plant, harm):
    config = plant()
    with opened(config) as live:
        joined(live)
        before, panes = said(live.store), panes_of(live)
        noted = told(live)
        paths = [path for path in live.history.folder.iterdir() if "-joined-" in path.name]
        for path in sorted(paths)[::2]:
            content = bytearray(path.read_bytes())
            content[len(content) // 3] ^= 4
            path.write_bytes(content)
            if harm == "remove":
                path.unlink()
    with opened(config) as live:
        # Whoever reads it, finds it; here everything is read.
        done = backfill(live, first=hour(0), last=hour(HOURS + 1), now=LATER)
        score(live, now=LATER)

        assert (done.new, done.revised) == (0, 0)
        assert (said(live.store), told(live)) == (before, noted)
        np.testing.assert_array_equal(panes_of(live).total, panes.total)
        assert {path.name for path in live.history.folder.iterdir()} == live.store.ledger.segments()


def test_of_a_joined_segment_that_is_lost_only_files_that_are_gone_are(plant):
    config = plant()
    with opened(config) as live:
        joined(live)
        for path in live.history.folder.iterdir():
            path.unlink()
    (config.parent / "readings" / "001.parquet").unlink()
    with opened(config) as live:
        backfill(live, first=hour(0), last=hour(HOURS + 1), now=LATER)

        lost = [row.name for row in live.store.ledger.batches(status="lost")]
        assert lost == ["001.parquet"]


def waiting(live):
    """Files of readings that compaction has not come by."""
    return [row for row in live.store.ledger.ingested_batches("readings") if not row.settled]


def told(live):
    """What the ledger says of each file, but for what carries it."""
    return [
        (row.name, row.status, row.rows, row.rejected, row.reason)
        for row in live.store.ledger.batches()
    ]


def test_only_what_is_long_scored_is_joined_and_a_run_at_a_time(plant):
    config = plant()
    with opened(config) as live, few_batches_a_run():
        assert compact(live, now=NOW + timedelta(days=1)) == 0
        assert compact(live, now=LATER) == 15
        left = waiting(live)
        assert left[0].sequence == 17
        drop(config, "new.parquet", readings_table(first_hour=HOURS, hours=2, seed=1))
        score(live, now=LATER)
        assert len(waiting(live)) == len(left) + 1 - 16


def test_files_that_brought_nothing_new_are_passed_over(new_plant):
    repeats = {f"{at}.parquet": TABLE.slice(0, 50 + at) for at in range(20, 0, -1)}
    config = new_plant(champion=False)
    with opened(config) as live, few_batches_a_run(settled=timedelta(0)):
        for at, (name, part) in enumerate(repeats.items()):
            drop(config, f"{at:02d}-{name}", part)
        score(live, now=NOW)
        assert live.store.ledger.count("readings") == 20
        assert len(waiting(live)) == 4
        assert {path.name for path in live.history.folder.iterdir()} == live.store.ledger.segments()


def test_large_files_are_left_as_they_are(plant, monkeypatch):
    with opened(plant()) as live, few_batches_a_run():
        before = live.store.ledger.segments()
        monkeypatch.setattr(compact_module, "MOST_CELLS", 1)
        while len(waiting(live)) >= 16:
            assert compact(live, now=LATER) == 0

        assert live.store.ledger.segments() == before


def test_a_backup_holds_what_is_joined(plant, tmp_path):
    config = plant()
    with opened(config) as live:
        joined(live)
        backup(live.store, live.settings.state, tmp_path / "plant.backup", settings=config)
        before, panes = said(live.store), panes_of(live)
    settings = read_settings(config)
    settings.state.rename(tmp_path / "old")
    restore(tmp_path / "plant.backup", settings.state, store_url(settings), folder=settings.folder)
    with opened(config) as live:
        assert said(live.store) == before
        np.testing.assert_array_equal(panes_of(live).total, panes.total)
