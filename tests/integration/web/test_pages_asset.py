"""The page of one asset, asked as a browser asks it."""

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow.parquet as pq
import pytest
from browsing import Table, ask, open_to_all, resources
from factories import (
    ALARMING_TOML,
    MODES_TOML,
    NOW,
    drop,
    events_table,
    hour,
    make_card_with_modes,
    make_plant,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
)
from test_pages import HOSTILE, predictions_of

from pm_app.jobs.operations.alarms import give_verdict
from pm_app.jobs.score.run import score
from pm_app.records.alarms import Verdict
from pm_app.settings.plant import parse_settings, read_settings
from pm_app.store import Actor, FleetQuery, open_store
from pm_app.web.address import asset_address
from pm_app.web.app import make_app
from pm_app.wiring import open_views, store_url
from pm_app.wording import percent_text

HOURS = 120
EDGES = ("top", "bottom")
NAMES = [
    HOSTILE,
    "a/b",
    "/",
    "a//b/",
    "..",
    "../../fleet",
    "a/./b",
    "100 % full?#x&y=1",
    "%2e%2e",
    "Größe 机器 🛠",
    "two\nlines",
    "quote\"and'quote",
    "back\\slash\\..",
    "+plus space ",
    "pump.csv",
]


def test_a_watched_asset_shows_its_deviation_over_time_and_by_what(tmp_path):
    settings = read_settings(make_plant(tmp_path))
    with open_store(store_url(settings), folder=settings.folder) as store:
        for hours in range(9):
            said = predictions_of({"pump-1": None}, NOW - timedelta(hours=9 - hours))
            watched = replace(
                said,
                status=np.array(["watched"], dtype=object),
                top_sensors=np.array([""], dtype=object),
                deviation=np.array([0.2 * hours]),
                deviation_sensors=np.array(["flow -9.1 (71 %)"], dtype=object),
                model_version=0,
                normal_version=3,
            )
            store.writer.commit_predictions([watched], scored_at=NOW)

    app = make_app(open_to_all(settings), resources(settings), now=lambda: NOW)
    page = ask(app, "/assets/pump-1").text

    assert "Deviation <b>1.6</b>" in page and "flow -9.1" in page
    assert "what is usual by version 3" in page and "said by version" not in page
    assert re.findall(r"<figure><h2>(.*?)</h2>", page) == ["Deviation over time"]
    assert "Up to 1.6. An alarm from 1." in page
    assert Table(page).rows[-1][5:7] == ["0.0", "flow -9.1 (71 %)"]


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Settings of a plant of three pumps that a champion has scored, with events and a verdict."""
    folder = tmp_path_factory.mktemp("scored")
    rows = [("pump-00", 20.0, "failure", "seal"), ("pump-00", 30.0, "maintenance", "seal")]
    rows += [("pump-01", 40.0, "failure", "other pump"), ("pump-00", 50.0, "error", "<trip>")]
    tables = {"a.parquet": readings_table(hours=HOURS)}
    config = make_plant(
        folder, tables, events={"e.parquet": events_table(rows)}, toml=ALARMING_TOML + MODES_TOML
    )
    with opened(config) as plant:
        promote_handmade(plant, card=make_card_with_modes(make_spec(plant.settings)))
        score(plant, now=NOW)
        (alarm, *_) = plant.store.alarms.alarms()
        give_verdict(
            plant.store,
            alarm.id,
            Verdict("confirmed", "worn <seal>", mode="seal"),
            at=NOW,
            actor=Actor("anna"),
        )
    return read_settings(config)


def app_of(settings):
    return make_app(open_to_all(settings), resources(settings), now=lambda: NOW)


@pytest.fixture(scope="module")
def app(scored):
    return app_of(scored)


def test_the_page_says_which_failure_it_would_be_and_what_speaks_for_each(app, scored):
    page = ask(app, "/assets/pump-01").text

    with open_views(scored) as store:
        short, long = store.series.newest("pump-01")
    table = cells(page, "Which failure it would be")
    risks, sensors = json.loads(long.mode_risks), json.loads(long.mode_sensors)
    expected = [
        [mode, percent_text(risk), percent_text(json.loads(short.mode_risks)[mode])]
        for mode, risk in sorted(risks.items(), key=lambda item: -item[1])
    ]
    assert [row[:3] for row in table] == expected
    assert table[0][0] == long.mode
    told = {row[0]: row[3].replace("\u00a0", " ") for row in table}
    assert told == {mode: sensors.get(mode, "") for mode in risks} and any(sensors)
    steps = {row[0]: row[4] for row in table}
    assert steps == {"bearing": "Check lubrication; order 6310-2Z", "seal": "", "other": ""}
    assert f"Failure mode <b>{long.mode}</b>" in page


def test_the_fleet_names_the_failure_mode_and_with_an_alarm_the_next_step(app, scored):
    rows = {row[1]: row for row in Table(ask(app, "/fleet").text).rows[1:]}

    with open_views(scored) as store:
        fleet = store.fleet.rows(FleetQuery(), now=NOW)
    for row in fleet:
        why = rows[row.asset_id][4]
        assert why.startswith(f"{row.mode}: {row.top_sensors[:5]}" if row.top_sensors else row.mode)
        urgent = row.alarm == "unacknowledged" or row.level in ("high", "raised")
        assert why.endswith("order 6310-2Z") == (urgent and row.mode == "bearing")
    assert {row.alarm for row in fleet} == {"unacknowledged", "returned"}


def test_sensors_are_shown_by_their_names_and_units(scored):
    named = parse_settings(
        {"sensors": {"sensor-1": {"name": "Last", "unit": "kN"}}}, folder=scored.folder, origin=""
    )
    page = ask(app_of(scored.model_copy(update={"sensors": named.sensors})), "/assets/pump-00").text

    assert "<b>Last [kN]</b>" in page and "Last [kN]: mean of each pane" in page
    assert "<b>sensor-1</b>" not in page


def cells(page: str, heading: str) -> list[list[str]]:
    """The rows of the table under a heading."""
    (part,) = re.findall(rf"<h2[^>]*>{heading}</h2>(.*?)</section>", page, re.DOTALL)
    return Table(part).rows[1:]


def pictures(page: str) -> list[str]:
    return re.findall(r"<svg class=\"timeline\".*?</svg>", page, re.DOTALL)


def test_the_newest_word_is_that_of_the_store(app, scored):
    page = ask(app, "/assets/pump-01").text

    with open_views(scored) as store:
        newest = store.series.newest("pump-01")
    said = re.search(r'<p class="said">(.*?)</p>', page, re.DOTALL)[1]
    for row in newest:
        assert f"<b>{percent_text(row.risk).replace('<', '&lt;')}</b>" in said
        assert f"within {row.horizon_hours:g} h" in said


def test_the_table_is_that_of_the_store_newest_first_page_by_page(app, scored):
    found = []
    for page in range(1, 12):
        answer = ask(app, f"/assets/pump-00?days=3&page={page}").text
        found += cells(answer, "Predictions in this range")
        if 'rel="next"' not in answer:
            break

    with open_views(scored) as store:
        since = store.series.end("pump-00") - timedelta(days=3)
        (table,) = store.tables.predictions(asset="pump-00", since=since)
    rows = table.to_pylist()
    told = [[f"{row['cutoff']:%Y-%m-%d %H:%M}", f"{row['horizon_hours']:g} h"] for row in rows]
    assert sorted(row[:2] for row in found) == sorted(told)
    assert [row[0] for row in found] == sorted((row[0] for row in found), reverse=True)
    assert sorted(row[2] for row in found) == sorted(percent_text(row["risk"]) for row in rows)


def test_the_risk_is_drawn_as_the_store_has_it(app, scored):
    (risk, life, *_) = pictures(ask(app, "/assets/pump-00").text)

    with open_views(scored) as store:
        newest = store.series.newest("pump-00")[-1]
        since = newest.cutoff - timedelta(days=30)
        course = store.series.predictions(
            "pump-00", horizon_hours=72.0, since=since, until=newest.cutoff
        )
    top, bottom = (float(re.search(rf'data-{name}="([^"]+)"', risk)[1]) for name in EDGES)
    drawn = re.search(r'<path class="course c0"[^>]* d="([^"]+)"', risk)[1]
    heights = np.array([float(y) for _, y in re.findall(r"([\d.]+) ([\d.]+)", drawn)])
    expected = bottom - (bottom - top) * course.risk[np.isfinite(course.risk)]
    assert np.allclose(heights, expected, atol=0.051)
    assert 'class="band"' in life and 'class="threshold"' in risk


def test_failures_and_maintenance_are_marked_and_only_the_assets_own(app):
    page = ask(app, "/assets/pump-00").text
    drawn = pictures(page)

    rows = cells(page, "Failures, maintenance and other events")
    assert [row[1:] for row in rows] == [
        ["Error", "<trip>"],
        ["Maintenance", "seal"],
        ["Failure", "seal"],
    ]
    assert [row[0] for row in rows] == [f"{hour(at):%Y-%m-%d %H:%M}" for at in (50, 30, 20)]
    assert len(drawn) == 5
    for picture in drawn:
        assert len(re.findall('class="happened failure"', picture)) == 1
        assert len(re.findall('class="happened maintenance"', picture)) == 1
    assert "other pump" not in page and "<trip>" not in page


def test_alarms_and_what_was_found_behind_them_are_told(app, scored):
    with open_views(scored) as store:
        (verdict,) = store.alarms.verdicts()
        count = len(store.alarms.alarms(asset=verdict.asset_id))

    page = ask(app, asset_address(verdict.asset_id)).text

    rows = cells(page, "Alarms and what was found")
    assert len(rows) == count
    assert any(row[4].startswith("confirmed, seal worn <seal> by anna") for row in rows)


def test_sensors_are_drawn_with_the_band_of_their_quiet_time(tmp_path):
    settings = read_settings(make_plant(tmp_path, {"a.parquet": readings_table(hours=60)}))
    with opened(settings.folder / "plant.toml") as plant:
        score(plant, now=NOW)
        (table,) = plant.store.tables.predictions(asset="pump-00")
        risks = {row["cutoff"]: at / 200 for at, row in enumerate(table.to_pylist()[::2])}
        said = [predictions_of({"pump-00": risk}, cutoff) for cutoff, risk in risks.items()]
        plant.store.writer.commit_predictions(said, scored_at=NOW)
        names = [name for row in plant.store.ledger.batches() for name in row.segments]
        (panes,) = plant.history.read(names, assets={"pump-00"})
        mean = panes.first[:, 0] + panes.total[:, 0] / np.where(
            panes.count[:, 0], panes.count[:, 0], np.nan
        )
        cutoffs = {hour_ns(moment): risk for moment, risk in risks.items()}
        ends = ((panes.pane + 1) * panes.pane_ns).tolist()
        quiet = np.array([cutoffs[end] < 0.2 for end in ends])

    page = ask(app_of(settings), "/assets/pump-00?sensors=all").text
    low, high = np.percentile(mean[quiet & np.isfinite(mean)], (5, 95))
    assert f"<b>sensor-0</b> Usual: {low:.4g} to {high:.4g}" in page
    assert page.count("mean of each pane</title>") == 3


def hour_ns(moment) -> int:
    return int(moment.timestamp()) * 10**9


def test_a_sensor_that_was_hardly_ever_quiet_has_no_band(app):
    page = ask(app, "/assets/pump-00").text

    assert "Too little time at low risk in this range" in page
    assert page.count("mean of each pane</title>") == 3


@pytest.fixture(scope="module")
def badly_named(tmp_path_factory):
    """The pages of a plant with names that no path, page or spreadsheet expects, and the address
    that the fleet gives each."""
    settings = read_settings(make_plant(tmp_path_factory.mktemp("names")))
    with open_store(store_url(settings), folder=settings.folder) as store:
        for hours in (2, 1):
            said = predictions_of(dict.fromkeys(NAMES, 0.61), NOW - timedelta(hours=hours))
            store.writer.commit_predictions([said], scored_at=NOW)
    app = app_of(settings)
    fleet = ask(app, "/fleet").text
    links = re.findall(r'<th scope="row"><a href="([^"]+)"', fleet)
    names = [row[1] for row in Table(fleet).rows[1:]]
    return app, dict(zip(names, links, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_whatever_an_asset_is_called_its_page_is_found_and_safe(badly_named, name):
    app, links = badly_named

    answer = ask(app, links[name].replace("&amp;", "&"))

    assert answer.status_code == 200
    assert "<b>61 %</b>" in answer.text and "<script>alert" not in answer.text
    (file,) = re.findall(r'href="(/predictions.json[^"]+)"', answer.text)
    told = json.loads(ask(app, file.replace("&amp;", "&")).content)
    assert {row["asset_id"] for row in told} == {name} and len(told) == 2


@pytest.mark.parametrize("name", ["nobody", "' OR 1=1 --", "\0", "a" * 5000, "%00", "<i>x</i>"])
def test_an_asset_that_is_not_there_is_told_so(app, name):
    answer = ask(app, f"/assets/{quote(name, safe='')}")

    assert answer.status_code == 404
    assert "There is no such asset" in answer.text and "<i>" not in answer.text


def test_a_file_of_an_asset_that_is_not_there_is_not_found(app):
    assert ask(app, "/predictions.csv?asset=nobody").status_code == 404
    assert ask(app, "/predictions.exe?asset=pump-00").status_code == 404


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("days=0", "days takes a number from 1 to 730"),
        ("days=731", "days takes a number from 1 to 730"),
        ("days=-3", "days takes a number from 1 to 730"),
        ("days=1e9", "days takes a number from 1 to 730"),
        ("days=%D9%A3", "days takes a number from 1 to 730"),
        ("page=0", "page takes a number from 1"),
        ("sensors=none", "sensors takes one of leading, all"),
        ("asset=pump-01", "known are days, page, sensors"),
        ("since=2020", "known are days, page, sensors"),
    ],
)
def test_a_range_that_makes_no_sense_is_refused_with_what_is_known(app, query, words):
    answer = ask(app, f"/assets/pump-00?{query}")

    assert answer.status_code == 400
    assert words in answer.text


def test_a_range_bounds_the_page_and_its_files(app, scored):
    page = ask(app, "/assets/pump-00?days=1").text
    told = json.loads(ask(app, "/predictions.json?asset=pump-00&days=1").content)

    with open_views(scored) as store:
        end = store.series.end("pump-00")
        since = end - timedelta(days=1)
        count = store.series.count("pump-00", since=since, until=end)
    assert len(told) == count < 60
    assert f"of {count}" in page
    assert min(row["cutoff"] for row in told) >= since.isoformat()


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_a_file_of_predictions_equals_the_store(app, scored, kind):
    answer = ask(app, f"/predictions.{kind}?asset=pump-02")

    with open_views(scored) as store:
        (table,) = store.tables.predictions(asset="pump-02")
    assert 'filename="predictions' in answer.headers["content-disposition"]
    if kind == "parquet":
        assert pq.read_table(io.BytesIO(answer.content)).equals(table)
    elif kind == "json":
        expected = [
            {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()}
            for row in table.to_pylist()
        ]
        assert json.loads(answer.content) == expected
    else:
        lines = answer.text.splitlines()
        assert lines[0].split(",") == table.column_names
        assert len(lines) == table.num_rows + 1
        assert lines[1].startswith("pump-02,2023-")


def test_without_the_state_folder_the_page_says_what_it_cannot_show(plant_elsewhere):
    page = ask(app_of(plant_elsewhere), "/assets/pump-59").text

    assert "the state folder is not on this machine" in page
    assert "Events lie in the state folder, which is not on this machine" in page
    assert "<b>59 %</b>" in page
    assert not (plant_elsewhere.state / "panes").exists()


@pytest.fixture
def plant_elsewhere(tmp_path):
    """A plant whose database is here and whose state folder is not."""
    settings = read_settings(make_plant(tmp_path))
    with open_store(store_url(settings), folder=settings.folder) as store:
        said = [predictions_of({"pump-59": 0.59}, NOW - timedelta(hours=h)) for h in (2, 1)]
        store.writer.commit_predictions(said, scored_at=NOW)
    return settings


def test_a_damaged_segment_is_told_and_the_rest_is_shown(tmp_path):
    events = {"e.parquet": events_table([("pump-00", 20.0, "failure", "seal")])}
    config = make_plant(tmp_path, {"a.parquet": readings_table(hours=30)}, events=events)
    with opened(config) as plant:
        promote_handmade(plant)
        score(plant, now=NOW)
    settings = read_settings(config)
    for folder in ("panes", "events"):
        for path in (settings.state / folder).iterdir():
            path.write_bytes(b"nothing")

    answer = ask(app_of(settings), "/assets/pump-00")
    assert answer.status_code == 200
    assert answer.text.count("no whole footer") == 2 and len(pictures(answer.text)) == 2


def test_an_asset_of_which_nothing_was_said_shows_its_sensors(tmp_path):
    from pm_app.jobs.ingest.run import ingest

    config = make_plant(tmp_path)
    drop(config, "a.parquet", readings_table(hours=30))
    with opened(config) as plant:
        ingest(plant, now=NOW)

    page = ask(app_of(read_settings(config)), "/assets/pump-00").text
    assert "Nothing was said of this asset yet" in page
    assert len(pictures(page)) == 3


def test_times_of_charts_are_those_of_the_plant(tmp_path, scored):
    moved = scored.plant.model_copy(update={"timezone": "Asia/Tokyo"})
    page = ask(app_of(scored.model_copy(update={"plant": moved})), "/assets/pump-00?days=3").text

    first, until = (float(re.search(rf'data-{n}="([^"]+)"', page)[1]) for n in ("first", "last"))
    midnights = [at for at in range(int(first), int(until)) if at % 86400 == 15 * 3600]
    (risk, *_) = pictures(page)
    days = re.findall(r'x="([\d.]+)" y="\d+\.\d" text-anchor="middle">\d\d-\d\d<', risk)
    places = [76 + 550 * (at - first) / (until - first) for at in midnights]
    assert [float(x) for x in days] == pytest.approx([x for x in places if 92 < x < 610], abs=0.06)
    assert days


@pytest.mark.parametrize(("share", "shown"), [(np.nan, None), (0.04, None), (0.341, "34 %")])
def test_the_page_says_how_much_of_a_risk_lies_beyond_what_was_learned(tmp_path, share, shown):
    settings = read_settings(make_plant(tmp_path))
    with open_store(store_url(settings), folder=settings.folder) as store:
        said = replace(predictions_of({"pump": 0.4}, NOW), extrapolated=np.array([share]))
        store.writer.commit_predictions([said], scored_at=NOW)
    page = ask(app_of(settings), "/assets/pump").text

    assert ("beyond what was learned" in page) == (shown is not None)
    assert shown is None or f"{shown} of what this rests on lies beyond what was learned" in page


def test_an_estimated_value_is_shown_as_a_value(tmp_path):
    toml = '[target]\nkind = "column"\ncolumn = "wear"\ntask = "regression"\n'
    settings = read_settings(make_plant(tmp_path, toml=toml))
    with open_store(store_url(settings), folder=settings.folder) as store:
        for hours, value in ((2, 1.25), (1, 7.5)):
            said = predictions_of({"bit": None}, NOW - timedelta(hours=hours))
            said = replace(
                said,
                horizon_hours=np.zeros(1),
                status=np.array(["scored"], dtype=object),
                value=np.array([value]),
            )
            store.writer.commit_predictions([said], scored_at=NOW)

    page = ask(app_of(settings), "/assets/bit").text
    assert "estimate 7.5" in page and "Life left over time" not in page
    (chart,) = pictures(page)
    assert 'data-low="1.25" data-high="7.5"' in chart


def test_the_pages_load_no_training_library(scored):
    code = f"""
import sys
from pathlib import Path
from datetime import UTC, datetime
from browsing import ask, open_to_all, resources
from pm_app.settings.plant import parse_settings, read_settings
from pm_app.web.app import make_app
settings = read_settings(Path({str(scored.folder / "plant.toml")!r}))
app = make_app(open_to_all(settings), resources(settings), now=lambda: datetime.now(tz=UTC))
for path in ("/fleet", "/assets/pump-00", "/predictions.csv?asset=pump-00", "/models", "/data"):
    assert ask(app, path).status_code == 200, path
print(*sorted({{name.partition(".")[0] for name in sys.modules if "." in name}}))
"""
    tests = str(Path(__file__).parents[2] / "support")
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([tests, str(Path(tests).parents[1])])},
    )

    loaded = set(done.stdout.split())
    assert {"pm_app", "pyarrow", "fastapi"} <= loaded
    assert not loaded & {"tensorflow", "keras", "sklearn", "scipy", "pandas", "onnx"}
