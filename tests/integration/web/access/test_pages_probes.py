"""Probes of supervisors without signing in, and HEAD wherever GET is answered."""

from dataclasses import replace

import httpx
import pytest
from browsing import Visitor, ask, resources
from chromium import serving
from factories import NOW, make_plant

from pm_app.daemon.health import Monitor
from pm_app.errors import NoStore, StoreUnavailable
from pm_app.settings.plant import parse_settings, read_settings
from pm_app.store.database import migrate
from pm_app.web.app import make_app
from pm_app.wiring import open_users

SECRET = "hunter2"


@pytest.fixture
def plant(tmp_path):
    """A plant whose daemon has just looked."""
    settings = read_settings(make_plant(tmp_path))
    with open_users(settings) as store:
        store.users.add("emma", "correct horse battery", role="engineer", at=NOW, actor="root")
    monitor = Monitor(settings.state)
    monitor.expect("score", lambda: 60.0)
    monitor.began("score")
    monitor.ended("score", f"nothing new, {SECRET}", failed=False)
    return settings


def pages(settings, **ways):
    return make_app(settings, replace(resources(settings, change=True), **ways), now=lambda: NOW)


def test_a_plant_that_works_is_alive_and_ready_to_anyone(plant):
    app = pages(plant)

    alive, ready = ask(app, "/healthz"), ask(app, "/readyz")

    assert (alive.status_code, alive.text) == (200, "alive\n")
    assert ready.status_code == 200
    assert ready.json() == {"ready": True, "store": "ok", "migrations": "ok", "daemon": "ok"}


def test_a_daemon_that_has_not_looked_lately_is_told_without_its_words(plant):
    monitor = Monitor(plant.state)
    monitor.expect("score", lambda: -1.0)

    answer = ask(pages(plant), "/readyz")

    assert answer.status_code == 503
    assert answer.json()["daemon"].startswith("last looked ")
    assert SECRET not in answer.text and str(plant.folder) not in answer.text


def test_a_plant_without_a_daemon_or_a_state_folder_here_is_told(tmp_path):
    settings = read_settings(make_plant(tmp_path))
    open_users(settings).close()
    assert ask(pages(settings), "/readyz").json()["daemon"] == "has never run"

    elsewhere = settings.model_copy(
        update={"plant": settings.plant.model_copy(update={"state": "another"})}
    )
    answer = ask(make_app(elsewhere, resources(settings), now=lambda: NOW), "/readyz")

    assert (answer.status_code, answer.json()["daemon"]) == (200, "not on this machine")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StoreUnavailable(f"postgresql://user:{SECRET}@db"), ("cannot be reached", "not known")),
        (NoStore(f"/home/{SECRET}: there is no store"), ("ok", "not those of this program")),
    ],
)
def test_a_store_that_does_not_answer_is_told_without_its_address(plant, error, words):
    def closed():
        raise error

    answer = ask(pages(plant, read=closed), "/readyz")

    assert answer.status_code == 503
    assert (answer.json()["store"], answer.json()["migrations"]) == words
    assert SECRET not in answer.text
    assert ask(pages(plant, read=closed), "/healthz").status_code == 200


def test_a_schema_that_changes_while_the_pages_run_is_seen(plant, monkeypatch):
    app = pages(plant)
    assert ask(app, "/readyz").status_code == 200

    monkeypatch.setattr(migrate, "REVISION", "9999")

    assert ask(pages(plant), "/readyz").json()["migrations"] == "not those of this program"


def test_probes_are_answered_by_whatever_name_they_come(plant):
    web = parse_settings(
        {"web": {"hosts": ["pumps.example"], "prefix": "/plant3"}}, folder=plant.folder, origin="x"
    ).web
    app = pages(plant.model_copy(update={"web": web}))

    assert ask(app, "/healthz", host="10.1.2.3").status_code == 200
    assert ask(app, "/plant3/readyz", host="10.1.2.3").status_code == 200
    assert ask(app, "/fleet", host="10.1.2.3").status_code == 421


@pytest.mark.parametrize(
    "address",
    ["/fleet", "/api/v1/assets", "/metrics", "/healthz", "/readyz", "/static/page.css", "/nowhere"],
)
def test_head_is_answered_as_get_is_without_a_body(plant, address):
    visitor = Visitor(pages(plant))
    visitor.sign_in("emma", "correct horse battery")
    got, headed = visitor.get(address), visitor._ask(address, method="HEAD")

    assert headed.status_code == got.status_code
    assert headed.content == b""
    own = ("content-type", "content-security-policy")
    assert [headed.headers.get(name) for name in own] == [got.headers.get(name) for name in own]


def test_head_over_a_real_connection_leaves_it_fit_for_the_next_request(plant):
    with serving(plant, NOW) as address, httpx.Client(base_url=address) as client:
        for path in ("/fleet", "/fleet.csv", "/static/page.js", "/healthz"):
            headed, got = client.head(path), client.get(path)
            assert (headed.status_code, headed.content) == (200, b"")
            if not path.startswith("/fleet"):
                assert headed.headers["content-length"] == str(len(got.content))


def test_head_changes_nothing_and_lets_no_stranger_in(plant):
    assert ask(pages(plant), "/fleet", method="HEAD").status_code == 303
    assert ask(pages(plant), "/api/v1/assets", method="HEAD").status_code == 401
    assert ask(pages(plant), "/sign-out", method="HEAD").status_code in (303, 404, 405)
