"""Scoring said once: repeats, batch sizes, the first champion, promotions and backfill."""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from factories import (
    NOW,
    PLANT_TOML,
    START,
    drop,
    events_table,
    hours_after_start,
    make_card,
    make_gated_card,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)

from pm_app.errors import BadSettings, NotEnoughData
from pm_app.jobs.backfill.run import backfill
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.score import frames as frames_module
from pm_app.jobs.score import run as score_job
from pm_app.jobs.score.champion import load_champion
from pm_app.jobs.score.predict import predict_frame
from pm_app.jobs.score.run import score
from pm_app.records.features import Frame, RunningRule
from pm_app.store import CommitCounts
from pm_app.times import to_moment

HOUR = timedelta(hours=1)
SHORT_BACKFILL = PLANT_TOML + '\n[scoring]\nbackfill = "10h"\n'
EVENTS = events_table([("pump-00", 5.5, "failure", ""), ("pump-01", 9.0, "maintenance", "seal")])


def at(hours):
    return to_moment(START) + hours * HOUR


def test_scoring_twice_changes_nothing(new_plant):
    config = new_plant({"a.parquet": readings_table()}, events={"e.parquet": EVENTS})
    with opened(config) as plant:
        score(plant, now=NOW)
        before = said(plant.store)
        again = score(plant, now=NOW + HOUR)

        assert said(plant.store) == before
        assert again.batches == again.ingested.batches == 0
        assert (again.committed.new, again.committed.revised) == (0, 0)
        assert not list(plant.store.tables.superseded())


def test_every_cutoff_with_a_reading_gets_a_row_for_every_horizon(new_plant):
    table = readings_table()
    config = new_plant({"a.parquet": table})
    with opened(config) as plant:
        score(plant, now=NOW)
        found = said(plant.store)

    times = table["timestamp"].to_pylist()
    panes = {
        (name, int(hours_after_start(time)) + 1)
        for name, time in zip(table["asset_id"].to_pylist(), times, strict=True)
    }
    assert [
        (row["asset_id"], hours_after_start(row["cutoff"]), row["horizon_hours"]) for row in found
    ] == [(name, pane, horizon) for name, pane in sorted(panes) for horizon in (24, 72)]
    assert all((row["risk"] is not None) == (row["status"] == "scored") for row in found)
    assert sum(row["status"] == "scored" for row in found) > 100


def test_predictions_do_not_depend_on_which_cutoffs_are_scored_together(new_plant, monkeypatch):
    table = readings_table(assets=4, hours=20)
    expected = None
    for cells, rows in ((60_000, 200_000), (3, 1), (40, 60), (200, 100)):
        monkeypatch.setattr(frames_module, "GROUP_CELLS", cells)
        monkeypatch.setattr(score_job, "GROUP_ROWS", rows)
        config = new_plant({f"{n}.parquet": table.slice(40 * n, 40) for n in range(6)})
        with opened(config) as plant:
            score(plant, now=NOW)
            found = said(plant.store, without=("revision",))
        expected = expected or found
        assert found == expected


def test_a_cutoff_is_scored_once_in_a_run_however_many_batches_touch_it(new_plant, monkeypatch):
    monkeypatch.setattr(score_job, "GROUP_ROWS", 1)
    hour = pc.hour(readings_table(assets=4, hours=20)["timestamp"])
    tables = {
        f"{part}.parquet": readings_table(assets=4, hours=20).filter(
            pc.equal(pc.bit_wise_and(hour, 3), part)
        )
        for part in range(4)
    }
    with opened(new_plant(tables)) as plant:
        done = score(plant, now=NOW)
        found = said(plant.store)

    assert done.batches == 4
    assert done.committed == CommitCounts(len(found), 0, 0)


def test_a_row_gets_the_same_bits_alone_as_among_others(new_plant):
    with opened(new_plant()) as plant:
        champion = load_champion(plant)
    width = len(champion.card.features)
    rows = np.random.default_rng(0).normal(50, 10, (300, width)).astype(np.float32)

    together = champion.predictor.outputs(rows)

    alone = [champion.predictor.outputs(rows[number : number + 1]) for number in range(len(rows))]
    assert np.concatenate(alone).tobytes() == together.tobytes()


def test_a_gated_version_says_where_it_looked_whatever_is_scored_together(new_plant, monkeypatch):
    tables = []
    for cells in (frames_module.GROUP_CELLS, 7):
        monkeypatch.setattr(frames_module, "GROUP_CELLS", cells)
        with opened(new_plant({"a.parquet": readings_table(assets=4)})) as plant:
            promote_handmade(plant, card=make_gated_card(make_spec(plant.settings)))
            score(plant, now=NOW)
            tables.append(said(plant.store))

    assert tables[0] == tables[1]
    assert {row["status"] for row in tables[0]} == {"scored", "not_enough_history"}
    for row in tables[0]:
        shares = [int(share) for share in re.findall(r" (\d+) %", row["attention"])]
        assert len(shares) <= 3
        assert shares == sorted(shares, reverse=True)
        assert (50 < sum(shares) <= 101) if row["status"] == "scored" else not shares


def test_sensors_are_named_only_where_the_risk_stands_out_from_the_usual(new_plant):
    tables = []
    for usual in (None, 0.385):
        with opened(new_plant({"a.parquet": readings_table(assets=4)})) as plant:
            promote_handmade(plant, card=make_card(make_spec(plant.settings), usual_risk=usual))
            score(plant, now=NOW)
            rows = said(plant.store, without=("scored_at",))
            tables.append([row for row in rows if row["status"] == "scored"])
    every, some = tables
    longest = [row for row in every if row["horizon_hours"] == 72.0]
    loud = {(row["asset_id"], row["cutoff"]) for row in longest if row["risk"] > 0.385}

    assert 0 < len(loud) < len(longest)
    assert any(row["top_sensors"] for row in longest if row["risk"] <= 0.385)
    for before, row in zip(every, some, strict=True):
        named = before["top_sensors"] if (row["asset_id"], row["cutoff"]) in loud else ""
        assert row == before | {"top_sensors": named}


def test_attention_names_sensors_in_the_order_of_the_plan(new_plant):
    with opened(new_plant()) as plant:
        promote_handmade(plant, card=make_gated_card(make_spec(plant.settings)))
        champion = load_champion(plant)
    card = champion.card
    values = np.random.default_rng(0).normal(50, 20, (6, len(card.features))).astype(np.float32)
    cutoffs = np.arange(6, dtype=np.int64)
    asset = np.zeros(6, dtype=np.int32)
    frame = Frame(("pump-00",), asset, cutoffs, card.features, card.sensor_of, values)
    found = predict_frame(frame, champion)

    leading = champion.predictor.predict_attending(values)[1].argmax(axis=1)
    expected = [card.allocation.sensors[place] for place in leading]
    horizons = len(card.head.horizons_hours)
    assert [text.split()[0] for text in found.attention[::horizons]] == expected
    assert set(found.status) == {"scored"}
    assert len(set(expected)) > 1


def test_before_the_first_champion_every_row_says_so(new_plant):
    with opened(new_plant({"a.parquet": readings_table()}, champion=False)) as plant:
        done = score(plant, now=NOW)
        found = said(plant.store)

    assert done.version is None
    assert {row["status"] for row in found} == {"no_model"}
    assert {row["model_version"] for row in found} == {0}
    assert all(row["risk"] is None and row["rul_hours"] is None for row in found)


def test_the_first_champion_scores_what_waited_and_leaves_older_cutoffs_to_backfill(new_plant):
    table = readings_table(missing=0)
    files = {f"{n}.parquet": table.filter(pa.array(_hours(table) // 5 == n)) for n in range(6)}
    config = new_plant(toml=SHORT_BACKFILL, champion=False)
    with opened(config) as plant:
        for name, part in files.items():
            drop(config, name, part)
            score(plant, now=NOW)
        promote_handmade(plant, at=NOW)
        score(plant, now=NOW + HOUR)
        found = said(plant.store)

    newest = max(hours_after_start(time) for time in table["timestamp"].to_pylist())
    for row in found:
        waited = hours_after_start(row["cutoff"]) > int(newest - 10)
        assert (row["status"] == "no_model") != waited
        assert row["revision"] == (2 if waited else 1)


def test_horizons_that_no_model_learned_are_not_scored_again_at_every_look(new_plant):
    toml = PLANT_TOML.replace('"24h", "72h"', '"24h", "48h"')
    with opened(new_plant({"a.parquet": readings_table()}, toml=toml, champion=False)) as plant:
        score(plant, now=NOW)
        promote_handmade(plant, at=NOW)
        score(plant, now=NOW + HOUR)
        again = score(plant, now=NOW + HOUR)
        found = said(plant.store)

    assert again.committed == CommitCounts()
    assert {
        row["horizon_hours"]: row["status"]
        for row in found
        if row["risk"] or not row["model_version"]
    } == {24: "scored", 48: "no_model", 72: "scored"}


def test_what_a_first_champion_finds_unscored_is_scored_as_far_back_as_set(new_plant):
    config = new_plant(
        {"a.parquet": readings_table(missing=0)}, toml=SHORT_BACKFILL, champion=False
    )
    with opened(config) as plant:
        ingest(plant, now=NOW)
        promote_handmade(plant, at=NOW)
        score(plant, now=NOW)

        assert _cutoffs(plant) == range(20, 31)


def test_what_comes_after_the_first_champion_does_not_move_how_far_back_is_scored(new_plant):
    table = readings_table(missing=0)
    hours = _hours(table)
    config = new_plant(
        {"b.parquet": table.filter(pa.array((hours >= 5) & (hours < 20)))},
        toml=SHORT_BACKFILL,
        champion=False,
    )
    with opened(config) as plant:
        ingest(plant, now=NOW)
        promote_handmade(plant, at=NOW)
        score(plant, now=NOW)
        drop(config, "c.parquet", table.filter(pa.array(hours >= 20)))
        score(plant, now=NOW + HOUR)
        drop(config, "a.parquet", table.filter(pa.array(hours < 5)))
        score(plant, now=NOW + HOUR)

        assert _cutoffs(plant) == range(10, 31)


def test_a_reading_from_the_future_does_not_silence_the_present(new_plant):
    table = readings_table(missing=0)
    stray = readings_table(assets=1, hours=1, first_hour=24 * 365 * 50, missing=0)
    config = new_plant(
        {"a.parquet": table, "stray.parquet": stray}, toml=SHORT_BACKFILL, champion=False
    )
    with opened(config) as plant:
        ingest(plant, now=at(30))
        promote_handmade(plant, at=at(30))
        score(plant, now=at(30))

        assert _cutoffs(plant, asset="pump-01") == range(20, 31)


def test_backfill_says_what_scoring_left_out(new_plant):
    table = readings_table(missing=0)
    config = new_plant({"a.parquet": table}, toml=SHORT_BACKFILL, champion=False)
    with opened(config) as plant:
        ingest(plant, now=NOW)
        promote_handmade(plant, at=NOW)
        score(plant, now=NOW)
        before = said(plant.store)
        done = backfill(plant, first=at(-9000), last=at(9_000_000), now=NOW + HOUR)
        after = said(plant.store)
        late = [row for row in after if row in before]

    full = new_plant({"a.parquet": table})
    with opened(full) as plant:
        score(plant, now=NOW)
        expected = said(plant.store, without=("scored_at",))
    assert late == before
    assert [{k: v for k, v in row.items() if k != "scored_at"} for row in after] == expected
    assert (done.new, done.revised, done.unchanged) == (
        len(after) - len(before),
        0,
        len(before),
    )


def test_backfill_takes_cutoffs_from_the_first_moment_up_to_but_not_with_the_last(new_plant):
    config = new_plant(
        {"a.parquet": readings_table(missing=0)}, toml=SHORT_BACKFILL, champion=False
    )
    with opened(config) as plant:
        ingest(plant, now=NOW)
        promote_handmade(plant, at=NOW)
        backfill(plant, first=at(4), last=at(7), now=NOW)

        assert _cutoffs(plant) == range(4, 7)


def test_backfill_rewrites_what_another_version_said_and_keeps_it_in_the_history(new_plant):
    config = new_plant({"a.parquet": readings_table()})
    with opened(config) as plant:
        score(plant, now=NOW)
        before = said(plant.store)
        promote_handmade(plant, at=NOW, seed=1)
        backfill(plant, first=at(0), last=at(99), now=NOW + HOUR)
        after = said(plant.store)
        kept = pa.concat_tables(plant.store.tables.superseded()).to_pylist()

    assert kept == before
    assert {(row["model_version"], row["revision"]) for row in after} == {(2, 2)}


def test_backfill_needs_a_champion_and_a_span(new_plant):
    with opened(new_plant({"a.parquet": readings_table()}, champion=False)) as plant:
        with pytest.raises(NotEnoughData, match="no model yet: pm-app retrain"):
            backfill(plant, first=at(0), last=at(5), now=NOW)
        promote_handmade(plant)
        with pytest.raises(BadSettings, match="needs a first cutoff before the last"):
            backfill(plant, first=at(5), last=at(5), now=NOW)


def test_a_promotion_rewrites_nothing_that_was_said(new_plant):
    table = readings_table()
    hours = _hours(table)
    config = new_plant({"a.parquet": table.filter(pa.array(hours < 20))})
    with opened(config) as plant:
        score(plant, now=NOW)
        before = said(plant.store)
        promote_handmade(plant, at=NOW, seed=1)
        score(plant, now=NOW + HOUR)
        assert said(plant.store) == before

        drop(config, "b.parquet", table.filter(pa.array(hours >= 20)))
        score(plant, now=NOW + HOUR)
        after = said(plant.store)

    assert [row for row in after if row["model_version"] == 1] == before
    assert {row["model_version"] for row in after} == {1, 2}


def test_scoring_loads_no_training_library(new_plant):
    config = new_plant({"a.parquet": readings_table()}, events={"e.parquet": EVENTS})
    command = [sys.executable, "-X", "importtime", "-m", "pm_app", "score", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"onnxruntime", "pm_app.jobs.score.run"} <= imported
    # A name alone may be an attempt that failed; a package that is there brings its modules.
    roots = {name.partition(".")[0] for name in imported if "." in name}
    assert not roots & {"tensorflow", "keras", "sklearn", "scipy", "pandas", "tf2onnx", "onnx"}
    assert "158 predictions new" in " ".join(done.stdout.split())


def test_scoring_a_large_plant_keeps_its_memory_flat(new_plant):
    toml = PLANT_TOML.replace('"6h"]', '"6h", "24h"]')
    table = readings_table(assets=100, hours=130, a_pane=4, sensors=24)
    config = new_plant({"a.parquet": table}, toml=toml)
    with opened(config) as plant:
        promote_handmade(plant, card=make_card(make_spec(plant.settings, sensors=24)))
    code = (
        "import sys; from pm_app.cli import main\n"
        f"sys.argv = ['pm-app', 'score', '-c', {str(config)!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        # The resource usage of a child begins with that of whoever started it; this does not.
        "print(next(s.split()[1] for s in open('/proc/self/status') if s.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    megabytes = int(done.stdout.split()[-1]) / 1024
    print(f"peak memory of scoring {len(table):,} readings: {megabytes:.0f} MB")
    assert megabytes < 300


def _hours(table):
    nanoseconds = table["timestamp"].cast(pa.int64()).to_numpy()
    return (nanoseconds - START) / 3.6e12


def _cutoffs(plant, asset=None):
    """The span of cutoffs with a prediction, in hours after the first reading's."""
    rows = [row for row in said(plant.store) if asset in (None, row["asset_id"])]
    hours = sorted({int(hours_after_start(row["cutoff"])) for row in rows})
    assert hours == list(range(hours[0], hours[-1] + 1))
    return range(hours[0], hours[-1] + 1)


def test_of_a_machine_that_is_off_the_table_says_so_and_no_risk(new_plant):
    table = readings_table(missing=0, a_pane=1)
    speed = np.where(_hours(table).astype(int) % 5 == 0, 0.0, 50.0)
    table = table.set_column(2, "sensor-0", pa.array(speed))
    with opened(new_plant({"a.parquet": table})) as plant:
        spec = replace(make_spec(plant.settings), running=RunningRule("sensor-0", 10.0))
        promote_handmade(plant, card=make_card(spec))
        score(plant, now=NOW)
        found = said(plant.store)

    for row in found:
        off = int(hours_after_start(row["cutoff"]) - 1) % 5 == 0
        assert (row["status"] == "machine_off") == off
        assert (row["risk"] is None) == (row["status"] != "scored")
    assert "scored" in {row["status"] for row in found}
