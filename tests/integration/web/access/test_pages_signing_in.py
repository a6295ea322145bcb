"""Who gets in to the pages, who stays out, and what each may do."""

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from browsing import Visitor, resources
from factories import make_plant

from pm_app.cli.run.serve import check_reach
from pm_app.errors import BadSettings
from pm_app.settings.plant import parse_settings, read_settings
from pm_app.store.users import Users
from pm_app.web.app import make_app
from pm_app.wiring import open_users, open_views

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "correct horse battery"
ROLES = {"vera": "viewer", "otto": "operator", "emma": "engineer"}


class Clock:
    """The time that the pages are told."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def peopled(tmp_path_factory):
    settings = read_settings(make_plant(tmp_path_factory.mktemp("peopled")))
    with open_users(settings) as store:
        for name, role in ROLES.items():
            store.users.add(name, PASSWORD, role=role, at=NOW, actor="root")
    return settings


@pytest.fixture
def clock(peopled):
    """A clock, and no attempts to sign in before it."""
    with open_users(peopled) as store:
        store.sign_in_attempts.begin("", "", at=NOW + timedelta(days=1))
    return Clock()


@pytest.fixture
def application(peopled, clock):
    """A factory of the pages, with [web] as given."""

    def application(**web):
        settings = parse_settings({"web": web}, folder=peopled.folder, origin="plant.toml")
        settings = peopled.model_copy(update={"web": settings.web})
        ways = resources(settings, change=True)
        return make_app(settings, ways, now=clock)

    return application


@pytest.fixture
def visitor(application):
    return Visitor(application())


def audit(settings):
    with open_views(settings) as store:
        return [(row.actor, row.action, row.address) for row in store.users.audit()]


@pytest.mark.parametrize("page", ["/", "/fleet", "/fleet.csv?search=a", "/alarms", "/alarms/1"])
def test_a_stranger_is_led_to_the_sign_in_page_and_from_there_back(visitor, page):
    led = visitor.get(page)
    assert led.status_code == 303 and led.headers["location"].startswith("/sign-in?next=")

    onward = re.search(r'name="next" value="([^"]*)"', visitor.get(led.headers["location"]).text)
    answer = visitor.sign_in("otto", PASSWORD, next=onward.group(1).replace("&amp;", "&"))

    assert (answer.status_code, answer.headers["location"]) == (303, page)
    assert visitor.get("/fleet").status_code == 200


def test_who_is_signed_in_sees_who_they_are_and_gets_out_again(visitor, peopled):
    visitor.sign_in("otto", PASSWORD)
    assert "otto" in visitor.get("/fleet").text

    visitor.send("/fleet", "/sign-out")

    assert visitor.get("/fleet").status_code == 303
    assert audit(peopled)[:2] == [
        ("otto", "sign out", "127.0.0.1"),
        ("otto", "sign in", "127.0.0.1"),
    ]


def test_the_cookie_cannot_be_read_by_scripts_nor_sent_by_other_sites(application):
    plain = Visitor(application()).sign_in("otto", PASSWORD).headers["set-cookie"]
    over_tls = Visitor(application(), {"scheme": "https"}).sign_in("otto", PASSWORD)

    assert "HttpOnly" in plain and "SameSite=lax" in plain and "Secure" not in plain
    assert "Secure" in over_tls.headers["set-cookie"]


def test_a_session_ends_by_itself(application, clock):
    visitor = Visitor(application(session="8h"))
    visitor.sign_in("otto", PASSWORD)
    clock.now = NOW + timedelta(hours=7, minutes=59)
    assert visitor.get("/fleet").status_code == 200

    clock.now = NOW + timedelta(hours=8)
    assert visitor.get("/fleet").status_code == 303


def test_a_token_from_before_signing_in_is_worth_nothing_after(visitor, application):
    """Session fixation: the token that an attacker has planted must not become the victim's."""
    attacker = Visitor(application())
    attacker.sign_in("vera", PASSWORD)
    planted = dict(attacker.cookies)
    visitor.cookies.update(attacker.cookies)

    visitor.sign_in("otto", PASSWORD)

    assert dict(visitor.cookies) != planted
    assert attacker.get("/fleet").status_code == 303


@pytest.mark.parametrize("name", ["otto", "nobody", "", "a' OR '1'='1", "x" * 5000])
def test_a_wrong_name_or_password_is_told_alike(visitor, name):
    answer = visitor.sign_in(name, "a wrong password")

    assert answer.status_code == 401
    assert "Name and password do not belong together." in answer.text
    assert "set-cookie" not in answer.headers


def test_what_was_typed_for_a_name_is_kept_only_where_it_is_one(visitor, peopled):
    visitor.sign_in("my secret password", "x")
    visitor.sign_in("otto", "x")

    assert audit(peopled)[:2] == [
        ("otto", "sign in refused", "127.0.0.1"),
        ("somebody", "sign in refused", "127.0.0.1"),
    ]


def test_guessing_is_slowed_down_and_goes_on_after_a_while(visitor, clock):
    for _ in range(5):
        assert visitor.sign_in("emma", "guess").status_code == 401

    slowed = visitor.sign_in("emma", PASSWORD)
    assert slowed.status_code == 429 and slowed.headers["retry-after"] == "300"
    assert visitor.sign_in("otto", PASSWORD).status_code == 303

    clock.now = NOW + timedelta(minutes=5)
    assert visitor.sign_in("emma", PASSWORD).status_code == 303


def test_of_many_guesses_at_once_no_more_are_looked_at(peopled, clock, monkeypatch):
    """None may be counted only after it was looked at."""
    looked_at, check = [], Users.check_password

    def slow_check(users, name, password):
        looked_at.append(password)
        time.sleep(0.05)
        return check(users, name, password)

    monkeypatch.setattr(Users, "check_password", slow_check)
    app = make_app(peopled, resources(peopled, change=True), now=clock)

    async def guess_all():
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1"
        ) as client:
            forms = [{"name": "emma", "password": f"guess {number}"} for number in range(60)]
            return await asyncio.gather(*(client.post("/sign-in", data=form) for form in forms))

    statuses = {answer.status_code for answer in asyncio.run(guess_all())}
    assert len(looked_at) == 5 and {401, 429} <= statuses <= {401, 429, 503}


@pytest.mark.parametrize("secret", ["", "guessed", "ü"])
def test_a_form_of_another_site_changes_nothing(visitor, secret):
    visitor.sign_in("otto", PASSWORD)

    answer = visitor.post("/sign-out", {"csrf": secret} if secret else {})

    assert answer.status_code == 403 and "reload" in answer.text
    assert visitor.get("/fleet").status_code == 200


def test_the_secret_of_one_session_does_not_do_for_another(visitor, application):
    visitor.sign_in("otto", PASSWORD)
    other = Visitor(application())
    other.sign_in("otto", PASSWORD)

    answer = visitor.post("/sign-out", {"csrf": other.secret("/fleet")})

    assert answer.status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_nobody_is_signed_in_by_another_site(application, site):
    visitor = Visitor(application(), {"headers": {"sec-fetch-site": site}})

    answer = visitor.sign_in("otto", PASSWORD)

    assert answer.status_code == 403 and "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "onward",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "/\n"],
)
def test_signing_in_leads_nowhere_else(visitor, onward):
    assert visitor.sign_in("otto", PASSWORD, next=onward).headers["location"] == "/"


def test_only_an_engineer_reads_the_log(application):
    for name, status in (("vera", 403), ("otto", 403), ("emma", 200)):
        visitor = Visitor(application())
        visitor.sign_in(name, PASSWORD)
        assert visitor.get("/audit").status_code == status

    assert "sign in" in visitor.get("/audit").text


def test_who_is_disabled_is_out_at_once(visitor, peopled):
    with open_users(peopled) as store:
        store.users.add("ella", PASSWORD, role="engineer", at=NOW, actor="root")
    visitor.sign_in("ella", PASSWORD)
    assert visitor.get("/audit").status_code == 200

    with open_users(peopled) as store:
        store.users.set_role("ella", "viewer", at=NOW, actor="root")
        assert visitor.get("/audit").status_code == 403
        store.users.set_disabled("ella", True, at=NOW, actor="root")

    assert visitor.get("/audit").status_code == 303


def test_a_form_too_large_is_not_read(visitor):
    answer = visitor.sign_in("otto", "x" * 100_000)

    assert answer.status_code == 413


def test_a_program_shows_its_token(application, peopled):
    with open_users(peopled) as store:
        token = store.users.add_token("historian", role="viewer", at=NOW, actor="root")
    shown = {"authorization": f"Bearer {token}"}
    program = Visitor(application(), {"headers": shown})
    liar = Visitor(application(), {"headers": {"authorization": "Bearer pmapp_guess"}})

    assert program.get("/fleet").status_code == 200
    assert program.get("/audit").status_code == 403
    assert liar.get("/fleet").status_code == 303


PROXY = {"proxy_header": "X-Forwarded-User", "proxy_addresses": ["10.0.0.7"]}


def test_a_proxy_that_is_named_says_who_comes(application):
    app = application(**PROXY)
    headers = {"x-forwarded-user": "emma", "x-forwarded-for": "1.2.3.4, 10.9.9.9"}
    emma = Visitor(app, {"peer": "10.0.0.7", "headers": headers})
    unknown = Visitor(app, {"peer": "10.0.0.7", "headers": {"x-forwarded-user": "zoe"}})
    nobody = Visitor(app, {"peer": "10.0.0.7"})

    assert emma.get("/audit").status_code == 200
    assert unknown.get("/fleet").status_code == 200
    assert unknown.get("/audit").status_code == 403
    assert nobody.get("/fleet").status_code == 303


def test_what_anyone_else_says_of_who_comes_is_not_believed(application):
    headers = {"x-forwarded-user": "emma", "x-forwarded-for": "10.0.0.7"}
    liar = Visitor(application(**PROXY), {"peer": "10.0.0.8", "headers": headers})
    no_proxy = Visitor(application(), {"peer": "127.0.0.1", "headers": headers})

    assert liar.get("/fleet").status_code == 303
    assert no_proxy.get("/fleet").status_code == 303


GROUPS = {
    **PROXY,
    "groups_header": "X-Forwarded-Groups",
    "roles": {"pm-engineers": "engineer", "fitters": "operator"},
}


def through(app, name, *groups):
    """The pages that someone of these groups gets through the proxy."""
    headers = [("x-forwarded-user", name), *(("x-forwarded-groups", each) for each in groups)]
    return Visitor(app, {"peer": "10.0.0.7", "headers": headers})


@pytest.mark.parametrize(
    ("name", "groups", "fleet", "log"),
    [
        ("zoe", ["staff,pm-engineers"], 200, 200),
        ("zoe", ["fitters|staff"], 200, 403),
        ("zoe", ["staff"], 303, 303),
        ("zoe", [], 303, 303),
        ("vera", ["staff"], 200, 403),
        ("vera", ["staff; pm-engineers"], 200, 200),
        ("emma", ["fitters"], 200, 200),
        # One of them is not the proxy's.
        ("zoe", ["staff", "pm-engineers"], 303, 303),
    ],
)
def test_groups_that_a_proxy_lists_become_roles(application, name, groups, fleet, log):
    visitor = through(application(**GROUPS), name, *groups)

    assert (visitor.get("/fleet").status_code, visitor.get("/audit").status_code) == (fleet, log)


def test_a_star_lets_everyone_of_the_proxy_look(application):
    visitor = through(application(**{**GROUPS, "roles": {"*": "viewer"}}), "zoe", "staff")

    assert (visitor.get("/fleet").status_code, visitor.get("/audit").status_code) == (200, 403)


def test_groups_and_names_of_anyone_else_or_twice_are_not_believed(application):
    app = application(**GROUPS)
    headers = [("x-forwarded-user", "zoe"), ("x-forwarded-groups", "pm-engineers")]

    assert Visitor(app, {"peer": "10.0.0.8", "headers": headers}).get("/fleet").status_code == 303
    twice = [("x-forwarded-user", "emma"), *headers]
    assert Visitor(app, {"peer": "10.0.0.7", "headers": twice}).get("/fleet").status_code == 303


def test_forms_of_who_came_through_a_proxy_carry_a_secret_too(application):
    app = application(**PROXY)
    one, other = (
        Visitor(app, {"peer": "10.0.0.7", "headers": {"x-forwarded-user": name}})
        for name in ("emma", "otto")
    )

    assert one.post("/alarms/1/acknowledge", {}).status_code == 403
    stolen = {"csrf": other.secret("/alarms")}
    assert one.post("/alarms/1/acknowledge", stolen).status_code == 403


def test_pages_that_others_reach_need_someone_who_may_sign_in(tmp_path, peopled):
    fresh = read_settings(make_plant(tmp_path))
    open_to_all = {"listen": "0.0.0.0:8080"}

    def listening(settings, **web):
        given = parse_settings({"web": web}, folder=settings.folder, origin="plant.toml")
        return settings.model_copy(update={"web": given.web})

    with pytest.raises(BadSettings, match=r"0\.0\.0\.0:8080 is reached from other machines"):
        check_reach(listening(fresh, **open_to_all))
    check_reach(listening(fresh, **open_to_all, **PROXY))
    check_reach(listening(fresh, listen="[::1]:8080"))
    check_reach(listening(peopled, **open_to_all))


def test_where_others_may_come_nobody_is_let_in_unknown(tmp_path, clock):
    settings = read_settings(make_plant(tmp_path))
    web = parse_settings({"web": {"listen": "0.0.0.0:80"}}, folder=tmp_path, origin="x").web
    open_users(settings).close()
    app = make_app(settings.model_copy(update={"web": web}), resources(settings), now=clock)

    assert Visitor(app).get("/fleet").status_code == 303


@pytest.mark.parametrize(
    ("web", "words"),
    [
        ({"certificate": "c.pem"}, "web.certificate and web.key go together"),
        ({"proxy_header": "X-User"}, "web.proxy_header needs web.proxy_addresses"),
        ({"groups_header": "X-Groups"}, "web.groups_header needs web.proxy_header"),
        ({"roles": {"fitters": "boss"}}, "web.roles.fitters"),
        ({"proxy_header": "X User"}, "must be the name of a header"),
        ({"proxy_addresses": ["proxy.example"]}, "must be a network address"),
        ({"session": "0s"}, "session"),
        ({"hosts": ["https://pumps.example"]}, "web.hosts.0: must be a name without port"),
    ],
)
def test_settings_that_do_not_go_together_are_told(tmp_path, web, words):
    with pytest.raises(BadSettings, match=words.replace(".", r"\.")):
        parse_settings({"web": web}, folder=tmp_path, origin="plant.toml")
