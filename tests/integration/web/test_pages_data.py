"""The page of data, asked as a browser asks it."""

import csv
import io
import os
import re
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from browsing import Table, ask, open_to_all, resources
from factories import (
    NOW,
    drop,
    events_table,
    hour,
    make_plant,
    opened,
    promote_handmade,
    readings_table,
)
from typer.testing import CliRunner

from pm_app.cli.app import app as cli
from pm_app.daemon.health import Monitor
from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.store import BatchRow, open_store
from pm_app.store.ledger.pages import BATCHES_SCHEMA
from pm_app.web.app import make_app
from pm_app.wiring import open_views, store_url

BROKEN = "=broken <b>.parquet"


def without(table: pa.Table, asset: str, sensor: str, since: float) -> pa.Table:
    """The same readings, one sensor of one asset missing from an hour on."""
    names, times = table["asset_id"].to_pylist(), table["timestamp"].to_pylist()
    values = [
        None if name == asset and time >= hour(since) else value
        for name, time, value in zip(names, times, table[sensor].to_pylist(), strict=True)
    ]
    place = table.schema.get_field_index(sensor)
    return table.set_column(place, sensor, pa.array(values, pa.float64()))


@pytest.fixture(scope="module")
def fed(tmp_path_factory):
    """Settings of a plant with good files, a broken one, one with bad rows, a quiet sensor."""
    config = make_plant(tmp_path_factory.mktemp("fed"))
    early = readings_table(hours=30, missing=0.0)
    later = without(readings_table(hours=30, first_hour=30, missing=0.0), "pump-01", "sensor-2", 40)
    keeps = np.array([name != "pump-02" for name in later["asset_id"].to_pylist()])
    bad = without(readings_table(hours=2, first_hour=60, missing=0.0), "pump-01", "sensor-2", 40)
    times = bad["timestamp"].to_pylist()
    times[0], times[1] = None, datetime(1970, 1, 2, tzinfo=UTC)
    bad = bad.set_column(1, "timestamp", pa.array(times, pa.timestamp("ns", "UTC")))
    with opened(config) as plant:
        promote_handmade(plant)
        drop(config, "a.parquet", early)
        drop(config, "b.parquet", later.filter(pa.array(keeps)))
        drop(config, "c.parquet", bad)
        drop(
            config, "e.parquet", events_table([("pump-00", 3, "failure", "seal")]), source="events"
        )
        path = config.parent / "readings" / BROKEN
        path.write_bytes(b"not Parquet")
        os.utime(path, (1, 1))
        score(plant, now=hour(72))
    return read_settings(config)


def app_of(settings, now=NOW):
    return make_app(open_to_all(settings), resources(settings), now=lambda: now)


@pytest.fixture(scope="module")
def app(fed):
    return app_of(fed)


def rows_of(page: str, kind: str) -> list[list[str]]:
    (table,) = re.findall(rf'<table class="plain {kind}">.*?</table>', page, re.DOTALL)
    return [[" ".join(cell.split()) for cell in row] for row in Table(table).rows[1:]]


def test_files_are_those_of_the_ledger_newest_first(app, fed):
    rows = rows_of(ask(app, "/data").text, "batches")

    with open_views(fed) as store:
        batches = store.ledger.batches()
    assert [row[0] for row in rows] == [str(batch.sequence) for batch in batches]
    assert [row[3] for row in rows] == [f"{batch.rows:,}" for batch in batches]
    assert all(
        row[1].startswith(batch.name) and batch.reason in row[1]
        for row, batch in zip(rows, batches, strict=True)
    )


def test_what_was_refused_is_told_with_file_column_and_value(app):
    rows = rows_of(ask(app, "/data?show=refused").text, "batches")

    assert {row[1].split(" ")[0] for row in rows} == {"=broken", "c.parquet"}
    (bad,) = (row for row in rows if row[1].startswith("c.parquet"))
    assert "timestamp" in bad[1] and "1970-01-02" in bad[1]
    assert bad[4] == "2"


def test_quarantined_files_are_shown_alone_and_their_names_are_text(app):
    page = ask(app, "/data?show=quarantined").text

    rows = rows_of(page, "batches")
    assert [row[2] for row in rows] == ["quarantined"]
    assert rows[0][1].startswith(BROKEN) and "broken <b>" not in page


def test_files_are_paged_without_gap_or_double(tmp_path):
    settings = read_settings(make_plant(tmp_path))
    with open_store(store_url(settings), folder=settings.folder) as store:
        for number in range(1, 121):
            file = BatchRow("readings", "a", f"{number}", 1, number, 1, 0, "ingested", NOW)
            store.ledger.record_batch(file)
    app, address, found = app_of(settings), "/data", []
    while address:
        page = ask(app, address).text
        found += [int(row[0]) for row in rows_of(page, "batches")]
        (*_, address) = ["", *re.findall(r'rel="next" href="([^"#]*)', page)]

    assert found == [*range(120, 0, -1)]


def test_how_late_readings_came_is_told(app):
    page = ask(app, "/data").text

    late = {row[1].split(" ")[0]: row[7] for row in rows_of(page, "batches")}
    assert late["b.parquet"] == "12 h" and late["a.parquet"] == "42 h"
    assert late["c.parquet"] == "10 h"
    assert "came late by" in page and "42 h at most" in page


def test_rows_balance(app, fed):
    page = " ".join(re.sub(r"<[^>]+>", "", ask(app, "/data").text).split())

    with open_views(fed) as store:
        balance = store.ledger.balance()
    assert f"{balance.rows_used:,} rows used {balance.rows_rejected:,} rows refused" in page
    assert "5 files 1 quarantined 0 not read yet 0 not scored yet" in page
    assert balance.rows_rejected == 2


def test_a_sensor_that_went_quiet_is_named_with_its_last_value(app):
    rows = rows_of(ask(app, "/data").text, "silences")

    assert [row[:2] for row in rows] == [["pump-01", "sensor-2"]]
    last = datetime.strptime(rows[0][2], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    assert hour(39) <= last < hour(40)


def test_a_sensor_that_speaks_again_is_no_longer_quiet(tmp_path):
    config = make_plant(tmp_path)
    quiet = without(readings_table(hours=30, missing=0.0), "pump-01", "sensor-2", 10)
    app = app_of(read_settings(config))
    with opened(config) as plant:
        drop(config, "a.parquet", quiet)
        score(plant, now=NOW)
        before = rows_of(ask(app, "/data").text, "silences")
        drop(config, "b.parquet", readings_table(hours=2, first_hour=30, missing=0.0))
        score(plant, now=NOW)

    assert [row[1] for row in before] == ["sensor-2"]
    assert 'class="plain silences"' not in ask(app, "/data").text


def test_assets_gone_quiet_come_longest_silence_first(tmp_path):
    config = make_plant(tmp_path)
    with opened(config) as plant:
        drop(config, "a.parquet", readings_table(hours=10, assets=3))
        drop(config, "b.parquet", readings_table(hours=10, assets=2, first_hour=20))
        drop(config, "c.parquet", readings_table(hours=3, assets=1, first_hour=60))
        score(plant, now=NOW)

    page = ask(app_of(read_settings(config)), "/data").text
    (quiet,) = re.findall(r"<h2>Assets gone quiet</h2>(.*?)</section>", page, re.DOTALL)
    assert re.findall(r'href="/assets/([^"]+)"', quiet) == ["pump-02", "pump-01"]


def test_who_is_judged_is_counted(app):
    page = ask(app, "/data").text

    (judged,) = re.findall(r"<h2>Assets at their newest cutoff</h2>(.*?)</dl>", page, re.DOTALL)
    told = re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", judged)
    assert sum(int(count) for _, count in told) == 3


def test_the_daemons_troubles_are_told_in_words(app, fed):
    before = ask(app, "/data").text
    monitor = Monitor(fed.state)
    monitor.expect("score", lambda: 600.0)
    monitor.began("score")
    monitor.ended("score", "3 files read", failed=False)
    well = ask(app, "/data").text
    for _ in range(3):
        monitor.ended("score", "the disk <is> full", failed=True)
    ill = ask(app, "/data").text
    (fed.state / "health.json").unlink()

    assert "no daemon has run here yet" in before
    assert "score: failed" not in well and rows_of(well, "jobs")[0][-1] == "3 files read"
    assert "Something needs a person" in ill
    assert "score: failed 3 times in a row: the disk &lt;is&gt; full" in ill


def test_the_next_retraining_follows_the_plants_clock(fed):
    moved = fed.plant.model_copy(update={"timezone": "Asia/Tokyo"})
    settings = fed.model_copy(update={"plant": moved})
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)

    page = ask(app_of(settings, now), "/data").text
    (coming,) = re.findall(r"<dt>Next retraining</dt><dd><time[^>]*>([^<]*)<", page)
    assert coming == "2026-03-02 02:00"


def test_last_scoring_and_last_retraining_are_told(app, fed):
    page = ask(app, "/data").text

    with open_views(fed) as store:
        (retraining, *_) = store.lineage.retrainings()
        scored = store.ledger_pages.newest_scored()
    for name, moment in (
        ("Last retraining", retraining.finished_at),
        ("Last file scored", scored),
    ):
        (told,) = re.findall(rf"<dt>{name}</dt><dd><time[^>]*>([^<]*)<", page)
        assert told == f"{moment:%Y-%m-%d %H:%M}"


@pytest.mark.parametrize("show", ["all", "refused"])
def test_the_ledger_as_a_file_equals_the_store(app, fed, show):
    answers = {kind: ask(app, f"/batches.{kind}?show={show}") for kind in ("csv", "parquet")}

    with open_views(fed) as store:
        rows = store.ledger_pages.page(show, limit=100)
    table = pq.read_table(io.BytesIO(answers["parquet"].content))
    assert table.schema.equals(BATCHES_SCHEMA)
    assert table["reason"].to_pylist() == [row.reason for row in rows]
    told = list(csv.DictReader(io.StringIO(answers["csv"].text)))
    assert [int(row["rejected"]) for row in told] == [row.rejected for row in rows]
    assert f"'{BROKEN}" in [row["name"] for row in told]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("show=everything", "show takes one of all, refused, quarantined"),
        ("before=0", "before takes a number from 1"),
        ("before=last", "before takes a number from 1"),
        ("page=2", "known are show, before"),
    ],
)
@pytest.mark.parametrize("path", ["/data", "/batches.csv"])
def test_an_address_that_makes_no_sense_is_refused_with_what_is_known(app, path, query, words):
    answer = ask(app, f"{path}?{query}")

    assert answer.status_code == 400
    assert words in answer.text


def test_an_empty_plant_says_that_nothing_has_come(tmp_path):
    settings = read_settings(make_plant(tmp_path))
    open_store(store_url(settings), folder=settings.folder).close()

    page = ask(app_of(settings), "/data").text
    assert page.count("No file has come yet") == 2
    assert "not yet" in page


def test_what_lies_in_the_folders_and_is_not_read_is_told_with_what_to_do(tmp_path):
    config = make_plant(tmp_path, {"a.parquet": readings_table(hours=2)})
    for n in range(7):
        (config.parent / "readings" / f"<b>{n}.csv").touch()
    (config.parent / "readings" / "loop.parquet").symlink_to("loop.parquet")
    with opened(config) as plant:
        score(plant, now=NOW)
    page = ask(app_of(read_settings(config)), "/data").text

    assert "<h2>Files that are not read</h2>" in page
    assert "&lt;b&gt;0.csv, &lt;b&gt;1.csv" in page and "and 2 more" in page
    assert "got CSV or text: have them exported or converted so" in page
    assert "cannot be read: Too many levels of symbolic links" in page


def test_a_name_that_reads_backwards_is_shown_with_its_marks_and_changes_no_terminal(tmp_path):
    config = make_plant(tmp_path)
    drop(config, "a\u202efdp.parquet", readings_table(hours=2))
    (config.parent / "readings" / "b\x1b[31m\u200b.parquet").write_bytes(b"none")
    with opened(config) as plant:
        score(plant, now=NOW)
    page = ask(app_of(read_settings(config)), "/data").text
    told = CliRunner().invoke(cli, ["batches", "-c", str(config)]).output

    for shown in (page, told):
        assert "a\\u202efdp.parquet" in shown and "b\\x1b[31m\\u200b.parquet" in shown
        assert not any(char in shown for char in "\u202e\u200b\x1b")


def test_without_the_state_folder_the_page_tells_the_ledger_alone(fed, tmp_path):
    away = make_plant(tmp_path)
    url = f"sqlite:///{fed.state / 'pm.sqlite'}"
    away.write_text(away.read_text() + f'\n[store]\nurl = "{url}"\n')
    settings = read_settings(away)

    page = ask(app_of(settings), "/data").text
    assert "which is not on this machine" in page
    assert len(rows_of(page, "batches")) == 5
    assert not settings.state.exists()


def test_a_file_too_large_for_a_look_is_told_and_not_read(fed, monkeypatch):
    from pm_app.web.pages.data import quiet_sensors

    monkeypatch.setattr(quiet_sensors, "MOST_CELLS", 5)

    page = ask(app_of(fed), "/data").text
    assert "the newest file is too large to look for them" in page
    assert 'class="plain silences"' not in page


def test_a_look_goes_back_as_far_as_it_may_and_says_so(fed, monkeypatch):
    from pm_app.web.pages.data import quiet_sensors

    # The newest file has 2 panes of 3 assets and sensors, the one before is larger.
    monkeypatch.setattr(quiet_sensors, "MOST_CELLS", 18)

    page = ask(app_of(fed), "/data").text
    (quiet,) = re.findall(r"<h2>Sensors gone quiet</h2>(.*?)</section>", page, re.DOTALL)
    assert f"{hour(60):%Y-%m-%d %H:%M}" in quiet


def test_a_look_reads_panes_again_only_when_a_file_has_come(fed, monkeypatch):
    from pm_app.web.pages.data import page as data

    looks = []
    found = data.find_quiet

    def counted(*given):
        looks.append(given)
        return found(*given)

    monkeypatch.setattr(data, "find_quiet", counted)
    app = app_of(fed)
    for _ in range(3):
        ask(app, "/data")

    assert len(looks) == 1
