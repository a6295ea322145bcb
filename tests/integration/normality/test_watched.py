"""Rows watched by what is normal: before any failure model, beside one, and taken over by one."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from factories import (
    NOW,
    PLANT_TOML,
    drop,
    hours_after_start,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)
from normals import make_normal_card, promote_handmade_normal, write_handmade_normal

from pm_app.errors import BadVersion
from pm_app.jobs.score.normal_champion import verified_normal
from pm_app.jobs.score.replay import replay
from pm_app.jobs.score.run import score
from pm_app.times import HOUR_NS

TABLE = readings_table(hours=60)
WITHOUT = ("revision", "scored_at")


def statuses(store):
    return {(row["asset_id"], row["cutoff"]): row["status"] for row in said(store)}


def watched_plant(new_plant, readings=TABLE, **changes):
    config = new_plant({"all.parquet": readings}, champion=False, **changes)
    with opened(config) as plant:
        promote_handmade_normal(plant)
    return config


def replay_all(plant):
    return replay(plant, first=NOW - timedelta(days=90), last=NOW)


def test_without_a_failure_model_rows_are_watched(new_plant):
    with opened(watched_plant(new_plant)) as plant:
        score(plant, now=NOW)
        rows = said(plant.store)

        assert replay_all(plant).differing == 0
    assert {row["status"] for row in rows} == {"watched", "not_enough_history"}
    for row in rows:
        assert (row["model_version"], row["normal_version"], row["risk"]) == (0, 1, None)
        assert (row["status"] == "watched") == (row["deviation"] is not None)
        loud = row["deviation"] is not None and row["deviation"] >= 0.5
        assert bool(row["deviation_sensors"]) == loud


def test_an_asset_is_watched_after_a_day(new_plant):
    with opened(watched_plant(new_plant)) as plant:
        score(plant, now=NOW)
        rows = said(plant.store)
        first = {name: moment for name, moment in plant.ledger.first_seen().items()}

    for row in rows:
        age = (row["cutoff"] - first[row["asset_id"]]).total_seconds() / 3600
        assert (row["status"] == "not_enough_history") == (age < 24)


def test_the_deviation_is_that_of_the_sensor_furthest_off(new_plant):
    with opened(watched_plant(new_plant)) as plant:
        score(plant, now=NOW)
        row = max(said(plant.store), key=lambda row: row["deviation"] or 0.0)

    names = ["asset_id", "timestamp", "sensor-0", "sensor-1", "sensor-2"]
    readings = [r for r in TABLE.select(names).to_pylist() if r["asset_id"] == row["asset_id"]]
    readings = [r for r in readings if r["timestamp"] < row["cutoff"]]
    newest = [[r[s] for r in readings if r[s] is not None][-1] for s in names[2:]]
    off = np.abs(np.array(newest) - 50)
    assert row["deviation"] == pytest.approx(off.max() / 15, abs=1e-3)
    assert row["deviation_sensors"].startswith(names[2 + int(off.argmax())])


def test_every_horizon_of_a_failure_models_row_carries_the_deviation(new_plant):
    config = watched_plant(new_plant)
    with opened(config) as plant:
        score(plant, now=NOW)
        alone = {(r["asset_id"], r["cutoff"]): r["deviation"] for r in said(plant.store)}
        number = promote_handmade(plant, at=NOW)
        score(plant, now=NOW + timedelta(hours=1))
        rows = said(plant.store)

        assert replay_all(plant).differing == 0
    assert {(row["model_version"], row["normal_version"]) for row in rows} == {(number, 1)}
    assert {row["revision"] for row in rows} == {2}
    assert "watched" not in {row["status"] for row in rows}
    found = {(row["asset_id"], row["cutoff"], row["deviation"]) for row in rows}
    assert found == {(*key, value) for key, value in alone.items()}


def test_the_first_normal_behaviour_revises_rows_without_a_model(new_plant):
    config = new_plant({"all.parquet": TABLE}, champion=False)
    with opened(config) as plant:
        score(plant, now=NOW)
        assert set(statuses(plant.store).values()) == {"no_model"}
        promote_handmade_normal(plant)
        score(plant, now=NOW + timedelta(hours=1))
        found = said(plant.store, without=WITHOUT)
        again = score(plant, now=NOW + timedelta(hours=2)).committed
    with opened(watched_plant(new_plant)) as plant:
        score(plant, now=NOW)

        assert found == said(plant.store, without=WITHOUT)
    assert (again.new, again.revised, again.unchanged) == (0, 0, 0)


def test_rows_far_before_the_first_normal_behaviour_stay_without_a_model(new_plant):
    toml = f'{PLANT_TOML}\n[scoring]\nbackfill = "12h"\n'
    order = TABLE.sort_by("timestamp")
    config = new_plant({"early.parquet": order.slice(0, 200)}, champion=False, toml=toml)
    with opened(config) as plant:
        score(plant, now=NOW)
        early = set(statuses(plant.store))
        drop(config, "rest.parquet", order.slice(200))
        score(plant, now=NOW + timedelta(hours=1))
        promote_handmade_normal(plant, at=NOW + timedelta(hours=1))
        score(plant, now=NOW + timedelta(hours=2))
        found = statuses(plant.store)

    newest = max(cutoff for _, cutoff in found)
    silent = {key for key, status in found.items() if status == "no_model"}
    assert silent == {key for key in found if key[1] < newest - timedelta(hours=12)}
    assert silent >= early


def test_a_second_normal_behaviour_leaves_the_first_its_words(new_plant):
    with opened(watched_plant(new_plant)) as plant:
        score(plant, now=NOW)
        before = said(plant.store)
        card = make_normal_card(make_spec(plant.settings), level=3.0)
        promote_handmade_normal(plant, at=NOW + timedelta(hours=1), card=card)
        done = score(plant, now=NOW + timedelta(hours=2))

        assert said(plant.store) == before
        assert done.committed.revised == 0


def test_what_both_look_at_otherwise_is_built_for_each(new_plant):
    config = new_plant({"all.parquet": TABLE}, champion=True)
    with opened(config) as plant:
        spec = make_spec(plant.settings)
        other = replace(
            spec,
            windows_ns=(3 * HOUR_NS, 12 * HOUR_NS),
            smooth_ns=(5 * HOUR_NS,),
            change=True,
            beginning_ns=4 * HOUR_NS,
        )
        promote_handmade_normal(plant, card=make_normal_card(other))
        score(plant, now=NOW)
        beside = said(plant.store, without=WITHOUT)

        assert replay_all(plant).differing == 0
    config = new_plant({"all.parquet": TABLE}, champion=False)
    with opened(config) as plant:
        promote_handmade_normal(plant, card=make_normal_card(other))
        score(plant, now=NOW)
        alone = {(r["asset_id"], r["cutoff"]): r["deviation"] for r in said(plant.store)}
    assert {(r["asset_id"], r["cutoff"]): r["deviation"] for r in beside} == alone


def test_switched_off_nothing_is_said_of_deviations(new_plant):
    toml = f"{PLANT_TOML}\n[deviation]\nenabled = false\n"
    with opened(watched_plant(new_plant, toml=toml)) as plant:
        score(plant, now=NOW)
        rows = said(plant.store)

    assert {(row["status"], row["deviation"]) for row in rows} == {("no_model", None)}


def test_a_damaged_normal_behaviour_leaves_risks_and_is_told(new_plant):
    config = new_plant({"all.parquet": TABLE}, champion=True)
    with opened(config) as plant:
        number = promote_handmade_normal(plant)
        (plant.registry.path(number) / "model.onnx").write_bytes(b"damaged")
        with pytest.raises(BadVersion, match="nothing is said of deviations"):
            score(plant, now=NOW)

        assert "scored" in statuses(plant.store).values()


def test_the_normal_behaviour_before_stands_in_for_a_damaged_one(new_plant):
    config = watched_plant(new_plant)
    with opened(config) as plant:
        number = promote_handmade_normal(plant, at=NOW + timedelta(hours=1))
        (plant.registry.path(number) / "card.json").write_bytes(b"{}")
        with pytest.raises(BadVersion, match="version 1 says deviations in its place"):
            score(plant, now=NOW + timedelta(hours=2))

        assert {row["normal_version"] for row in said(plant.store)} == {1}


def test_golden_rows_that_come_out_otherwise_are_damage(new_plant):
    config = new_plant({"all.parquet": TABLE}, champion=False)
    with opened(config) as plant:
        number = promote_handmade_normal(plant, promote=False)
        staged = plant.registry.staging()
        write_handmade_normal(staged, make_normal_card(make_spec(plant.settings)), off=0.5)
        plant.registry.publish(staged, number)
        with pytest.raises(BadVersion, match="golden rows differently"):
            verified_normal(plant.registry.load_normal(number))


def test_late_readings_are_watched_as_if_they_had_come_in_time(new_plant):
    order = TABLE.sort_by("timestamp")
    config = watched_plant(new_plant, order.slice(0, 200))
    with opened(config) as plant:
        score(plant, now=NOW)
        for turn, first in enumerate((400, 300, 200)):
            size = len(order) - 400 if first == 400 else 100
            drop(config, f"late-{first}.parquet", order.slice(first, size))
            score(plant, now=NOW + timedelta(hours=1 + turn))
        found = said(plant.store, without=WITHOUT)
    with opened(watched_plant(new_plant)) as plant:
        score(plant, now=NOW)

        assert found == said(plant.store, without=WITHOUT)
        assert max(hours_after_start(row["cutoff"]) for row in found) == 60
