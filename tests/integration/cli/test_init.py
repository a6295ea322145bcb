"""`pm-app init` by the files of a plant: settings that read them, and what is left to say."""

import gzip

import pytest
from typer.testing import CliRunner

from connectors.events.form import events_format
from connectors.proposal import propose_settings
from pm_app.cli.app import app
from pm_app.cli.run import init as init_module
from pm_app.errors import BadSettings
from pm_app.settings.plant import read_settings

READINGS = """\
Maschine;Datum/Uhrzeit;Drehzahl;Öldruck;Bemerkung
;;1/min;bar;
Pumpe 1;30.03.2024 23:45;1.480,5;8,01;
Pumpe 1;31.03.2024 00:00;1.481,0;8,02;geölt
"""
LONG = """\
tag,ts,machine,value
temp,2024-03-30T23:45:00Z,p1,8.5
flow,2024-03-30T23:45:00Z,p1,3
"""
FAILURES = [
    ["Lfd. Nr.", "Maschine", "Datum", "Störungsbeschreibung", "Bearbeiter"],
    [1, "Pumpe 1", "31.03.2024", "Lager heiß gelaufen", "Müller"],
]


def init(folder, *options):
    return CliRunner().invoke(app, ["init", str(folder), *map(str, options)])


@pytest.fixture
def files(tmp_path):
    """An export of readings in cp1252, and a list of failures."""
    readings, events = tmp_path / "März.csv", tmp_path / "Störungen.xlsx"
    readings.write_text(READINGS, encoding="cp1252")
    book = pytest.importorskip("openpyxl").Workbook()
    for row in FAILURES:
        book.active.append(row)
    book.save(events)
    return readings, events


def test_settings_are_those_that_read_the_files(tmp_path, files):
    readings, events = files
    zone = ("--timezone", "Europe/Berlin")
    done = init(tmp_path / "p", "--readings", readings, "--events", events, *zone)

    settings = read_settings(tmp_path / "p" / "plant.toml")
    for file, folder in ((readings, "readings"), (events, "events")):
        file.rename(tmp_path / "p" / folder / file.name)
    config = ("-c", str(tmp_path / "p" / "plant.toml"))
    shown = [
        CliRunner().invoke(app, ["preview", str(tmp_path / "p" / name), *config]).stdout
        for name in ("readings/März.csv", "events/Störungen.xlsx")
    ]

    assert "units of 2 sensors taken over" in done.stdout + done.stderr
    assert settings.plant.timezone == settings.readings.timezone == "Europe/Berlin"
    assert {name: each.unit for name, each in settings.sensors.items()} == {
        "Drehzahl": "1/min",
        "Öldruck": "bar",
    }
    assert settings.events.text_column == "Störungsbeschreibung"
    assert settings.events.default_kind == "failure"
    assert "Pumpe 1   2024-03-30 23:45   1480.5" in shown[0]
    assert "1 row, 1 event (failure 1), 0 left over" in shown[1]


def test_a_long_file_whose_times_carry_a_zone_needs_none(tmp_path):
    (tmp_path / "tags.csv").write_text(LONG)

    init(tmp_path / "p", "--readings", tmp_path / "tags.csv")

    settings = read_settings(tmp_path / "p" / "plant.toml").readings
    assert (settings.layout, settings.tag_column, settings.value_column) == ("long", "tag", "value")
    assert (settings.asset_column, settings.time_column) == ("machine", "ts")
    assert settings.timezone is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "its times carry no zone; needed --timezone"),
        (["--timezone", "Berlin"], "plant.timezone"),
        (["--events", "no.csv", "--timezone", "UTC"], "no.csv: needed a file, got none"),
    ],
)
def test_what_a_file_does_not_tell_is_asked_for_and_nothing_is_written(
    tmp_path, files, options, words
):
    failed = init(tmp_path / "p", "--readings", files[0], *options)

    assert isinstance(failed.exception, BadSettings) and words in str(failed.exception)
    assert not (tmp_path / "p").exists()


LISTS = {
    "PdM_failures": "datetime,machineID,failure\n2026-01-01 06:00:00,1,comp1\n",
    "PdM_errors_2026-01": "datetime,machineID,errorID\n2026-01-01 05:00:00,1,error3\n",
    "PdM_maint": "datetime,machineID,comp\n2026-01-02 06:00:00,2,comp2\n",
}


def test_lists_of_one_kind_each_get_a_table_each_and_are_read_by_them(tmp_path):
    options = []
    for name, text in LISTS.items():
        (tmp_path / f"{name}.csv").write_text(text)
        options += ["--events", tmp_path / f"{name}.csv"]
    done = init(tmp_path / "p", *options, "--timezone", "UTC")

    settings = read_settings(tmp_path / "p" / "plant.toml").events
    source = events_format(settings)
    kinds = {}
    for name in ("PdM_failures", "PdM_errors_2026-02", "PdM_maint"):
        form = source.of_file(f"{name}.csv")
        kinds[name] = (form.default_kind, form.code_column)
    assert done.exit_code == 0
    assert (settings.asset_column, settings.time_column) == ("machineID", "datetime")
    assert settings.default_kind is None
    assert kinds == {
        "PdM_failures": ("failure", "failure"),
        "PdM_errors_2026-02": ("error", "errorID"),
        "PdM_maint": ("maintenance", "comp"),
    }


@pytest.mark.parametrize(
    ("name", "columns", "keys"),
    [
        # Of several columns of words only a name tells which is the code, and no person's is.
        ("list", {"Bearbeiter": "Müller", "Fehlercode": "E7"}, {"code_column": "Fehlercode"}),
        ("list", {"Bearbeiter": "Müller", "Kürzel": "abc"}, {}),
        ("list", {"Fehlercode": "17"}, {"code_column": "Fehlercode"}),
        ("Wartungen", {"Teil": "Lager"}, {"default_kind": "maintenance", "code_column": "Teil"}),
        ("AlarmLog", {"Text": "Druck zu hoch"}, {"default_kind": "error", "text_column": "Text"}),
        ("maintenance of failures", {}, {}),
    ],
)
def test_kind_code_and_text_are_seen_by_names_and_words(tmp_path, name, columns, keys):
    head = ";".join(["Maschine", "Datum", *columns])
    row = ";".join(["P1", "2026-01-01 06:00", *columns.values()])
    (tmp_path / f"{name}.csv").write_text(f"{head}\n{row}\n", encoding="utf-8")
    usual = {"asset_column": "Maschine", "time_column": "Datum", "default_kind": "failure"}

    found = propose_settings(tmp_path / f"{name}.csv", "events")

    assert found.keys == usual | keys


@pytest.mark.parametrize(
    ("columns", "asset"),
    [
        ({"machine_status": "NORMAL", "Turbine_ID": "T01"}, "Turbine_ID"),
        ({"machine_status": "NORMAL"}, None),
        ({"Robot": "r1", "robot_model": "x"}, "Robot"),
        ({"date": "2026-01-01", "model": "ST12", "serial_number": "Z1"}, "serial_number"),
        ({"Lfd. Nr.": "1", "Anlage": "P1"}, "Anlage"),
        ({"Lfd. Nr.": "1"}, None),
        ({"Machine failure": "0", "Product ID": "M14"}, "Product ID"),
        ({"Bezeichnung": "Pumpe 1"}, "Bezeichnung"),
        ({"Bezeichnung": "Pumpe 1", "Zustand": "ein"}, "Bezeichnung"),
        ({"sensor_id": "0.25"}, None),
        ({"empty": ""}, None),
    ],
)
def test_the_machine_of_readings_is_seen_by_name_or_as_the_only_text(tmp_path, columns, asset):
    head, row = ";".join(["Zeit", *columns, "x"]), ["2026-01-01 06:00", *columns.values(), "2,5"]
    text = f"{head}\n{';'.join(row)}\n{';'.join(row)}\n"
    (tmp_path / "r.csv").write_text(text, encoding="utf-8")
    found = propose_settings(tmp_path / "r.csv", "readings")

    assert found.keys.get("asset_column") == asset
    outcome = [remark for remark in found.remarks if "may tell failures" in remark]
    assert len(outcome) == len({"machine_status", "Machine failure", "Zustand"} & set(columns))


def test_a_reading_a_day_or_a_stop_a_minute_sets_panes_windows_and_horizons(tmp_path):
    for day in (1, 2, 3):
        text = f"date,serial_number,x\n2026-01-0{day},Z1,1\n2026-01-0{day},Z2,1\n"
        (tmp_path / f"2026-01-0{day}.csv").write_text(text)
    seconds = [f"2026-01-01T08:{n // 60:02d}:{n % 60:02d}Z" for n in range(600)]
    (tmp_path / "r.csv").write_text("ts,cur\n" + "".join(f"{each},1\n" for each in seconds))
    (tmp_path / "r_stops.csv").write_text("ts\n" + "".join(f"{each}\n" for each in seconds[::60]))
    daily = init(tmp_path / "d", "--readings", tmp_path / "2026-01-02.csv", "--timezone", "UTC")
    fast = init(
        *(tmp_path / "f", "--readings", tmp_path / "r.csv", "--events", tmp_path / "r_stops.csv")
    )
    settings = [read_settings(tmp_path / name / "plant.toml") for name in ("d", "f")]

    assert (daily.exit_code, fast.exit_code) == (0, 0)
    assert "readings come and machines fail: pane = '1d'" in " ".join(daily.stdout.split())
    assert [each.features.pane for each in settings] == ["1d", "1s"]
    assert [each.target.horizons for each in settings] == [("7d", "14d"), ("5s", "10s")]


@pytest.mark.parametrize(
    ("columns", "keys"),
    [
        ({"ts": ["1706969100000", "1706969160000"]}, {"time_column": "ts"}),
        ({"cycle": ["1", "2"]}, {"time_column": "cycle", "counts": "1h"}),
        ({"time_step": ["0.0", "2.7"]}, {"time_column": "time_step", "counts": "1h"}),
        # A sensor that reads as much as Unix time is none.
        ({"counter": ["1706969100", "1706969160"]}, {}),
        (
            {"zeit": ["2026-01-01 08:00Z", "2026-01-01 09:00Z"], "cycle": ["1", "2"]},
            {"time_column": "zeit"},
        ),
    ],
)
def test_times_that_are_numbers_are_seen_by_name_and_size(tmp_path, columns, keys):
    rows = zip(*columns.values(), strict=True)
    text = "\n".join([f"unit,{','.join(columns)}", *(f"1,{','.join(row)}" for row in rows)])
    (tmp_path / "r.csv").write_text(f"{text}\n")
    found = propose_settings(tmp_path / "r.csv", "readings")

    assert found.keys == {"asset_column": "unit"} | keys
    assert found.zoned == bool(keys)


def test_a_flag_of_zero_and_one_tells_failures(tmp_path):
    (tmp_path / "ends.csv").write_text("unit,time_step,in_study_repair\n1,88.5,1\n2,40.0,0\n")
    init(tmp_path / "p", "--events", tmp_path / "ends.csv")
    settings = read_settings(tmp_path / "p" / "plant.toml").events

    assert (settings.kind_column, settings.counts) == ("in_study_repair", "1h")
    assert (settings.kinds, settings.ignore_rows) == ({"1": "failure"}, ("0",))
    assert settings.default_kind is None


@pytest.mark.parametrize("packed", [False, True])
def test_of_a_large_export_only_the_beginning_is_read(tmp_path, monkeypatch, packed):
    monkeypatch.setattr(init_module, "_MOST_BYTES", 200)
    rows = [f"2026-01-{day:02d} 06:00:00,p1,{day}" for day in range(1, 29)]
    text = "\n".join(["date,machine,x", *rows, "no row at all, a value too many, 1, 2"])
    path = tmp_path / ("r.csv.gz" if packed else "r.csv")
    path.write_bytes(gzip.compress(text.encode(), 0) if packed else text.encode())
    looked = []
    survey = init_module.survey_readings

    def noted(source, found, batches):
        batches = list(batches)
        looked.extend(batch.size_bytes for batch in batches)
        survey(source, found, batches)

    monkeypatch.setattr(init_module, "survey_readings", noted)
    init(tmp_path / "p", "--readings", path, "--timezone", "UTC")

    assert read_settings(tmp_path / "p" / "plant.toml").features.pane == "1d"
    assert len(looked) == 1 and 100 < looked[0] <= 200


@pytest.mark.parametrize(
    ("columns", "keys"),
    [
        (["P1.Vib", "P1.Temp", "P2.Vib", "P2.Temp", "Ambient"], {"tags": ["{asset}.{sensor}"]}),
        (["P1_Vib", "P1_Temp", "P2_Vib", "P2_Temp"], {"tags": ["{asset}_{sensor}"]}),
        # Joints of one robot are no machines with the same sensors.
        (["Current_J0", "Current_J1", "Temp_J0", "Temp_J1"], {}),
        (["P1.Vib", "P2.Temp"], {}),
    ],
)
def test_machines_side_by_side_are_seen_by_the_sensors_they_share(tmp_path, columns, keys):
    row = ",".join("1.5" for _ in columns)
    (tmp_path / "r.csv").write_text(f"zeit,{','.join(columns)}\n2026-01-01 06:00,{row}\n")
    tags = "".join(f"2026-01-01 06:00,{tag},1.5,192\n" for tag in columns)
    (tmp_path / "long.csv").write_text(f"zeit,TagName,Value,Quality\n{tags}")
    long = {"layout": "long", "tag_column": "TagName", "value_column": "Value"}

    assert propose_settings(tmp_path / "r.csv", "readings").keys == {"time_column": "zeit"} | keys
    found = propose_settings(tmp_path / "long.csv", "readings").keys
    assert found == {"time_column": "zeit"} | long | keys
