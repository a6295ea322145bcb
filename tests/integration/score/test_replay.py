"""What was said comes out again, to the last digit; what was altered does not."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from factories import (
    NOW,
    REMEMBERING_TOML,
    FakeTrainer,
    drop,
    events_table,
    hour,
    make_card_with_modes,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)
from sqlalchemy import update

from pm_app.cli.app import app
from pm_app.errors import BadSettings
from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.replay import replay
from pm_app.jobs.score.run import score
from pm_app.store.schema.predictions import predictions

TABLE = readings_table()
EVENTS = events_table([("pump-00", 5.5, "failure", ""), ("pump-01", 9.0, "maintenance", "seal")])
ALWAYS = {"first": hour(-9000), "last": hour(9_000_000)}


@pytest.fixture
def lived(new_plant):
    """A plant that spoke without a model, with one that remembers, and with another one."""
    config = new_plant(
        {"a.parquet": TABLE.slice(0, 60)},
        toml=REMEMBERING_TOML,
        events={"e.parquet": EVENTS},
        champion=False,
    )
    with opened(config) as plant:
        score(plant, now=NOW)
        promote_handmade(plant, card=_narrow(plant))
        score(plant, now=NOW)
        drop(config, "b.parquet", TABLE.slice(60))
        score(plant, now=NOW + timedelta(hours=1))
        retrain(plant, now=NOW, trainer=FakeTrainer("rebuild", seed=1))
        drop(config, "late.parquet", TABLE.slice(20, 5))
        drop(config, "c.parquet", readings_table(first_hour=30, hours=20, seed=1))
        score(plant, now=NOW + timedelta(hours=2))
    return config


def _narrow(plant):
    """A card whose training saw less than half of what is read."""
    card = make_card_with_modes(make_spec(plant.settings))
    return replace(card, feature_high=(45.0,) * len(card.features), usual_risk=0.385)


def tamper(plant, **values):
    """Change one row that a model has said behind everyone's back."""
    with plant.store._database.writing() as connection:
        chosen = said(plant.store)[-1]
        connection.execute(
            update(predictions)
            .where(predictions.c.asset_id == chosen["asset_id"])
            .where(predictions.c.cutoff == chosen["cutoff"])
            .where(predictions.c.horizon_hours == chosen["horizon_hours"])
            .values(**values)
        )
    return chosen


def test_all_that_was_said_by_every_version_comes_out_again(lived):
    with opened(lived) as plant:
        rows = said(plant.store)
        versions = {row["model_version"] for row in rows}
        beyond = {row["extrapolated"] for row in rows if row["status"] == "scored"}
        done = replay(plant, **ALWAYS)

        assert len(versions) > 1
        assert len(beyond) > 10
        assert {row["mode"] for row in rows} > {None}
        assert (done.rows, done.differing) == (len(said(plant.store)), 0)


@pytest.mark.parametrize(
    "values",
    [
        {"risk": 0.123},
        {"rul_hours": None},
        {"top_sensors": "x 9 %"},
        {"extrapolated": 0.5},
        {"mode": "x"},
    ],
)
def test_one_altered_value_is_found(lived, values):
    ((column, value),) = values.items()
    with opened(lived) as plant:
        chosen = tamper(plant, **values)
        done = replay(plant, **ALWAYS)

    assert done.differing == 1
    (found,) = done.differences
    assert (found.asset_id, found.cutoff) == (chosen["asset_id"], chosen["cutoff"])
    assert (found.column, found.recorded, found.replayed) == (column, value, chosen[column])


def test_a_row_of_which_nothing_is_known_is_found(lived):
    with opened(lived) as plant:
        tamper(plant, cutoff=hour(77_777))
        done = replay(plant, **ALWAYS)

    assert [(d.column, d.replayed) for d in done.differences] == [("status", None)]


def test_another_version_says_otherwise_where_it_does(lived):
    with opened(lived) as plant:
        done = replay(plant, **ALWAYS, version=1)
        by_others = [row for row in said(plant.store) if row["model_version"] != 1]

    assert 0 < done.differing <= len(by_others)


def test_only_cutoffs_asked_for_are_replayed(lived):
    with opened(lived) as plant:
        inside = [row for row in said(plant.store) if hour(10) <= row["cutoff"] < hour(12)]
        done = replay(plant, first=hour(10), last=hour(12))

        assert (done.rows, done.differing) == (len(inside), 0)
        assert inside
        with pytest.raises(BadSettings, match="a first cutoff before the last"):
            replay(plant, first=hour(2), last=hour(2))


def test_the_command_tells_differences_by_its_exit_code_and_touches_nothing(lived, capsys):
    span = ["--from", "2000-01-01", "--to", "2100-01-01", "-c", str(lived)]
    memory = lived.parent / "state" / "memory"
    before = sorted((path, path.stat().st_mtime_ns) for path in memory.rglob("*"))

    assert app(["replay", *span], standalone_mode=False) in (0, None)
    assert " rows replayed, 0 differ" in capsys.readouterr().out
    assert sorted((path, path.stat().st_mtime_ns) for path in memory.rglob("*")) == before
    assert before

    with opened(lived) as plant:
        tamper(plant, risk=0.123)
    assert app(["replay", *span, "--json"], standalone_mode=False) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["differing"], told["differences"][0]["said"]) == (1, 0.123)
