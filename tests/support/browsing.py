"""Browser without scripts: asks pages, keeps cookies, sends forms, reads tables."""

import asyncio
import re
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from typing import Any

import httpx

from pm_app.settings.plant import Settings
from pm_app.web.context import Resources
from pm_app.wiring import backlog_of, open_plant_shared, open_users, open_views


def resources(settings: Settings, *, change: bool = False, oidc: Any = None) -> Resources:
    """Ways to a plant; change=False lets nobody do anything."""
    return Resources(
        partial(open_views, settings),
        partial(backlog_of, settings),
        partial(open_users, settings) if change else None,
        partial(open_plant_shared, settings) if change else None,
        oidc,
    )


def open_to_all(settings: Settings) -> Settings:
    """The plant with pages that anyone may look at."""
    return settings.model_copy(update={"web": settings.web.model_copy(update={"open": True})})


def ask(
    app: Any,
    address: str,
    *,
    host: str = "127.0.0.1",
    method: str = "GET",
    cookies: httpx.Cookies | None = None,
    scheme: str = "http",
    peer: str = "127.0.0.1",
    **more: Any,
) -> httpx.Response:
    """One answer, the application started and stopped around it."""

    async def one() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(peer, 40_000))
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=transport, base_url=f"{scheme}://{host}", cookies=cookies
            ) as client,
        ):
            return await client.request(method, address, **more)

    return asyncio.run(one())


@dataclass
class Visitor:
    """Someone with a browser of their own, which keeps cookies."""

    app: Any
    more: dict[str, Any] = field(default_factory=dict)
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies)

    def get(self, address: str, **more: Any) -> httpx.Response:
        """An answer."""
        return self._ask(address, method="GET", **more)

    def post(self, address: str, form: dict[str, str], **more: Any) -> httpx.Response:
        """The answer to a form, sent as it stands."""
        return self._ask(address, method="POST", data=form, **more)

    def sign_in(self, name: str, password: str, **form: str) -> httpx.Response:
        """Fill in the form of the page for it."""
        return self.post("/sign-in", {"name": name, "password": password, **form})

    def send(self, page: str, address: str, **fields: str) -> httpx.Response:
        """Fill in and send a form that is on a page, with the secret that it carries there."""
        return self.post(address, {"csrf": self.secret(page), **fields})

    def secret(self, page: str) -> str:
        """What forms of a page carry for this visitor, "" without."""
        found = re.search(r'name="csrf" value="([^"]*)"', self.get(page).text)
        return found.group(1) if found else ""

    def _ask(self, address: str, **more: Any) -> httpx.Response:
        answer = ask(self.app, address, cookies=self.cookies, **{**self.more, **more})
        self.cookies.update(answer.cookies)
        for header in answer.headers.get_list("set-cookie"):
            if "Max-Age=0" in header:
                self.cookies.delete(header.partition("=")[0])
        return answer


class Table(HTMLParser):
    """The cells of a page's table rows, as a reader without scripts has them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._cell = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._cell = False

    def handle_data(self, data):
        if self._cell:
            self.rows[-1][-1] += data
