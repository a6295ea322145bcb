"""Alarms told by real servers on this machine: dead ones, slow ones, and ones that come back."""

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from factories import ALARMING_TOML, NOW, make_plant, opened, promote_handmade, readings_table

from pm_app.daemon.loop import DaemonJobs, Job
from pm_app.errors import SourceUnavailable
from pm_app.jobs.operations.alarms import acknowledge
from pm_app.jobs.operations.notifications import notify
from pm_app.jobs.score.run import score
from pm_app.store import Actor
from pm_app.wiring import notify_channels, notify_due

pytest.importorskip("apprise", reason="messages leave by Apprise: the extra notify")
HOUR = timedelta(hours=1)


@contextmanager
def web_server(port: int = 0, status: int = 200) -> Iterator[tuple[int, list[dict]]]:
    """A server that keeps the JSON it is sent; its port, and what came."""
    came: list[dict] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            came.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], came
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def mail_server() -> Iterator[tuple[int, list[str]]]:
    """A mail server that takes everything; its port, and the mails that came."""
    mails: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 here\r\n")
            for line in self.rfile:
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    mails.append(b"".join(lines).decode())
                elif word == b"QUIT":
                    self.wfile.write(b"221 bye\r\n")
                    return
                self.wfile.write(b"250 fine\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], mails
        finally:
            server.shutdown()
            thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


@pytest.fixture
def plant(tmp_path):
    """A factory of plants with alarms that stand, told to these addresses."""

    def plant(*urls: str, more: str = ""):
        told = f"[notifications]\nurls = {json.dumps(urls)}\n{more}\n"
        toml = ALARMING_TOML + told
        config = make_plant(tmp_path / "plant", {"a.parquet": readings_table()}, toml=toml)
        with opened(config) as live:
            promote_handmade(live)
            score(live, now=NOW)
        return config

    return plant


def standing(live):
    rows = live.store.alarms.alarms(only_open=True)
    return {row.asset_id for row in rows if row.state == "unacknowledged"}


def test_a_dead_server_loses_nothing_and_delays_nobody_else(plant):
    port = free_port()
    with web_server() as (alive, heard):
        config = plant(f"json://127.0.0.1:{port}/", f"json://127.0.0.1:{alive}/")
        with opened(config) as live:
            first = notify_due(live, now=NOW)
            again = notify_due(live, now=NOW + timedelta(seconds=59))
            waiting = live.store.outbox.waiting()

            assert standing(live)
            assert (first.sent, first.failed) == (len(standing(live)),) * 2
            assert (again.sent, again.failed) == (0, 0)
            assert {each.attempts for each in waiting} == {1}
            assert {each.error for each in waiting} == {"json://127.0.0.1 did not take the message"}
            with web_server(port) as (_, late):
                assert notify_due(live, now=NOW + timedelta(minutes=1)).sent == len(standing(live))
                assert notify_due(live, now=NOW + HOUR).sent == 0

    for came in (heard, late):
        (message,) = came
        assert all(asset in message["message"] for asset in standing_of(config))


def standing_of(config):
    with opened(config) as live:
        return standing(live)


def test_pauses_double_up_to_an_hour_and_never_end(plant):
    class Dead:
        def message(self, address, title, body):
            raise SourceUnavailable("nobody there")

    with opened(plant("json://127.0.0.1:9/")) as live:
        at, pauses, channels = NOW, [], notify_channels(live.settings)
        for _ in range(9):
            assert notify(live.store, live.settings, channels, Dead(), now=at).failed
            due = live.store.outbox.waiting()[0].due_at
            pauses.append((due - at).total_seconds() / 60)
            at = due

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_mail_arrives_with_what_a_person_needs(plant):
    with mail_server() as (port, mails):
        config = plant(f"mailto://127.0.0.1:{port}?from=pm@plant.example&to=ann@plant.example")
        with opened(config) as live:
            notify_due(live, now=NOW)
            names = standing(live)

    (mail,) = mails
    assert "ann@plant.example" in mail
    assert all(name in mail for name in names)
    assert "risk" in mail and "within 72 h" in mail


def test_messages_wait_for_quiet_hours_to_end_and_orders_do_not(plant):
    with web_server() as (port, messages), web_server() as (office, orders):
        address = f"http://127.0.0.1:{office}/orders"
        config = plant(
            f"json://127.0.0.1:{port}/",
            more=f'quiet = "00:00-06:00"\nwork_orders = "{address}"',
        )
        with opened(config) as live:
            count = len(standing(live))
            done = notify_due(live, now=NOW)
            assert (done.sent, done.quiet) == (count, count)
            assert messages == [] and len(orders) == count
            assert notify_due(live, now=NOW + 6 * HOUR).sent == count

    assert len(messages) == 1
    assert {order["asset"] for order in orders} == standing_of(config)
    assert len({order["alarm"] for order in orders}) == count


def test_a_work_order_that_is_refused_is_sent_again_and_the_others_not(plant):
    class Refusing:
        """Takes the first document and no other."""

        taken: list[str] = []

        def document(self, address, content):
            if self.taken:
                raise SourceUnavailable("full")
            self.taken.append(content)

    config = plant(more='work_orders = "http://127.0.0.1:9/x"')
    with opened(config) as live:
        channels, sender = notify_channels(live.settings), Refusing()
        count = len(standing(live))
        done = notify(live.store, live.settings, channels, sender, now=NOW)

        assert count > 1 and (done.sent, done.failed) == (1, count - 1)
        assert len(live.store.outbox.waiting()) == count - 1


def test_killed_between_telling_and_noting_it_is_told_again(plant):
    with web_server() as (port, came):
        config = plant(f"json://127.0.0.1:{port}/")
        with opened(config) as live:
            broken = live.store.outbox.mark_sent
            try:
                object.__setattr__(live.store.outbox, "mark_sent", _die)
                with pytest.raises(KeyboardInterrupt):
                    notify_due(live, now=NOW)
            finally:
                object.__setattr__(live.store.outbox, "mark_sent", broken)
            assert notify_due(live, now=NOW).sent

    assert len(came) == 2


def _die(*_, **__):
    raise KeyboardInterrupt


def test_what_nobody_acknowledges_is_told_again_until_somebody_does(plant):
    with web_server() as (port, came):
        config = plant(f"json://127.0.0.1:{port}/", more='again = "2h"')
        with opened(config) as live:
            for hours in (0, 1, 2, 3, 4):
                notify_due(live, now=NOW + hours * HOUR)
            for row in live.store.alarms.alarms(only_open=True):
                if row.state == "unacknowledged":
                    acknowledge(live.store, row.id, at=NOW, actor=Actor("ann"))
            notify_due(live, now=NOW + 6 * HOUR)

    assert len(came) == 3


def test_news_for_an_address_that_is_gone_from_the_settings_does_not_wait(plant):
    config = plant(f"json://127.0.0.1:{free_port()}/")
    config.write_text(config.read_text().replace("json://127.0.0.1", "json://127.0.0.2"))
    with opened(config) as live:
        assert notify_due(live, now=NOW).failed == 0
        assert live.store.outbox.waiting() == []


def test_the_commands_show_try_and_send(plant, pm_app):
    with web_server() as (port, came):
        config = plant(f"json://user:secret@127.0.0.1:{port}/")
        code, out, err = pm_app("notifications", "-c", config, "--json")
        assert code == 0 and json.loads(out)
        assert pm_app("notifications", "-c", config, "--test")[0] == 0
        assert pm_app("notifications", "-c", config, "--send")[0] == 0
        assert json.loads(pm_app("notifications", "-c", config, "--json")[1]) == []
    assert [message["title"] for message in came][0] == "Pumps: a test"
    assert len(came) == 2

    code, out, err = pm_app("notifications", "-c", config, "--test")
    assert code == 1 and "did not take" in out
    assert "secret" not in out + err


def test_addresses_in_the_environment_take_the_place_of_those_in_the_file(plant, monkeypatch):
    config = plant("json://127.0.0.1:1/")
    with opened(config) as live:
        before = notify_channels(live.settings)
        monkeypatch.setenv("PM_APP_NOTIFY_URLS", "json://127.0.0.1:2/ json://127.0.0.1:3/")
        after = notify_channels(live.settings)

    assert list(before.values()) == ["json://127.0.0.1:1/"]
    assert list(after.values()) == ["json://127.0.0.1:2/", "json://127.0.0.1:3/"]
    assert not set(before) & set(after)


def test_a_job_of_the_daemon_tells_while_scoring_goes_on(tmp_path):
    from test_daemon import make_settings

    from pm_app.daemon.health import Monitor
    from pm_app.daemon.loop import run_daemon

    stop, told = threading.Event(), []

    def tell(now):
        told.append(now)
        stop.set()
        return "1 alarms told"

    run_daemon(
        make_settings(cron="0 0 1 1 *"),
        DaemonJobs(
            score=Job("score", lambda now: "scored"),
            retrain=Job("retrain", lambda now: ""),
            notify=Job("notify", tell),
            last_retraining=NOW.replace(year=2199),
        ),
        stop=stop,
        monitor=(monitor := Monitor(tmp_path)),
    )

    assert len(told) == 1
    (job,) = [job for job in monitor.health.jobs if job.name == "notify"]
    assert job.words == "1 alarms told" and job.failures_in_a_row == 0
