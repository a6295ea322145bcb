"""Story of a bad night: one thing after the other fails, every place tells it, nothing is lost.

Events stopped a week ago. At 22:00 the historian dies. At 23:00 the disk is full; a file brought
by hand waits until it is mended. At 23:30 the operator's session ends, at 24:00 the database
restarts, at 00:30 the historian is back with what it kept. Each minute the daemon takes its turn,
and an operator asks for every page, the status and the metrics.
"""

import asyncio
import errno
import re
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import httpx
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from browsing import resources
from databases import crash, recover
from factories import (
    ALARMING_TOML,
    drop,
    events_table,
    hour,
    make_plant,
    opened,
    promote_handmade,
    readings_table,
    said,
)
from instants import listening

from pm_app.cli.run.daemon import watch_plant
from pm_app.daemon.health import Monitor
from pm_app.errors import PmAppError
from pm_app.jobs.operations.notifications import notify
from pm_app.jobs.plant import Plant
from pm_app.jobs.score.run import score
from pm_app.settings.plant import Settings, read_settings
from pm_app.times import Stamp
from pm_app.web.app import make_app
from pm_app.web.timed_cache import TimedCache
from pm_app.wiring import notify_channels, open_plant_shared, open_users, status_of

EVENING, TEN = 30, 38  # 14:00 and 22:00 of the plant's second day, in its hours
LAST_EVENT, ORDERS = TEN - 7 * 24, 60
TABLE = readings_table(hours=TEN + 3, a_pane=12)
TOML = f"""{ALARMING_TOML}
[notifications]
urls = ["json://127.0.0.1:1/"]
again = "never"

[web]
session = "8h"
"""
PASSWORD = "correct horse battery"
PAGES = ("/fleet", "/assets/pump-00", "/alarms", "/models", "/data")
# Minutes after 22:00; the session that begins with the shift is over at ENDED.
SIGN_IN = -390
HAPPENINGS = FULL, BY_HAND, MENDED, ENDED, SIGNED_IN, RESTART, RECOVERED, BACK, END = (
    *(60, 65, 80),
    *(90, 105),
    *(120, 123),
    *(150, 162),
)
PATIENCE_SECONDS = 600.0


class Inbox:
    """Keeps what the plant sends."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def message(self, address: str, title: str, body: str) -> None:
        """Fulfils `Sender`."""
        self.messages.append(f"{title}: {body}")

    def document(self, address: str, content: str) -> None:
        """Fulfils `Sender`."""


class Browser:
    """A browser at a server that runs on: its cookies stay, and so does what the server holds."""

    def __init__(self, app) -> None:
        self._runner = asyncio.Runner()
        self._life = app.router.lifespan_context(app)
        self._runner.run(self._life.__aenter__())
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 9))
        self._client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    def ask(self, method: str, address: str, **more) -> httpx.Response:
        """The answer; a redirect is one."""
        return self._runner.run(self._client.request(method, address, **more))

    def close(self) -> None:
        """End browser and server."""
        self._runner.run(self._client.aclose())
        self._runner.run(self._life.__aexit__(None, None, None))
        self._runner.close()


@dataclass(frozen=True)
class Minute:
    """What was to be seen in one minute.

    score: how it ended. waiting: files of readings not read yet. pages: answer and text of each.
    metrics: value by name and labels, none where none came.
    """

    score: str
    troubles: str
    waiting: int | None
    pages: dict[str, tuple[int, str]]
    metrics: dict[str, float]
    messages: list[str]

    def everywhere(self, words: str) -> bool:
        """Whether the status and every page say this."""
        texts = [text for _, text in self._looked_at().values()]
        return words in self.troubles and all(words in text for text in texts)

    def nowhere(self, words: str) -> bool:
        """Whether neither the status nor any page says this, but for what alarms there were."""
        texts = [text for page, (_, text) in self._looked_at().items() if page != "/alarms"]
        return words not in self.troubles and all(words not in text for text in texts)

    def answers(self) -> set[int]:
        """How the pages answer."""
        return {status for status, _ in self._looked_at().values()}

    def _looked_at(self) -> dict[str, tuple[int, str]]:
        assert self.pages, "in this minute no page was looked at: nothing could fail"
        return self.pages


@dataclass
class Night:
    """A plant, its clock, its daemon's turns, and an operator at its pages."""

    plant: Plant
    token: str
    patch: pytest.MonkeyPatch
    now: datetime = hour(EVENING)
    full: bool = False
    inbox: Inbox = field(default_factory=Inbox)
    minutes: dict[int, Minute] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.patch.setattr("pm_app.web.context.read_clock", self.stamp)
        # A minute of the night passes in less than what pages keep for a moment.
        self.patch.setattr("pm_app.web.context.TimedCache", lambda *_: TimedCache(0.0))
        self.monitor = Monitor(self.settings.state, clock=self.stamp)
        for job in ("score", "watch", "notify"):
            self.monitor.expect(job, lambda: PATIENCE_SECONDS)
        self.looked = Event()
        self.looked.set()
        ways = resources(self.settings, change=True)
        app = make_app(self.settings, ways, now=lambda: self.now)
        self.browser = Browser(app)

    @property
    def settings(self) -> Settings:
        """Of the plant."""
        return self.plant.settings

    def stamp(self) -> Stamp:
        """The night's clock."""
        return Stamp(self.now, "", 0.0)

    def sign_in(self) -> None:
        """The operator comes in."""
        form = {"name": "otto", "password": PASSWORD}
        assert self.browser.ask("POST", "/sign-in", data=form).status_code == 303

    def live(self, minute: int) -> None:
        """One minute: the daemon's turn, then a look at everything."""
        before = len(self.inbox.messages)
        outcome = self.turn(minute)
        looks = minute % 5 == 0 or any(abs(minute - at) <= 2 for at in HAPPENINGS)
        pages = {page: self._page(page) for page in PAGES if looks}
        status = status_of(self.settings, now=self.stamp())
        waiting = None if status.backlog is None else status.backlog.unread_readings
        asked = self.browser.ask(
            "GET", "/metrics", headers={"authorization": f"Bearer {self.token}"}
        )
        figures = _figures(asked.text) if asked.status_code == 200 else {}
        sent = self.inbox.messages[before:]
        troubles = "\n".join(status.troubles)
        self.minutes[minute] = Minute(outcome, troubles, waiting, pages, figures, sent)

    def turn(self, minute: int) -> str:
        """The daemon's turn so many minutes after 22:00; how scoring ended."""
        self.now = hour(TEN) + timedelta(minutes=minute)
        with listening(_refuse_to_write) if self.full else nullcontext():
            outcome = self._run("score", lambda plant: score(plant, now=self.now))
            self._run("watch", lambda plant: watch_plant(plant, self.looked, self.now))
            self._run("notify", self._notify)
        return outcome

    def _notify(self, plant: Plant) -> None:
        channels = notify_channels(self.settings)
        notify(plant.store, self.settings, channels, self.inbox, now=self.now)

    def _run(self, job: str, run: Callable[[Plant], object]) -> str:
        """A job at its turn, noted as the daemon's loop notes it."""
        self.monitor.began(job)
        try:
            run(self.plant)
            words, failed = "done", False
        except PmAppError as error:
            words, failed = str(error), True
        self.monitor.ended(job, words, failed=failed)
        return words

    def _page(self, page: str) -> tuple[int, str]:
        answer = self.browser.ask("GET", page)
        return answer.status_code, re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))

    def between(self, first: int, last: int) -> list[Minute]:
        """What was seen from one minute to before another, where all pages were looked at."""
        found = [self.minutes[minute] for minute in range(first, last)]
        return [minute for minute in found if minute.pages]


def _refuse_to_write(instant) -> None:
    if instant.step in ("write", "make file", "make folder"):
        raise OSError(errno.ENOSPC, "No space left on device")


def _figures(text: str) -> dict[str, float]:
    lines = [line.rpartition(" ") for line in text.splitlines() if line and line[0] != "#"]
    return {name: float(value) for name, _, value in lines}


def part(first: float, last: float) -> pa.Table:
    """Readings between two hours of the plant."""
    kind = TABLE.schema.field("timestamp").type
    begins, ends = (pa.scalar(hour(at), kind) for at in (first, last))
    times = TABLE["timestamp"]
    return TABLE.filter(pc.and_(pc.greater_equal(times, begins), pc.less(times, ends)))


def deliver(config: Path, minute: int) -> None:
    """What the historian writes at this minute: the ten minutes before."""
    last = TEN + minute / 60
    drop(config, f"{minute + 1000:05d}.parquet", part(last - 1 / 6, last))


@pytest.fixture(scope="module")
def night(tmp_path_factory, postgresql_copies, postgresql_server):
    """The night, lived through once."""
    store = f'\n[store]\nurl = "{postgresql_copies()}"\n'
    config = make_plant(tmp_path_factory.mktemp("night"), toml=TOML + store)
    drop(config, "past.parquet", part(0, EVENING))
    orders = [("pump-00", LAST_EVENT - 6 * at, "maintenance", "seal") for at in range(ORDERS)]
    drop(config, "orders.parquet", events_table(orders), source="events")
    settings = read_settings(config)
    with opened(config) as plant:
        promote_handmade(plant, at=hour(0))
    with open_users(settings) as users:
        users.users.add("otto", PASSWORD, role="operator", at=hour(0), actor="root")
        token = users.users.add_token("prometheus", role="viewer", at=hour(0), actor="root")
    with ExitStack() as stack:
        plant = stack.enter_context(open_plant_shared(settings))
        lived = Night(plant, token, stack.enter_context(pytest.MonkeyPatch.context()))
        for minute in range(-60 * (TEN - EVENING) + 10, 1, 10):
            deliver(config, minute)
            lived.turn(minute)
            if minute == SIGN_IN:
                lived.sign_in()
        _live_through(lived, config, postgresql_server)
        yield lived
        lived.browser.close()


def _live_through(night: Night, config: Path, server) -> None:
    happenings = {
        BY_HAND: lambda: drop(config, "by hand.parquet", part(TEN, TEN + 1)),
        SIGNED_IN: night.sign_in,
        RESTART: lambda: crash(server),
        RECOVERED: lambda: recover(server),
        BACK: lambda: [deliver(config, minute) for minute in range(FULL + 10, BACK + 1, 10)],
        BACK + 10: lambda: deliver(config, BACK + 10),
    }
    for minute in range(1, END):
        night.full = FULL <= minute < MENDED
        happenings.get(minute, lambda: None)()
        night.live(minute)


def test_events_that_stopped_a_week_ago_are_told_all_night(night):
    for minute in (5, 45, 89, SIGNED_IN, RECOVERED, END - 1):
        seen = night.minutes[minute]
        assert seen.everywhere("no event since 2023-08-08 22:00 UTC")
        assert seen.metrics['pm_app_feed_overdue{feed="events"}'] == 1
        assert seen.metrics["pm_app_up"] == 0


def test_the_dead_historian_is_told_within_half_an_hour_and_no_longer_when_it_is_back(night):
    words = "no reading since 2023-08-15 21:5"
    first = next(minute for minute in range(1, FULL) if words in night.minutes[minute].troubles)

    assert 20 <= first <= 30
    assert all(seen.nowhere("no reading since") for seen in night.between(1, first))
    assert all(seen.everywhere(words) for seen in night.between(first, FULL))
    age = night.minutes[50].metrics['pm_app_feed_age_seconds{feed="readings"}']
    assert age == pytest.approx(55 * 60, abs=300)
    assert sum("no reading since" in each for each in night.minutes[first].messages) == 1
    after = night.between(BACK, END)
    assert all(seen.nowhere("no reading since") for seen in after)
    assert {seen.metrics['pm_app_feed_overdue{feed="readings"}'] for seen in after} == {0}


def test_the_full_disk_is_told_and_the_file_waits_for_it(night):
    for seen in night.between(BY_HAND, MENDED):
        assert "No space left on device" in seen.score
        assert seen.waiting == 1
    # Health cannot be written either: it grows old, and is told so.
    assert night.minutes[MENDED - 1].everywhere("score: nothing finished for")
    assert night.minutes[MENDED].score == "done"
    assert all(seen.nowhere("nothing finished") for seen in night.between(MENDED, ENDED))
    assert night.minutes[MENDED].waiting == 0


def test_an_ended_session_leads_to_the_sign_in_page_and_keeps_nobody_else_out(night):
    for seen in night.between(ENDED, SIGNED_IN):
        assert seen.answers() == {303}
        assert seen.metrics and seen.score == "done"
    assert night.minutes[SIGNED_IN].answers() == {200}


def test_a_restart_of_the_database_is_told_and_ends_by_itself(night):
    for seen in night.between(RESTART, RECOVERED):
        assert seen.answers() == {503} and seen.metrics == {}
        assert seen.everywhere("connection")
    assert "score: failed 3 times in a row" in night.minutes[RECOVERED - 1].troubles
    mended = night.minutes[RECOVERED]
    assert mended.answers() == {200} and mended.score == "done"
    assert mended.nowhere("failed 3 times in a row")


def test_each_trouble_was_one_message_and_none_came_twice(night):
    words = "\n".join(night.inbox.messages)
    silent = Counter(re.findall(r"no (reading|event|retraining) since", words))

    assert silent == {"reading": 2, "event": 1, "retraining": 1}


def test_nothing_was_lost_and_nothing_said_twice(night, new_plant):
    files = {"all.parquet": part(0, TEN + (BACK + 10) / 60)}
    orders = Path(night.settings.folder) / "events" / "orders.parquet"
    config = new_plant(files, events={"orders.parquet": pa.parquet.read_table(orders)}, toml=TOML)
    without = ["scored_at", "model_version", "revision"]
    with opened(config) as plant:
        score(plant, now=night.now)
        expected = said(plant.store, without=without)
    assert said(night.plant.store, without=without) == expected != []
    balance = night.plant.store.ledger.balance()
    rows = files["all.parquet"].num_rows + ORDERS
    assert (balance.rows_used, balance.rows_rejected) == (rows, 0)
