"""Pages that cannot be renewed say so, in a real browser: signed out, errors, no server, sleep."""

from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from chromium import browser, follow, opened, serving
from test_pages import NOW, plant

from pm_app.wiring import open_users

__all__ = ["browser", "plant"]
PASSWORD = "correct horse battery"
TURN = 31_000  # milliseconds: a turn of renewal, and a look


@dataclass
class Faulty:
    """An application that answers with an error, or not at all, for as long as it is told to."""

    app: object = None
    status: int = 0

    def around(self, app):
        self.app = app
        return self

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or not self.status:
            return await self.app(scope, receive, send)
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b"oh"})


@pytest.fixture
def faulty():
    return Faulty()


def a_turn_later(page, milliseconds=TURN):
    page.clock.fast_forward(milliseconds)


def words_of(page):
    page.locator("#unrenewed").wait_for(state="visible")
    return page.locator("#unrenewed").inner_text()


def is_grey(page):
    return page.evaluate("getComputedStyle(document.querySelector('main')).filter") != "none"


def test_a_server_that_answers_with_errors_is_told_and_forgotten_when_it_is_well(
    browser, plant, faulty
):
    with (
        serving(plant, NOW, around=faulty.around) as address,
        opened(browser) as (page, _),
    ):
        page.clock.install()
        page.goto(f"{address}/fleet")
        assert not page.locator("#unrenewed").is_visible() and not is_grey(page)
        faulty.status = 500
        a_turn_later(page)

        assert words_of(page) == (
            "Not renewed since 2026-03-01 12:00: the server answers with error 500. "
            "What is shown is from then."
        )
        assert is_grey(page)
        faulty.status = 0
        a_turn_later(page)
        page.locator("#unrenewed").wait_for(state="hidden")
        assert not is_grey(page)


def test_a_server_that_is_gone_is_told_and_forgotten_when_it_is_back(browser, plant):
    with opened(browser) as (page, _):
        page.clock.install()
        with serving(plant, NOW) as address:
            page.goto(f"{address}/fleet")
        a_turn_later(page)

        assert "the server does not answer" in words_of(page)
        with serving(plant, NOW, port=urlsplit(address).port):
            a_turn_later(page)
            page.locator("#unrenewed").wait_for(state="hidden")
        assert not is_grey(page)


@pytest.mark.parametrize("where", ["/fleet?search=pump", "/models", "/help"])
def test_a_session_that_has_ended_is_told_on_every_page_with_a_way_back(browser, plant, where):
    with open_users(plant) as store:
        store.users.add("otto", PASSWORD, role="operator", at=NOW, actor="root")
    with serving(plant, NOW, closed=True) as address, opened(browser) as (page, _):
        page.goto(f"{address}/sign-in")
        page.get_by_label("Name").fill("otto")
        page.get_by_label("Password").fill(PASSWORD)
        follow(page, page.get_by_role("button", name="Sign in"))
        page.clock.install()
        page.goto(f"{address}{where}")
        page.context.clear_cookies()
        a_turn_later(page)

        assert "you are signed out" in words_of(page)
        assert is_grey(page)
        follow(page, page.get_by_role("link", name="Sign in"))
        page.get_by_label("Name").fill("otto")
        page.get_by_label("Password").fill(PASSWORD)
        follow(page, page.get_by_role("button", name="Sign in"))
        assert page.url == f"{address}{where}"


def test_a_page_that_was_asleep_is_grey_until_it_is_renewed(browser, plant, faulty):
    with (
        serving(plant, NOW, around=faulty.around) as address,
        opened(browser) as (page, _),
    ):
        page.clock.install()
        page.goto(f"{address}/fleet")
        page.evaluate("() => { window.fetch = () => new Promise(() => {}); }")
        a_turn_later(page, 8 * 3600 * 1000)

        assert "this page was asleep" in words_of(page)
        assert is_grey(page)


def test_a_page_of_a_store_that_could_not_be_read_comes_by_itself(browser, plant):
    file = plant.state / "pm.sqlite"
    with serving(plant, NOW) as address, opened(browser) as (page, _):
        aside = file.rename(file.with_name("aside"))
        page.clock.install()
        page.goto(f"{address}/fleet")
        assert page.get_by_role("heading", name="The store cannot be read now").is_visible()
        aside.rename(file)
        a_turn_later(page)

        page.get_by_text("pump-59").first.wait_for()
