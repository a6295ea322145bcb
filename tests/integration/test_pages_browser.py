"""The operators' pages in a real browser: without scripts, renewing themselves, on a telephone."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from browsing import doors
from test_pages import HOSTILE, NOW, plant, predictions_of

from pm_app.store import open_store
from pm_app.web.app import make_app
from pm_app.wiring import store_url

__all__ = ["plant"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# A script is given this long to act on what was asked of it.
PATIENCE_MILLISECONDS = 10_000


@contextmanager
def serving(settings) -> Iterator[str]:
    """The address of a server of these pages, in a thread of this process."""
    import uvicorn

    app = make_app(settings, doors(settings, change=True), now=lambda: NOW)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        assert "CI" not in os.environ, "the browser's tests are never skipped there"
        pytest.skip("needs a browser: Debian's package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@contextmanager
def opened(browser, **options):
    """A page of a browser of its own, and what its console complains of."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    page, complaints = context.new_page(), []
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page, complaints
    finally:
        context.close()


def test_without_scripts_the_fleet_is_filtered_and_sorted(browser, plant):
    with serving(plant) as address, opened(browser, java_script_enabled=False) as (page, _):
        page.goto(address)
        page.locator("input[name=search]").fill("pump")
        page.locator("select[name=level]").select_option("high")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("link", name="Asset", exact=True).click()

        assert page.locator("tbody tr").count() == 10
        assert page.locator("tbody th").first.inner_text() == "pump-50"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_window_or_complains(browser, plant, width, scheme):
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with serving(plant) as address, opened(browser, **options) as (page, complaints):
        page.goto(address)

        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.get_by_text(HOSTILE).is_visible()
        assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_stands_in_the_way_of_readers_with_aids(browser, plant, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    # axe comes as a script that the page's own policy would not let in.
    with serving(plant) as address, opened(browser, bypass_csp=True, **options) as (page, _):
        page.goto(address)
        found = axe.run(page).response["violations"]

    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []


def test_the_table_renews_itself_and_keeps_what_was_typed_and_focused(browser, plant):
    with serving(plant) as address, opened(browser) as (page, complaints):
        page.goto(f"{address}/fleet?search=pump-59")
        page.locator("input[name=search]").fill("half a na")
        page.get_by_role("link", name="Age of data").focus()
        with open_store(store_url(plant), folder=plant.folder) as store:
            said = predictions_of({"pump-59": 0.93}, NOW - timedelta(minutes=5))
            store.scores.commit_predictions([said], scored_at=NOW)
        page.evaluate("renew()")
        page.get_by_text("93 %").wait_for()

        assert page.locator("input[name=search]").input_value() == "half a na"
        assert page.evaluate("document.activeElement.textContent") == "Age of data"
        assert complaints == []


def test_the_keyboard_reaches_the_table_first(browser, plant):
    with serving(plant) as address, opened(browser) as (page, _):
        page.goto(address)
        page.keyboard.press("Tab")

        assert page.evaluate("document.activeElement.textContent") == "Skip to the table"
