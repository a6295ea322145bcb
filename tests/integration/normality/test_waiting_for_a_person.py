"""Versions that wait for a person: told in status, on the fleet page and by one alarm."""

import json
import threading
from dataclasses import replace

import pytest
from browsing import Visitor, resources
from factories import NOW, PLANT_TOML, opened, promote_handmade, readings_table
from normals import FakeLearner, promote_handmade_normal

from pm_app.cli.run.daemon import watch_plant
from pm_app.jobs.normality.run import learn_plant_normal
from pm_app.jobs.operations.alarms import acknowledge
from pm_app.jobs.operations.approvals import approval_condition, approval_texts
from pm_app.jobs.score.promotion import promote
from pm_app.settings.plant import read_settings
from pm_app.store import RetrainingRow
from pm_app.store.users import Actor
from pm_app.web.app import make_app

SOMEONE = Actor("someone")
WORDS = "Version 2 of normal behaviour waits for a person: "


@pytest.fixture
def waiting(new_plant):
    """A plant whose second normal behaviour waits."""
    toml = f"{PLANT_TOML}\n[web]\nopen = true\n"
    config = new_plant({"all.parquet": readings_table(hours=80)}, champion=False, toml=toml)
    with opened(config) as plant:
        promote_handmade_normal(plant)
        learn(plant)
    return config


def learn(plant):
    return learn_plant_normal(plant, now=NOW, learner=FakeLearner("renewed", publish=False))


def watch(plant):
    looked = threading.Event()
    looked.set()
    watch_plant(replace(plant, channels=("message 1",)), looked, NOW)
    return [row for row in plant.store.alarms.alarms() if row.kind == "approval"]


def test_status_says_what_waits_and_stays_as_fine_as_it_was(waiting, pm_app):
    _, out, _ = pm_app("status", "-c", waiting)
    found = json.loads(pm_app("status", "-c", waiting, "--json")[1])

    assert WORDS in out and "pm-app promote 2" in out
    assert [each.startswith(WORDS) for each in found["waiting"]] == [True]
    assert not any("Version 2" in each for each in found["troubles"])


def test_the_fleet_page_leads_to_what_waits_until_somebody_answers(waiting):
    settings = read_settings(waiting)
    person = Visitor(make_app(settings, resources(settings), now=lambda: NOW))
    page = person.get("/fleet").text
    with opened(waiting) as plant:
        promote(plant, 2, at=NOW, reason="looked at", actor=SOMEONE)

    assert WORDS in page
    assert "waits for a person" not in person.get("/fleet").text


def test_an_alarm_of_the_plant_is_raised_and_sent_once_however_many_versions_wait_in_turn(waiting):
    with opened(waiting) as plant:
        lineage = plant.store.lineage
        (alarm,) = watch(plant)
        watch(plant)
        (news,) = [row for row in plant.store.outbox.waiting() if row.kind == "approval"]
        acknowledge(plant.store, alarm.id, at=NOW, actor=SOMEONE)
        (seen,) = watch(plant)
        learn(plant)
        (same,) = watch(plant)
        lineage.reject(3, at=NOW, reason="a fault", actor=SOMEONE)
        gone = [row for row in watch(plant) if row.state != "cleared"]
        learn(plant)
        (again,) = [row for row in watch(plant) if row.state != "cleared"]
        actions = [event.action for event in plant.store.alarms.events(alarm.id)]

    assert (alarm.asset_id, news.reason) == ("", alarm.reason)
    assert alarm.reason.startswith("normal behaviour: ") and "promote" not in alarm.reason
    states = [each.state for each in (alarm, seen, same)]
    assert states == ["unacknowledged", "acknowledged", "acknowledged"]
    assert actions == ["raised", "acknowledged", "cleared"]
    assert gone == [] and again.id != alarm.id


def test_a_failure_version_that_waits_is_told_beside_one_that_scores(new_plant):
    with opened(new_plant({"all.parquet": readings_table()}, champion=False)) as plant:
        lineage = plant.store.lineage
        scores = promote_handmade(plant)
        version = replace(lineage.version(scores), version=7)
        why = "better; waits for pm-app promote 7"
        made = RetrainingRow(NOW, NOW, NOW, "refit", why, version=7, metrics={"waits": True})
        lineage.record_retraining(made, version=version)
        (alarm,) = watch(plant)
        texts = approval_texts(lineage)

    assert texts == (
        "Version 7 of failures waits for a person: better; pm-app promote 7 accepts it.",
    )
    assert alarm.reason == "failures: better"


def test_nothing_waits_nothing_stands():
    assert not approval_condition(()).stands
