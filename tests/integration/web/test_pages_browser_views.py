"""The pages behind the fleet in a real browser: in both themes, on a telephone, under a pointer."""

import pytest
from chromium import browser, follow, opened, serving
from factories import NOW
from test_pages_asset import scored
from test_pages_data import fed
from test_pages_models import learned

__all__ = ["browser", "fed", "learned", "scored"]
VIEWS = {"scored": "/assets/pump-00?sensors=all", "learned": "/models", "fed": "/data"}


@pytest.mark.parametrize(
    ("plant", "width", "scheme"),
    [("scored", 390, "dark"), ("learned", 1280, "dark"), ("fed", 390, "light")],
)
def test_a_view_with_all_it_can_show_fits_and_stands_in_nobodys_way(
    browser, request, plant, width, scheme
):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    settings = request.getfixturevalue(plant)
    # axe comes as a script that the page's own policy would not let in.
    with (
        serving(settings, NOW) as address,
        opened(browser, bypass_csp=True, **options) as (page, complaints),
    ):
        page.goto(f"{address}{VIEWS[plant]}")
        found = axe.run(page).response["violations"]

        assert page.evaluate("document.documentElement.scrollWidth") == width
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    assert complaints == []


def test_the_fleet_leads_to_an_asset_and_back_without_scripts(browser, scored):
    with serving(scored, NOW) as address, opened(browser, java_script_enabled=False) as (page, _):
        page.goto(f"{address}/fleet")
        follow(page, page.get_by_role("link", name="pump-02"))
        follow(page, page.get_by_role("link", name="7 d", exact=True))

        assert page.url == f"{address}/assets/pump-02?days=7"
        assert page.get_by_role("heading", level=1).inner_text() == "pump-02"
        follow(page, page.get_by_role("link", name="All assets"))
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
