"""Servers that answer oddly hold up nobody, and secrets of addresses are shown nowhere."""

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta

import pytest
from browsing import ask, open_to_all, resources
from factories import NOW, opened
from test_daemon import make_settings
from test_notifications import free_port, plant, standing, web_server

from connectors.notifications import Carrier
from pm_app.cli.run.daemon import _notify
from pm_app.daemon.health import Monitor
from pm_app.daemon.loop import DaemonJobs, Job, run_daemon
from pm_app.errors import BadSettings, SourceUnavailable, TransientError
from pm_app.jobs.operations.notifications import notify
from pm_app.settings.plant import read_settings
from pm_app.web.app import make_app
from pm_app.web.pages.table import PAGES
from pm_app.wiring import notify_channels

__all__ = ["plant"]
PATIENT = Carrier()
# How long a slow server of these tests goes on: longer than anyone may wait for it.
SLOW_SECONDS = 7


class Impatient(Carrier):
    """Gives work orders little time, and counts them."""

    orders = 0

    def document(self, address, content):
        type(self).orders += 1
        Carrier(timeout_seconds=1.5).document(address, content)


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[tuple[int, list[bytes]]]:
    """A server that gives every connection this answer; its port, and the requests that came."""
    came: list[bytes] = []
    door = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with closing(connection):
            try:
                came.append(_request(connection))
                answer(connection)
            except OSError:
                return

    def serve() -> None:
        while True:
            try:
                connection, _ = door.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield door.getsockname()[1], came
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join()


def _request(connection: socket.socket) -> bytes:
    """Head and body of a request, as many bytes as it says."""
    with connection.makefile("rb") as file:
        head = list(iter(file.readline, b"\r\n"))
        lengths = [line for line in head if line.lower().startswith(b"content-length")]
        body = file.read(int(lengths[0].split(b":")[1])) if lengths else b""
        return b"".join(head) + b"\r\n" + body


def says(text: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(text)


def redirects(status: int, target: str) -> Callable[[socket.socket], None]:
    return says(f"HTTP/1.1 {status} X\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode())


def byte_by_byte(connection: socket.socket) -> None:
    """An answer that never stands still for long and comes to no end."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * (10 * SLOW_SECONDS):
        connection.sendall(bytes([byte]))
        threading.Event().wait(0.1)


NO_HTTP = [
    says(b"SSH-2.0-OpenSSH_9.2\r\n"),
    says(b""),
    says(b"HTTP/1.1 200 OK\r\n" + b"a" * 70_000),
]


@pytest.mark.parametrize("answer", NO_HTTP, ids=["other protocol", "nothing", "endless head"])
def test_what_is_no_http_is_an_answer_like_others(answer):
    with server(answer) as (port, _), pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1"):
        PATIENT.document(f"http://127.0.0.1:{port}/orders", "{}")


@pytest.mark.parametrize("kind", ["work order", "message"])
def test_an_answer_that_comes_byte_by_byte_ends_with_the_time_for_all_of_it(kind):
    carrier = Carrier(timeout_seconds=1.5)
    with server(byte_by_byte) as (port, _):
        begun = time.monotonic()
        with pytest.raises(SourceUnavailable, match=r"within 1\.5 s"):
            if kind == "message":
                carrier.message(f"json://127.0.0.1:{port}/", "title", "body")
            else:
                carrier.document(f"http://127.0.0.1:{port}/", "{}")

        assert time.monotonic() - begun < SLOW_SECONDS / 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_an_error_and_no_delivery(status):
    with ExitStack() as served:
        port, came = served.enter_context(web_server())
        target = redirects(status, f"http://127.0.0.1:{port}/orders")
        office, _ = served.enter_context(server(target))
        with pytest.raises(TransientError, match=f"answered {status}, a redirect to http"):
            PATIENT.document(f"http://127.0.0.1:{office}/orders", "{}")

    assert came == []


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_loses_the_document_is_an_error_on_the_same_host_too(status):
    lost = pytest.raises(TransientError, match=f"answered {status}, a redirect that would lose")
    with server(redirects(status, "/elsewhere")) as (port, came), lost:
        PATIENT.document(f"http://127.0.0.1:{port}/orders", "{}")

    assert len(came) == 1


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_of_the_same_request_to_the_same_host_is_followed(status):
    def answer(connection: socket.socket) -> None:
        moved, done = (
            redirects(status, "/new"),
            says(b"HTTP/1.1 201 Y\r\nContent-Length: 0\r\n\r\n"),
        )
        (moved if len(came) == 1 else done)(connection)

    with server(answer) as (port, came):
        PATIENT.document(f"http://ann:pass@127.0.0.1:{port}/old", '{"order": 7}')

    second = came[1].decode()
    assert second.startswith("POST /new ") and second.endswith('\r\n{"order": 7}')
    assert "authorization: basic yw5uonbhc3m=" in second.lower()


def test_a_message_that_is_redirected_is_not_delivered():
    refused = pytest.raises(SourceUnavailable, match="did not take")
    with server(redirects(302, "/elsewhere")) as (port, came), refused:
        PATIENT.message(f"json://127.0.0.1:{port}/?redirect=yes", "title", "body")

    assert len(came) == 1


@pytest.mark.parametrize("answer", [byte_by_byte, NO_HTTP[0], redirects(302, "/")])
def test_a_work_order_server_that_answers_oddly_delays_no_message(plant, answer):
    with server(answer) as (office, _), web_server() as (port, messages):
        orders = f'work_orders = "http://127.0.0.1:{office}/"'
        config = plant(f"json://127.0.0.1:{port}/", more=orders)
        with opened(config) as live:
            # The order is tried first, and comes first to its end in the outbox as well.
            channels = dict(reversed(notify_channels(live.settings).items()))
            done = notify(live.store, live.settings, channels, Impatient(), now=NOW)
            waiting = live.store.outbox.waiting()

            assert done.sent == done.failed == len(standing(live)) == len(waiting)
    assert len(messages) == 1


def test_channels_are_told_at_the_same_time(plant):
    """Every sending waits for all the others to have begun."""
    met = threading.Barrier(3, timeout=20)

    class Meeting:
        def message(self, address, title, body):
            met.wait()

        def document(self, address, content):
            if orders.append(content) or len(orders) == 1:
                met.wait()

    orders = []
    config = plant("json://127.0.0.1:1/", "json://127.0.0.1:2/", more='work_orders = "http://h/"')
    with opened(config) as live:
        channels = notify_channels(live.settings)
        done = notify(live.store, live.settings, channels, Meeting(), now=NOW)

        assert done.failed == 0 and live.store.outbox.waiting() == []


def test_an_order_that_is_refused_does_not_keep_back_the_next(plant):
    class Picky:
        def __init__(self):
            self.asked = 0

        def document(self, address, content):
            self.asked += 1
            if self.asked == 1:
                raise TransientError("http://h answered 422")

    with opened(plant(more='work_orders = "http://h/"')) as live:
        count = len(standing(live))
        done = notify(live.store, live.settings, notify_channels(live.settings), Picky(), now=NOW)

        assert count > 1 and (done.sent, done.failed) == (count - 1, 1)


SECRET = "s3cr3t"
ADDRESSES = [
    "json://s3cr3t:s3cr3t@127.0.0.1:{port}/hook/s3cr3t?token=s3cr3t",
    "pushbullet://o.s3cr3t",
]
ORDERS = "http://s3cr3t:s3cr3t@127.0.0.1:{port}/orders/s3cr3t?token=s3cr3t"


def test_secrets_of_addresses_are_in_no_output_and_no_file(plant, pm_app, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("NO_PROXY", "*")
    dead = free_port()
    urls = [url.format(port=dead) for url in ADDRESSES]
    config = plant(*urls, more=f'work_orders = "{ORDERS.format(port=dead)}"')
    outputs = [_daemon_round(config)]
    for words in (
        ["notifications"],
        ["notifications", "--json"],
        ["notifications", "--test"],
        ["status"],
        ["status", "--json"],
        ["check"],
        ["alarms", "--json"],
    ):
        outputs += pm_app(*words, "-c", config)[1:]
    settings = open_to_all(read_settings(config))
    app = make_app(settings, resources(settings), now=lambda: NOW)
    api = json.loads(ask(app, "/api/v1/openapi.json").text)["paths"]
    paths = [page.path for page in PAGES] + [path for path in api if "{" not in path]
    outputs += [ask(app, path).text for path in ["/metrics", *paths]]
    for file in config.parent.rglob("*"):
        if file.is_file() and file != config:
            outputs.append(file.read_bytes().decode("latin-1"))

    assert len(paths) > 8 and len(outputs) > 30
    # What failed is told, each by what may be shown of it.
    assert "json://127.0.0.1 did not take" in "".join(outputs)
    assert "http://127.0.0.1: " in "".join(outputs)
    assert [text for text in [*outputs, caplog.text] if SECRET in text] == []


def _daemon_round(config) -> str:
    """What the daemon's job of notifications leaves in its health, one round of it done."""
    with opened(config) as live, ExitStack() as ended:
        stop = threading.Event()

        def round_of_it(now):
            ended.callback(stop.set)
            try:
                return _notify(live, NOW)
            finally:
                stop.set()

        monitor = Monitor(live.settings.state)
        jobs = DaemonJobs(
            score=Job("score", lambda now: "scored"),
            retrain=Job("retrain", lambda now: ""),
            notify=Job("notify", round_of_it),
            last_retraining=NOW.replace(year=2199),
        )
        run_daemon(make_settings(cron="0 0 1 1 *"), jobs, stop=stop, monitor=monitor)
        return str(monitor.health)


@pytest.mark.parametrize(
    "toml",
    [
        '[notifications]\nurls = "slack://s3cr3t/s3cr3t"',
        '[notifications]\nurls = [["s3cr3t"]]',
        '[notifications]\nwork_orders = ["https://h/s3cr3t"]',
        '[notifications]\nwork_orders = "https://h:s3cr3t/"',
        '[notifications]\nwork_orders = "s3cr3t"',
        'notifications = "slack://s3cr3t/s3cr3t"',
        '[alarms]\nthreshold = "slack://s3cr3t/s3cr3t"',
        '[plant]\nname = ["https://hooks.example.com/s3cr3t?s3cr3t"]',
        '[readings]\nuri = ["s3://bob:s3cr3t@bucket/x?s3cr3t"]',
        '[store]\nurl = ["s3cr3t"]',
        'store = "postgresql://bob:s3cr3t@host/db"',
    ],
)
def test_settings_that_are_refused_show_no_secret(tmp_path, toml):
    (tmp_path / "plant.toml").write_text(toml)

    with pytest.raises(BadSettings) as refused:
        read_settings(tmp_path / "plant.toml")

    assert SECRET not in str(refused.value)


def test_an_order_of_a_secret_address_arrives_with_its_key():
    with server(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as (port, came):
        PATIENT.document(f"http://bob:s%403cret@127.0.0.1:{port}/", json.dumps({"a": 1}))

    assert b"Basic Ym9iOnNAM2NyZXQ=" in came[0]


def test_what_was_answered_slowly_is_sent_again_after_its_pause(plant, monkeypatch):
    monkeypatch.setattr(Impatient, "orders", 0)
    with server(byte_by_byte) as (port, _):
        config = plant(more=f'work_orders = "http://127.0.0.1:{port}/"')
        with opened(config) as live:
            channels = notify_channels(live.settings)
            for minutes in (0, 0.5, 1):
                at = NOW + timedelta(minutes=minutes)
                notify(live.store, live.settings, channels, Impatient(), now=at)

    assert Impatient.orders == 2
