"""Pages under a flood of half, slow and broken requests: who has signed in goes on."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest
from flooding import besiege

from pm_app.web.connections import ConnectionLimits, Connections
from pm_app.web.server import make_server, open_listeners

pytestmark = pytest.mark.server
SHORT = ConnectionLimits(
    connections=40, per_network=30, request_seconds=1, idle_seconds=1, unread_seconds=1
)
PATIENCE_SECONDS = 10
ANSWER = b"x" * 4_000_000
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"


async def application(scope, receive, send):
    """Answers with more than any buffer holds where /large is asked for."""
    if scope["type"] != "http":
        return
    body = ANSWER if scope["path"] == "/large" else b"well"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def served(limits=SHORT):
    """A server in a thread; its port and its connections."""
    connections = Connections(limits)
    (listener,) = open_listeners("127.0.0.1", 0, connections)
    server = make_server(application, connections, lifespan="off")
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1], connections
    finally:
        server.force_exit = server.should_exit = True
        thread.join()


def call(port, said=b""):
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
    connection.sendall(said)
    return connection


def answered(port):
    with call(port, HEAD + b"\r\n") as connection:
        return connection.recv(1000).startswith(b"HTTP/1.1 200")


def seconds_open(connection):
    """How long until the server closes a connection."""
    began = time.monotonic()
    try:
        while connection.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return time.monotonic() - began


@pytest.mark.parametrize(
    "said",
    [
        b"",
        HEAD,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx",
        HEAD + b"\r\n",
        HEAD + b"\r\n" + HEAD,
    ],
    ids=["nothing", "half a head", "half a body", "an answered one", "half a second head"],
)
def test_a_connection_that_does_not_get_on_is_closed(said):
    with served() as (port, _), call(port, said) as connection:
        assert seconds_open(connection) < 4


def test_a_byte_now_and_then_keeps_no_connection_open():
    with served() as (port, _), call(port, HEAD) as connection:
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < PATIENCE_SECONDS:
                connection.sendall(b"x")
                time.sleep(0.05)


def test_an_answer_that_nobody_reads_is_not_kept():
    with served() as (port, connections), call(port, b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n"):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not connections._open and time.monotonic() < deadline:
            time.sleep(0.01)
        while connections._open and time.monotonic() < deadline:
            time.sleep(0.05)

        assert not connections._open


def test_a_head_without_end_is_refused():
    with served() as (port, _), call(port, HEAD + b"X: " + b"x" * 20_000) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


def test_more_half_requests_than_there_is_room_for_keep_nobody_out():
    with served(ConnectionLimits(connections=40, per_network=30)) as (port, connections):
        half = [call(port, HEAD) for _ in range(200)]

        assert answered(port)
        assert len(connections._open) <= 30
        for connection in half:
            connection.close()


def test_operators_go_on_under_a_flood_and_the_log_stays_small(tmp_path):
    """The short form of tests/benchmarks/test_web_flood.py."""
    siege = besiege(tmp_path, seconds=15)

    assert siege.statuses == {200}
    # Where tests of others have the machine, pages are slow before the flood already.
    assert siege.share(0.9) < max(2, 10 * max(siege.quiet)), str(siege)
    assert siege.log_bytes < 100_000
