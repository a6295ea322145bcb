"""Every check of `pm-app check`: plain findings with what to do, quickly, changing nothing."""

import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from factories import (
    ALARMING_TOML,
    NOW,
    events_table,
    make_plant,
    opened,
    promote_handmade,
    readings_table,
)

from pm_app.cli.look.checks import clock_findings, disk_findings
from pm_app.cli.look.checks.clock_findings import check_clock, clock_is_synchronised
from pm_app.cli.look.checks.database_findings import check_database
from pm_app.cli.look.checks.disk_findings import (
    check_file_systems,
    check_fsync,
    check_space,
    file_system_of,
)
from pm_app.cli.look.checks.findings import CHECKS, run_checks
from pm_app.cli.look.checks.label_findings import check_leakage, check_modes
from pm_app.cli.look.checks.load_findings import check_load
from pm_app.cli.look.checks.readings_findings import ReadingsSurvey, SensorSurvey, check_readings
from pm_app.jobs.score.run import score
from pm_app.settings.plant import read_settings
from pm_app.store.database import facts as facts_module
from pm_app.times import to_nanoseconds

VERDICTS = {"ok", "note", "fails"}
# Checks whose advice has a field of its own; those of before say it in their words.
ADVISING = {"disk", "fsync", "database", "clock", "modes", "leakage", "load", "space"}
MOST_SECONDS = 10.0


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """A plant that has taken readings and events in."""
    failures = [(f"pump-{n % 3:02d}", 3.0 + n, "failure", "seal") for n in range(6)]
    config = make_plant(
        tmp_path_factory.mktemp("lived"),
        {"a.parquet": readings_table()},
        events={"e.parquet": events_table(failures)},
        toml=ALARMING_TOML,
    )
    with opened(config) as plant:
        promote_handmade(plant)
        score(plant, now=NOW)
    return config


@pytest.fixture
def empty(tmp_path):
    return make_plant(tmp_path / "empty")


@pytest.fixture
def torn(lived, tmp_path):
    """A plant whose database is no database."""
    folder = tmp_path / "torn"
    shutil.copytree(lived.parent, folder)
    for part in (folder / "state").glob("pm.sqlite*"):
        part.unlink()
    (folder / "state" / "pm.sqlite").write_bytes(b"no database at all" * 100)
    return folder / lived.name


def files_of(folder: Path):
    ours = {path: path.stat() for path in folder.rglob("*") if path.is_file()}
    # Readers of SQLite make its shared memory and an empty log beside it.
    return {
        path: (stat.st_size, stat.st_mtime_ns)
        for path, stat in ours.items()
        if not path.name.endswith(("-shm", "-wal"))
    }


def test_subjects_are_of_one_check_each():
    names = [check.subject for check in CHECKS]

    assert len(names) == len(set(names)) and set(names) >= ADVISING


@pytest.mark.parametrize("kind", ["lived", "empty", "torn"])
def test_every_check_says_plainly_what_it_found_and_what_to_do(kind, request):
    config = request.getfixturevalue(kind)
    settings, before = read_settings(config), files_of(config.parent)
    began = time.monotonic()

    survey = ReadingsSurvey()
    for check in CHECKS:
        try:
            findings = [*check.look(settings, survey)]
        except Exception as error:
            assert type(error).__module__ in ("pm_app.errors", "builtins"), error
            continue
        for finding in findings:
            assert finding.verdict in VERDICTS and finding.subject and finding.text
            assert "Traceback" not in finding.text
            if check.subject in ADVISING and finding.verdict != "ok":
                assert finding.advice, finding

    assert files_of(config.parent) == before
    assert time.monotonic() - began < MOST_SECONDS


def test_a_check_that_fails_hides_no_other(torn):
    subjects = {finding.subject for finding in run_checks(read_settings(torn))}

    assert {"settings", "schedule", "clock", "fsync", "readings", "space", "pages"} <= subjects


# Clock.


def at(**ahead):
    return ReadingsSurvey(last=to_nanoseconds(datetime.now(tz=UTC) + timedelta(**ahead)))


@pytest.mark.parametrize(
    ("ahead", "verdict", "advice"),
    [
        ({"hours": -3}, "ok", ""),
        ({"minutes": 4}, "ok", ""),
        ({"hours": 2}, "fails", "readings.timezone"),
        ({"minutes": 40}, "fails", "set the clock"),
        ({"days": 300}, "fails", "set the clock"),
    ],
)
def test_readings_later_than_the_clock_are_told(lived, ahead, verdict, advice):
    newest = [*check_clock(read_settings(lived), at(**ahead))][-1]

    assert (newest.verdict, advice in newest.advice) == (verdict, True)


@pytest.mark.parametrize(("kept", "verdict"), [(True, "ok"), (None, "ok"), (False, "note")])
def test_a_clock_that_nobody_sets_is_told(lived, monkeypatch, kept, verdict):
    monkeypatch.setattr(clock_findings, "clock_is_synchronised", lambda: kept)

    (found,) = check_clock(read_settings(lived), ReadingsSurvey())

    assert found.verdict == verdict


def test_the_kernel_says_whether_its_clock_is_set():
    assert clock_is_synchronised() in (True, False, None)


# Disks.


@pytest.mark.parametrize(
    ("kind", "verdicts"),
    [
        ("ext4", ["ok", "ok"]),
        ("nfs4", ["note", "fails"]),
        ("cifs", ["note", "fails"]),
        ("fuse.sshfs", ["note", "fails"]),
        ("tmpfs", ["note", "note"]),
        ("overlay", ["note", "note"]),
    ],
)
def test_file_systems_that_lose_rows_are_told(lived, monkeypatch, kind, verdicts):
    monkeypatch.setattr(disk_findings, "file_system_of", lambda _: kind)

    found = [*check_file_systems(read_settings(lived), ReadingsSurvey())]

    assert [each.verdict for each in found] == verdicts
    assert all(kind in each.text for each in found)


def test_the_file_system_of_a_path_is_that_of_the_nearest_mount():
    assert file_system_of(Path("/proc/self")) == "proc"
    assert file_system_of(Path("/")) not in ("", "proc")


@pytest.mark.parametrize(
    ("seconds", "turns", "verdict"),
    [(2e-6, False, "note"), (3e-5, False, "ok"), (3e-5, True, "note"), (6e-3, True, "ok")],
)
def test_a_disk_quicker_than_disks_are_is_told(lived, monkeypatch, seconds, turns, verdict):
    monkeypatch.setattr(disk_findings, "sync_seconds", lambda *_, times: [seconds] * times)
    monkeypatch.setattr(disk_findings, "_turns", lambda _: turns)

    (found,) = check_fsync(read_settings(lived), ReadingsSurvey())

    assert found.verdict == verdict


def test_fsync_is_measured_without_leaving_a_file(tmp_path):
    assert len(disk_findings.sync_seconds(tmp_path, times=3)) == 3
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("free", "verdict"), [(1e13, "ok"), (5e6, "note")])
def test_days_that_are_left_go_by_what_a_day_of_readings_took(lived, monkeypatch, free, verdict):
    usage = shutil.disk_usage("/")._replace(free=int(free))
    monkeypatch.setattr(disk_findings.shutil, "disk_usage", lambda _: usage)
    day = 86_400 * 10**9

    (found,) = check_space(read_settings(lived), ReadingsSurvey(first=0, last=10 * day))

    assert found.verdict == verdict
    assert "of 10 days" in found.text and "enough for" in found.text


# Database, labels, load.


def test_the_database_says_its_version_and_whether_its_tables_are_ours(lived, monkeypatch):
    settings = read_settings(lived)
    (current,) = check_database(settings, ReadingsSurvey())
    assert current.verdict == "ok" and current.text.startswith("SQLite 3.")

    monkeypatch.setattr(facts_module, "REVISION", "9999")
    (behind,) = check_database(settings, ReadingsSurvey())
    monkeypatch.setattr(facts_module, "REVISION", "0001")
    (ahead,) = check_database(settings, ReadingsSurvey())

    assert (behind.verdict, "migrates them" in behind.advice) == ("note", True)
    assert (ahead.verdict, "a newer pm-app" in ahead.advice) == ("fails", True)


def test_a_server_says_which_tables_this_user_may_not_write(postgresql, tmp_path):
    import psycopg

    from pm_app.store import open_store

    url = postgresql("pm_app_rights")
    open_store(url).close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS narrow")
        connection.execute("CREATE ROLE narrow LOGIN")
        connection.execute("GRANT USAGE ON SCHEMA public TO narrow")
        connection.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO narrow")
        connection.execute("REVOKE INSERT ON audit, users FROM narrow")
    narrow = facts_module.database_facts(url.replace("postgres@", "narrow@"))
    wide = facts_module.database_facts(url)

    assert narrow.denied == "this user may not read and write audit, users"
    assert wide.denied == "" and wide.version.startswith("PostgreSQL") and wide.size_bytes > 0
    assert wide.revision == wide.newest


def test_failures_are_counted_by_mode(lived):
    settings = read_settings(lived)
    (found,) = check_modes(settings, ReadingsSurvey())

    assert found.text == "one mode alone: failures of seal 6" or "too few" in found.text
    assert "6" in found.text


def test_sensors_called_like_an_outcome_are_suspects(lived):
    names = ("vibration", "RUL", "days_to_failure", "Default voltage", "bearing_fault")
    survey = ReadingsSurvey(sensors={name: SensorSurvey() for name in names})

    first, *_ = check_leakage(read_settings(lived), survey)

    assert first.text == "called like an outcome: 'RUL', 'bearing_fault', 'days_to_failure'"
    assert "readings.ignore" in first.advice


def test_the_load_goes_by_the_files_that_were_looked_at(lived):
    settings, survey = read_settings(lived), ReadingsSurvey()
    list(check_readings(settings, survey))
    survey.seconds = survey.rows * 1e-6

    (found,) = check_load(settings, survey)

    # Three pumps, a row every ten minutes.
    assert found.verdict == "ok" and found.text.startswith("about ")
    survey.seconds = survey.rows * 1e3
    assert [each.verdict for each in check_load(settings, survey)] == ["note"]
