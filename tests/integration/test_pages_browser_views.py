"""The pages behind the fleet in a real browser: in both themes, on a telephone, under a pointer."""

import pytest
from chromium import browser, opened, serving
from factories import NOW
from test_pages_asset import scored
from test_pages_data import fed
from test_pages_models import learned

__all__ = ["browser", "fed", "learned", "scored"]
OF_SCORED = ("/assets/pump-00?sensors=all", "/assets/nobody")
OF_LEARNED = ("/models",)
OF_FED = ("/data",)


@pytest.fixture(params=["scored", "learned", "fed"])
def views(request, scored, learned, fed):
    """A plant, and addresses of pages that show what it has."""
    paths = {"scored": (scored, OF_SCORED), "learned": (learned, OF_LEARNED), "fed": (fed, OF_FED)}
    return paths[request.param]


def test_no_view_complains_of_anything(browser, views):
    plant, paths = views
    with serving(plant, NOW) as address, opened(browser) as (page, complaints):
        for path in paths:
            page.goto(f"{address}{path}")

    assert [words for words in complaints if "404" not in words] == []


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_no_view_is_wider_than_its_window_or_in_the_way_of_readers_with_aids(
    browser, views, width, scheme
):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    plant, paths = views
    # axe comes as a script that the page's own policy would not let in.
    with serving(plant, NOW) as address, opened(browser, bypass_csp=True, **options) as (page, _):
        for path in paths:
            page.goto(f"{address}{path}")
            assert page.evaluate("document.documentElement.scrollWidth") == width, path
            found = axe.run(page).response["violations"]

            assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], path


def test_the_fleet_leads_to_an_asset_and_back_without_scripts(browser, scored):
    with serving(scored, NOW) as address, opened(browser, java_script_enabled=False) as (page, _):
        page.goto(f"{address}/fleet")
        page.get_by_role("link", name="pump-02").click()
        page.get_by_role("link", name="7 d", exact=True).click()

        assert page.url == f"{address}/assets/pump-02?days=7"
        assert page.get_by_role("heading", level=1).inner_text() == "pump-02"
        page.get_by_role("link", name="All assets").click()
        assert page.url == f"{address}/fleet"


def test_a_pointer_over_a_chart_is_told_moment_and_value(browser, scored):
    with serving(scored, NOW) as address, opened(browser) as (page, complaints):
        page.goto(f"{address}/assets/pump-00")
        chart = page.locator("svg.timeline").first
        chart.hover()

        words = page.locator(".hover-words").inner_text()
        newest = page.locator("#predictions + .wide tbody td").first.inner_text()
        assert words[:4] == newest[:4] and "within 72 h" in words and "%" in words
        page.mouse.move(0, 0)
        page.locator(".hover-words").wait_for(state="detached")
        assert complaints == []
