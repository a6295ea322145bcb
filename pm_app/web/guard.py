"""What every answer carries, and whom the server answers at all."""

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
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


def guard(app: FastAPI) -> None:
    """Answer only what was addressed to this machine by name, and harden every answer.

    Pages open without sign-in here. A site that points its own name at 127.0.0.1 (DNS
    rebinding) would read them through an operator's browser, so names are checked.
    """

    @app.middleware("http")
    async def harden(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        if _host(request.headers.get("host", "")) in LOOPBACK:
            response = await answer(request)
        else:
            response = PlainTextResponse("this server answers to localhost only\n", 400)
        response.headers.update(HEADERS)
        return response


def _host(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
