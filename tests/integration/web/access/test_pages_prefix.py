"""The pages under a path prefix, as a proxy has them: every address that they give is under it."""

import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from html import unescape
from urllib.parse import quote, urlsplit

import httpx
import pytest
from browsing import Visitor, ask, resources
from chromium import browser, follow, opened, serving
from factories import ALARMING_TOML, NOW, make_plant, promote_handmade, readings_table
from factories import opened as opened_plant

from pm_app.errors import BadSettings
from pm_app.jobs.score.run import score
from pm_app.settings.plant import parse_settings, read_settings
from pm_app.web.app import make_app
from pm_app.web.prefix import prefixed_links
from pm_app.wiring import open_users

__all__ = ["browser"]

PASSWORD = "correct horse battery"
PREFIX = "/plant3"
LINK = re.compile(r'(?:href|src|action)="([^"]*)"')
NGINX = shutil.which("nginx")


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    """A plant with predictions, an alarm and an engineer."""
    config = make_plant(
        tmp_path_factory.mktemp("plant"), {"a.parquet": readings_table()}, toml=ALARMING_TOML
    )
    with opened_plant(config) as plant:
        promote_handmade(plant)
        promote_handmade(plant)
        score(plant, now=NOW)
    settings = read_settings(config)
    with open_users(settings) as store:
        store.users.add("emma", PASSWORD, role="engineer", at=NOW, actor="root")
    return under(settings, PREFIX)


def under(settings, prefix):
    web = parse_settings({"web": {"prefix": prefix}}, folder=settings.folder, origin="x").web
    return settings.model_copy(update={"web": web})


@pytest.fixture
def app(plant):
    return make_app(plant, resources(plant, change=True), now=lambda: NOW)


@pytest.fixture
def emma(app):
    visitor = Visitor(app)
    visitor.sign_in("emma", PASSWORD)
    return visitor


def links(html):
    return {unescape(link).partition("#")[0] for link in LINK.findall(html)}


def part_of(link):
    return link.removeprefix(PREFIX).split("/")[1].partition(".")[0]


@pytest.mark.parametrize("left", [PREFIX, ""], ids=["left in", "taken away"])
def test_every_link_form_and_file_of_every_page_leads_on_under_the_prefix(emma, left):
    # The browser shows its cookie to the proxy, whatever that makes of the path.
    emma.cookies = httpx.Cookies(dict(emma.cookies))
    seen, waiting = set(), {f"{PREFIX}/fleet", f"{PREFIX}/audit"}
    forms = set()
    while waiting:
        address = waiting.pop()
        seen.add(address)
        answer = emma.get(left + address.removeprefix(PREFIX))
        assert answer.status_code in (200, 303, 307), address
        if not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        found = {link for link in links(answer.text) if not link.startswith(("?", "http"))} - {""}
        assert all(link.startswith(f"{PREFIX}/") for link in found), (address, found)
        forms |= {link for link in found if f'action="{link}"' in answer.text}
        for link in sorted(link for link in found - forms - seen - waiting if "?" not in link):
            if sum(part_of(other) == part_of(link) for other in seen | waiting) < 3:
                waiting.add(link)

    parts = {part_of(link) for link in seen}
    assert parts >= {"fleet", "assets", "alarms", "models", "data", "help", "audit", "static"}
    assert {f"{PREFIX}/sign-out", f"{PREFIX}/models/rollback", f"{PREFIX}/alarms"} <= forms


def test_signing_in_leads_back_under_the_prefix_with_a_cookie_for_it_alone(app):
    visitor = Visitor(app)
    led = visitor.get(f"{PREFIX}/alarms?list=all").headers["location"]
    assert led == f"{PREFIX}/sign-in?next={quote('/alarms?list=all', safe='')}"

    answer = visitor.sign_in("emma", PASSWORD, next="/alarms?list=all")

    assert answer.headers["location"] == f"{PREFIX}/alarms?list=all"
    assert answer.headers["set-cookie"].startswith("pm_app_session-plant3=")
    assert f"Path={PREFIX};" in answer.headers["set-cookie"]
    out = visitor.send(f"{PREFIX}/fleet", f"{PREFIX}/sign-out")
    assert out.headers["location"] == f"{PREFIX}/sign-in"
    assert f"Path={PREFIX};" in out.headers["set-cookie"] + ";"


def test_a_session_of_the_plant_beside_it_is_not_taken_for_one(plant, app):
    beside = Visitor(make_app(under(plant, ""), resources(plant, change=True), now=lambda: NOW))
    beside.sign_in("emma", PASSWORD)

    # As a browser sends the cookies of "/" under the prefix as well.
    both = Visitor(app, cookies=beside.cookies)

    assert both.get(f"{PREFIX}/fleet").status_code == 303
    both.sign_in("emma", PASSWORD)
    assert both.get(f"{PREFIX}/fleet").status_code == 200
    assert beside.get("/fleet").status_code == 200


def test_forms_and_their_way_back_work_under_the_prefix(emma):
    sent = emma.send(f"{PREFIX}/alarms", f"{PREFIX}/alarms/1/comment", text="heard")

    assert (sent.status_code, sent.headers["location"]) == (303, f"{PREFIX}/alarms/1")


def test_programs_find_the_api_and_its_document_says_where_it_is(emma):
    document = emma.get(f"{PREFIX}/api/v1/openapi.json").json()

    assert document["servers"] == [{"url": PREFIX}]
    assert emma.get(f"{PREFIX}/api/v1/health").status_code == 200
    stranger = ask(emma.app, f"{PREFIX}/api/v1/health")
    assert (stranger.status_code, stranger.headers["content-type"]) == (401, "application/json")


def test_another_address_that_only_begins_alike_is_not_under_it(emma):
    assert emma.get("/plant33/fleet").status_code == 404
    assert emma.get(PREFIX).headers["location"] == f"{PREFIX}/fleet"


def test_what_people_wrote_is_no_link():
    words = '<p title="x">href=&#34;/fleet&#34; href="/fleet"</p><a href="//evil/">'

    assert prefixed_links(words, PREFIX) == (
        '<p title="x">href=&#34;/fleet&#34; href="/plant3/fleet"</p><a href="//evil/">'
    )


@pytest.mark.parametrize("prefix", ["plant3", "/plant3/", "/", "//plant3", "/a/../b", "/a b", "/ü"])
def test_what_is_no_prefix_is_refused(prefix, tmp_path):
    with pytest.raises(
        BadSettings, match=r'web\.prefix: must be a path without end like "/plant3"'
    ):
        parse_settings({"web": {"prefix": prefix}}, folder=tmp_path, origin="plant.toml")


@pytest.mark.parametrize("prefix", ["/fleet", "/api", "/static/x", "/metrics"])
def test_a_prefix_that_hides_addresses_of_the_pages_is_refused(plant, prefix):
    with pytest.raises(BadSettings, match="begins like an address of the pages themselves"):
        make_app(under(plant, prefix), resources(plant), now=lambda: NOW)


def _wait_for(port):
    deadline = time.monotonic() + 10.0
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nginx did not start"
            time.sleep(0.02)


@contextmanager
def nginx(folder, target, passed):
    """A real proxy in front of the pages, at the prefix alone; passed: what it asks them for."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    scratch = "\n".join(
        f"{name}_temp_path {folder}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"""daemon off; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{
{scratch}
access_log off;
server {{
listen 127.0.0.1:{port};
location {PREFIX}/ {{ proxy_pass {target}{passed}; proxy_set_header Host $http_host; }}
}}}}"""
    )
    command = [NGINX, "-e", f"{folder}/log", "-c", f"{folder}/nginx.conf"]
    with subprocess.Popen(command) as process:
        try:
            _wait_for(port)
            yield f"http://127.0.0.1:{port}{PREFIX}"
        finally:
            process.terminate()


@pytest.mark.skipif(NGINX is None, reason="needs a proxy: Debian's package nginx-light")
@pytest.mark.parametrize("passed", ["/", ""], ids=["taken away", "left in"])
def test_a_browser_gets_about_through_nginx(browser, plant, tmp_path, passed):
    with (
        serving(plant, NOW, closed=True) as target,
        nginx(tmp_path, target, passed) as address,
        opened(browser) as (page, complaints),
    ):
        page.goto(f"{address}/alarms")
        page.fill("[name=name]", "emma")
        page.fill("[name=password]", PASSWORD)
        follow(page, page.get_by_role("button", name="Sign in"))
        assert urlsplit(page.url).path == f"{PREFIX}/alarms"
        for title in ("Models", "Data", "Help", "Log", "Fleet"):
            follow(page, page.get_by_role("link", name=title, exact=True))
            assert urlsplit(page.url).path.startswith(f"{PREFIX}/")
        follow(page, page.locator("tbody th a").first)
        assert urlsplit(page.url).path.startswith(f"{PREFIX}/assets/")
        # A style sheet that did not come would leave the browser's own margins.
        assert page.evaluate("getComputedStyle(document.body).margin") == "0px"
        renewed = page.evaluate("renew().then(() => document.getElementById('unrenewed').hidden)")
        assert renewed
        page.context.clear_cookies()
        page.evaluate("renew()")
        link = page.locator("#unrenewed a")
        assert link.get_attribute("href").startswith(f"{PREFIX}/sign-in?next=%2Fassets%2F")
        assert not [words for words in complaints if "401" not in words]
