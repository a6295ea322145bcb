"""Identity of a request: session, token, proxy header; the person and their role."""

import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from math import inf
from time import monotonic
from typing import Final

from fastapi import Request

from pm_app.settings.plant import Settings
from pm_app.store import Actor, SessionRow, Store, highest_role, may

_COOKIE: Final = "pm_app_session"
# As proxies write them: oauth2-proxy and Authelia ",", authentik "|", others ";".
_BETWEEN_GROUPS: Final = re.compile(r"[,;|]")
_BEARER: Final = "bearer "
# Long enough for whoever looks at pages that renew themselves.
_RECENT_SECONDS: Final = 600.0
_MOST_RECENT: Final = 10_000


@dataclass(frozen=True)
class Person:
    """Whoever asks. name is "" for anyone who looks at open pages without signing in.

    csrf has to come with every form and is "" where no browser keeps a secret for them; token is
    what their session's cookie holds, "" without one.
    """

    name: str
    role: str
    address: str
    csrf: str = ""
    token: str = ""

    def may(self, needed: str) -> bool:
        """Whether their role includes another. Nobody without a name changes anything."""
        return may(self.role, needed) and (bool(self.name) or needed == "viewer")

    @property
    def actor(self) -> Actor:
        """As kept with what they do."""
        return Actor(self.name, self.address)


class Authenticator:
    """Tells who asks by what their request carries."""

    def __init__(self, settings: Settings) -> None:
        self._web = settings.web
        # Plants under one name would get each other's: browsers send those of "/" everywhere.
        self.cookie = _COOKIE + self._web.prefix.replace("/", "-")
        # A proxy signs people in, so there is no session to keep a secret in.
        self._secret = secrets.token_bytes(32)
        self._recent: dict[bytes, float] = {}

    def identify(
        self, request: Request, store: Callable[[], Store], *, at: datetime
    ) -> Person | None:
        """The person; None for a stranger, for whom no store is opened. Raises StoreUnavailable."""
        person = self._identify(request, store, at)
        if person is not None and person.name and self._shown(request):
            if len(self._recent) >= _MOST_RECENT:
                self._recent.clear()
            self._recent[self._credential(request)] = monotonic()
        return person

    def recognises(self, request: Request) -> bool:
        """Whether what a request shows has let someone in lately; no store is asked."""
        if self._web.proxy_header and self._through_proxy(request):
            return bool(request.headers.get(self._web.proxy_header))
        return monotonic() - self._recent.get(self._credential(request), -inf) < _RECENT_SECONDS

    def _identify(
        self, request: Request, store: Callable[[], Store], at: datetime
    ) -> Person | None:
        address = self.address(request)
        if (authorization := request.headers.get("authorization")) is not None:
            return _token_person(authorization, store, address)
        if self._web.proxy_header and self._through_proxy(request):
            # Twice is once by a browser: which is the proxy's own cannot be told.
            first, *more = request.headers.getlist(self._web.proxy_header) or [""]
            name = "" if more else first
            groups = self._groups(request)
            person = self._proxied_person(name, groups, store, address)
            return person or self._onlooker(first, address)
        token = request.cookies.get(self.cookie, "")
        session = find_session(store(), token, at=at) if token else None
        if session is not None:
            return Person(session.user, session.role, address, session.csrf, token)
        return self._onlooker("", address)

    def _onlooker(self, name: str, address: str) -> Person | None:
        """Who looks at open pages without a name; None for a name that lets no one in."""
        return Person("", "viewer", address) if self._web.open and not name else None

    def address(self, request: Request) -> str:
        """The network address that asks, behind a proxy that is believed."""
        forwarded = request.headers.get("x-forwarded-for", "")
        if forwarded and self._through_proxy(request):
            return forwarded.rpartition(",")[2].strip()[:100]
        return _peer(request)

    def over_tls(self, request: Request) -> bool:
        """Whether the browser speaks TLS, with us or with a proxy that is believed."""
        if self._through_proxy(request):
            return request.headers.get("x-forwarded-proto", "") == "https"
        return request.url.scheme == "https"

    def _credential(self, request: Request) -> bytes:
        return sha256(self._shown(request).encode(errors="replace")).digest()

    def _shown(self, request: Request) -> str:
        """What a request shows of who it comes from: its token, or the session's; "" without."""
        return request.headers.get("authorization") or request.cookies.get(self.cookie, "")

    def _through_proxy(self, request: Request) -> bool:
        return _peer(request) in self._web.proxy_addresses

    def _groups(self, request: Request) -> list[str]:
        if not self._web.groups_header:
            return []
        # Of several the proxy's own cannot be told.
        given = request.headers.getlist(self._web.groups_header)
        if len(given) != 1:
            return []
        return [group.strip() for group in _BETWEEN_GROUPS.split(given[0])]

    def _proxied_person(
        self, name: str, groups: Iterable[str], store: Callable[[], Store], address: str
    ) -> Person | None:
        """Whom the proxy has let in, with the highest role of their groups and their account."""
        if not name or not name.isprintable():
            return None
        user = store().users.user(name)
        if user is not None and user.disabled_at is not None:
            return None
        role = highest_role([group_role(groups, self._web.roles), user.role if user else ""])
        csrf = hmac.digest(self._secret, name.encode(), "sha256").hex()
        return Person(name, role, address, csrf) if role else None


def group_role(groups: Iterable[str], roles: Mapping[str, str]) -> str:
    """The highest role of these groups, "" for none; anyone may look where no roles are set."""
    if not roles:
        return "viewer"
    return highest_role(roles.get(group, "") for group in ("*", *groups))


def find_session(store: Store, token: str, *, at: datetime) -> SessionRow | None:
    """Whose browser shows this, signed in by a password or by a provider."""
    return store.oidc_sessions.find(token, at=at) or store.users.session(token, at=at)


def _token_person(authorization: str, store: Callable[[], Store], address: str) -> Person | None:
    if not authorization.lower().startswith(_BEARER):
        return None
    token = store().users.check_token(authorization[len(_BEARER) :].strip())
    return None if token is None else Person(f"{token.name} (token)", token.role, address)


def _peer(request: Request) -> str:
    return request.client.host if request.client else ""
