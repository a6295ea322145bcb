"""Chromium on the pages, served as they are to operators."""

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from browsing import open_to_all, resources

from pm_app.settings.plant import Settings
from pm_app.web.app import make_app

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# A script is given this long to act on what was asked of it.
PATIENCE_MILLISECONDS = 10_000


@contextmanager
def serving(
    settings: Settings,
    now: datetime,
    *,
    around: Callable[[Any], Any] = lambda app: app,
    port: int = 0,
    closed: bool = False,
    oidc: Any = None,
) -> Iterator[str]:
    """The address of a server of these pages, in a thread of this process.

    around: makes another application of the pages' own, for faults. closed: to all who have not
    signed in. oidc: who signs people in besides.
    """
    import uvicorn

    settings = settings if closed else open_to_all(settings)
    app = make_app(settings, resources(settings, change=True, oidc=oidc), now=lambda: now)
    server = uvicorn.Server(uvicorn.Config(around(app), log_config=None))
    with socket.create_server(("127.0.0.1", port)) as door:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def browser():
    """Debian's browser."""
    if CHROMIUM is None:
        assert "CI" not in os.environ, "the browser's tests are never skipped there"
        pytest.skip("needs a browser: Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@contextmanager
def opened(browser: Any, **options: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page of a browser of its own, and complaints: of its console, and of requests elsewhere."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    page, complaints = context.new_page(), []
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda asked: complaints.extend(_elsewhere(asked.url)))
    try:
        yield page, complaints
    finally:
        context.close()


def _elsewhere(url: str) -> list[str]:
    parts = urlsplit(url)
    here = parts.hostname == "127.0.0.1" or parts.scheme in ("data", "blob", "about")
    return [] if here else [f"asked for {url}"]


def follow(page: Any, what: Any) -> None:
    """Click what leads to another document, and wait until that one is there.

    A click alone returns when the browser has asked for it: what is read then may be the page
    that is about to go.
    """
    with page.expect_navigation():
        what.click()
