"""A plant that keeps its predictions for so long."""

import json
from datetime import timedelta

import pytest
from factories import NOW, PLANT_TOML, START, drop, opened, readings_table, said

from pm_app.cli.app import app
from pm_app.errors import BadSettings
from pm_app.jobs.backfill.run import backfill
from pm_app.jobs.score.run import apply_retention, score
from pm_app.times import to_moment

KEEPING = PLANT_TOML + '\n[retention]\npredictions = "7d"\n'
TABLE = readings_table(hours=24 * 12, a_pane=1)
DAY_12 = to_moment(START) + timedelta(days=12)


@pytest.fixture
def plant(new_plant):
    config = new_plant({"a.parquet": TABLE}, toml=KEEPING)
    with opened(config) as plant:
        yield plant


def retire(plant, now):
    return apply_retention(plant.settings, plant.store.retention, now)


def days_said(plant):
    return {row["cutoff"].date() for row in said(plant.store)}


def test_days_beyond_what_is_kept_go_at_the_next_score(plant):
    score(plant, now=DAY_12)
    before = days_said(plant)
    score(plant, now=DAY_12)
    after = days_said(plant)

    assert min(before) == to_moment(START).date()
    assert min(after) == (DAY_12 - timedelta(days=7)).date()
    assert {row.day.date() for row in plant.store.retention.peaks()} == before - after


def test_nothing_is_said_again_of_a_retired_day(plant):
    score(plant, now=DAY_12)
    score(plant, now=DAY_12)
    peaks = list(plant.store.retention.peaks())
    drop(plant.settings.folder / "plant.toml", "late.parquet", readings_table(hours=30, seed=9))
    done = score(plant, now=DAY_12)

    assert done.batches == 1
    assert min(days_said(plant)) == (DAY_12 - timedelta(days=7)).date()
    assert list(plant.store.retention.peaks()) == peaks


def test_a_backfill_of_retired_days_is_refused_by_name(plant):
    score(plant, now=DAY_12)
    score(plant, now=DAY_12)

    with pytest.raises(BadSettings, match=r"retention\.predictions"):
        backfill(plant, first=to_moment(START), last=DAY_12, now=DAY_12)
    assert backfill(plant, first=DAY_12 - timedelta(days=6), last=DAY_12, now=DAY_12)


def test_peaks_are_shown(plant, capsys):
    score(plant, now=DAY_12)
    retire(plant, DAY_12)
    config = str(plant.settings.folder / "plant.toml")
    app(
        ["predictions", "--peaks", "--asset", "pump-01", "--json", "-c", config],
        standalone_mode=False,
    )
    rows = json.loads(capsys.readouterr().out)

    assert {row["asset_id"] for row in rows} == {"pump-01"}
    assert len(rows) == len(list(plant.store.retention.peaks(asset="pump-01")))


def test_without_a_limit_all_is_kept(new_plant):
    with opened(new_plant({"a.parquet": TABLE})) as plant:
        score(plant, now=NOW)

        assert retire(plant, NOW + timedelta(days=4000)) == 0
        assert plant.store.retention.retired_until() is None


def test_years_are_retired_in_turns(plant, monkeypatch):
    monkeypatch.setattr("pm_app.jobs.score.run.MOST_DAYS", 3)
    score(plant, now=DAY_12)
    turns = [retire(plant, DAY_12 + timedelta(days=7)) for _ in range(6)]

    assert turns[:3] == [3, 3, 3]
    assert sum(turns) == len({row.day for row in plant.store.retention.peaks()})
    assert turns[-1] == 0
