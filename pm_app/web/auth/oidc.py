"""OpenID Connect sign-in: the way to the provider, and whom it says has come back.

Authorization code with PKCE; Authlib speaks it, and checks what is signed. Nothing is kept of a
sign-in under way: what has to fit when someone comes back lies in a cookie of their browser,
encrypted by a key that this process alone has.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any, Final

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidKeyIdError, JoseError
from joserfc.jwe import JWERegistry
from joserfc.jwk import KeySet, OctKey
from joserfc.jws import JWSRegistry

from pm_app.errors import TerminalError
from pm_app.settings.web import OIDC_SECRET_VARIABLE, OidcSettings
from pm_app.web.auth.oidc_provider import TIMEOUT_SECONDS, OidcProvider, reason_of, unavailable

MOST_SECONDS: Final = 600
# Of the clocks here and there.
_LEEWAY_SECONDS: Final = 60
_KEY_BYTES: Final = 32
_SEAL: Final = {"alg": "dir", "enc": "A256GCM"}
# None by a shared secret, and never "none".
_ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
_LONGEST_NAME: Final = 100
# Cookies end at 4 KB.
_LONGEST_ONWARD: Final = 1000


class SignInRefused(TerminalError):
    """Whoever came back is not let in; the text says why and what to do."""


@dataclass(frozen=True)
class SignedOn:
    """Whom the provider has signed in, their groups there, and where they wanted to go."""

    name: str
    groups: tuple[str, ...]
    onward: str


class OidcClient:
    """These pages, as a client of a provider. Methods may be called by several threads.

    secret: of the client, "" where it has none. folder: where files of the settings begin.
    """

    def __init__(self, settings: OidcSettings, secret: str, folder: Path) -> None:
        self.name = settings.name
        # In which somebody has to come back.
        self.most_seconds = MOST_SECONDS
        self._settings = settings
        self._secret = secret
        self._provider = OidcProvider(settings, folder)
        self._key = OctKey.import_key(secrets.token_bytes(_KEY_BYTES))

    def leave(self, back: str, onward: str) -> tuple[str, str]:
        """Where a browser is sent to sign in, and the cookie that it has to come back with.

        back: the address of ours that it comes back to. Raises ProviderUnavailable.
        """
        endpoint = self._provider.configuration()["authorization_endpoint"]
        trip = {name: secrets.token_urlsafe(_KEY_BYTES) for name in ("state", "nonce", "verifier")}
        with self._session(back) as session:
            address, _ = session.create_authorization_url(
                endpoint,
                state=trip["state"],
                code_verifier=trip["verifier"],
                nonce=trip["nonce"],
            )
        trip |= {"back": back, "onward": onward if len(onward) <= _LONGEST_ONWARD else "/"}
        sealed = {**trip, "exp": int(time()) + MOST_SECONDS}
        return str(address), jwt.encode(_SEAL, sealed, self._key, registry=JWERegistry())

    def arrive(self, sealed: str, answer: Mapping[str, str]) -> SignedOn:
        """Whom the provider has signed in.

        sealed: the cookie. answer: what stands in the address that the browser came back to.
        Raises SignInRefused and ProviderUnavailable.
        """
        trip = self._opened(sealed)
        state = answer.get("state", "").encode(errors="replace")
        if trip is None or not hmac.compare_digest(trip["state"].encode(), state):
            raise SignInRefused(
                f"This sign-in was not begun in this browser in the last {MOST_SECONDS // 60} "
                "minutes, or another was begun since: begin it again."
            )
        if "error" in answer or not answer.get("code"):
            raise SignInRefused(
                f"{self.name} did not sign you in: it answered {_short(answer.get('error'))}."
            )
        token = self._exchange(answer["code"], trip)
        claims = self._claims(token, trip["nonce"])
        return SignedOn(self._person(claims), self._groups(claims), trip["onward"])

    def _opened(self, sealed: str) -> dict[str, str] | None:
        try:
            found = jwt.decode(sealed, self._key, registry=JWERegistry()).claims
            jwt.JWTClaimsRegistry(exp={"essential": True}).validate(found)
        except (JoseError, ValueError):
            return None
        return found

    def _session(self, back: str) -> Any:
        ways = self._provider.configuration().get("token_endpoint_auth_methods_supported")
        only_post = isinstance(ways, list) and "client_secret_basic" not in ways
        secret_as = "client_secret_post" if only_post else "client_secret_basic"
        return OAuth2Session(
            client_id=self._settings.client,
            client_secret=self._secret or None,
            token_endpoint_auth_method=secret_as if self._secret else "none",
            scope=" ".join(self._settings.scopes),
            redirect_uri=back,
            code_challenge_method="S256",
            default_timeout=TIMEOUT_SECONDS,
        )

    def _exchange(self, code: str, trip: dict[str, str]) -> dict[str, Any]:
        """The tokens that the code stands for."""
        endpoint, what = self._provider.configuration()["token_endpoint"], "who has signed in"
        try:
            with self._session(trip["back"]) as session:
                token: dict[str, Any] = session.fetch_token(
                    endpoint,
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=trip["verifier"],
                    allow_redirects=False,
                    # Of a session it would give way to REQUESTS_CA_BUNDLE of the environment.
                    verify=self._provider.trusted,
                )
        except OAuthError as error:
            raise SignInRefused(
                f"{self.name} did not take back what it sent: it answered {_short(error.error)}. "
                "Begin the sign-in again; where that does not help, oidc.client and "
                f"{OIDC_SECRET_VARIABLE} have to be as they are registered there."
            ) from error
        except requests.HTTPError as error:
            status = error.response.status_code
            raise unavailable(endpoint, what, f"HTTP status {status}") from error
        except requests.RequestException as error:
            raise unavailable(endpoint, what, reason_of(error)) from error
        except ValueError as error:
            raise unavailable(endpoint, what, "something that is no JSON object") from error
        if not isinstance(token.get("id_token"), str):
            raise unavailable(endpoint, what, "no id_token")
        return token

    def _claims(self, token: dict[str, Any], nonce: str) -> dict[str, Any]:
        """What the provider says of who has signed in, once it is believed."""
        try:
            claims = self._checked(token, nonce)
        except (JoseError, ValueError) as error:
            clocks = isinstance(error, ExpiredTokenError) or "future" in str(error)
            advice = "Compare the clocks of both servers" if clocks else "Begin the sign-in again"
            raise SignInRefused(
                f"What {self.name} says of who has signed in cannot be believed ({error}). "
                f"{advice}; where that does not help, whoever runs this server has to look."
            ) from error
        wanted = (self._settings.name_claim, self._settings.groups_claim)
        endpoint = self._provider.configuration().get("userinfo_endpoint")
        if endpoint and any(_claim(claims, name) is None for name in wanted):
            access = str(token.get("access_token", ""))
            more = self._provider.ask(endpoint, "more of who has signed in", token=access)
            # Of somebody else it is worth nothing (OpenID Connect Core 1.0, 5.3.2).
            claims = {**more, **claims} if more.get("sub") == claims["sub"] else claims
        return claims

    def _checked(self, token: dict[str, Any], nonce: str) -> dict[str, Any]:
        try:
            found = _verified(token["id_token"], self._provider.signing_keys())
        except InvalidKeyIdError:
            found = _verified(token["id_token"], self._provider.signing_keys(fresh=True))
        own = self._settings
        claims = CodeIDToken(
            found.claims,
            found.header,
            {
                "iss": {"essential": True, "value": own.issuer},
                "aud": {"essential": True, "value": own.client},
            },
            {"nonce": nonce, "client_id": own.client, "access_token": token.get("access_token")},
        )
        claims.validate(leeway=_LEEWAY_SECONDS)
        return dict(claims)

    def _person(self, claims: Mapping[str, Any]) -> str:
        name = _claim(claims, self._settings.name_claim)
        usable = isinstance(name, str) and name.strip() and name.isprintable()
        if not usable or len(name) > _LONGEST_NAME:
            raise SignInRefused(
                f"{self.name} does not say what to call you: needed 1 to {_LONGEST_NAME} printable "
                f"characters as {self._settings.name_claim!r} (oidc.name_claim); what it says of "
                f"you is {', '.join(sorted(map(_short, claims)))}."
            )
        return str(name)

    def _groups(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        groups = _claim(claims, self._settings.groups_claim)
        listed = groups if isinstance(groups, list) else [groups]
        return tuple(group for group in listed if isinstance(group, str))


def _verified(token: str, keys: KeySet) -> jwt.Token:
    registry = JWSRegistry(algorithms=_ALGORITHMS, strict_check_header=False)
    return jwt.decode(token, keys, registry=registry)


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by the way to it through tables; None where there is none."""
    found: Any = claims
    if name in claims:
        return claims[name]
    for step in name.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _short(text: object) -> str:
    """What came from elsewhere, as it may be shown."""
    return repr(str(text)[:100]) if text else "nothing"
