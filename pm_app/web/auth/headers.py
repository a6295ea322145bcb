"""Content-Security-Policy and other headers of answers, and request checks."""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
# Forms of people are small; what is larger is no form.
MOST_BYTES: Final = 64 * 1024
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


def add_security_headers(app: FastAPI) -> None:
    """Refuse what is too large or sent by another site, and harden every answer."""

    @app.middleware("http")
    async def harden(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        began = perf_counter()
        refused = _refused(request) if request.method in _CHANGING else None
        response = await answer(request) if refused is None else refused
        taken = 1000 * (perf_counter() - began)
        response.headers.update(HEADERS | {"Server-Timing": f"total;dur={taken:.1f}"})
        return response


def of_this_machine(request: Request) -> bool:
    """Whether a request was addressed to this machine by one of its own names.

    Where pages are open to all, a site that points its own name at 127.0.0.1 (DNS rebinding)
    would read them through an operator's browser.
    """
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        return False
    return host in LOOPBACK


def _refused(request: Request) -> Response | None:
    length = request.headers.get("content-length", "0")
    if "transfer-encoding" in request.headers or not (length.isascii() and length.isdigit()):
        return PlainTextResponse("a request that changes something has to tell its length\n", 411)
    if int(length[:12]) > MOST_BYTES:
        return PlainTextResponse(f"at most {MOST_BYTES} bytes are read\n", 413)
    # Forms carry a secret of their own; this also holds where there is none yet, at sign-in.
    if request.headers.get("sec-fetch-site", "") in ("cross-site", "same-site"):
        return PlainTextResponse("this was sent by another site\n", 403)
    return None
