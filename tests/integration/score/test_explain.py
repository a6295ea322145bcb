"""Where a prediction comes from: its version, its files, its features and what sensors add."""

import json
from dataclasses import replace

import numpy as np
import pytest
from factories import (
    ALARMING_TOML,
    MODES_TOML,
    NOW,
    REMEMBERING_TOML,
    drop,
    hour,
    make_card_with_modes,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    said,
)

from pm_app.cli.app import app
from pm_app.errors import BadSettings
from pm_app.jobs.score.champion import load_champion
from pm_app.jobs.score.explain import provenance
from pm_app.jobs.score.frames import PaneSpan, frames
from pm_app.jobs.score.run import score

TABLE = readings_table(missing=0)


@pytest.fixture
def plant(new_plant):
    config = new_plant({"a.parquet": TABLE})
    drop(config, "b.parquet", readings_table(first_hour=30, hours=20, seed=1, missing=0))
    with opened(config) as live:
        score(live, now=NOW)
    return config


def test_what_is_said_is_told_with_its_version_and_files(plant):
    with opened(plant) as live:
        found = provenance(live, asset="pump-01", cutoff=hour(33.5))
        mine = [
            r for r in said(live.store) if (r["asset_id"], r["cutoff"]) == ("pump-01", hour(33))
        ]

    assert list(found.predictions) == mine
    assert found.version.version == mine[0]["model_version"]
    assert {row.name for row in found.batches} == {"a.parquet", "b.parquet"}


def test_only_files_that_the_windows_see_stand_behind_it(plant):
    with opened(plant) as live:
        reach = load_champion(live).card.spec.windows_ns[-1] / 3.6e12
        found = provenance(live, asset="pump-01", cutoff=hour(30 + reach + 1))
        early = provenance(live, asset="pump-01", cutoff=hour(8))

    assert [row.name for row in found.batches] == ["b.parquet"]
    assert [row.name for row in early.batches] == ["a.parquet"]


def test_what_sensors_add_explains_the_risk_that_was_said(plant):
    with opened(plant) as live:
        champion = load_champion(live)
        found = provenance(live, asset="pump-02", cutoff=hour(25))
        pane = int(hour(25).timestamp()) // 3600 * 3600 * 10**9 // live.history.pane_ns - 1
        (frame,) = frames(live.view, champion, {"pump-02": PaneSpan(pane, pane)})
        signal = champion.predictor.signal(frame.values)

    told = found.explanation
    assert told.signal == pytest.approx(float(signal[0]), abs=1e-6)
    assert told.added.sum() == pytest.approx(told.signal - told.base, abs=1e-4)
    longest = max(found.predictions, key=lambda row: row["horizon_hours"])
    assert longest["risk"] == pytest.approx(1 / (1 + np.exp(-told.signal)), abs=1e-3)
    assert len(found.features) == frame.values.shape[1]


def test_a_plant_that_remembers_is_explained_and_left_as_it_is(new_plant):
    config = new_plant({"a.parquet": TABLE}, toml=REMEMBERING_TOML, champion=False)
    with opened(config) as live:
        promote_handmade(live)
        score(live, now=NOW)
        before = sorted(live.memories.root.rglob("*"))
        found = provenance(live, asset="pump-00", cutoff=NOW)

        assert found.remembers
        assert sorted(live.memories.root.rglob("*")) == before


def test_without_a_model_there_is_nothing_to_explain(new_plant):
    config = new_plant({"a.parquet": TABLE}, champion=False)
    with opened(config) as live:
        score(live, now=NOW)
        found = provenance(live, asset="pump-00", cutoff=NOW)

    assert (found.version, found.explanation) == (None, None)
    assert found.predictions[-1]["status"] == "no_model"


@pytest.mark.parametrize(
    ("asset", "cutoff", "words"),
    [
        ("pump-99", NOW, "there is no asset 'pump-99'; there are"),
        ("pump-00", hour(-9), "nothing is"),
    ],
)
def test_what_is_not_there_is_named(plant, asset, cutoff, words):
    with opened(plant) as live, pytest.raises(BadSettings, match=words):
        provenance(live, asset=asset, cutoff=cutoff)


def test_the_command_tells_it_to_people_and_programs(plant, capsys):
    when = hour(25).isoformat()
    app(["explain", "pump-02", when, "-c", str(plant)], standalone_mode=False)
    text = capsys.readouterr().out
    app(["explain", "pump-02", when, "-c", str(plant), "--json"], standalone_mode=False)
    told = json.loads(capsys.readouterr().out)

    assert "by version 1 (" in text
    assert "beyond what was learned" not in text
    assert "a.parquet" in text
    assert told["version"]["version"] == 1
    added = sum(row["adds"] for row in told["sensors"])
    assert added == pytest.approx(told["signal"] - told["base"], abs=1e-4)


def test_modes_and_how_much_lies_beyond_what_was_learned_are_told_and_noted(new_plant, capsys):
    config = new_plant({"a.parquet": TABLE}, toml=ALARMING_TOML + MODES_TOML, champion=False)
    with opened(config) as live:
        card = make_card_with_modes(make_spec(live.settings))
        promote_handmade(live, card=replace(card, feature_high=(20.0,) * len(card.features)))
        score(live, now=NOW)
        rows = [row for row in said(live.store) if row["asset_id"] == "pump-02"]
    app(["explain", "pump-02", "-c", str(config)], standalone_mode=False)
    text = capsys.readouterr().out
    app(["explain", "pump-02", "-c", str(config), "--json"], standalone_mode=False)
    modes = json.loads(capsys.readouterr().out)["modes"]
    share = f"{rows[-1]['extrapolated']:.0%}".replace("%", " %")

    assert rows[-1]["extrapolated"] > 0.05
    assert f"\n{share} of what this rests on lies beyond what was learned\n" in text

    risks = json.loads(rows[-1]["mode_risks"])
    assert {each["mode"]: each["risks"]["72"] for each in modes} == risks
    assert sum(risks.values()) == pytest.approx(rows[-1]["risk"], abs=1e-9)
    assert modes[0]["mode"] == rows[-1]["mode"] == max(risks, key=risks.get)
    for each in modes:
        added = sum(row["adds"] for row in each["sensors"])
        assert added == pytest.approx(each["signal"] - each["base"], abs=1e-4)
        assert f"{each['mode']} " in text
    action = modes[0]["action"]
    assert (f"next step, for {modes[0]['mode']}: {action}" in text) == bool(action)
    assert {each["action"] for each in modes} == {"", "Check lubrication; order 6310-2Z"}

    app(["predictions", "--latest", "-c", str(config)], standalone_mode=False)
    latest = capsys.readouterr().out
    assert "mode" in latest and rows[-1]["mode"] in latest
    app(["alarms", "-c", str(config), "--json"], standalone_mode=False)
    alarms = json.loads(capsys.readouterr().out)
    assert {row["mode"] for row in alarms} <= set(risks) and alarms
    for row in alarms:
        is_bearing = row["likeliest_mode"] == "bearing"
        assert row["action"] == ("Check lubrication; order 6310-2Z" if is_bearing else "")
