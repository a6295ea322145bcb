"""Sensor quality of a plant: looks of the daemon, and where people see what they found."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from browsing import Table, ask, open_to_all, resources
from factories import PLANT_TOML, make_plant, opened
from typer.testing import CliRunner

from pm_app.cli.app import app
from pm_app.jobs.operations import sensor_quality
from pm_app.jobs.operations.sensor_quality import QualitySource, look_at_sensors
from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.state.sensor_quality import FILE, read_quality
from pm_app.web.app import make_app

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 25
NOW = START + timedelta(days=DAYS, minutes=5)
ASSETS = ("p-01", "p-02", "p-03", "p-04", "p-05")
NAMED = f"""{PLANT_TOML}
[sensors.heat]
name = "Bearing heat"
unit = "°C"
[sensors.current]
limits = {{ high = 50 }}
"""
LAST_FILES = 12


def readings():
    """A row an hour of five pumps; the first one's heat is stuck, its current beyond limits."""
    hours, rng = DAYS * 24, np.random.default_rng(0)
    tables = []
    for asset in ASSETS:
        load = np.where(rng.random(hours // 10) < 0.5, 60.0, 90.0).repeat(10)
        columns = {
            "load": load + rng.normal(0, 0.5, hours),
            "current": 0.4 * load + rng.normal(0, 0.3, hours),
            "heat": 20 + 0.3 * load + rng.normal(0, 0.4, hours),
        }
        if asset == "p-01":
            columns["heat"][-20:] = 41.5
            columns["current"][-1] = 60.0
        times = [START + timedelta(hours=hour) for hour in range(hours)]
        stamps = pa.array(times, pa.timestamp("us", "UTC"))
        tables.append(pa.table({"asset_id": [asset] * hours, "timestamp": stamps, **columns}))
    return tables


def files():
    """Files of a few hours of all pumps, the last of them of one each."""
    edges = [0, *range(DAYS * 24 - LAST_FILES, DAYS * 24 + 1)]
    tables = readings()
    return {
        f"{first:05d}.parquet": pa.concat_tables(each.slice(first, last - first) for each in tables)
        for first, last in zip(edges[:-1], edges[1:], strict=True)
    }


def look(config, *, now=NOW):
    with opened(config) as plant:
        source = QualitySource(plant.settings, plant.history, plant.ledger)
        return look_at_sensors(source, now=now)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """plant.toml of a plant whose files are taken in and whose sensors were looked at."""
    place = make_plant(tmp_path_factory.mktemp("sensors"), files(), toml=NAMED)
    with opened(place) as plant:
        score(plant, now=NOW)
    assert look(place) == (
        "5 assets looked at, 0 to come in this round; in all 1 sensors bad, 1 in doubt"
    )
    return place


@pytest.fixture(scope="module")
def pages(config):
    settings = read_settings(config)
    return make_app(open_to_all(settings), resources(settings), now=lambda: NOW)


def test_the_data_page_names_bad_sensors_first_with_their_reasons(pages):
    page = ask(pages, "/data").text
    (part,) = [each for each in page.split("<section>") if each.startswith('<h2 id="sensors">')]
    first, second = Table(part).rows[1:]

    assert first[:4] == ["bad", "p-01", "Bearing heat [°C]", "stuck"]
    assert first[4].startswith("reads 41.5 without change, while other sensors of the asset move")
    assert first[5] == "2026-01-25 04:00"
    assert second[:4] == ["in doubt", "p-01", "current", "beyond limits"]
    assert "<b>13</b> good" in part and "<b>0</b> not judged" in part


def test_metrics_count_by_grade_and_kind_and_name_no_sensor(pages):
    text = ask(pages, "/metrics").text
    figures = [line for line in text.splitlines() if line.startswith("pm_app_sensor")]

    assert 'pm_app_sensors{grade="bad"} 1.0' in figures
    assert 'pm_app_sensors{grade="good"} 13.0' in figures
    assert 'pm_app_sensor_remarks{grade="bad",kind="stuck"} 1.0' in figures
    assert len(figures) == 4 + 12
    assert "p-01" not in "".join(figures)


def test_programs_get_remarks_a_page_at_a_time_and_of_one_asset(pages):
    answer = ask(pages, "/api/v1/sensors?limit=1").json()
    assert answer["grades"] == {"good": 13, "doubtful": 1, "bad": 1, "not judged": 0}
    assert (answer["total"], len(answer["remarks"])) == (2, 1)
    assert answer["remarks"][0]["name"] == "Bearing heat [°C]"
    assert answer["remarks"][0]["since"] == "2026-01-25T04:00:00Z"

    assert ask(pages, "/api/v1/sensors?asset=p-02").json()["total"] == 0
    assert ask(pages, "/api/v1/sensors?offset=1").json()["remarks"][0]["kind"] == "limits"


def test_check_names_them_too_and_looks_for_itself(config):
    done = CliRunner().invoke(app, ["check", "--json", "-c", str(config)])
    rows = [row for row in json.loads(done.stdout) if row["what"] == "sensor quality"]

    assert [row[""] for row in rows] == ["note", "note", "ok"]
    assert rows[0]["finding"].startswith("p-01, Bearing heat [°C]: reads 41.5 without change")
    assert rows[0]["finding"].endswith("(bad, since 2026-01-25 04:00)")
    words = "15 of 15 sensors judged by their newest day, of 5 of 5 assets"
    assert rows[2]["finding"] == words


def test_a_round_is_made_once_an_hour_some_assets_a_turn_where_there_are_many(config, monkeypatch):
    before = read_quality(read_settings(config).state)
    monkeypatch.setattr(sensor_quality, "GROUP_CELLS", 2 * DAYS * 24 * 3)
    minutes = (0, 30, 60, 61, 62, 63)
    start = datetime.fromtimestamp(before.began // 10**9, tz=UTC)
    turns = [look(config, now=start + timedelta(minutes=at)) for at in minutes]
    after = read_quality(read_settings(config).state)

    counts = [words.partition(" assets")[0] for words in turns]
    assert counts == ["all", "all", "2", "2", "1", "all"]
    assert (after.assets, after.remarks) == (before.assets, before.remarks)
    assert after.began > before.began and not after.following


def test_a_report_that_cannot_be_read_is_made_anew(config):
    path = read_settings(config).state / FILE
    whole = read_quality(path.parent)
    path.write_bytes(b'{"began": ')

    assert read_quality(path.parent) is None
    look(config)
    assert read_quality(path.parent).remarks == whole.remarks


def test_a_plant_without_readings_or_looks_says_so(tmp_path):
    place = make_plant(tmp_path)
    assert look(place) == "no readings yet"
    settings = read_settings(place)
    pages = make_app(open_to_all(settings), resources(settings), now=lambda: NOW)

    assert "Not looked at yet" in ask(pages, "/data").text
    assert ask(pages, "/api/v1/sensors").json()["looked"] is None
    assert "pm_app_sensor" not in ask(pages, "/metrics").text
    assert not (settings.state / FILE).exists()
