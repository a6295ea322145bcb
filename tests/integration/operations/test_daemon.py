"""The daemon: what runs when, what a failure does, and how it stops."""

import logging
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from factories import PLANT_TOML, drop, opened, promote_handmade, readings_table, said

from pm_app.daemon.health import Monitor, read_health
from pm_app.daemon.loop import DaemonJobs, Job, patience_seconds, run_daemon, wait_for_store
from pm_app.errors import BadSettings, StoreUnavailable
from pm_app.jobs.score.run import score
from pm_app.settings.plant import parse_settings

SECONDS = 20.0  # far more than anything here takes
SELDOM = PLANT_TOML + '\n[retraining]\ncron = "0 0 1 1 *"\n[scoring]\nevery = "0.1s"\n'


def make_settings(*, cron="0 2 * * *", timezone="UTC", every="0.02s", tmp="."):
    tables = {
        "plant": {"timezone": timezone},
        "scoring": {"every": every},
        "retraining": {"cron": cron},
    }
    return parse_settings(tables, folder=tmp, origin="plant.toml")


@pytest.fixture(autouse=True)
def signals():
    """The daemon takes the signals; they are given back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Script:
    """A job that does the next of some steps at each run, and stops the daemon after the last."""

    def __init__(self, stop, *steps):
        self.stop, self.steps, self.runs = stop, list(steps), 0

    def __call__(self, now):
        step = self.steps[min(self.runs, len(self.steps) - 1)]
        self.runs += 1
        if self.runs >= len(self.steps):
            self.stop.set()
        if isinstance(step, Exception):
            raise step
        return step


def nothing(now):
    return ""


@pytest.fixture
def run(tmp_path):
    """Runs the daemon on jobs of a test's own; its health lies in tmp_path."""

    def run(stop, score, retrain=nothing, *, last=None, settings=None, **options):
        return run_daemon(
            settings or make_settings(cron="0 0 1 1 *"),
            DaemonJobs(
                score=score if isinstance(score, Job) else Job("score", score),
                retrain=Job("retrain", retrain),
                last_retraining=last or datetime.now(tz=UTC),
            ),
            stop=stop,
            monitor=Monitor(tmp_path),
            **options,
        )

    return run


def test_an_exception_in_a_job_does_not_stop_the_next_run(run, caplog):
    stop = threading.Event()
    score = Script(stop, "fine", KeyError("torn"), ZeroDivisionError("odd"), "fine again")

    with caplog.at_level(logging.INFO, logger="pm_app"):
        code = run(stop, score)

    assert (code, score.runs) == (0, 4)
    assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == [
        "score failed"
    ] * 2
    assert "score: fine again" in caplog.messages


def test_what_may_succeed_later_is_tried_again_without_a_traceback(run, caplog):
    stop = threading.Event()
    score = Script(stop, StoreUnavailable("the database is locked"), "fine")

    with caplog.at_level(logging.INFO, logger="pm_app"):
        run(stop, score)

    (warning,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert warning.getMessage() == "score: will try again: the database is locked"
    assert warning.exc_info is None
    assert "score: fine" in caplog.messages


def test_a_retraining_missed_while_it_was_off_runs_once_at_the_start(run):
    stop, trained = threading.Event(), []
    settings = make_settings()

    def retrain(now):
        trained.append(now)
        stop.set()
        return "kept"

    run(
        stop,
        lambda now: "",
        retrain,
        last=datetime.now(tz=UTC) - timedelta(days=9),
        settings=settings,
    )

    assert len(trained) == 1


def test_a_retraining_that_is_not_due_does_not_run_at_the_start(run):
    stop, trained = threading.Event(), []

    code = run(stop, Script(stop, *["fine"] * 5), trained.append)

    assert (code, trained) == (0, [])


def test_scoring_goes_on_while_a_training_takes_its_time(run):
    stop, training, enough = threading.Event(), threading.Event(), threading.Event()
    during = []

    def score(now):
        if training.is_set():
            during.append(now)
            if len(during) == 3:
                enough.set()
        return ""

    def retrain(now):
        training.set()
        assert enough.wait(SECONDS)
        stop.set()
        return "rebuilt"

    code = run(stop, score, retrain, last=datetime(2020, 1, 1, tzinfo=UTC))

    assert code == 0
    assert len(during) >= 3


def test_a_job_that_never_finishes_ends_the_daemon_with_1(run, caplog):
    stop, release = threading.Event(), threading.Event()

    def stuck(now):
        release.wait(SECONDS)
        return "too late"

    code = run(stop, stuck, patience=0.2)
    release.set()

    assert code == 1
    assert stop.is_set()
    assert any("no progress in scoring for 0 s" in text for text in caplog.messages)


def test_a_long_run_that_gets_on_is_not_given_up(run):
    stop = threading.Event()

    def long(now):
        for _ in range(8):
            assert not stop.wait(0.1)
            job.heartbeat.beat()
        stop.set()
        return "done"

    job = Job("score", long)

    assert run(stop, job, patience=0.4) == 0


def test_a_failing_job_is_not_a_stuck_one(run):
    stop = threading.Event()
    score = Script(stop, *[ValueError("again")] * 20, "fine")

    assert run(stop, score, patience=5.0) == 0


def test_the_health_file_tells_what_became_of_each_job(run, tmp_path):
    stop, trained = threading.Event(), threading.Event()
    score = Script(stop, "fine", ValueError("torn"), StoreUnavailable("no answer"), "done", "done")

    def retrain(now):
        trained.set()
        raise StoreUnavailable("the trainer was killed")

    run(stop, score, retrain, last=datetime(2020, 1, 1, tzinfo=UTC))
    assert trained.wait(SECONDS)
    health = read_health(tmp_path)
    scored, learned = sorted(health.jobs, key=lambda job: job.name == "retrain")

    assert health.stopped
    assert (scored.words, scored.failures_in_a_row, scored.busy) == ("done", 0, False)
    assert scored.began.seconds <= scored.ended.seconds == scored.succeeded.seconds
    assert (learned.words, learned.failures_in_a_row) == ("the trainer was killed", 1)
    assert learned.succeeded is None
    assert learned.expected_seconds > 3600


def test_a_scoring_that_fails_at_every_turn_is_told_and_not_taken_for_work(run, tmp_path):
    stop = threading.Event()

    run(stop, Script(stop, *[ValueError("again")] * 6))
    (job,) = (job for job in read_health(tmp_path).jobs if job.name == "score")

    assert (job.failures_in_a_row, job.words) == (6, "ValueError: again")
    assert (job.succeeded, job.worked) == (None, None)


def test_even_what_ends_a_thread_is_no_reason_to_stop_the_others(run, tmp_path, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    stop = threading.Event()
    score = Script(stop, "fine", "fine")

    def run_once(now):
        if score.runs == 1:
            score.runs += 1
            raise SystemExit(3)
        return score(now)

    assert run(stop, run_once) == 0
    assert score.runs >= 2


def test_a_store_that_is_down_at_the_start_is_waited_for_with_growing_pauses(tmp_path, caplog):
    stop, monitor = Pauses(), Monitor(tmp_path)
    answers = [StoreUnavailable("server: no answer")] * 8 + ["a store"]
    told = []

    def open_it():
        told.append(read_health(tmp_path).waiting)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    opened = wait_for_store(open_it, stop=stop, monitor=monitor)

    assert opened == "a store"
    assert stop.pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert told == [""] + ["server: no answer"] * 8
    assert read_health(tmp_path).waiting == ""


def test_who_waits_for_a_store_can_be_asked_to_stop_and_meets_other_errors(tmp_path):
    stop, monitor = Pauses(), Monitor(tmp_path)

    def down():
        stop.set()
        raise StoreUnavailable("no answer")

    def wrong():
        raise BadSettings("store.url must be another")

    with pytest.raises(BadSettings, match="must be another"):
        wait_for_store(wrong, stop=stop, monitor=monitor)
    assert wait_for_store(down, stop=stop, monitor=monitor) is None
    assert len(stop.pauses) == 1


class Pauses(threading.Event):
    """An event that notes for how long it was waited for, and does not wait."""

    def __init__(self):
        super().__init__()
        self.pauses = []

    def wait(self, timeout=None):
        self.pauses.append(timeout)
        return self.is_set()


def test_patience_is_a_multiple_of_the_interval_and_never_under_ten_minutes():
    assert patience_seconds(make_settings(every="30s")) == 600
    assert patience_seconds(make_settings(every="10min")) == 20 * 600


def start(config, code=None):
    """`pm-app run`, or a program that ends in it."""
    words = ["-c", code] if code else ["-m", "pm_app"]
    command = [sys.executable, *words, "run", "-c", str(config)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def read_until(process, text):
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"{text!r} was never said")


@pytest.fixture
def due_next_year(new_plant):
    """A factory of plants whose retraining is far away."""

    def make(files):
        config = new_plant(files, toml=SELDOM, champion=False)
        with opened(config) as plant:
            promote_handmade(plant, at=datetime.now(tz=UTC))
        return config

    return make


@pytest.mark.parametrize("when", ["started: ", "score: "])
def test_a_daemon_that_is_asked_to_stop_leaves_the_table_of_score(due_next_year, when):
    table = readings_table(hours=60)
    files = {f"{at:02d}.parquet": table.slice(25 * at, 25) for at in range(20)}
    config = due_next_year(files)
    with start(config) as process:
        read_until(process, when)
        process.send_signal(signal.SIGTERM)
        _, words = process.communicate(timeout=SECONDS)

    assert process.returncode == 0
    assert "SIGTERM: finishing what is in hand" in words
    assert words.rstrip().endswith("stopped")
    with opened(config) as plant:
        score(plant, now=datetime.now(tz=UTC))
        found = said(plant.store, without=["scored_at"])
    with opened(due_next_year(files)) as plant:
        score(plant, now=datetime.now(tz=UTC))
        assert found == said(plant.store, without=["scored_at"])


def test_a_daemon_scores_what_comes_in_while_it_runs(due_next_year):
    table = readings_table()
    config = due_next_year({"a.parquet": table.slice(0, 100)})
    with start(config) as process:
        read_until(process, "score: 1 batches read")
        drop(config, "b.parquet.tmp", table.slice(100)).rename(
            config.parent / "readings" / "b.parquet"
        )
        assert "0 revised" not in read_until(process, "score: 1 batches read")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)

    assert process.returncode == 0
    with opened(config) as plant:
        found = said(plant.store, without=["scored_at", "revision"])
    with opened(due_next_year({"all.parquet": table})) as plant:
        score(plant, now=datetime.now(tz=UTC))
        assert found == said(plant.store, without=["scored_at", "revision"])


def test_a_daemon_whose_scoring_hangs_ends_as_a_process(due_next_year):
    hanging = (
        "import threading, pm_app.daemon.loop, pm_app.cli.run.daemon, pm_app.cli\n"
        "pm_app.daemon.loop.patience_seconds = lambda settings: 0.5\n"
        "pm_app.cli.run.daemon.score = lambda *_, **__: threading.Event().wait()\n"
        "pm_app.cli.main()"
    )
    with start(due_next_year({}), hanging) as process:
        _, words = process.communicate(timeout=SECONDS)

    assert process.returncode == 1
    assert "no progress in scoring" in words


def test_a_daemon_with_settings_that_cannot_be_used_does_not_start(new_plant):
    config = new_plant(toml=PLANT_TOML + '\n[retraining]\ncron = "0 25 * * *"\n')
    with start(config) as process:
        _, words = process.communicate(timeout=SECONDS)

    assert process.returncode == 2
    assert words.startswith("pm-app: retraining.cron cannot be read")
    assert len(words.splitlines()) == 1


def test_new_files_are_scored_at_once_though_it_is_nobodys_turn(run):
    stop, again = threading.Event(), threading.Event()
    runs = []

    def score(now):
        runs.append(now)
        if len(runs) == 1:
            again.set()
        else:
            stop.set()
        return ""

    @contextmanager
    def watching(ring):
        helper = threading.Thread(target=lambda: again.wait(SECONDS) and ring())
        helper.start()
        yield True
        helper.join()

    settings = make_settings(cron="0 0 1 1 *", every="1h")

    assert run(stop, score, settings=settings, watching=watching) == 0
    assert len(runs) == 2


def test_word_that_comes_while_scoring_is_not_forgotten(run):
    stop, rings = threading.Event(), []
    runs = []

    def score(now):
        runs.append(now)
        if len(runs) < 3:
            rings[0]()
        else:
            stop.set()
        return ""

    @contextmanager
    def watching(ring):
        rings.append(ring)
        yield True

    settings = make_settings(cron="0 0 1 1 *", every="1h")

    assert run(stop, score, settings=settings, watching=watching) == 0
    assert len(runs) == 3


def test_a_dropped_file_is_said_long_before_its_turn(tmp_path, new_plant):
    seldom = SELDOM.replace('every = "0.1s"', 'every = "1h"')
    config = new_plant(toml=seldom)
    drop(config, "a.parquet", readings_table())
    process = subprocess.Popen(
        [sys.executable, "-m", "pm_app", "run", "-c", str(config)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for_line(process, "score: 1 batches read")
        drop(config, "b.parquet", readings_table(first_hour=40, hours=2, seed=1))
        wait_for_line(process, "score: 1 batches read")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
    assert process.returncode == 0


def wait_for_line(process, words):
    """The next line of the log that holds these words."""
    deadline = threading.Timer(SECONDS, process.kill)
    deadline.start()
    try:
        for line in process.stderr:
            if words in line:
                return
    finally:
        deadline.cancel()
    raise AssertionError(f"{words!r} was never logged")
