"""Alarms of deviations as people meet them: in the list, on the page, and with a verdict."""

import json
from datetime import timedelta

import numpy as np
import pytest
from browsing import Visitor, resources
from factories import NOW, make_plant
from typer.testing import CliRunner

from pm_app.cli.app import app
from pm_app.jobs.retrain.request import confirmed_failures
from pm_app.records.alarms import AlarmRule
from pm_app.records.predictions import Predictions
from pm_app.scoring.alarms import RuleJudge
from pm_app.settings.plant import read_settings
from pm_app.store import open_store
from pm_app.times import to_nanoseconds
from pm_app.web.app import make_app
from pm_app.wiring import open_users, open_views, store_url

JUDGE = RuleJudge(AlarmRule(72.0, 1.0, 0.8, 2, "its level", kind="deviation"))
SENSORS = "bearing_temp +9.1 (71 %)"


def watched(hours: int) -> Predictions:
    """What is said of one asset so long before now, at both horizons."""
    nothing, empty = np.full(2, np.nan), np.full(2, "", dtype=object)
    return Predictions(
        assets=("pump-7",),
        asset=np.zeros(2, dtype=np.int32),
        cutoff=np.full(2, to_nanoseconds(NOW - timedelta(hours=hours))),
        horizon_hours=np.array([24.0, 72.0]),
        status=np.full(2, "watched", dtype=object),
        risk=nothing,
        rul_hours=nothing,
        rul_low_hours=nothing,
        rul_high_hours=nothing,
        value=nothing,
        top_sensors=empty,
        attention=empty,
        extrapolated=nothing,
        model_version=0,
        deviation=np.full(2, 1.31),
        deviation_sensors=np.full(2, SENSORS, dtype=object),
        normal_version=1,
    )


@pytest.fixture
def config(tmp_path):
    file = make_plant(tmp_path)
    settings = read_settings(file)
    with open_store(store_url(settings), folder=settings.folder) as store:
        for hours in (2, 1):
            store.writer.commit_scores((), [watched(hours)], scored_at=NOW, judges=[JUDGE])
    return file


def run(*words, config):
    done = CliRunner().invoke(app, [*words, "-c", str(config)])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_list_of_a_terminal_names_the_deviation_and_the_sensors(config):
    listed = run("alarms", config=config)
    (row,) = json.loads(run("alarms", "--json", config=config))

    assert all(words in listed for words in ("deviation", "1.3", "1.0", "pump-7"))
    assert (row["kind"], row["risk"], row["deviation"]) == ("deviation", None, 1.31)
    assert row["reason"] == f"does not behave as it used to: {SENSORS} (its level)"
    story = run("alarms", "show", "1", config=config)
    assert "deviation 1.31, threshold 1 (its level)" in " ".join(story.split())


def test_a_confirmed_one_is_a_failure_to_learn_from(config):
    words = ("alarms", "verdict", "1", "confirmed", "--found", "dry bearing", "--code", "B1")
    run(*words, config=config)

    with open_views(read_settings(config)) as store:
        (found,) = confirmed_failures(store.alarms.verdicts())
    assert (found.asset, found.code) == ("pump-7", "B1")
    assert found.since_ns == to_nanoseconds(NOW - timedelta(hours=1))


def test_its_page_shows_it_and_takes_a_verdict(config):
    settings = read_settings(config)
    with open_users(settings) as store:
        store.users.add("otto", "correct horse battery", role="operator", at=NOW, actor="root")
    otto = Visitor(make_app(settings, resources(settings, change=True), now=lambda: NOW))
    otto.sign_in("otto", "correct horse battery")

    page, listed = otto.get("/alarms/1").text, otto.get("/alarms").text

    assert "<dt>Deviation</dt><dd>1.3" in page and "(threshold 1)" in page
    assert "Risk within" not in page and 'action="/alarms/1/verdict"' in page
    assert "deviation 1.3" in listed and "bearing_temp" in listed
