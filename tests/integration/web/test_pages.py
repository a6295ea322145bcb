"""The operators' pages, asked as a browser asks them."""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from browsing import Table, ask, open_to_all, resources
from factories import make_plant

from pm_app.records.predictions import Predictions
from pm_app.settings.plant import parse_settings, read_settings
from pm_app.store import FleetQuery, open_store
from pm_app.web.app import make_app
from pm_app.wiring import open_views, store_url

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = '<script>alert("x")</script>'


def predictions_of(risks: dict[str, float | None], at: datetime) -> Predictions:
    names = tuple(sorted(risks))
    said = [risks[name] for name in names]
    risk = np.array([np.nan if value is None else value for value in said], dtype=float)
    words = ["too_new" if value is None else "vibration 62 %" for value in said]
    return Predictions(
        assets=names,
        asset=np.arange(len(names), dtype=np.int32),
        cutoff=np.full(len(names), int(at.timestamp()) * 10**9, dtype=np.int64),
        horizon_hours=np.full(len(names), 72.0),
        status=np.array(["machine_off" if v is None else "scored" for v in said], dtype=object),
        risk=risk,
        rul_hours=100 * (1 - risk),
        rul_low_hours=50 * (1 - risk),
        rul_high_hours=150 * (1 - risk),
        value=np.full(len(names), np.nan),
        top_sensors=np.array(words, dtype=object),
        attention=np.array([""] * len(names), dtype=object),
        extrapolated=np.full(len(names), np.nan),
        model_version=1,
    )


@pytest.fixture
def plant(tmp_path):
    """Settings of a plant whose store says risks of 63 assets, one of them badly named."""
    settings = read_settings(make_plant(tmp_path))
    risks = {f"pump-{number:02d}": number / 100 for number in range(60)}
    risks |= {"off": None, HOSTILE: 0.7, "=1+1": 0.65}
    with open_store(store_url(settings), folder=settings.folder) as store:
        for hours in (2, 1):
            said = predictions_of(risks, NOW - timedelta(hours=hours))
            store.writer.commit_predictions([said], scored_at=NOW)
    return settings


@pytest.fixture
def app(plant):
    return make_app(open_to_all(plant), resources(plant), now=lambda: NOW)


def assets_on(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row[1] for row in Table(answer.text).rows[1:]]


def test_the_fleet_reads_without_scripts_riskiest_first(app):
    rows = Table(ask(app, "/fleet").text).rows

    assert rows[0][:2] == ["Risk within 72 h", "Asset"]
    assert rows[1][:3] == ["High 70 %", HOSTILE, "30 h (15 h to 45 h)"]
    assert [row[1] for row in rows[2:4]] == ["=1+1", "pump-59"]
    assert rows[1][-1] == "60 min"


def test_who_abstains_is_told_in_words(app):
    (row,) = Table(ask(app, "/fleet?search=off").text).rows[1:]

    assert row[:3] == ["No statement -", "off", "machine off"]


def test_watched_assets_show_how_unusual_they_are_and_by_what(tmp_path):
    settings = read_settings(make_plant(tmp_path))
    watched = replace(
        predictions_of({"calm": None, "loud": None}, NOW - timedelta(hours=1)),
        status=np.array(["watched"] * 2, dtype=object),
        deviation=np.array([0.42, 1.66]),
        top_sensors=np.array(["", ""], dtype=object),
        deviation_sensors=np.array(["", "flow -9.1 (71 %)"], dtype=object),
        model_version=0,
        normal_version=3,
    )
    with open_store(store_url(settings), folder=settings.folder) as store:
        store.writer.commit_predictions([watched], scored_at=NOW)

    app = make_app(open_to_all(settings), resources(settings), now=lambda: NOW)

    head, *rows = Table(ask(app, "/fleet").text).rows
    loud, calm = (dict(zip(head, row, strict=True)) for row in rows)
    assert (loud["Asset"], loud["Deviation"], calm["Deviation"]) == ("loud", "1.7", "0.4")
    assert loud["Driven by"].strip() == "Unusual: flow -9.1 (71\xa0%)"
    assert calm["Driven by"].strip() == ""
    assert [row[0].split()[0] for row in rows] == ["Unusual", "As"]


def test_the_start_leads_to_the_fleet(app):
    assert ask(app, "/").headers["location"] == "/fleet"


def test_pages_follow_one_another_without_gap_or_double(app):
    pages = [assets_on(ask(app, f"/fleet?page={page}")) for page in (1, 2)]

    assert [len(page) for page in pages] == [50, 13]
    assert len(set(pages[0] + pages[1])) == 63


def test_a_page_beyond_the_last_shows_the_last(app):
    assert assets_on(ask(app, "/fleet?page=99")) == assets_on(ask(app, "/fleet?page=2"))


def test_links_keep_what_was_asked_for(app):
    page = ask(app, "/fleet?level=low&search=pump&order=asset&direction=up").text

    (csv_link,) = re.findall(r'href="(/fleet\.csv[^"]*)"', page)
    assert csv_link == "/fleet.csv?search=pump&amp;level=low&amp;order=asset&amp;direction=up"


def test_a_name_of_an_asset_is_text_and_never_markup(app):
    page = ask(app, "/fleet").text

    assert HOSTILE not in page
    assert "&lt;script&gt;" in page


def test_what_was_searched_for_is_text_and_never_markup(app):
    page = ask(app, '/fleet?search="><img src=x>').text

    assert "<img" not in page


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
@pytest.mark.parametrize("query", ["", "?search=pump&level=low&order=asset&direction=up"])
def test_an_export_equals_the_store(app, plant, kind, query):
    answer = ask(app, f"/fleet.{kind}{query}")

    with open_views(plant) as store:
        asked = FleetQuery("pump", "low", "asset", False) if query else FleetQuery()
        rows = store.fleet.rows(asked)
    told = _exported(kind, answer.content)
    assert [(one["asset_id"].removeprefix("'"), one["risk"], one["level"]) for one in told] == [
        (row.asset_id, row.risk, row.level) for row in rows
    ]
    assert f'filename="fleet.{kind}"' in answer.headers["content-disposition"]


def _exported(kind: str, content: bytes) -> list[dict[str, object]]:
    if kind == "parquet":
        return pq.read_table(io.BytesIO(content)).to_pylist()
    if kind == "json":
        return json.loads(content)
    rows = csv.DictReader(io.StringIO(content.decode()))
    return [{**row, "risk": float(row["risk"]) if row["risk"] else None} for row in rows]


def test_no_cell_of_an_export_is_a_formula_to_a_spreadsheet(app):
    lines = ask(app, "/fleet.csv?search==1").text.splitlines()

    assert lines[1].startswith("'=1+1,")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            "order=risk;DROP TABLE predictions",
            "order takes one of risk, asset, deviation, life, age",
        ),
        ("level=worst", "level takes one of high, raised, unusual, low, usual"),
        ("direction=left", "direction takes one of down, up"),
        ("page=0", "page takes a number from 1"),
        ("page=-1", "page takes a number from 1"),
        ("page=%C2%B2", "page takes a number from 1"),
        ("search=" + "a" * 201, "search takes up to 200"),
        ("search=%00", "printable"),
        ("colour=red", "known are search, level, order, direction, page"),
    ],
)
@pytest.mark.parametrize("path", ["/fleet", "/fleet.csv"])
def test_an_address_that_asks_for_nothing_known_is_told_what_is(app, path, query, words):
    answer = ask(app, f"{path}?{query}")

    assert answer.status_code == 400
    assert words in answer.text


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/fleet.exe"]
)
def test_no_path_leads_out_of_what_is_served(app, path):
    answer = ask(app, path)

    assert answer.status_code == 404
    assert "make_app" not in answer.text


@pytest.mark.parametrize("host", ["pages.example", "127.0.0.1.example", "localhost.example:80"])
def test_a_name_that_others_point_here_is_not_answered(app, host):
    answer = ask(app, "/fleet", host=host)

    assert answer.status_code == 403
    assert "pump" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080"])
def test_this_machine_is_answered_by_each_of_its_names(app, host):
    assert ask(app, "/fleet", host=host).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(app, method):
    assert ask(app, "/fleet", method=method).status_code == 405


@pytest.mark.parametrize("path", ["/fleet", "/nowhere", "/fleet?page=0", "/static/page.css"])
def test_every_answer_forbids_foreign_and_inline_code(app, path):
    answer = ask(app, path)

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src)", answer.text)


def test_times_are_shown_in_the_plants_time_zone(plant):
    moved = plant.plant.model_copy(update={"timezone": "Asia/Tokyo"})
    app = make_app(
        open_to_all(plant.model_copy(update={"plant": moved})),
        resources(plant),
        now=lambda: NOW,
    )

    page = ask(app, "/fleet").text
    assert "2026-03-01 21:00" in page and "Asia/Tokyo" in page


def test_without_a_store_the_page_says_so_and_shows_the_fleet_once_there_is_one(tmp_path):
    settings = read_settings(make_plant(tmp_path))
    app = make_app(open_to_all(settings), resources(settings), now=lambda: NOW)

    before = ask(app, "/fleet")
    open_store(store_url(settings), folder=settings.folder).close()
    after = ask(app, "/fleet")

    assert before.status_code == 503 and "there is no store" in before.text
    assert after.status_code == 200 and "Nothing has been scored yet" in after.text


@pytest.mark.parametrize("listen", ["127.0.0.1", "8080", ":8080", "127.0.0.1:0", "localhost:99999"])
def test_an_address_without_a_port_is_refused(tmp_path, listen):
    from pm_app.errors import BadSettings

    with pytest.raises(BadSettings, match=r"web\.listen: must be an address and a port"):
        parse_settings({"web": {"listen": listen}}, folder=tmp_path, origin="plant.toml")
