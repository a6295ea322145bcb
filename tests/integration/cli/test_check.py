"""`pm-app check` on folders as people have them: what it names before anything is learned."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from factories import drop, opened, readings_table
from typer.testing import CliRunner

from connectors.parquet import ParquetReadings
from pm_app.cli.app import app
from pm_app.cli.look.checks import events_findings
from pm_app.cli.look.checks import findings as findings_module
from pm_app.cli.look.checks.events_findings import nearest_name
from pm_app.jobs.score.run import score
from pm_app.state.panes import History

START = datetime(2026, 1, 1, tzinfo=UTC)


def check(config):
    """Findings as (verdict, what, words), and the exit code."""
    done = CliRunner().invoke(app, ["check", "--json", "-c", str(config)])
    rows = [(row[""], row["what"], row["finding"]) for row in json.loads(done.stdout)]
    return rows, done.exit_code


def words_on(found, what):
    return [words for _, subject, words in found if subject == what]


def table(day=0, *, assets=("p-01",), rows=24, zone="UTC", **columns):
    """A row an hour of each asset from this day on."""
    times = [START + timedelta(days=day, hours=n // len(assets)) for n in range(rows)]
    kind = pa.timestamp("us", zone)
    usual = {
        "asset_id": [assets[n % len(assets)] for n in range(rows)],
        "timestamp": pa.array(
            [t.replace(tzinfo=None if zone is None else UTC) for t in times], kind
        ),
        "load": np.linspace(2.5, 7.5, rows),
    }
    return pa.table(usual | columns)


def failures(*assets):
    rows = [
        (asset, START + timedelta(hours=n), "failure", "seal") for n, asset in enumerate(assets)
    ]
    names, times, kinds, codes = zip(*rows, strict=True)
    return pa.table(
        {
            "asset_id": names,
            "timestamp": pa.array(times, pa.timestamp("us", "UTC")),
            "kind": kinds,
            "code": codes,
        }
    )


# Sensors and columns.


def test_sensors_are_listed_by_name_with_range_and_share_missing(new_plant):
    half = pa.array([1.0, None] * 12)
    files = {"a.parquet": table(half=half, still=[4.0] * 24, empty=pa.nulls(24, pa.float64()))}
    found, _ = check(new_plant(files))

    assert ("ok", "sensor", "load: 2.5 to 7.5, 0% missing") in found
    assert ("ok", "sensor", "half: always 1, 50% missing") in found
    assert ("ok", "sensor", "still: always 4, 0% missing") in found
    assert ("note", "sensor", "empty: no value, 100% missing, mostly missing") in found


def test_sensors_of_the_settings_are_named_with_their_units_and_strangers_with_the_nearest(
    new_plant,
):
    toml = '[sensors.load]\nname = "Load"\nunit = "kN"\n[sensors.laod]\nunit = "kN"\n'
    found, _ = check(new_plant({"a.parquet": table()}, toml=toml))

    assert ("ok", "sensor", "load: Load [kN], 2.5 to 7.5, 0% missing") in found
    words = "[sensors.laod] names no sensor; there are 1, did you mean 'load'?"
    assert ("note", "sensors", words) in found


def test_a_sensor_that_exists_from_half_way_or_until_then_is_named_with_its_files(new_plant):
    files = {f"day-{n:02d}.parquet": table(n) for n in range(6)}
    for n in range(3):
        files[f"day-{n:02d}.parquet"] = table(n, old=[1.0] * 24)
        files[f"day-{n + 3:02d}.parquet"] = table(n + 3, new=[2.0] * 24)
    files["day-01.parquet"] = table(1, old=[1.0] * 24, once=[3.0] * 24)
    found, _ = check(new_plant(files))

    notes = [words for verdict, what, words in found if (verdict, what) == ("note", "sensor")]
    assert notes == [
        "new: always 2, 0% missing, only from day-03.parquet on, in 3 of 6 files looked at",
        "old: always 1, 0% missing, not after day-02.parquet, in 3 of 6 files looked at",
        "once: always 3, 0% missing, only in 1 of 6 files looked at, "
        "day-01.parquet to day-01.parquet",
    ]


def test_many_sensors_are_named_in_one_line_and_the_odd_ones_apart(new_plant):
    many = {f"s{n:03d}": [float(n)] * 24 for n in range(100)}
    found, _ = check(new_plant({"a.parquet": table(**many, empty=pa.nulls(24, pa.float64()))}))

    (names,) = words_on(found, "sensors")
    assert names.split(", ") == ["load", *sorted(many)]
    assert words_on(found, "sensor") == ["empty: no value, 100% missing, mostly missing"]


def test_every_column_that_is_left_is_named_with_its_reason(new_plant):
    frame = table(Status=["run"] * 24, lists=[[1.0]] * 24).to_pandas()
    frame = frame.set_axis(np.random.default_rng(0).permutation(24))
    config = new_plant({"b.parquet": table(30, Status=["run"] * 24)})
    frame.to_parquet(config.parent / "readings" / "a.parquet")
    found, code = check(config)

    columns = words_on(found, "columns")
    assert code == 0
    assert any(
        "'Status' is left: it holds 'run' in row 1, which is no number" in c for c in columns
    )
    assert any("'lists' is left" in c and "(in 1 of 2 files)" in c for c in columns)
    assert any("'__index_level_0__' is left" in c for c in columns)
    assert words_on(found, "sensor") == ["load: 2.5 to 7.5, 0% missing"]


# Files.


def test_the_first_the_last_and_files_evenly_between_are_looked_at(new_plant, monkeypatch):
    files = {f"{n:03d}.parquet": table(n) for n in range(110)}
    read, original = [], ParquetReadings.read
    monkeypatch.setattr(
        ParquetReadings,
        "read",
        lambda self, batch: read.append(batch.name) or original(self, batch),
    )
    found, _ = check(new_plant(files))

    places = [int(name[:3]) for name in read]
    assert (len(read), places[0], places[-1]) == (20, 0, 109)
    assert set(np.diff(places)) <= {5, 6}
    assert words_on(found, "readings")[0] == (
        "20 of 110 files in 'readings' looked at, 000.parquet to 109.parquet: "
        "480 rows, 1 sensor, 1 asset"
    )
    (times,) = words_on(found, "times")
    assert times.startswith("2026-01-01 00:00 to 2026-04-20 23:00 (UTC); a row every 60 min; ")
    assert times.endswith("times carry the zone UTC")


def test_other_files_are_named_where_there_is_no_readable_one(new_plant):
    config = new_plant()
    for n in range(60):
        (config.parent / "readings" / f"{n:02d}.json").touch()
    found, _ = check(config)

    first, second = words_on(found, "readings")
    assert first.startswith("60 files of readings are not read: 00.json, 01.json")
    assert second == "no Parquet, CSV or Excel files in 'readings', only 60 other files"


def test_gaps_and_times_without_a_zone_are_told(new_plant):
    files = {"a.parquet": table(0, zone=None), "b.parquet": table(9, zone=None)}
    toml = '[readings]\ntimezone = "Europe/Berlin"\n[plant]\ntimezone = "Europe/Berlin"\n'
    found, _ = check(new_plant(files, toml=toml))

    span, gap = words_on(found, "times")
    assert span.startswith("2026-01-01 00:00 to 2026-01-10 23:00 (Europe/Berlin)")
    assert "times without a zone are read as Europe/Berlin" in span
    assert gap == "1 gap in the files looked at, the longest of 8.0 d from 2026-01-01 23:00 on"


def test_files_that_fail_for_one_reason_are_one_finding_each_other_reason_another(new_plant):
    config = new_plant({"good.parquet": table()})
    for n in range(18):
        (config.parent / "readings" / f"bad-{n:02d}.parquet").write_bytes(b"no Parquet")
    drop(config, "other.parquet", table().rename_columns(["Anlage", *table().column_names[1:]]))
    found, code = check(config)

    torn, other = [words for verdict, _, words in found if verdict == "fails"]
    assert code == 1
    assert torn.startswith(
        "may still be on its way: bad-00.parquet and 17 more files: needed a whole Parquet file"
    )
    assert other.startswith("would be quarantined: other.parquet: needed a column 'asset_id'")
    assert 'readings.asset_column in plant.toml names it: "Anlage"?' in other


def test_rows_that_would_be_rejected_are_told_with_their_reason(new_plant):
    bad = table(rows=10, load=[1e40] * 10)
    bad = bad.set_column(0, "asset_id", pa.array([None, *["p-01"] * 9]))
    found, code = check(new_plant({"a.parquet": bad}))

    assert code == 0
    notes = [words for verdict, what, words in found if (verdict, what) == ("note", "readings")]
    assert notes == [
        "1 row would be rejected: asset_id is null or empty (first in a.parquet)",
        "load is infinite or beyond 1e+30 in 10 rows kept, taken as missing (first in a.parquet)",
    ]


def test_what_may_not_be_read_is_a_finding_and_no_traceback(new_plant, monkeypatch):
    config = new_plant({"a.parquet": readings_table()})
    with opened(config) as plant:
        score(plant, now=datetime(2027, 1, 1, tzinfo=UTC))

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "state/panes/x.parquet")

    monkeypatch.setattr(History, "read", refuse)
    found, code = check(config)

    assert code == 1
    assert ("fails", "regimes", "state/panes/x.parquet: Permission denied") in found
    assert words_on(found, "pages")


def test_a_store_that_may_not_be_read_hides_neither_readings_nor_events(new_plant, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "state/pm.sqlite")

    for module in (findings_module, events_findings):
        monkeypatch.setattr(module, "open_views", refuse)
    events = {"e.parquet": failures("p-01")}
    found, code = check(new_plant({"a.parquet": table()}, events=events))

    assert code == 1
    assert ("fails", "store", "state/pm.sqlite: Permission denied") in found
    assert words_on(found, "sensor") == ["load: 2.5 to 7.5, 0% missing"]
    assert words_on(found, "events")[0] == "1 failures in 'events', 10 needed to learn"


# Events.


def test_failures_of_assets_without_readings_are_never_ok(new_plant):
    events = {"e.parquet": failures(*["P-1"] * 20, *["mixer"] * 14)}
    found, code = check(new_plant({"a.parquet": table(assets=("p-01", "p-02"))}, events=events))

    assert code == 0
    on_events = [(verdict, words) for verdict, what, words in found if what == "events"]
    assert on_events == [
        ("note", "0 failures of assets with readings in 'events', 10 needed to learn"),
        ("ok", "2026-01-01 00:00 to 2026-01-02 09:00 (UTC): failure 34, of 2 assets"),
        (
            "note",
            "34 failures and 0 other events of 2 assets without any readings teach nothing: "
            "'P-1', 'mixer'",
        ),
        ("note", "'P-1' has 20 events: is it 'p-01' of the readings?"),
        (
            "note",
            'where these are meant, plant.toml says so: events.assets = { "P-1" = "p-01" }; '
            "pm-app batches --events-again reads by it what has been read before",
        ),
    ]


def test_failures_of_assets_with_readings_alone_are_counted(new_plant):
    events = {"e.parquet": failures(*["p-01"] * 12, *["p-9"] * 5)}
    found, _ = check(new_plant({"a.parquet": table()}, events=events))

    assert words_on(found, "events")[0].startswith("12 failures of assets with readings")
    assert [v for v, what, _ in found if what == "events"][0] == "ok"


def test_an_asset_that_only_a_file_beyond_the_sample_has_is_found(new_plant):
    files = {f"{n:02d}.parquet": table(assets=(f"pump-{n}",)) for n in range(50)}
    events = {"e.parquet": failures(*[f"pump-{n}" for n in range(50)])}
    found, _ = check(new_plant(files, events=events))

    assert words_on(found, "events")[0] == "50 failures in 'events', 10 needed to learn"
    assert not [words for words in words_on(found, "events") if "without any readings" in words]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("PUMP-7", "pump-007"),
        ("pump 007", "pump-007"),
        ("Pump_0007 ", "pump-007"),
        ("pump-007\u200b", "pump-007"),
        ("mixer A", "Mixer-a"),
        ("mixxer-a", "Mixer-a"),
        ("conveyor", None),
    ],
)
def test_the_nearest_name_minds_neither_case_nor_spaces_nor_leading_zeros(name, near):
    assert nearest_name(name, {"pump-007", "Mixer-a", "pump-12"}) == near


# Lists of events of one kind each.

LISTS = {
    "errors.csv": "asset_id,timestamp,code\np-01,2026-01-01T05:00Z,E7\n",
    "maintenance.csv": "asset_id,timestamp,part\np-01,2026-01-01T06:00Z,seal\n",
}


def test_lists_without_kinds_whose_columns_differ_are_not_taken_for_one_kind_silently(new_plant):
    config = new_plant({"a.parquet": table()}, toml='[events]\ndefault_kind = "failure"\n')
    for name, text in LISTS.items():
        (config.parent / "events").mkdir(exist_ok=True)
        (config.parent / "events" / name).write_text(text)
    found, _ = check(config)
    words = words_on(found, "events")

    assert "errors.csv: failure 1" in words and "maintenance.csv: failure 1" in words
    assert (
        "'errors.csv', 'maintenance.csv' have different columns and none 'kind': every row is "
        "taken for kind 'failure'; [events.files.\"errors.csv\"] default_kind says what is "
        "otherwise there"
    ) in words

    text = config.read_text() + '[events.files."errors*"]\ndefault_kind = "error"\n'
    config.write_text(text)
    found, _ = check(config)
    words = words_on(found, "events")

    assert "errors.csv: error 1" in words and "maintenance.csv: failure 1" in words
    assert not [each for each in words if "different columns" in each]


def test_windows_that_hold_hardly_a_reading_are_named_with_what_suits(new_plant):
    days = {f"d{day}.parquet": table(day, rows=1) for day in range(4)}
    toml = '[features]\npane = "1d"\nwindows = ["7d"]\nmemory = []\n'

    assert words_on(check(new_plant(days))[0], "spans") == [
        "an asset is read every 24 h, and the longest window is 6h → what suits: [features] "
        'pane = "1d", windows = ["1d", "7d", "28d"], memory = ["change", "28d"], '
        'beginning = "14d"; [target] horizons = ["7d", "14d"], rul_cap = "60d"'
    ]
    assert words_on(check(new_plant(days, toml=toml))[0], "spans") == []
    hourly = new_plant({"a.parquet": table()})
    assert words_on(check(hourly)[0], "spans") == []
