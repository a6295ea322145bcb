"""Single sign-on of the pages: with a real OpenID Connect provider, and with one that fails."""

import logging
import re
from datetime import UTC, datetime, timedelta

import pytest
from browsing import Visitor, resources
from factories import make_plant
from providers.openid import CLIENT, SECRET, issuer, provider, query_of, sign_in_there

from pm_app.cli.look.checks.findings import run_checks
from pm_app.cli.run.serve import check_reach, make_application, open_oidc, who_gets_in
from pm_app.errors import BadSettings
from pm_app.settings.plant import parse_settings, read_settings
from pm_app.web.app import make_app
from pm_app.wiring import open_users

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "correct horse battery"
ROLES = {"pm-engineers": "engineer", "fitters": "operator"}
PROXY = {"proxy_addresses": ["10.0.0.7"]}


@pytest.fixture(scope="module")
def peopled(tmp_path_factory):
    settings = read_settings(make_plant(tmp_path_factory.mktemp("peopled")))
    with open_users(settings) as store:
        for name in ("otto", "gone"):
            store.users.add(name, PASSWORD, role="operator", at=NOW, actor="root")
        store.users.set_disabled("gone", True, at=NOW, actor="root")
    return settings


@pytest.fixture(scope="module")
def real():
    with provider() as address:
        yield address


def settings_with(settings, provider, web=None, **oidc):
    """The plant with that provider."""
    oidc = {"issuer": provider, "client": CLIENT, "name": "Plant login", **oidc}
    tables = {"oidc": oidc, "web": {"roles": ROLES, **(web or {})}}
    given = parse_settings(tables, folder=settings.folder, origin="plant.toml")
    return settings.model_copy(update={"web": given.web, "oidc": given.oidc})


def visitor_of(settings, *, now=lambda: NOW, **more):
    oidc = open_oidc(settings, SECRET)
    return Visitor(make_app(settings, resources(settings, change=True, oidc=oidc), now=now), more)


def come_back(visitor, address, *, keep=()):
    """The answer of our pages to a browser that the provider has sent back."""
    # As browsers do: below a path that a proxy has, the cookie's path is the proxy's.
    visitor.cookies.update(dict(keep))
    path = re.sub(r"^https?://[^/]*", "", address)
    return visitor.get(path)


def sign_on(visitor, name, *, onward="/fleet", **claims):
    left = visitor.get("/sign-in/oidc", params={"next": onward})
    return come_back(visitor, sign_in_there(left.headers["location"], name, **claims))


def audit(settings):
    with open_users(settings) as store:
        return [(row.actor, row.action, row.target, row.details) for row in store.users.audit()]


@pytest.mark.server
def test_who_the_provider_signs_in_gets_where_they_wanted_with_the_role_of_their_groups(
    peopled, real, caplog
):
    visitor = visitor_of(settings_with(peopled, real))
    asked = visitor.get("/audit")
    button = visitor.get(asked.headers["location"]).text

    assert 'href="/sign-in/oidc?next=/audit">Sign in with Plant login</a>' in button
    with caplog.at_level(logging.DEBUG):
        left = visitor.get("/sign-in/oidc", params={"next": "/audit"})
        there = sign_in_there(left.headers["location"], "zoe", groups=["staff", "pm-engineers"])
        entered = come_back(visitor, there)
    assert (entered.status_code, entered.headers["location"]) == (303, "/audit")
    assert "zoe <span" in visitor.get("/audit").text
    assert audit(peopled)[0] == ("zoe", "sign in", "zoe", "")
    secrets = {SECRET, query_of(there)["code"], *visitor.cookies.values()}
    ours = [each.getMessage() for each in caplog.records if each.name.startswith("pm_app")]
    assert not [line for line in ours for secret in secrets if secret in line]

    form = {"csrf": visitor.secret("/fleet")}
    assert visitor.post("/sign-out", {}).status_code == 403
    assert visitor.post("/sign-out", form).headers["location"] == "/sign-in"
    assert visitor.get("/fleet").status_code == 303
    assert audit(peopled)[0] == ("zoe", "sign out", "zoe", "")


@pytest.mark.server
def test_cookies_are_for_browsers_alone_and_the_first_is_gone_after_the_way_back(peopled, real):
    visitor = visitor_of(settings_with(peopled, real, PROXY), peer="10.0.0.7")
    visitor.more |= {"scheme": "https", "headers": {"x-forwarded-proto": "https"}}
    left = visitor.get("/sign-in/oidc")
    sent = left.headers["set-cookie"]

    assert re.match(
        r"pm_app_sign_in=[\w.-]+; HttpOnly; Max-Age=600; Path=/sign-in; SameSite=lax; Secure", sent
    )
    assert query_of(left.headers["location"])["redirect_uri"].startswith("https://127.0.0.1/")
    entered = come_back(visitor, sign_in_there(left.headers["location"], "zoe", groups=["fitters"]))
    first, session = entered.headers.get_list("set-cookie")[::-1]
    assert 'pm_app_sign_in=""' in first and "Max-Age=0" in first
    assert re.match(r"pm_app_session=oidc\.[\w-]{43}; HttpOnly; Max-Age=43200; ", session)


@pytest.mark.server
@pytest.mark.parametrize(
    ("name", "groups", "words"),
    [
        ("zoe", ["staff"], "signed in as zoe, and have no role here. Your groups: staff."),
        ("zoe", [], "Your groups: none."),
        ("zoe", ["<b>"], "Your groups: &lt;b&gt;."),
        ("gone", ["fitters"], "the account of that name is disabled here"),
    ],
)
def test_who_has_no_role_reads_why(peopled, real, name, groups, words):
    visitor = visitor_of(settings_with(peopled, real))

    answer = sign_on(visitor, name, groups=groups)

    assert answer.status_code == 403
    assert words in answer.text and 'action="/sign-in"' in answer.text
    assert visitor.get("/fleet").status_code == 303
    assert audit(peopled)[0][:3] == (name, "sign in refused", name)


@pytest.mark.server
def test_an_account_here_gives_a_role_too_and_takes_it_away_at_once(peopled, real):
    settings = settings_with(peopled, real)
    visitor, other = visitor_of(settings), visitor_of(settings)
    sign_on(visitor, "otto", groups=["staff"])
    sign_on(other, "otto", groups=["pm-engineers"])

    assert [each.get("/fleet").status_code for each in (visitor, other)] == [200, 200]
    assert [each.get("/audit").status_code for each in (visitor, other)] == [403, 200]
    with open_users(settings) as store:
        store.users.set_disabled("otto", True, at=NOW, actor="root")
        assert visitor.get("/fleet").status_code == other.get("/fleet").status_code == 303
        store.users.set_disabled("otto", False, at=NOW, actor="root")
    assert visitor.get("/fleet").status_code == 303, "and stays out until they sign in again"


@pytest.mark.server
def test_a_session_of_single_sign_on_ends_by_itself(peopled, real):
    moment = [NOW]
    visitor = visitor_of(settings_with(peopled, real), now=lambda: moment[0])
    sign_on(visitor, "zoe", groups=["fitters"])
    moment[0] += timedelta(hours=11, minutes=59)

    assert visitor.get("/fleet").status_code == 200
    moment[0] += timedelta(minutes=1)
    assert visitor.get("/fleet").status_code == 303


@pytest.mark.server
def test_a_way_back_lets_in_once_and_in_its_own_browser_alone(peopled, real):
    settings = settings_with(peopled, real)
    visitor, thief = visitor_of(settings), Visitor(None)
    thief.app = visitor.app
    left = visitor.get("/sign-in/oidc")
    kept = dict(visitor.cookies)
    there = sign_in_there(left.headers["location"], "zoe", groups=["fitters"])

    assert come_back(thief, there).status_code == 403
    assert come_back(visitor, there).status_code == 303
    again = come_back(visitor, there)
    assert (again.status_code, "not begun in this browser" in again.text) == (403, True)
    replayed = come_back(thief, there, keep=kept)
    assert (replayed.status_code, "did not take back what it sent" in replayed.text) == (403, True)
    assert "invalid_grant" in replayed.text


@pytest.mark.server
def test_a_token_with_the_nonce_of_another_sign_in_lets_nobody_in(peopled, real):
    visitor = visitor_of(settings_with(peopled, real))
    left = visitor.get("/sign-in/oidc").headers["location"]
    nonce = query_of(left)["nonce"]

    answer = come_back(visitor, sign_in_there(left.replace(nonce, "another"), "zoe"))

    assert answer.status_code == 403
    assert "cannot be believed" in answer.text and "nonce" in answer.text


@pytest.mark.server
def test_an_expired_token_and_a_refusal_there_let_nobody_in(peopled):
    with provider(token_seconds=-3600) as address:
        answer = sign_on(visitor_of(settings_with(peopled, address)), "zoe", groups=["fitters"])

        assert (answer.status_code, "Compare the clocks" in answer.text) == (403, True)
        visitor = visitor_of(settings_with(peopled, address))
        state = query_of(visitor.get("/sign-in/oidc").headers["location"])["state"]
        denied = {"error": "access_denied", "state": state}
        answer = visitor.get("/sign-in/oidc/return", params=denied)
        assert "Plant login did not sign you in: it answered &#39;access_denied&#39;" in answer.text
        forged = {**denied, "error": "call 555-0100"}
        assert "555" not in visitor.get("/sign-in/oidc/return", params=forged).text


@pytest.mark.server
@pytest.mark.parametrize("left_in", [True, False], ids=["left in", "taken away"])
def test_under_a_prefix_behind_a_proxy_the_way_back_is_the_one_browsers_have(
    peopled, real, left_in
):
    web = {**PROXY, "prefix": "/plant3"}
    visitor = visitor_of(settings_with(peopled, real, web), peer="10.0.0.7")
    visitor.more["headers"] = {"x-forwarded-proto": "https"}
    before = "/plant3" if left_in else ""
    left = visitor.get(f"{before}/sign-in/oidc", params={"next": "/alarms"})

    back = "https://127.0.0.1/plant3/sign-in/oidc/return"
    assert query_of(left.headers["location"])["redirect_uri"] == back
    assert "pm_app_sign_in-plant3=" in left.headers["set-cookie"]
    assert "Path=/plant3/sign-in;" in left.headers["set-cookie"]
    there = sign_in_there(left.headers["location"], "zoe", groups=["fitters"])
    # The browser shows its cookie to the proxy, whatever that makes of the path.
    cookie = re.match(r"([^=]*)=([^;]*)", left.headers["set-cookie"])
    entered = visitor.get(
        there.replace("https://127.0.0.1/plant3", before),
        headers={**visitor.more["headers"], "cookie": f"{cookie[1]}={cookie[2]}"},
    )
    assert entered.headers["location"] == "/plant3/alarms"


@pytest.mark.server
def test_pages_whose_proxy_changes_the_host_name_themselves(peopled, real):
    visitor = visitor_of(settings_with(peopled, real, address="https://pumps.example/"))

    asked = query_of(visitor.get("/sign-in/oidc").headers["location"])
    assert asked["redirect_uri"] == "https://pumps.example/sign-in/oidc/return"


def test_single_sign_on_leads_nowhere_else(peopled):
    with issuer() as lying:
        visitor = visitor_of(settings_with(peopled, lying.address, {"roles": {"*": "viewer"}}))
        for onward in ("https://evil.example", "//evil.example", "/\\evil.example"):
            left = visitor.get("/sign-in/oidc", params={"next": onward}).headers["location"]
            lying.grant(left)
            query = {"state": query_of(left)["state"], "code": "c0de"}
            entered = visitor.get("/sign-in/oidc/return", params=query)

            assert (entered.status_code, entered.headers["location"]) == (303, "/")


def test_while_the_provider_is_down_people_read_so_and_passwords_still_let_in(peopled):
    with issuer() as gone:
        settings = settings_with(peopled, gone.address)
    visitor = visitor_of(settings)
    answer = visitor.get("/sign-in/oidc", params={"next": "/alarms"})

    assert (answer.status_code, 'name="password"' in answer.text) == (503, True)
    assert 'name="next" value="/alarms"' in answer.text
    assert 'id="unrenewed"' not in answer.text, "such a page asks for itself again"
    words = f"asked {gone.address}/.well-known/openid-configuration for its discovery document"
    assert f"Plant login cannot be used now: {words}, got connection refused." in answer.text
    assert visitor.get("/sign-in").status_code == 200
    assert visitor.sign_in("otto", PASSWORD).headers["location"] == "/"
    assert visitor.get("/fleet").status_code == 200


def test_without_a_provider_there_is_no_such_way_in(peopled):
    visitor = Visitor(make_app(peopled, resources(peopled, change=True), now=lambda: NOW))

    assert "/sign-in/oidc" not in visitor.get("/sign-in").text
    assert visitor.get("/sign-in/oidc").status_code == 404
    assert open_oidc(peopled, SECRET) is None


def findings(settings):
    return [each for each in run_checks(settings) if each.subject == "single sign-on"]


def test_the_doctor_asks_the_provider(peopled, monkeypatch):
    monkeypatch.setenv("PM_APP_OIDC_SECRET", SECRET)
    with issuer() as lying:
        settings = settings_with(peopled, lying.address)
        assert [(each.verdict, each.text) for each in findings(settings)] == [
            ("ok", f"{lying.address} answers; it signs with 1 key")
        ]
        monkeypatch.delenv("PM_APP_OIDC_SECRET")
        lying.document(scopes_supported=["openid"])
        texts = [
            each.text for each in findings(settings_with(peopled, lying.address, {"roles": {}}))
        ]
    assert texts[1:] == [
        "the provider does not know of profile",
        "PM_APP_OIDC_SECRET is not set here",
        "web.roles is empty: whoever the provider signs in may look",
    ]
    (finding,) = findings(settings)
    assert (finding.verdict, "got connection refused" in finding.text) == ("fails", True)
    assert findings(peopled) == []


def test_without_the_extra_serve_and_the_doctor_say_what_to_install(peopled, monkeypatch):
    settings = settings_with(peopled, "https://login.plant.example")
    for name in ("pm_app.web.auth.oidc", "authlib.integrations.requests_client"):
        monkeypatch.setitem(__import__("sys").modules, name, None)

    with pytest.raises(BadSettings, match=r"oidc\.issuer needs .*: pip install 'pm-app\[oidc\]'"):
        make_application(settings, lambda: NOW)
    (finding,) = findings(settings)
    assert (finding.verdict, finding.advice) == ("fails", "pip install 'pm-app[oidc]'")


def test_a_provider_is_a_way_in_where_there_are_no_users(tmp_path):
    fresh = read_settings(make_plant(tmp_path))
    settings = settings_with(fresh, "https://login.plant.example", {"listen": "0.0.0.0:8080"})

    check_reach(settings)
    assert not [each for each in who_gets_in(settings) if "nobody can sign in" in each]
