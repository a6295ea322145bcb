"""Path prefix of the pages behind a proxy: taken from addresses that come, put on those that go.

Inside, every address begins at "/". Whether the proxy leaves the prefix in what it passes on or
takes it away is all the same.
"""

import re
from collections.abc import Iterable
from typing import Final

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pm_app.errors import BadSettings

# Text of people never holds a bare quotation mark: templates and Markdown escape it.
_OWN_LINK: Final = re.compile(r'(?<=[ \n])(href|action|src)="(?=/(?!/))')

_BESIDE_PAGES: Final = frozenset({"api", "healthz", "metrics", "readyz", "static"})


def prefixed_links(html: str, prefix: str) -> str:
    """A page whose links, forms and files of ours begin with the prefix."""
    return _OWN_LINK.sub(rf'\1="{prefix}', html) if prefix else html


def prefixed_path(path: str, prefix: str) -> str:
    """Where a browser finds one of our addresses."""
    return f"{prefix}{path}"


def add_prefix(app: FastAPI, prefix: str, own: Iterable[str]) -> None:
    """Let the application answer under the prefix too.

    own: addresses that it has itself. Raises BadSettings where the prefix begins like one.
    """
    if not prefix:
        return
    if _first(prefix) in {*map(_first, own), *_BESIDE_PAGES}:
        raise BadSettings(
            f"web.prefix {prefix!r} begins like an address of the pages themselves; "
            "another, like /plant3, does not"
        )
    app.add_middleware(PathPrefix, prefix=prefix)


def _first(path: str) -> str:
    return path.split("/")[1]


class PathPrefix:
    """ASGI middleware: the prefix off the paths of requests, and onto redirects."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        stripped = {**scope, "path": _without(scope["path"], self._prefix)}
        if raw := scope.get("raw_path"):
            inside = _without(raw.decode("latin-1"), self._prefix)
            stripped["raw_path"] = inside.encode("latin-1")

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._redirect(MutableHeaders(scope=message))
            await send(message)

        await self._app(stripped, receive, answer)

    def _redirect(self, headers: MutableHeaders) -> None:
        location = headers.get("location", "")
        if location.startswith("/") and not location.startswith("//"):
            headers["location"] = prefixed_path(location, self._prefix)


def _without(path: str, prefix: str) -> str:
    inside = path.removeprefix(prefix)
    if inside == path or inside and not inside.startswith("/"):
        return path
    return inside or "/"
