"""The command line: exit codes, messages of one line, and results that programs can read."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import (
    NOW,
    PLANT_TOML,
    FakeTrainer,
    drop,
    events_table,
    hours_after_start,
    make_gated_card,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
)

from pm_app.daemon.health import Monitor
from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.run import score
from pm_app.records.learning import QualityReport, Revision
from pm_app.times import read_clock

GOOD = readings_table()


@pytest.fixture
def scored(new_plant):
    """A plant with predictions, a partly bad file, a quarantined one and events."""
    events = events_table([("pump-00", 5.5, "failure", ""), ("pump-00", 7.0, "lunch", "")])
    config = new_plant({"a.parquet": GOOD}, events={"e.parquet": events})
    drop(config, "bad.parquet", GOOD.drop_columns(["timestamp"]))
    with opened(config) as plant:
        score(plant, now=NOW)
    return config


WRONG_USAGE = {
    "no command": [],
    "unknown command": ["scroe"],
    "unknown option": ["score", "--fast"],
    "no such file": ["score", "-c", "nowhere.toml"],
    "a folder": ["score", "-c", "."],
    "no time": ["predictions", "--since", "yesterday", "-c", "PLANT"],
    "no format": ["predictions", "--format", "xml", "-c", "PLANT"],
    "parquet to a terminal": ["predictions", "--format", "parquet", "-c", "PLANT"],
    "a table into a file": ["predictions", "--out", "x.txt", "-c", "PLANT"],
    "no such folder": ["predictions", "--format", "csv", "--out", "no/x.csv", "-c", "PLANT"],
    "a folder as file": ["predictions", "--format", "json", "--out", ".", "-c", "PLANT"],
    "latest since": ["predictions", "--latest", "--since", "2023-01-01", "-c", "PLANT"],
    "no number": ["promote", "two", "-c", "PLANT"],
    "backfill of nothing": [
        "backfill",
        "--from",
        "2023-01-02",
        "--to",
        "2023-01-02",
        "-c",
        "PLANT",
    ],
    "backfill without end": ["backfill", "--from", "2023-01-02", "-c", "PLANT"],
    "init over a plant": ["init", "FOLDER"],
    "init below a file": ["init", "PLANT"],
    "import of nothing": ["import", "cmapss", "nowhere", "engines"],
    "demo over a plant": ["demo", "FOLDER"],
    "a picture of another kind": ["importance", "--plot", "a.png", "-c", "PLANT"],
    "a picture in no folder": ["importance", "--plot", "no/a.svg", "-c", "PLANT"],
    "no moment": ["retrain", "--as-of", "never", "-c", "PLANT"],
}
FAILED = {
    "unknown version": ["promote", "9", "-c", "PLANT"],
    "no way back": ["rollback", "-c", "PLANT"],
    "unknown before": ["importance", "--against", "9", "-c", "PLANT"],
    "unknown importance": ["importance", "--version", "9", "-c", "PLANT"],
}


def filled(words, config):
    places = {"PLANT": str(config), "FOLDER": str(config.parent)}
    return [places.get(word, word) for word in words]


@pytest.mark.parametrize("words", WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_wrong_usage_ends_with_2_and_says_why(pm_app, scored, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    code, out, err = pm_app(*filled(words, scored))

    assert code == 2
    assert err or "Usage" in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", FAILED.values(), ids=FAILED)
def test_what_cannot_be_done_ends_with_1_and_says_why_in_a_line(pm_app, scored, words):
    code, out, err = pm_app(*filled(words, scored))

    assert code == 1
    assert len((out + err).splitlines()) == 1


@pytest.mark.parametrize(
    "line, said",
    [
        ('[plant]\nnmae = "x"', r"unknown key 'plant.nmae' (did you mean 'name'?)"),
        ('[scorign]\nevery = "30s"', r"unknown key 'scorign' (did you mean 'scoring'?)"),
        ('[plant]\ntimezone = "Mars/Olympus"', "plant.timezone: a time zone looks like"),
        ('[scoring]\nevery = "soon"', "scoring.every: a duration looks like"),
        ("[plant", "not valid TOML"),
    ],
)
def test_settings_that_cannot_be_used_are_told_by_key_in_every_command(
    pm_app, new_plant, line, said
):
    config = new_plant(toml=line)

    for command in ("score", "check", "run", "predictions", "models"):
        code, out, err = pm_app(command, "-c", config)
        assert (code, out) == (2, "")
        assert said in err
        assert str(config) in err
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "line, said",
    [
        ('[plant]\nstate = "plant.toml"', "plant.state needs a folder that can be written to"),
        ('[store]\nurl = "mysql://user:secret@host/db"', "store.url must look like"),
        ('[store]\nurl = "sqlite:////proc/x/pm.sqlite"', "store.url needs a file"),
        ('[readings]\nuri = "nope://x/y"', "'nope://x/y': needed a path or an address like s3"),
    ],
)
def test_places_that_cannot_be_used_are_told_by_their_setting(pm_app, new_plant, line, said):
    code, _, err = pm_app("score", "-c", new_plant(toml=line))

    assert code == 2
    assert said in err
    assert "secret" not in err
    assert len(err.splitlines()) == 1


def test_a_first_score_without_a_model_says_what_to_do_next(pm_app, new_plant):
    code, out, _ = pm_app("score", "-c", new_plant({"a.parquet": GOOD}, champion=False))

    assert code == 0
    assert out.startswith("1 batches read (237 readings used, 0 rejected, 0 batches quarantined)")
    assert out.endswith("no model yet: pm-app retrain makes the first\n")


def test_commands_before_the_first_score_say_that_there_is_nothing_yet(pm_app, new_plant, tmp_path):
    pm_app("init", tmp_path / "new")
    for command in ("predictions", "batches", "models", "importance"):
        code, out, err = pm_app(command, "-c", tmp_path / "new" / "plant.toml")

        assert (code, out) == (1, "")
        assert "there is no store; pm-app run or pm-app score makes that of a new" in err


# What `check` says of the machine that the tests are on.
MACHINE = {"disk", "fsync", "clock", "space"}


def test_a_new_plant_has_settings_that_can_be_used_whatever_its_name(pm_app, tmp_path):
    folder = tmp_path / 'Line "3" \\ [bold] größer'
    code, out, _ = pm_app("init", folder)
    assert code == 0
    assert f"{folder / 'plant.toml'} written" in out

    code, out, _ = pm_app("check", "--json", "-c", folder / "plant.toml")

    assert code == 0
    findings = json.loads(out)
    assert findings[0]["finding"] == 'Line "3" \\ [bold] größer: every key is known and valid'
    plant = [row for row in findings if row["what"] not in MACHINE]
    assert not [row for row in findings if row[""] == "fails"]
    assert [row["what"] for row in plant if row[""] == "note"] == [
        *("store", "readings", "events", "pages")
    ]
    (readings,) = (row["finding"] for row in plant if row["what"] == "readings")
    assert "files in 'readings' yet" in readings


def test_check_names_each_bad_file_and_fails(pm_app, scored):
    code, out, _ = pm_app("check", "--json", "-c", scored)

    failed = [row for row in json.loads(out) if row[""] == "fails"]
    assert code == 1
    assert [row["what"] for row in failed] == ["readings"]
    assert "would be quarantined: bad.parquet: needed a column 'timestamp'" in failed[0]["finding"]


def test_check_fails_without_a_folder_of_readings_and_names_it(pm_app, new_plant):
    config = new_plant()
    (config.parent / "readings").rmdir()

    code, out, _ = pm_app("check", "--json", "-c", config)

    assert code == 1
    assert any(
        f"{config.parent}/readings: cannot be listed" in r["finding"] for r in json.loads(out)
    )


def test_check_notes_rows_that_would_be_refused(pm_app, scored):
    (scored.parent / "readings" / "bad.parquet").unlink()

    code, out, _ = pm_app("check", "--json", "-c", scored)

    notes = [
        row["finding"]
        for row in json.loads(out)
        if row[""] == "note" and row["what"] not in {"pages", "modes", *MACHINE}
    ]
    assert code == 0
    assert notes == [
        "1 failures in 'events', 10 needed to learn; 1 row would be refused: "
        "1: kind is 'lunch'; needed one of ('failure', 'maintenance', 'error', 'inspection')"
    ]


def test_check_names_the_regimes_of_what_was_read_or_says_why_there_are_none(pm_app, new_plant):
    table = readings_table(hours=200, missing=0.0)
    # Four hours of each load in turn; another sensor follows it.
    load = np.where(np.arange(table.num_rows) // 12 % 2, 100.0, 60.0)
    columns = {
        "load": load,
        "current": 0.5 * load + np.random.default_rng(0).normal(size=len(load)),
    }
    for name, column in columns.items():
        table = table.append_column(name, pa.array(column))
    config = new_plant({"a.parquet": table})
    named = config.with_name("named.toml")
    named.write_text(PLANT_TOML.replace("[features]", '[features]\nregime_columns = ["sensor-0"]'))
    with opened(config) as plant:
        score(plant, now=NOW)

    found, missed = (
        [
            row
            for row in json.loads(pm_app("check", "--json", "-c", path)[1])
            if row["what"] == "regimes"
        ]
        for path in (config, named)
    )

    assert [row[""] for row in (*found, *missed)] == ["ok", "note"]
    assert found[0]["finding"].startswith("2 regimes by load: 60 (50%), 100 (50%)")
    assert missed[0]["finding"].startswith("no regimes: sensor-0 ")


def test_check_refuses_a_schedule_that_never_comes(pm_app, new_plant):
    toml = PLANT_TOML + '\n[retraining]\ncron = "0 2 31 2 *"\n'
    for command in ("check", "run"):
        code, out, err = pm_app(command, "-c", new_plant(toml=toml))
        assert code in (1, 2)
        assert "retraining.cron never comes, got '0 2 31 2 *'" in out + err


def test_every_table_is_there_as_json(pm_app, scored):
    results = {}
    for command in ("score", "check", "predictions", "batches", "models"):
        code, out, _ = pm_app(command, "--json", "-c", scored)
        results[command] = json.loads(out)

    assert results["score"]["batches_read"] == 0
    assert results["models"]["versions"][0]["scores"] == "yes"
    assert {row["status"] for row in results["batches"]} == {"ingested", "quarantined"}
    moment = datetime.fromisoformat(results["batches"][0]["ingested_at"])
    assert moment == NOW
    assert len(results["predictions"]) == 158


def test_quarantined_batches_are_listed_with_their_reason(pm_app, scored):
    code, out, _ = pm_app("batches", "--quarantined", "-c", scored)

    assert code == 0
    assert "needed a column 'timestamp', got columns ['asset_id', 'sensor-0'," in " ".join(
        out.split()
    )
    assert "a.parquet" not in out


def test_predictions_agree_in_every_format(pm_app, scored, tmp_path):
    with opened(scored) as plant:
        table = pa.concat_tables(plant.store.tables.predictions())
    path = tmp_path / "all.parquet"
    assert pm_app("predictions", "--format", "parquet", "--out", path, "-c", scored)[0] == 0
    as_json = json.loads(pm_app("predictions", "--format", "json", "-c", scored)[1])
    as_csv = list(
        csv.DictReader(pm_app("predictions", "--format", "csv", "-c", scored)[1].split("\n"))
    )
    rows = table.to_pylist()

    assert pq.read_table(path).equals(table)
    assert [plain(row) for row in rows] == as_json
    assert [{k: "" if v is None else str(v) for k, v in row.items()} for row in as_json] == as_csv
    assert json.loads(pm_app("predictions", "--json", "-c", scored)[1]) == as_json


def plain(row):
    return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in row.items()}


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_file_holds_what_the_terminal_would_show(pm_app, scored, tmp_path, kind):
    path = tmp_path / f"all.{kind}"
    words = ("predictions", "--asset", "pump-01", "--format", kind, "-c", scored)
    _, shown, _ = pm_app(*words)

    code, out, _ = pm_app(*words, "--out", path)

    assert (code, out) == (0, "")
    assert path.read_text() == shown
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_no_predictions_are_exported_as_columns_without_rows(pm_app, scored, tmp_path):
    words = ("predictions", "--asset", "nobody", "-c", scored)
    path = tmp_path / "none.parquet"

    header = pm_app(*words, "--format", "csv")[1]
    assert json.loads(pm_app(*words, "--format", "json")[1]) == []
    assert pm_app(*words, "--format", "parquet", "--out", path)[0] == 0
    assert pq.read_table(path).num_rows == 0
    assert header.strip().split(",") == pq.read_table(path).column_names


def test_predictions_since_a_time_begin_with_it(pm_app, scored):
    rows = json.loads(pm_app("predictions", "--json", "--since", "2023-08-15", "-c", scored)[1])
    everything = json.loads(pm_app("predictions", "--json", "-c", scored)[1])

    assert rows == [row for row in everything if row["cutoff"] >= "2023-08-15"]
    assert 0 < len(rows) < len(everything)


def test_the_latest_predictions_lead_with_the_riskiest_asset(pm_app, scored):
    code, out, _ = pm_app("predictions", "--latest", "-c", scored)
    rows = json.loads(pm_app("predictions", "--latest", "--json", "-c", scored)[1])

    first = max((r for r in rows if r["horizon_hours"] == 72), key=lambda r: r["risk"] or -1)
    lines = [line for line in out.splitlines() if line.lstrip().startswith("pump-")]
    assert code == 0
    assert len(lines) == 3
    assert lines[0].split()[0] == first["asset_id"]


@pytest.mark.parametrize("words", [("--latest",), ()], ids=["latest", "all"])
def test_attention_is_shown_where_some_row_has_it(pm_app, scored, words):
    before = pm_app("predictions", *words, "-c", scored)[1]
    with opened(scored) as plant:
        promote_handmade(plant, card=make_gated_card(make_spec(plant.settings)))
        drop(scored, "b.parquet", readings_table(hours=2, first_hour=50))
        score(plant, now=NOW)
    after = pm_app("predictions", *words, "-c", scored)[1]

    assert "attention" not in before
    assert "attention" in after
    rows = json.loads(pm_app("predictions", "--json", "-c", scored)[1])
    assert {row["model_version"] for row in rows if row["attention"]} == {2}


def test_the_second_look_at_importance_is_told(pm_app, scored):
    revision = Revision(("sensor-0", "sensor-1"), (0.75, 0.25), 0.9, 0.03, 1.2, 1.1, True, 6)
    with opened(scored) as plant:
        retrain(plant, now=NOW, trainer=FakeTrainer(revision=revision))

    out = pm_app("importance", "-c", scored)[1]
    newest = json.loads(pm_app("models", "--json", "-c", scored)[1])["versions"][0]
    rows = json.loads(pm_app("importance", "--json", "-c", scored)[1])
    assert "\nasked again after 6 epochs, the network agrees with the forest (tau 0.90); " in out
    assert newest["revision"] == json.loads(json.dumps(asdict(revision)))
    assert {row["asked again"] for row in rows} == {"75.0%", "25.0%", ""}
    assert "asked again" not in pm_app("importance", "--version", "1", "-c", scored)[1]
    assert "revision" not in pm_app("models", "-c", scored)[1]


def test_a_version_is_told_in_whole_words(pm_app, scored):
    with opened(scored) as plant:
        report = QualityReport("uniform", 100, {"brier_24h": 0.0312, "rul_coverage": 0.9})
        retrain(plant, now=NOW, trainer=FakeTrainer(reports=(report,)))
    row, *_ = json.loads(pm_app("models", "--json", "-c", scored)[1])["versions"]

    words = set(re.sub("[,;]", "", pm_app("models", "-c", scored)[1]).split())
    assert (row["strategy"], row["answers"]) == ("uniform", "network")
    assert {"uniform", "network", "parameters", "held-out", "brier", "0.031", "coverage"} <= words


def test_names_that_look_like_markup_are_shown_as_they_are(pm_app, new_plant):
    config = new_plant()
    drop(
        config,
        "[red]a[/].parquet",
        GOOD.drop_columns(["timestamp"]).rename_columns(
            ["asset_id", "speed [rpm]", "[/bold]", "x"]
        ),
    )
    assert pm_app("score", "-c", config)[0] == 0

    code, out, _ = pm_app("batches", "-c", config)

    assert code == 0
    assert "[red]a[/].parquet" in out
    assert "'speed [rpm]'" in " ".join(out.split())


def test_backfill_says_what_it_did(pm_app, scored):
    span = ("--from", "2023-08-14", "--to", "2023-08-15T00:00+00:00")
    code, out, _ = pm_app("backfill", *span, "-c", scored)
    as_json = json.loads(pm_app("backfill", *span, "--json", "-c", scored)[1])

    assert code == 0
    assert out == f"0 new, 0 revised, {as_json['unchanged']} unchanged\n"
    assert as_json["unchanged"] > 50


def test_versions_change_places_while_another_process_works(pm_app, scored):
    with opened(scored) as plant:
        promote_handmade(plant, at=NOW, seed=1)

        assert pm_app("rollback", "-c", scored)[:2] == (0, "version 1 scores from now on\n")
        assert plant.store.lineage.champion() == 1
        assert pm_app("promote", "2", "-c", scored)[:2] == (0, "version 2 scores from now on\n")
        assert plant.store.lineage.champion() == 2


def test_a_second_process_on_one_state_folder_says_who_has_it_and_ends_with_1(pm_app, scored):
    with opened(scored):
        other = [sys.executable, "-m", "pm_app", "score", "-c", str(scored)]
        done = subprocess.run(other, capture_output=True, text=True, check=False)
        shown = pm_app("predictions", "--json", "-c", scored)

    assert done.returncode == 1
    assert f"{scored.parent / 'state'}: in use by process {os.getpid()}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert shown[0] == 0
    assert pm_app("score", "-c", scored)[0] == 0


def test_a_reader_that_has_seen_enough_is_no_error(scored):
    command = f"{sys.executable} -m pm_app predictions --format csv -c {scored} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("asset_id,cutoff,")
    assert done.stderr == ""


def test_a_disk_that_is_full_is_told_in_a_line(pm_app, scored, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    drop(scored, "b.parquet", readings_table(first_hour=50, seed=2))
    monkeypatch.setattr("pm_app.durable._sync", full)
    code, _, err = pm_app("score", "-c", scored)

    assert code == 1
    assert err.endswith("cannot be written: No space left on device\n")
    monkeypatch.undo()


def test_the_time_zone_of_readings_is_taken_from_the_settings(pm_app, new_plant):
    local = GOOD.set_column(
        1, "timestamp", pa.array(np.asarray(GOOD["timestamp"].cast(pa.int64())), pa.timestamp("ns"))
    )
    toml = PLANT_TOML + '\n[readings]\ntimezone = "Asia/Kolkata"\n'
    config = new_plant({"a.parquet": local}, toml=toml)

    assert pm_app("score", "-c", config)[0] == 0
    rows = json.loads(pm_app("predictions", "--json", "-c", config)[1])

    assert min(row["cutoff"] for row in rows) == "2023-08-14T03:00:00+00:00"


def contents(folder):
    """Every path below a folder, with what its file holds and when it was written.

    But for what SQLite lays beside a database that is only read: an index and an empty log.
    """
    found = {
        path: (path.stat().st_mtime_ns, path.read_bytes()) if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != "pm.sqlite-shm"
    }
    return {path: kept for path, kept in found.items() if not empty_log(path, kept)}


def empty_log(path, kept):
    """Whether a path is a write-ahead log with nothing in it."""
    return path.name == "pm.sqlite-wal" and kept is not None and not kept[1]


def test_check_writes_nothing_neither_before_the_first_score_nor_after(pm_app, new_plant, scored):
    fresh = new_plant({"a.parquet": GOOD})
    shutil.rmtree(fresh.parent / "state")
    for config, verdict in ((fresh, "note"), (scored, "ok")):
        before = contents(config.parent)

        _, out, _ = pm_app("check", "-c", config, "--json")

        (store,) = (row for row in json.loads(out) if row["what"] == "store")
        assert store[""] == verdict
        assert contents(config.parent) == before


def test_status_tells_what_waits_who_scores_and_that_no_daemon_runs(pm_app, scored):
    drop(scored, "late.parquet", readings_table(first_hour=40, hours=2))

    code, out, _ = pm_app("status", "-c", scored, "--json")
    told = json.loads(out)

    assert code == 1
    assert told["troubles"][0] == "no daemon has run here yet: pm-app run starts it"
    assert (told["unread_readings"], told["unread_events"]) == (1, 0)
    assert (told["unscored"], told["quarantined"], told["champion"]) == (0, 1, 1)
    assert "nothing yet" not in pm_app("status", "-c", scored)[2]


def test_a_file_on_its_way_is_told_and_fails_nothing(pm_app, scored):
    content = (scored.parent / "readings" / "bad.parquet").read_bytes()
    (scored.parent / "readings" / "coming.parquet").write_bytes(content[:-9])

    code, out, _ = pm_app("score", "-c", scored)

    assert code == 0
    assert "0 batches quarantined)" in out
    assert "; 1 still being written; version 1" in out


def test_status_of_a_daemon_at_work_is_fine_and_of_one_that_fails_is_not(
    pm_app, scored, monkeypatch
):
    soon = replace(read_clock(), at=NOW + timedelta(minutes=5))
    monkeypatch.setattr("pm_app.cli.look.status.read_clock", lambda: soon)
    drop(scored, "new.parquet", readings_table(first_hour=int(hours_after_start(NOW)) - 1, hours=1))
    with opened(scored) as plant:
        score(plant, now=NOW)
    monitor = Monitor(scored.parent / "state")
    monitor.expect("score", lambda: 600.0)
    monitor.ended("score", "3 batches read", failed=False)

    code, out, _ = pm_app("status", "-c", scored)
    assert code == 0
    assert out.startswith(f"fine: process {os.getpid()}")
    assert "0 unscored, 1 quarantined; version 1 scores" in out
    with opened(scored) as plant:
        noted = plant.store.ledger.batches()
    used, rejected = sum(row.rows for row in noted), sum(row.rejected for row in noted)
    assert f"{used + rejected:,} rows read: {used:,} used, {rejected:,} rejected" in out

    for _ in range(3):
        monitor.ended("score", "the disk is full", failed=True)
    code, out, _ = pm_app("status", "-c", scored)
    assert code == 1
    assert "trouble: score: failed 3 times in a row: the disk is full" in out


def test_a_plant_is_backed_up_and_restored_by_command(pm_app, scored, new_plant, tmp_path):
    file, copy = tmp_path / "plant.backup", new_plant()
    shutil.rmtree(copy.parent / "state")

    assert pm_app("backup", file, "-c", scored)[0] == 0
    code, out, _ = pm_app("restore", file, "-c", copy, "--json")

    assert code == 0
    assert json.loads(out)["version"] == 1
    shown = [pm_app("predictions", "--json", "-c", config)[1] for config in (scored, copy)]
    assert shown[0] == shown[1] != "[]\n"
    code, _, err = pm_app("restore", file, "-c", copy)
    assert code == 1
    assert "restore needs a place without a database" in err


def test_what_changed_between_two_versions_is_shown_and_drawn(pm_app, scored, tmp_path):
    picture = tmp_path / "a.svg"
    with opened(scored) as plant:
        promote_handmade(plant, seed=1)
        promote_handmade(plant, seed=2)

    code, out, _ = pm_app("importance", "--plot", str(picture), "-c", scored)
    since_first = pm_app("importance", "--against", "1", "-c", scored)[1]
    rows = json.loads(pm_app("importance", "--plot", str(picture), "--json", "-c", scored)[1])

    assert code == 0
    assert "version 3 against version 2" in out
    assert "version 3 against version 1" in since_first
    assert (rows["version"], rows["against"]) == (3, 2)
    assert rows["sensors"][0]["before"]["units"] == 8
    assert "version 2 to version 3" in picture.read_text(encoding="utf-8")


def test_the_first_version_has_nothing_to_be_compared_with(pm_app, scored, tmp_path):
    picture = tmp_path / "a.svg"

    out = pm_app("importance", "--plot", str(picture), "-c", scored)[1]

    assert "against" not in out
    assert "guidance was not used" in out
    assert "Hidden units of version 1" in picture.read_text(encoding="utf-8")


def test_users_are_added_listed_and_shut_out(pm_app, scored, monkeypatch):
    def typed(*lines):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    typed("a long password")
    assert pm_app("users", "add", "ada", "--role", "engineer", "-c", scored)[:2] == (
        0,
        "ada may sign in as engineer\n",
    )
    typed("another password")
    pm_app("users", "passwd", "ada", "-c", scored)
    pm_app("users", "disable", "ada", "-c", scored)
    rows = json.loads(pm_app("users", "--json", "-c", scored)[1])
    token = pm_app("users", "tokens", "--add", "historian", "-c", scored)[1].strip()
    done = json.loads(pm_app("users", "audit", "--json", "-c", scored)[1])
    with opened(scored) as plant:
        assert plant.store.users.check_token(token).role == "viewer"
        assert plant.store.users.check_password("ada", "another password") is None

    assert [(row["name"], row["role"], row["state"]) for row in rows] == [
        ("ada", "engineer", "disabled")
    ]
    assert [row["action"] for row in done if row["by"] != "pm-app"] == [
        "add token",
        "disable user",
        "set password",
        "add user",
    ]


def test_a_password_that_will_not_do_is_told_without_it(pm_app, scored, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("secret\n"))
    code, out, err = pm_app("users", "add", "ada", "-c", scored)

    assert code == 2
    assert "10 to 1000 characters, got 6" in err
    assert "secret" not in out + err
