"""OpenID Connect provider: its discovery document and its keys, fetched and kept a while."""

import ssl
from collections.abc import Callable
from pathlib import Path
from socket import gaierror
from threading import Lock
from time import monotonic
from typing import Any, Final, Generic, TypeVar

import requests
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, KeySet

from pm_app.errors import BadSettings, TransientError
from pm_app.settings.web import OidcSettings, is_private_way

TIMEOUT_SECONDS: Final = 5.0
KEPT_SECONDS: Final = 3600.0
# A provider that failed is left alone for so long, whoever asks for it.
PAUSE_SECONDS: Final = 10.0
_DISCOVERY: Final = "/.well-known/openid-configuration"
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
# With a secret that both sides share (kty "oct") a client could sign for the provider.
_KEY_TYPES: Final = ("RSA", "EC", "OKP")
Found = TypeVar("Found")


class ProviderUnavailable(TransientError):
    """A provider does not answer, or with nonsense; the text says what was asked and what came."""


class OidcProvider:
    """What a provider says of itself. folder: where oidc.ca begins. Methods may be called by
    several threads; they raise ProviderUnavailable, and BadSettings where oidc.ca names no file.
    """

    def __init__(
        self, settings: OidcSettings, folder: Path, *, clock: Callable[[], float] = monotonic
    ) -> None:
        self.issuer = settings.issuer
        # What `requests` checks certificates by.
        self.trusted = _authority(settings, folder)
        self._configuration = _Kept(self._fetch_configuration, clock)
        self._keys = _Kept(self._fetch_keys, clock)

    def configuration(self) -> dict[str, Any]:
        """The discovery document, with addresses in _ENDPOINTS."""
        return self._configuration.get()

    def signing_keys(self, *, fresh: bool = False) -> KeySet:
        """The keys that it signs with. fresh: one that is not among those kept was asked for."""
        return self._keys.get(PAUSE_SECONDS if fresh else KEPT_SECONDS)

    def ask(self, address: str, what: str, *, token: str = "") -> dict[str, Any]:
        """A JSON object from there, shown an access token where there is one."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = requests.get(
                address,
                headers=headers,
                timeout=TIMEOUT_SECONDS,
                verify=self.trusted,
                allow_redirects=False,
            )
            if answer.status_code != requests.codes.ok:
                raise unavailable(address, what, f"HTTP status {answer.status_code}")
            found = answer.json()
        except requests.JSONDecodeError:
            raise unavailable(address, what, "something that is no JSON") from None
        except requests.RequestException as error:
            raise unavailable(address, what, reason_of(error)) from error
        if not isinstance(found, dict):
            raise unavailable(address, what, "JSON that is no object")
        return found

    def _fetch_configuration(self) -> dict[str, Any]:
        address, what = f"{self.issuer.rstrip('/')}{_DISCOVERY}", "its discovery document"
        found = self.ask(address, what)
        if found.get("issuer") != self.issuer:
            raise unavailable(
                address,
                what,
                f"that of {found.get('issuer')!r}, and oidc.issuer has to be the same",
            )
        for name in _ENDPOINTS:
            endpoint = found.get(name)
            if not isinstance(endpoint, str) or not is_private_way(endpoint):
                raise unavailable(address, what, f"one without an https:// address as {name}")
        return found

    def _fetch_keys(self) -> KeySet:
        address, what = self.configuration()["jwks_uri"], "its keys"
        keys = self.ask(address, what).get("keys")
        usable = [_key(each) for each in keys] if isinstance(keys, list) else []
        found = [key for key in usable if key is not None]
        if not found:
            raise unavailable(address, what, "none that signs")
        return KeySet(found)


class _Kept(Generic[Found]):
    """A document, kept KEPT_SECONDS, or that it failed, PAUSE_SECONDS. One thread fetches it."""

    def __init__(self, fetch: Callable[[], Found], clock: Callable[[], float]) -> None:
        self._fetch, self._clock = fetch, clock
        self._lock = Lock()
        self._found: tuple[Found] | None = None
        self._failure = ""
        self._at = 0.0

    def get(self, most_seconds: float = KEPT_SECONDS) -> Found:
        """The document, at most so old. Raises ProviderUnavailable."""
        with self._lock:
            age = self._clock() - self._at
            if self._found is not None and age <= most_seconds:
                return self._found[0]
            if self._failure and age <= PAUSE_SECONDS:
                raise ProviderUnavailable(self._failure)
            self._found, self._failure = None, ""
            try:
                self._found = (self._fetch(),)
            except ProviderUnavailable as error:
                self._failure = str(error)
                raise
            finally:
                self._at = self._clock()
            return self._found[0]


def unavailable(address: str, what: str, answer: str) -> ProviderUnavailable:
    """The error for an answer that will not do."""
    return ProviderUnavailable(f"asked {address} for {what}, got {answer}")


def reason_of(error: BaseException) -> str:
    """Why nothing came, in words, from the innermost error that tells."""
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT_SECONDS:.0f} s"
    words, cause = "no answer that can be read", error.__context__
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"a certificate that is not trusted ({cause.verify_message}): see oidc.ca"
        if isinstance(cause, gaierror):
            return "no such host"
        if isinstance(cause, OSError) and cause.strerror:
            words = cause.strerror.lower()
        cause = cause.__context__
    return words


def _key(entry: object) -> Any:
    """A key that signatures are checked with, None for any other."""
    if not isinstance(entry, dict) or entry.get("kty") not in _KEY_TYPES:
        return None
    try:
        return JWKRegistry.import_key(entry) if entry.get("use", "sig") == "sig" else None
    except (JoseError, ValueError, TypeError, KeyError):
        # Of a kind that is not known here; others of the set may be.
        return None


def _authority(settings: OidcSettings, folder: Path) -> str | bool:
    if not settings.ca:
        return True
    path = folder / settings.ca
    if not path.is_file():
        raise BadSettings(f"oidc.ca needs a file that is there, got {path}")
    return str(path)
