"""Single sign-on by OpenID Connect: whom a provider's word lets in, and what is told where not."""

import logging
import time

import pytest
from joserfc.jwk import ECKey, OctKey
from providers.openid import CLIENT, SECRET, issuer, query_of
from recorders.certificates import make_certificate

from pm_app.errors import BadSettings
from pm_app.settings.web import OidcSettings
from pm_app.web.auth.oidc import MOST_SECONDS, OidcClient, SignInRefused
from pm_app.web.auth.oidc_provider import OidcProvider, ProviderUnavailable

BACK = "https://pumps.example/sign-in/oidc/return"


@pytest.fixture
def lying():
    with issuer() as server:
        yield server


def client_of(server, folder, **own):
    return OidcClient(settings_of(server, **own), SECRET, folder)


def settings_of(server, **own):
    return OidcSettings(issuer=server.address, client=CLIENT, name="Plant login", **own)


@pytest.fixture
def client(lying, tmp_path):
    return client_of(lying, tmp_path)


def there_and_back(client, server, *, onward="/fleet", **grant):
    left_for, sealed = client.leave(BACK, onward)
    server.grant(left_for, **grant)
    return client.arrive(sealed, {"state": query_of(left_for)["state"], "code": "c0de"})


def test_the_way_there_asks_for_a_code_with_pkce_state_and_nonce(client):
    asked, sealed = client.leave(BACK, "/fleet")
    again, _ = client.leave(BACK, "/fleet")

    query = query_of(asked)
    fixed = {name: query.pop(name) for name in ("response_type", "client_id", "redirect_uri")}
    assert fixed == {"response_type": "code", "client_id": CLIENT, "redirect_uri": BACK}
    assert (query.pop("scope"), query.pop("code_challenge_method")) == ("openid profile", "S256")
    assert all(len(query[name]) >= 43 for name in ("state", "nonce", "code_challenge"))
    assert not set(query.values()) & set(query_of(again).values())
    assert all(secret not in sealed for secret in (*query.values(), "fleet"))


def test_who_comes_back_is_known_by_name_and_groups(client, lying):
    person = there_and_back(client, lying, groups=["fitters", "staff", 7])

    assert (person.name, person.groups, person.onward) == ("zoe", ("fitters", "staff"), "/fleet")
    path, sent, shown = next(each for each in lying.asked if each[0] == "/token")
    assert (sent["code"], sent["redirect_uri"]) == ("c0de", BACK)
    assert len(sent["code_verifier"]) >= 43
    assert shown.startswith("Basic ") and SECRET not in str(sent)


def test_claims_have_the_names_of_the_settings(lying, tmp_path):
    own = {"name_claim": "email", "groups_claim": "realm_access.roles"}
    client = client_of(lying, tmp_path, **own)
    claims = {"email": "zoe@plant.example", "realm_access": {"roles": ["fitters"]}}

    person = there_and_back(client, lying, **claims)

    assert (person.name, person.groups) == ("zoe@plant.example", ("fitters",))


@pytest.mark.parametrize(
    ("sub", "groups"), [("1", ("fitters",)), ("2", ())], ids=["of them", "of somebody else"]
)
def test_what_the_token_does_not_say_is_asked_for(client, lying, sub, groups):
    lying.document(userinfo_endpoint=f"{lying.address}/userinfo")
    lying.answers["/userinfo"] = (200, {"sub": sub, "groups": ["fitters"], "iss": "x"})

    person = there_and_back(client, lying)

    assert (person.name, person.groups) == ("zoe", groups)
    assert ("/userinfo", {}, "Bearer a") in lying.asked


@pytest.mark.parametrize(
    ("grant", "words"),
    [
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"iss": "https://elsewhere.example"}, "iss"),
        ({"aud": "another client"}, "aud"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "azp"),
        ({"exp": int(time.time()) - 3600}, "expired.*Compare the clocks of both servers"),
        ({"exp": None}, "exp"),
        ({"iat": int(time.time()) + 3600}, "future.*Compare the clocks of both servers"),
        ({"at_hash": "nonsense"}, "at_hash"),
        ({"key": ECKey.generate_key("P-256")}, "bad_signature"),
        ({"header": {"kid": "unheard of"}}, "kid|key_id"),
        ({"header": {"alg": "none"}, "key": OctKey.import_key("x" * 32)}, "alg"),
        ({"header": {"alg": "HS256"}, "key": OctKey.import_key("x" * 32)}, "alg"),
    ],
    ids=[
        *("another nonce", "no nonce", "another issuer", "another client", "another party"),
        *("expired", "without an end", "of the future", "another access token"),
        *("another key", "a key unheard of", "not signed", "signed by a shared secret"),
    ],
)
def test_a_token_that_is_not_the_providers_own_for_this_sign_in_lets_nobody_in(
    client, lying, grant, words
):
    with pytest.raises(SignInRefused, match=rf"Plant login says .*cannot be believed.*{words}"):
        there_and_back(client, lying, **grant)


def test_keys_that_the_provider_has_changed_are_fetched_again(lying, tmp_path):
    clock = iter(range(0, 10**6, 30))
    provider = OidcProvider(settings_of(lying), tmp_path, clock=lambda: next(clock))
    assert [key.kid for key in provider.signing_keys()] == ["first"]

    newer = ECKey.generate_key("P-256", {"kid": "second"}).as_dict(private=False)
    shared = {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}
    for_letters, unheard_of = {**newer, "use": "enc"}, {"kty": "AKP"}
    lying.answers["/keys"] = (200, {"keys": [newer, shared, for_letters, unheard_of, 7]})

    assert [key.kid for key in provider.signing_keys()] == ["first"]
    assert [key.kid for key in provider.signing_keys(fresh=True)] == ["second"]


@pytest.mark.parametrize("sealed", ["", "nonsense", "a.b.c.d.e"])
def test_a_sign_in_that_was_not_begun_here_is_refused(client, sealed):
    with pytest.raises(SignInRefused, match="not begun in this browser"):
        client.arrive(sealed, {"state": "", "code": "c0de"})


def test_a_cookie_that_was_changed_is_of_another_server_or_too_old_is_refused(
    client, lying, tmp_path, monkeypatch
):
    left_for, sealed = client.leave(BACK, "/fleet")
    lying.grant(left_for)
    answer = {"state": query_of(left_for)["state"], "code": "c0de"}
    changed = [sealed[:at] + "A" * 4 + sealed[at + 4 :] for at in range(0, len(sealed) - 4, 40)]

    for cookie in changed:
        with pytest.raises(SignInRefused, match="not begun in this browser"):
            client.arrive(cookie, answer)
    with pytest.raises(SignInRefused, match="not begun in this browser"):
        client_of(lying, tmp_path).arrive(sealed, answer)
    with pytest.raises(SignInRefused, match="not begun in this browser"):
        client.arrive(sealed, {**answer, "state": "é" + answer["state"]})
    assert client.arrive(sealed, answer).name == "zoe"
    later = time.time() + MOST_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: later)
    with pytest.raises(SignInRefused, match="in the last 10 minutes"):
        client.arrive(sealed, answer)


def test_what_the_provider_answers_instead_of_a_code_is_told(client):
    left_for, sealed = client.leave(BACK, "/fleet")
    answer = {"state": query_of(left_for)["state"], "error": "access_denied" * 100}

    with pytest.raises(
        SignInRefused, match="Plant login did not sign you in.*'access_denied"
    ) as met:
        client.arrive(sealed, answer)
    assert len(str(met.value)) < 200


@pytest.mark.parametrize("name", [None, "", " ", "x" * 101, "a\nb", ["zoe"]])
def test_who_has_no_usable_name_is_told_what_the_provider_says(client, lying, name):
    with pytest.raises(SignInRefused, match=r"as 'preferred_username' \(oidc.name_claim\).*'aud'"):
        there_and_back(client, lying, preferred_username=name)


NONSENSE = [
    ((404, "no"), "HTTP status 404"),
    ((302, "elsewhere"), "HTTP status 302"),
    ((200, "<html>"), "something that is no JSON"),
    ((200, [1]), "JSON that is no object"),
]


@pytest.mark.parametrize(("answer", "words"), NONSENSE)
def test_a_discovery_document_that_will_not_do_is_told(client, lying, answer, words):
    lying.answers["/.well-known/openid-configuration"] = answer

    asked = f"asked {lying.address}/.well-known/openid-configuration for its discovery document"
    with pytest.raises(ProviderUnavailable, match=f"^{asked}, got {words}$"):
        client.leave(BACK, "/")
    count = len(lying.asked)
    with pytest.raises(ProviderUnavailable, match=words):
        client.leave(BACK, "/")
    assert len(lying.asked) == count, "one that failed is left alone for a while"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"issuer": "https://other.example"}, "that of 'https://other.example', and oidc.issuer"),
        ({"token_endpoint": None}, "without an https:// address as token_endpoint"),
        ({"jwks_uri": "http://plain.example/keys"}, "without an https:// address as jwks_uri"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "address as authorization_endpoint"),
    ],
)
def test_a_discovery_document_of_another_or_without_tls_is_refused(client, lying, changed, words):
    lying.document(**changed)

    with pytest.raises(ProviderUnavailable, match=words):
        client.leave(BACK, "/")


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("/token", (500, "no"), "HTTP status 500"),
        ("/token", (200, "<html>"), "something that is no JSON object"),
        ("/token", (302, "elsewhere"), "something that is no JSON object"),
        ("/token", (200, {"access_token": "a", "token_type": "Bearer"}), "no id_token"),
        ("/keys", (200, {"keys": []}), "none that signs"),
        ("/keys", (200, {}), "none that signs"),
        ("/keys", (503, ""), "HTTP status 503"),
    ],
)
def test_tokens_and_keys_that_will_not_do_are_told(client, lying, path, answer, words):
    left_for, sealed = client.leave(BACK, "/")
    lying.grant(left_for)
    lying.answers[path] = answer

    with pytest.raises(ProviderUnavailable, match=f"asked {lying.address}{path} for .*{words}"):
        client.arrive(sealed, {"state": query_of(left_for)["state"], "code": "c0de"})


def test_a_client_that_is_not_registered_is_told_what_to_compare(client, lying, caplog):
    left_for, sealed = client.leave(BACK, "/")
    lying.answers["/token"] = (401, {"error": "invalid_client", "error_description": SECRET})

    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(
            SignInRefused, match="'invalid_client'.*oidc.client and PM_APP_OIDC_SECRET"
        ) as met,
    ):
        client.arrive(sealed, {"state": query_of(left_for)["state"], "code": "c0de"})
    assert SECRET not in str(met.value) + caplog.text


def test_the_secret_is_shown_as_the_provider_takes_it(lying, tmp_path):
    lying.document(token_endpoint_auth_methods_supported=["client_secret_post"])
    there_and_back(client_of(lying, tmp_path), lying)
    there_and_back(OidcClient(settings_of(lying), "", tmp_path), lying)

    posted, without = (sent for path, sent, _ in lying.asked if path == "/token")
    assert posted["client_secret"] == SECRET
    assert (without["client_id"], "client_secret" in without) == (CLIENT, False)


def test_a_provider_that_is_gone_is_told(tmp_path):
    with issuer() as gone:
        client = client_of(gone, tmp_path)

    with pytest.raises(ProviderUnavailable, match="discovery document, got connection refused$"):
        client.leave(BACK, "/")


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"issuer": "https://i.example"}, "oidc.issuer needs oidc.client"),
        ({"issuer": "http://i.example", "client": "x"}, "oidc.issuer must begin with https://"),
        ({"issuer": "https://i.example", "client": "x", "scopes": ["profile"]}, "must hold"),
        ({"address": "https://pumps.example/plant3"}, "oidc.address is without path"),
    ],
)
def test_settings_of_single_sign_on_that_do_not_go_together_are_told(own, words):
    with pytest.raises(ValueError, match=words):
        OidcSettings(**own)


def test_a_provider_with_a_certificate_of_the_plants_own_is_believed_by_its_authority(
    tmp_path, monkeypatch
):
    certificate, key = make_certificate(tmp_path, "login")
    other, _ = make_certificate(tmp_path, "other")
    # What the environment names is for programs that are told nothing else.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with issuer((certificate, key)) as server:
        person = there_and_back(client_of(server, tmp_path, ca="login.crt"), server)
        for own in ({}, {"ca": "other.crt"}):
            with pytest.raises(
                ProviderUnavailable, match=r"not trusted \(self.signed.*see oidc\.ca"
            ):
                client_of(server, tmp_path, **own).leave(BACK, "/")

    assert person.name == "zoe"


def test_an_authority_that_is_not_there_is_told(lying, tmp_path):
    with pytest.raises(BadSettings, match=r"oidc\.ca needs a file that is there, got .*ca\.pem"):
        client_of(lying, tmp_path, ca="ca.pem")
