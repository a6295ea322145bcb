"""What pages tell those who have not signed in, and what they take from other sites."""

import shutil
from datetime import UTC, datetime

import pytest
from browsing import Visitor, ask, resources
from factories import make_plant

from pm_app.cli.look.checks.findings import run_checks
from pm_app.cli.run.serve import who_gets_in
from pm_app.settings.plant import parse_settings, read_settings
from pm_app.web.app import make_app
from pm_app.wiring import open_users

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "correct horse battery"
ACTOR = {"at": NOW, "actor": "root"}
PATHS = ("/", "/fleet", "/fleet.csv", "/alarms", "/models", "/data", "/help", "/api/v1/assets")


@pytest.fixture(scope="module")
def vacant(tmp_path_factory):
    """A plant with a store and without users, not to be changed."""
    settings = read_settings(make_plant(tmp_path_factory.mktemp("vacant")))
    open_users(settings).close()
    return settings


@pytest.fixture
def plant(tmp_path, vacant):
    """A copy of it."""
    shutil.copytree(vacant.folder, tmp_path / "plant")
    return read_settings(tmp_path / "plant" / "plant.toml")


def with_web(settings, **web):
    given = parse_settings({"web": web}, folder=settings.folder, origin="plant.toml")
    return settings.model_copy(update={"web": given.web})


def pages(settings, **web):
    settings = with_web(settings, **web)
    return make_app(settings, resources(settings, change=True), now=lambda: NOW)


def add(settings, name="otto", role="operator"):
    with open_users(settings) as store:
        store.users.add(name, PASSWORD, role=role, **ACTOR)


@pytest.mark.parametrize("disabled", [False, True])
def test_without_users_nobody_is_shown_anything(plant, disabled):
    if disabled:
        add(plant)
        with open_users(plant) as store:
            store.users.set_disabled("otto", True, **ACTOR)

    assert {ask(pages(plant), path).status_code for path in PATHS} == {303, 401}


def test_a_plain_proxy_on_this_machine_opens_nothing(plant):
    forwarded = {"x-forwarded-for": "203.0.113.9", "x-forwarded-host": "pumps.example"}

    assert ask(pages(plant), "/fleet", host="localhost", headers=forwarded).status_code == 303


def test_where_nobody_can_sign_in_it_is_told_what_to_set(plant):
    page = ask(pages(plant), "/sign-in").text
    (remark,) = who_gets_in(plant)
    (finding,) = [found for found in run_checks(plant) if found.subject == "pages"]

    assert "pm-app users add NAME --role engineer" in page and "open = true" in page
    assert finding.verdict == "note" and finding.text == remark
    assert "pm-app users add NAME --role engineer" in remark and "open = true" in remark


def test_what_to_set_is_told_before_there_is_a_store(tmp_path):
    fresh = read_settings(make_plant(tmp_path))

    assert ask(pages(fresh), "/fleet").status_code == 303
    assert "pm-app users add NAME" in ask(pages(fresh), "/sign-in").text


def test_once_someone_can_sign_in_nothing_more_is_told(plant):
    add(plant)

    assert "users add" not in ask(pages(plant), "/sign-in").text
    assert not list(who_gets_in(plant))


def test_open_pages_are_looked_at_by_anyone_and_changed_by_nobody(plant):
    app = pages(plant, open=True)

    shown = ask(app, "/fleet")
    changed = ask(app, "/api/v1/models/rollback", method="POST", json={"reason": "mine"})

    assert shown.status_code == 200 and 'href="/sign-in?next=/fleet"' in shown.text
    assert changed.status_code == 401
    assert ask(app, "/audit").status_code == 403
    assert "users add" in ask(pages(plant), "/sign-in").text


def test_open_pages_let_people_sign_in_to_act(plant):
    add(plant)
    visitor = Visitor(pages(plant, open=True))
    visitor.sign_in("otto", PASSWORD)

    assert "otto" in visitor.get("/fleet").text


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8080", 200), ("[::1]:80", 200), ("10.0.0.5", 200), ("evil.example", 403)],
)
def test_open_pages_are_not_read_under_the_name_of_another_site(plant, host, status):
    """DNS rebinding: a site points its own name here, and a browser believes this is that site."""
    answer = ask(pages(plant, open=True), "/fleet", headers={"host": host})

    assert answer.status_code == status


def test_pages_with_names_of_their_own_answer_to_no_other(plant):
    add(plant)
    app = pages(plant, hosts=["Pumps.example"])

    assert ask(app, "/sign-in", host="pumps.example").status_code == 200
    assert ask(app, "/sign-in", host="localhost").status_code == 200
    for path in ("/sign-in", "/static/page.css"):
        assert ask(app, path, host="10.0.0.5").status_code == 421
    assert (
        ask(pages(plant, hosts=["a.example"], open=True), "/", host="a.example").status_code < 400
    )


def acknowledge(app, plant, **headers):
    """How a form with the right secret is answered."""
    visitor = Visitor(app)
    visitor.sign_in("otto", PASSWORD)
    csrf = visitor.secret("/fleet")
    return visitor.post("/sign-out", {"csrf": csrf}, headers=headers).status_code


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:81", "http://["]
)
def test_what_changes_something_is_not_taken_from_another_site(plant, origin):
    add(plant)

    assert acknowledge(pages(plant), plant, origin=origin) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://127.0.0.1"},
        {"origin": "https://pumps.example"},
        {"origin": "https://proxied.example", "sec-fetch-site": "same-origin"},
    ],
)
def test_what_changes_something_is_taken_from_our_own_pages(plant, headers):
    add(plant)

    assert acknowledge(pages(plant, hosts=["pumps.example"]), plant, **headers) == 303


def test_nobody_is_signed_in_by_a_form_of_another_origin(plant):
    add(plant)
    visitor = Visitor(pages(plant), {"headers": {"origin": "https://evil.example"}})

    assert visitor.sign_in("otto", PASSWORD).status_code == 403


def test_a_program_with_a_token_is_not_asked_for_an_origin(plant):
    with open_users(plant) as store:
        token = store.users.add_token("cmms", role="engineer", **ACTOR)
    headers = {"authorization": f"Bearer {token}", "origin": "https://cmms.example"}

    answer = ask(
        pages(plant), "/api/v1/models/rollback", method="POST", json={"reason": ""}, headers=headers
    )

    assert answer.status_code == 409


@pytest.mark.parametrize("path", ["/fleet/", "/alarms/", "/static", "/api/v1/assets/"])
def test_no_answer_leads_to_the_host_that_a_request_names(plant, path):
    answer = ask(pages(plant, open=True), path, headers={"host": "10.0.0.5"})

    assert "10.0.0.5" not in answer.headers.get("location", "")


def test_a_browser_that_came_over_tls_is_told_to_stay_there(plant):
    trusted = {"proxy_addresses": ["10.0.0.7"]}
    said = {"x-forwarded-proto": "https"}
    name = "strict-transport-security"

    assert "max-age=" in ask(pages(plant), "/sign-in", scheme="https").headers[name]
    proxied = ask(pages(plant, **trusted), "/sign-in", peer="10.0.0.7", headers=said)
    liar = ask(pages(plant, **trusted), "/sign-in", peer="10.0.0.8", headers=said)
    assert "max-age=" in proxied.headers[name]
    assert name not in liar.headers and name not in ask(pages(plant), "/sign-in").headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"content-length": "1"}, 413), ({"transfer-encoding": "chunked"}, 411)],
)
def test_what_asks_to_be_shown_something_brings_no_body(plant, headers, status):
    answer = ask(pages(plant), "/sign-in", headers=headers)

    assert (answer.status_code, answer.headers["connection"]) == (status, "close")


@pytest.mark.parametrize(
    "path",
    ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"],
)
def test_no_file_beside_the_pages_own_is_served(plant, path):
    assert ask(pages(plant), path).status_code == 404
