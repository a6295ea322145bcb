"""A day at the pages, in a real browser: what operators and engineers do there, and all pages."""

import csv
import io
import re

import pytest
from chromium import browser, follow, opened, serving
from factories import ALARMING_TOML, NOW, make_plant, promote_handmade, readings_table
from factories import opened as live

from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.store import FleetQuery
from pm_app.wiring import open_users, open_views

__all__ = ["browser"]
PASSWORD = "correct horse battery"
PEOPLE = {"vera": "viewer", "otto": "operator", "emma": "engineer"}


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    """A plant that has said something, with alarms, two versions, a torn file, and people."""
    folder = tmp_path_factory.mktemp("story")
    config = make_plant(folder, {"a.parquet": readings_table()}, toml=ALARMING_TOML)
    (config.parent / "readings" / "torn.parquet").write_bytes(b"PAR1 and no more")
    with live(config) as plant:
        promote_handmade(plant)
        promote_handmade(plant, seed=1)
        score(plant, now=NOW)
    settings = read_settings(config)
    with open_users(settings) as store:
        for name, role in PEOPLE.items():
            store.users.add(name, PASSWORD, role=role, at=NOW, actor="root")
    return settings


def sign_in(page, address, name):
    page.goto(address)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    follow(page, page.get_by_role("button", name="Sign in"))
    page.get_by_role("heading", name="Fleet").wait_for()


def riskiest(plant):
    with open_views(plant) as store:
        return store.fleet.rows(FleetQuery(), limit=1)[0]


def test_an_operator_finds_the_riskiest_asset_sees_why_and_deals_with_its_alarm(browser, plant):
    worst = riskiest(plant)
    with serving(plant, NOW, closed=True) as address, opened(browser) as (page, complaints):
        sign_in(page, address, "otto")
        first = page.locator("tbody tr").first
        assert first.locator("th").inner_text() == worst.asset_id
        follow(page, first.get_by_role("link", name=worst.asset_id))
        leading = worst.top_sensors.rpartition(" ")[0].split(" ")[0]
        assert leading in page.locator(".bars").inner_text()

        follow(page, page.get_by_role("link", name="Alarms", exact=True))
        page.locator("input[name=search]").fill(worst.asset_id)
        follow(page, page.get_by_role("button", name="Show"))
        follow(page, page.get_by_role("link", name=worst.asset_id))
        number = re.search(r"/alarms/(\d+)", page.url).group(1)
        if page.get_by_role("button", name="Acknowledge").count():
            page.get_by_role("group", name="Acknowledge").get_by_label("Note").fill("seen it")
            follow(page, page.get_by_role("button", name="Acknowledge"))
        page.get_by_label("Keep still for").select_option("24")
        follow(page, page.get_by_role("button", name="Shelve"))
        page.get_by_label(re.compile("Confirmed:")).check()
        page.get_by_label("What was found").fill("inner race worn")
        follow(page, page.get_by_role("button", name="Give verdict"))

        log = page.locator("table.log").inner_text()
        assert "shelved" in log and "inner race worn" in log and log.count("otto") >= 2
        assert "Shelved" in page.locator(".headline").inner_text()
        assert complaints == []
    with open_views(plant) as store:
        kept = [(event.action, event.actor) for event in store.alarms.events(int(number))]
    assert ("shelved", "otto") in kept and ("verdict", "otto") in kept


def test_what_is_shown_is_taken_away_as_a_file_that_equals_the_store(browser, plant):
    with (
        serving(plant, NOW, closed=True) as address,
        opened(browser, accept_downloads=True) as (page, _),
    ):
        sign_in(page, address, "vera")
        with page.expect_download() as waiting:
            page.get_by_role("link", name="CSV", exact=True).click()
        text = waiting.value.path().read_text()
    with open_views(plant) as store:
        rows = store.fleet.rows(FleetQuery())

    told = [(row["asset_id"], float(row["risk"])) for row in csv.DictReader(io.StringIO(text))]
    assert told == [(row.asset_id, row.risk) for row in rows]


def test_an_engineer_rolls_a_model_back_and_reads_who_did_it(browser, plant):
    with serving(plant, NOW, closed=True) as address, opened(browser) as (page, complaints):
        sign_in(page, address, "emma")
        follow(page, page.get_by_role("link", name="Models"))
        form = page.get_by_role("group", name="Roll back to version 1")
        form.get_by_label(re.compile("^Reason")).fill("it cried wolf")
        follow(page, form.get_by_role("button"))
        assert "it cried wolf" in page.locator("main").inner_text()
        follow(page, page.get_by_role("link", name="Log"))

        newest = page.locator("table.log tbody tr").first.inner_text()
        assert "emma" in newest and "roll back" in newest and "it cried wolf" in newest
        assert complaints == []
    with open_views(plant) as store:
        assert store.lineage.champion() == 1


def test_a_viewer_is_offered_nothing_to_change(browser, plant):
    with serving(plant, NOW, closed=True) as address, opened(browser) as (page, _):
        sign_in(page, address, "vera")
        for path in ("/alarms", "/alarms/1", "/models"):
            page.goto(f"{address}{path}")
            posting = page.locator("form[method=post]")
            assert [form.get_attribute("action") for form in posting.all()] == ["/sign-out"]
        assert page.get_by_role("link", name="Log").count() == 0


def test_without_scripts_people_sign_in_read_and_acknowledge(browser, plant):
    with (
        serving(plant, NOW, closed=True) as address,
        opened(browser, java_script_enabled=False) as (page, _),
    ):
        sign_in(page, address, "otto")
        assert page.locator("tbody tr").count() > 1
        page.goto(f"{address}/alarms?list=unacknowledged")
        before = page.locator("tbody tr").count()
        follow(page, page.get_by_role("button", name=re.compile("^Acknowledge")).first)

        assert page.url.endswith("list=unacknowledged")
        assert page.locator("tbody tr").count() == before - 1


def addresses(plant):
    return [
        "/fleet",
        f"/assets/{riskiest(plant).asset_id}?days=30",
        "/alarms",
        "/alarms/1",
        "/models",
        "/data",
        "/audit",
        "/nowhere",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_every_page_fits_complains_of_nothing_and_stands_in_nobodys_way(
    browser, plant, width, scheme
):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    options = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    # axe comes as a script that the pages' own policy would not let in.
    with (
        serving(plant, NOW, closed=True) as address,
        opened(browser, bypass_csp=True, **options) as (page, complaints),
    ):
        page.goto(f"{address}/sign-in")
        found = {"/sign-in": _findings(axe, page, width)}
        sign_in(page, address, "emma")
        for path in addresses(plant):
            page.goto(f"{address}{path}")
            found[path] = _findings(axe, page, width)

    assert {path: told for path, told in found.items() if told} == {}
    assert [told for told in complaints if "404" not in told] == []


def _findings(axe, page, width):
    wide = page.evaluate("document.documentElement.scrollWidth")
    broken = [] if wide == width else [f"{wide} pixels wide"]
    violations = axe.run(page).response["violations"]
    return broken + [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in violations]


@pytest.mark.parametrize("path", ["/fleet", "/alarms", "/models"])
def test_the_pages_own_policy_hinders_none_of_their_own_parts(browser, plant, path):
    with serving(plant, NOW, closed=True) as address, opened(browser) as (page, complaints):
        sign_in(page, address, "emma")
        page.goto(f"{address}{path}")
        page.wait_for_load_state("networkidle")

    assert complaints == []
