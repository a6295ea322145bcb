"""Silence on the pages: every page tells what has stopped, and how old what it shows is."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from browsing import Table, Visitor, ask, resources
from factories import NOW, hours_after_start, make_plant, opened, promote_handmade, readings_table

from pm_app.cli.look.predictions import latest_rows
from pm_app.daemon.health import Monitor
from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.times import read_clock
from pm_app.web.app import make_app
from pm_app.web.pages.table import PAGES
from pm_app.wiring import open_users, open_views

PASSWORD = "correct horse battery"
SOON = NOW + timedelta(minutes=10)
LATER = NOW + timedelta(days=213)


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    """A plant whose newest reading came at NOW, its daemon, and an engineer."""
    table = readings_table(first_hour=int(hours_after_start(NOW)) - 40, hours=40)
    config = make_plant(tmp_path_factory.mktemp("silent"), {"a.parquet": table})
    with opened(config) as plant:
        promote_handmade(plant)
        score(plant, now=NOW)
    settings = read_settings(config)
    with open_users(settings) as store:
        store.users.add("eve", PASSWORD, role="engineer", at=NOW, actor="root")
    monitor = Monitor(settings.state)
    monitor.expect("score", lambda: 600.0)
    monitor.ended("score", "1 batches read", failed=False)
    return settings


@pytest.fixture
def at(plant, monkeypatch):
    """The engineer at a time, by the clock of the machine."""

    def visitor(moment):
        clock = replace(read_clock(), at=moment)
        monkeypatch.setattr("pm_app.web.context.read_clock", lambda: clock)
        eve = Visitor(make_app(plant, resources(plant, change=True), now=lambda: moment))
        assert eve.sign_in("eve", PASSWORD).status_code == 303
        return eve

    return visitor


def banner_of(answer):
    assert answer.status_code == 200, answer.text
    (found,) = re.findall(r'<div id="banner" role="status">(.*?)</div>\n', answer.text, re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", found).split())


@pytest.mark.parametrize(
    "address",
    [page.path for page in PAGES if page.role] + ["/alarms?list=shelved", "/help/operate"],
)
def test_every_page_tells_that_readings_have_stopped(at, address):
    path = f"{address}pump-00" if address == "/assets/" else address
    eve = at(LATER)
    told = banner_of(eve.get(path))

    assert "Something has stopped or needs a person." in told
    assert "no reading since 2023-09-30 23:" in told and "the newest is 213 d old" in told
    assert "look at the historian and at readings.uri" in told
    assert "newest reading 213 d old" in eve.get(path).text


def test_a_plant_that_is_well_has_nothing_to_tell(at):
    eve = at(SOON)

    assert banner_of(eve.get("/fleet")) == ""
    assert re.search(r"newest reading \d+ min old", eve.get("/fleet").text)


def test_a_daemon_that_fails_is_told_on_every_page(at, plant):
    monitor = Monitor(plant.state)
    monitor.expect("score", lambda: 600.0)
    for _ in range(3):
        monitor.ended("score", "the disk <is> full", failed=True)
    told = banner_of(at(SOON).get("/help"))
    monitor.ended("score", "well", failed=False)

    assert "score: failed 3 times in a row: the disk &lt;is&gt; full" in told


def test_pages_of_a_simulated_plant_say_that_their_clock_is_not_the_machines(plant):
    app = make_app(plant, resources(plant, change=True), now=lambda: SOON)
    with open_users(plant) as store:
        store.users.add("demo", PASSWORD, role="viewer", at=NOW, actor="root")
    demo = Visitor(app)
    demo.sign_in("demo", PASSWORD)

    told = banner_of(demo.get("/fleet"))
    assert "a clock of their own, that of a simulated plant: it stands at 2023-10-01 00:10" in told


def test_a_stranger_is_told_nothing_of_the_plant(plant):
    page = ask(make_app(plant, resources(plant), now=lambda: LATER), "/sign-in").text

    assert 'id="banner"' not in page and "newest reading" not in page


def test_risks_older_than_their_horizon_are_shown_as_old_and_not_as_low(at):
    eve = at(LATER)
    fleet, asset = eve.get("/fleet").text, eve.get("/assets/pump-00").text
    rows = Table(fleet).rows[1:]

    words = "said 213 d ago for the 72 h after it: no longer about now"
    assert {(row[0].split()[0], row[2]) for row in rows} == {("Outdated", words)}
    assert re.findall(r'<td class="risk (\w+)"', fleet) == ["outdated"] * 3
    assert "<b>3</b> Outdated" in fleet and "<b>0</b> Low" in fleet
    assert words in asset and 'class="news outdated"' in asset
    assets = eve.get("/api/v1/assets").json()["assets"]
    assert {row["level"] for row in assets} == {"outdated"}
    assert 'pm_app_assets{level="outdated"} 3.0' in eve.get("/metrics").text


def test_risks_within_their_horizon_are_shown_as_ever(at):
    fleet = at(SOON).get("/fleet").text

    assert "no longer about now" not in fleet and "risk outdated" not in fleet


def test_the_latest_predictions_on_a_terminal_say_which_are_outdated(plant):
    with open_views(plant) as store:
        table = store.tables.latest_predictions()
    soon, late = (latest_rows(table, now=moment, cap_hours=720) for moment in (SOON, LATER))

    assert {row["note"] for row in soon} == {""}
    assert {row["note"] for row in late} == {
        "outdated: said 213 d ago for the 72 h after it: no longer about now"
    }
