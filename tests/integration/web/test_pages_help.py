"""Help pages: the documentation as a browser gets it."""

import re

import pytest
from browsing import ask, open_to_all, resources
from chromium import browser, opened, serving
from factories import NOW, make_plant

from pm_app.docs import TOPICS
from pm_app.settings.plant import read_settings
from pm_app.store import open_store
from pm_app.web.app import make_app
from pm_app.web.pages.help import page as help_page
from pm_app.wiring import store_url

__all__ = ["browser"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """Settings of a plant with an empty store."""
    found = read_settings(make_plant(tmp_path_factory.mktemp("plant")))
    open_store(store_url(found), folder=found.folder).close()
    return found


@pytest.fixture
def app(settings):
    return make_app(open_to_all(settings), resources(settings), now=lambda: NOW)


def test_help_lists_every_topic_and_the_navigation_leads_there(app):
    page = ask(app, "/help").text

    assert '<a href="/help" aria-current="page">Help</a>' in page
    assert all(f'<a href="/help/{name}">' in page for name in TOPICS)


@pytest.mark.parametrize("topic", list(TOPICS))
def test_a_topic_reads_without_code_and_its_links_lead_to_headings(app, topic):
    answer = ask(app, f"/help/{topic}")

    assert answer.status_code == 200
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src)|&lt;!--", answer.text)
    for target in re.findall(r'href="(/help/[^"]*|#[^"]*)"', answer.text):
        path, _, anchor = target.partition("#")
        there = ask(app, path).text if path else answer.text
        assert not anchor or anchor == "main" or f'id="{anchor}"' in there, target


def test_a_topic_that_is_not_there_is_not_found(app):
    assert ask(app, "/help/nothing").status_code == 404


def test_html_in_a_topic_is_text_and_a_link_to_a_script_is_none(app, monkeypatch):
    hostile = (
        "# Title\n\n<script>alert(1)</script> [x](javascript:alert(1)) [y](tables.md#alarms)\n"
    )
    monkeypatch.setattr(help_page, "read_topic", lambda topic: hostile)
    help_page._rendered.cache_clear()

    title, text = help_page._rendered("operate")

    help_page._rendered.cache_clear()
    assert title == "Title"
    assert "<script" not in text and 'href="javascript' not in text
    assert 'href="/help/tables#alarms"' in text


@pytest.mark.parametrize(
    ("topic", "width", "scheme"),
    [("operate", 390, "dark"), ("benchmarks", 1280, "light"), ("commands", 390, "light")],
)
def test_a_topic_fits_its_window_and_stands_in_nobodys_way(browser, settings, topic, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    # axe comes as a script that the page's own policy would not let in.
    with (
        serving(settings, NOW) as address,
        opened(browser, bypass_csp=True, **options) as (page, complaints),
    ):
        page.goto(f"{address}/help/{topic}")
        found = axe.run(page).response["violations"]

        assert page.evaluate("document.documentElement.scrollWidth") == width
    assert [(one["id"], one["nodes"][0]["html"]) for one in found] == []
    assert complaints == []
