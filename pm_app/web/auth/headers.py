"""Content-Security-Policy and other headers of answers, and request checks."""

from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, nullcontext
from ipaddress import ip_address
from socket import gethostname
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

from pm_app.settings.web import WebSettings
from pm_app.web.auth.crowd import Crowd
from pm_app.web.connections import CONNECTION, OpenConnection, network_of
from pm_app.web.identity import Authenticator

# Asked by supervisors, by whatever name they know this server; they say nothing of the plant.
PROBES: Final = frozenset({"/healthz", "/readyz"})
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
# Forms of people are small; what is larger is no form.
MOST_BYTES: Final = 64 * 1024
_MOST_DIGITS: Final = 12
# A year, as browsers' lists of such sites ask.
_HSTS_SECONDS: Final = 365 * 24 * 3600
_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def add_security_headers(app: FastAPI, web: WebSettings, authenticator: Authenticator) -> None:
    """Refuse what is too large or sent by another site, and harden every answer.

    Strangers are answered a few at a time, so that they keep nobody out who has signed in.
    """
    crowd = Crowd()

    @app.middleware("http")
    async def harden(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        began = perf_counter()
        refused = _of_another_host(request, web) or _refused(request, web)
        if refused is None:
            async with _place(crowd, authenticator, request) as room:
                response = await answer(request) if room else _busy()
        else:
            response = refused
        taken = 1000 * (perf_counter() - began)
        response.headers.update(HEADERS | {"Server-Timing": f"total;dur={taken:.1f}"})
        if authenticator.over_tls(request):
            response.headers["Strict-Transport-Security"] = f"max-age={_HSTS_SECONDS}"
        return response


def addressed_host(request: Request) -> str:
    """The name by which a request was addressed, lower case, "" where there is none."""
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def is_our_host(host: str, hosts: Collection[str]) -> bool:
    """Whether a name is one of ours: of web.hosts, or without those one that is never another's.

    Where pages are open, a site that points its own name at this server (DNS rebinding) would
    read them through an operator's browser. It needs a name for that: numbers cannot be pointed.
    """
    if host in LOOPBACK or host in hosts:
        return True
    return not hosts and (_is_number(host) or host == gethostname().lower())


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _place(
    crowd: Crowd, authenticator: Authenticator, request: Request
) -> AbstractAsyncContextManager[bool]:
    connection: OpenConnection | None = getattr(request.state, CONNECTION, None)
    if not authenticator.recognises(request):
        return crowd.place(network_of(authenticator.address(request)), connection)
    if connection is not None:
        connection.recognised = True
    return nullcontext(True)


def _busy() -> Response:
    refusal = _refusal("too much is asked at once: ask again in a moment", 503)
    refusal.headers["Retry-After"] = "5"
    return refusal


def _of_another_host(request: Request, web: WebSettings) -> Response | None:
    if not web.hosts or request.url.path in PROBES:
        return None
    if is_our_host(addressed_host(request), web.hosts):
        return None
    return PlainTextResponse("this server has another name (web.hosts)\n", 421)


def _refused(request: Request, web: WebSettings) -> Response | None:
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or not (length.isascii() and length.isdigit()):
        return _refusal("a request has to tell its length", 411)
    changing = request.method in _CHANGING
    most = MOST_BYTES if changing else 0
    if len(length) > _MOST_DIGITS or int(length) > most:
        return _refusal(f"at most {most} bytes are read", 413)
    # Forms carry a secret of their own; this also holds where there is none yet, at sign-in.
    if changing and "authorization" not in request.headers and _of_another_site(request, web):
        return _refusal("this was sent by another site", 403)
    return None


def _refusal(words: str, status: int) -> Response:
    # What is left of a body that nobody reads is not waited for.
    return PlainTextResponse(f"{words}\n", status, {"Connection": "close"})


def _of_another_site(request: Request, web: WebSettings) -> bool:
    """Whether a browser sent this from a page that is not ours.

    Sec-Fetch-Site knows best, but comes over TLS and on loopback alone; Origin comes always. A
    proxy may change Host: where it does not pass Sec-Fetch-Site on, web.hosts names the pages.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return False
    try:
        sent_from = urlsplit(origin)
        ours = sent_from.netloc == request.headers.get("host") or sent_from.hostname in web.hosts
    except ValueError:
        return True
    return sent_from.scheme not in ("http", "https") or not ours
