"""The operators' pages in a real browser: without scripts, renewing themselves, on a telephone."""

from datetime import timedelta

import pytest
from chromium import browser, follow, opened, serving
from test_pages import HOSTILE, NOW, plant, predictions_of

from pm_app.store import open_store
from pm_app.wiring import store_url

__all__ = ["browser", "plant"]


def test_without_scripts_the_fleet_is_filtered_and_sorted(browser, plant):
    with serving(plant, NOW) as address, opened(browser, java_script_enabled=False) as (page, _):
        page.goto(address)
        page.locator("input[name=search]").fill("pump")
        page.locator("select[name=level]").select_option("high")
        follow(page, page.get_by_role("button", name="Show"))
        follow(page, page.get_by_role("link", name="Asset", exact=True))

        assert page.locator("tbody tr").count() == 10
        assert page.locator("tbody th").first.inner_text() == "pump-50"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_its_window_or_complains(browser, plant, width, scheme):
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    with serving(plant, NOW) as address, opened(browser, **options) as (page, complaints):
        page.goto(address)

        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.get_by_text(HOSTILE).is_visible()
        assert complaints == []


def test_the_table_renews_itself_and_keeps_what_was_typed_and_focused(browser, plant):
    with serving(plant, NOW) as address, opened(browser) as (page, complaints):
        page.goto(f"{address}/fleet?search=pump-59")
        page.locator("input[name=search]").fill("half a na")
        page.get_by_role("link", name="Age of data").focus()
        with open_store(store_url(plant), folder=plant.folder) as store:
            said = predictions_of({"pump-59": 0.93}, NOW - timedelta(minutes=5))
            store.writer.commit_predictions([said], scored_at=NOW)
        page.evaluate("renew()")
        page.get_by_text("93 %").wait_for()

        assert page.locator("input[name=search]").input_value() == "half a na"
        assert page.evaluate("document.activeElement.textContent") == "Age of data"
        assert complaints == []


def test_the_keyboard_reaches_the_table_first(browser, plant):
    with serving(plant, NOW) as address, opened(browser) as (page, _):
        page.goto(address)
        page.keyboard.press("Tab")

        assert page.evaluate("document.activeElement.textContent") == "Skip to the table"
