"""Flood of a server on this machine, and what it does to an operator's pages and to the log.

    python tests/support/flooding.py PORT SECONDS

floods a server, and ends with a line of JSON: how often each kind of connection began.
"""

import asyncio
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
from factories import make_plant

from pm_app.settings.plant import read_settings
from pm_app.wiring import open_users

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
HEAD = b"GET /fleet HTTP/1.1\r\nHost: 127.0.0.1\r\n"
POST = (
    b"POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
)


async def half(reader: Reader, writer: Writer) -> None:
    """Half a head, and then nothing."""
    writer.write(HEAD)
    await reader.read()


async def silent(reader: Reader, writer: Writer) -> None:
    """Nothing at all."""
    await reader.read()


async def dribble(reader: Reader, writer: Writer) -> None:
    """A byte a second."""
    writer.write(HEAD + b"X: ")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(1)


async def broken(reader: Reader, writer: Writer) -> None:
    """What is no HTTP."""
    writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
    await reader.read()


async def huge_head(reader: Reader, writer: Writer) -> None:
    """A head without end."""
    writer.write(HEAD)
    while not writer.is_closing():
        writer.write(b"X: " + b"x" * 60_000 + b"\r\n")
        await writer.drain()


async def endless_body(reader: Reader, writer: Writer) -> None:
    """A body in chunks without end."""
    writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        await writer.drain()


async def slow_body(reader: Reader, writer: Writer) -> None:
    """A body that is promised and does not come."""
    writer.write(POST + b"Content-Length: 1000\r\n\r\nname=")
    await reader.read()


async def deaf(reader: Reader, writer: Writer) -> None:
    """Requests whose answers nobody reads."""
    writer.transport.pause_reading()
    request = b"GET /static/page.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    while not writer.is_closing():
        writer.write(request * 100)
        await writer.drain()
        await asyncio.sleep(0.1)


async def upgrade(reader: Reader, writer: Writer) -> None:
    """What the server cannot speak."""
    writer.write(HEAD + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")


async def stranger(reader: Reader, writer: Writer) -> None:
    """Whole requests, one after the other."""
    while not writer.is_closing():
        writer.write(b"GET /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await _answer(reader)


async def guess(reader: Reader, writer: Writer) -> None:
    """Passwords, guessed one after the other."""
    for number in itertools.count():
        body = b"name=user%d&password=guessed%d" % (number, number)
        writer.write(POST + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await _answer(reader)


async def _answer(reader: Reader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    await reader.readexactly(int(length.partition(b":")[2]))


KINDS: dict[Callable[[Reader, Writer], Awaitable[None]], int] = {
    half: 200,
    silent: 50,
    dribble: 50,
    broken: 20,
    huge_head: 5,
    endless_body: 5,
    slow_body: 20,
    deaf: 10,
    upgrade: 10,
    stranger: 30,
    guess: 20,
}
ADDRESSES = 8


async def flood(port: int, seconds: float) -> Counter[str]:
    """All kinds at once, from several addresses of this machine, the operators' among them."""
    begun: Counter[str] = Counter()

    async def again_and_again(
        kind: Callable[[Reader, Writer], Awaitable[None]], number: int
    ) -> None:
        source = (f"127.0.0.{1 + number % ADDRESSES}", 0)
        while True:
            writer = None
            with suppress(OSError, asyncio.IncompleteReadError, StopIteration):
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=source)
                begun[kind.__name__] += 1
                await kind(reader, writer)
            if writer is not None:
                writer.close()
            await asyncio.sleep(0.01)

    tasks = [
        asyncio.ensure_future(again_and_again(kind, number))
        for kind, count in KINDS.items()
        for number in range(count)
    ]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return begun


PASSWORD = "correct horse battery"
PAGES = ("/fleet", "/alarms", "/models", "/data", "/api/v1/health")
PATIENCE_SECONDS = 30.0
LOOK_EVERY_SECONDS = 0.25
# Fewer descriptors than the flood has connections, as on a small server.
DESCRIPTORS = 384
_SERVE = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
from pm_app.cli import main
main()
"""


@dataclass(frozen=True)
class Siege:
    """What came of it. quiet, seconds: of each page, before the flood and under it.

    begun: connections of the flood by kind.
    """

    quiet: tuple[float, ...]
    seconds: tuple[float, ...]
    statuses: frozenset[int]
    log_bytes: int
    begun: dict[str, int]

    def share(self, share: float) -> float:
        """The time within which this share of the pages came."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(share * len(self.seconds)))]

    def __str__(self) -> str:
        p50, p95 = self.share(0.5), self.share(0.95)
        return (
            f"{len(self.seconds)} pages, before {max(self.quiet):.3f} s at most: "
            f"median {p50:.3f} s, 95 % {p95:.3f} s, "
            f"longest {max(self.seconds):.3f} s; log {self.log_bytes} bytes; "
            f"{sum(self.begun.values()):,} connections: {self.begun}"
        )


def besiege(folder: Path, seconds: float) -> Siege:
    """Serve a plant's pages, sign an operator in, and let them look while the flood lasts."""
    config = make_plant(folder)
    with open_users(read_settings(config)) as store:
        at = datetime.now(tz=UTC)
        store.users.add("otto", PASSWORD, role="operator", at=at, actor="root")
    log = folder / "serve.log"
    with _serving(config, log) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        client.post("/sign-in", data={"name": "otto", "password": PASSWORD})
        quiet = [_seconds(client, page)[0] for page in 3 * PAGES][len(PAGES) :]
        command = [sys.executable, __file__, str(port), str(seconds)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=_environment()
        ) as flood:
            took, statuses = _look(client, flood)
            begun = json.loads(flood.stdout.read())
    return Siege(tuple(quiet), tuple(took), frozenset(statuses), log.stat().st_size, begun)


def _look(client: httpx.Client, flood: "subprocess.Popen[str]") -> tuple[list[float], set[int]]:
    took, statuses = [], set()
    while flood.poll() is None:
        for page in PAGES:
            seconds, status = _seconds(client, page)
            took.append(seconds)
            statuses.add(status)
        time.sleep(LOOK_EVERY_SECONDS)
    return took, statuses


def _seconds(client: httpx.Client, page: str) -> tuple[float, int]:
    """How long a page took, and its status; asked again where its connection was closed, as
    browsers do."""
    began = time.monotonic()
    deadline = began + PATIENCE_SECONDS
    while True:
        try:
            status = client.get(page, timeout=PATIENCE_SECONDS).status_code
            return time.monotonic() - began, status
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise


def _environment() -> dict[str, str]:
    """As here, and what is imported here is there too."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


@contextmanager
def _serving(config: Path, log: Path) -> Iterator[int]:
    """`pm-app serve` with its output in a file; its port."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    command = [sys.executable, "-c", _SERVE, "serve"]
    command += ["-c", str(config), "--listen", f"127.0.0.1:{port}"]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=_environment()) as server,
    ):
        try:
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert time.monotonic() < deadline and server.poll() is None, log.read_text()
                time.sleep(0.05)
            yield port
        finally:
            server.terminate()


if __name__ == "__main__":
    # Who floods a plant does so from elsewhere, and takes no processor time from it.
    os.nice(10)
    print(json.dumps(asyncio.run(flood(int(sys.argv[1]), float(sys.argv[2])))))
