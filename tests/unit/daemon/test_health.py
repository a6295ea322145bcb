"""Health: what became of each job, told by the age of finished work on a clock nobody sets."""

import os
import socket
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pm_app.daemon.health import (
    MOST_FAILURES,
    MOST_WORDS,
    Health,
    JobHealth,
    Monitor,
    find_troubles,
    read_health,
)
from pm_app.daemon.loop import notify_supervisor
from pm_app.times import Stamp, read_clock, seconds_between

START = Stamp(datetime(2026, 3, 1, tzinfo=UTC), "boot-1", 1000.0)


def later(seconds, *, wall=None, boot="boot-1"):
    """START so many seconds on, the wall clock perhaps set meanwhile."""
    moment = START.at + timedelta(seconds=seconds if wall is None else wall)
    return Stamp(moment, boot, START.seconds + seconds)


class Hours:
    """A clock that a test moves."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Hours()


@pytest.fixture
def monitor(tmp_path, clock):
    monitor = Monitor(tmp_path, clock=clock)
    monitor.expect("score", lambda: 600.0)
    return monitor


def troubles(folder, now, *, alive=True):
    return find_troubles(read_health(folder), now=now, alive=alive)


def test_the_age_of_finished_work_ignores_a_clock_that_was_set():
    assert seconds_between(START, later(60, wall=-3600)) == 60
    assert seconds_between(START, later(60, wall=+3660)) == 60
    assert seconds_between(START, later(8 * 3600)) == 8 * 3600


def test_across_boots_only_the_wall_clock_tells_and_never_less_than_nothing():
    assert seconds_between(START, later(-900, wall=50, boot="boot-2")) == 50
    assert seconds_between(START, later(5, wall=-50, boot="boot-2")) == 0


def test_the_clock_is_of_this_boot_and_goes_on():
    first, second = read_clock(), read_clock()

    assert first.boot == second.boot
    assert 0 <= seconds_between(first, second) < 60
    assert first.at.tzinfo is UTC


def test_a_job_that_succeeds_is_fine_until_its_patience_is_over(tmp_path, monitor, clock):
    monitor.began("score")
    clock.now = later(3)
    monitor.ended("score", "2 batches read", failed=False)
    (job,) = read_health(tmp_path).jobs

    assert (job.words, job.seconds, job.failures_in_a_row) == ("2 batches read", 3.0, 0)
    assert (job.began, job.ended, job.succeeded) == (START, later(3), later(3))
    assert troubles(tmp_path, later(603)) == []
    assert troubles(tmp_path, later(604)) == ["score: nothing finished for 10 min, at most 10 min"]


def test_a_job_that_fails_at_every_turn_is_not_alive(tmp_path, monitor, clock):
    for number in range(1, MOST_FAILURES + 1):
        assert troubles(tmp_path, clock.now) == []
        clock.now = later(30 * number)
        monitor.ended("score", "the disk is full", failed=True)

    (told,) = troubles(tmp_path, clock.now)
    assert told == "score: failed 3 times in a row: the disk is full"
    assert len(troubles(tmp_path, later(3600))) == 2

    monitor.ended("score", "fine", failed=False)
    assert troubles(tmp_path, clock.now) == []


def test_a_long_run_that_gets_on_is_fine_and_one_that_does_not_is_told(tmp_path, monitor, clock):
    monitor.began("score")
    for minutes in range(1, 100):
        clock.now = later(60 * minutes)
        monitor.note_progress("score")
        assert troubles(tmp_path, clock.now) == []

    assert troubles(tmp_path, later(99 * 60 + 601)) != []


def test_a_daemon_that_has_just_started_is_given_the_time_its_jobs_have(tmp_path, monitor):
    assert troubles(tmp_path, later(600)) == []
    assert len(troubles(tmp_path, later(601))) == 1


def test_a_daemon_that_falls_and_is_started_again_and_again_does_not_look_fine(tmp_path, clock):
    for minutes in range(0, 20, 5):
        clock.now = later(60 * minutes)
        Monitor(tmp_path, clock=clock).expect("score", lambda: 600.0)

    assert len(troubles(tmp_path, clock.now)) == 1


def test_a_daemon_started_after_a_stop_begins_anew_but_remembers(tmp_path, monitor, clock):
    monitor.ended("score", "fine", failed=False)
    monitor.stop()
    assert troubles(tmp_path, START) == ["the daemon was stopped: pm-app run starts it"]

    clock.now = later(5000)
    Monitor(tmp_path, clock=clock).expect("score", lambda: 600.0)
    (job,) = read_health(tmp_path).jobs

    assert job.succeeded == START
    assert troubles(tmp_path, later(5600)) == []


def test_what_the_daemon_waits_for_is_told_until_it_has_come(tmp_path, monitor):
    monitor.wait_for("the server does not answer")
    assert troubles(tmp_path, START) == ["waiting: the server does not answer"]

    monitor.wait_for("")
    assert troubles(tmp_path, START) == []


@pytest.mark.parametrize("content", [None, b"", b"{}", b"\xff", b'{"process": 1'])
def test_no_health_and_a_damaged_one_are_told_alike(tmp_path, content):
    if content is not None:
        (tmp_path / "health.json").write_bytes(content)

    assert read_health(tmp_path) is None
    assert "no daemon has run here yet" in troubles(tmp_path, START)[0]


def test_a_daemon_that_was_killed_is_told_by_its_process(tmp_path, monitor):
    (told,) = troubles(tmp_path, START, alive=False)

    assert told == f"the daemon is gone: process {os.getpid()} has ended without being asked to"


def test_the_file_is_closed_to_strangers_and_short_whatever_a_job_says(tmp_path, monitor):
    monitor.ended("score", "x" * 1_000_000, failed=True)
    path = tmp_path / "health.json"

    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert len(read_health(tmp_path).jobs[0].words) == MOST_WORDS
    assert [each.name for each in tmp_path.iterdir()] == ["health.json"]


def test_a_disk_that_takes_no_file_stops_no_job(tmp_path, monitor, caplog):
    (tmp_path / ".health.json.tmp").mkdir()

    monitor.ended("score", "fine", failed=False)

    assert "health cannot be told" in caplog.text
    assert read_health(tmp_path).jobs[0].words == ""


def test_endless_patience_can_be_written(tmp_path, monitor):
    monitor.expect("retrain", lambda: float("inf"))

    assert read_health(tmp_path).jobs[-1].expected_seconds == 1e9


def test_a_supervisor_that_listens_hears_and_none_is_no_error(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "ear"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "ear"))
        notify_supervisor("READY=1", "STATUS=fine")

        assert ear.recv(100) == b"READY=1\nSTATUS=fine"
    for address in (str(tmp_path / "nobody"), "", "nowhere"):
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify_supervisor("READY=1")


def test_a_supervisor_may_listen_at_an_abstract_name(monkeypatch):
    name = f"pm-app-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind("\0" + name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notify_supervisor("WATCHDOG=1")

        assert ear.recv(100) == b"WATCHDOG=1"


def test_health_comes_back_as_it_was_written(tmp_path, monitor):
    expected = replace(monitor.health)

    assert read_health(tmp_path) == expected
    assert isinstance(expected, Health)
    assert isinstance(expected.jobs[0], JobHealth)
