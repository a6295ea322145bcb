"""Server of the pages: uvicorn with connection limits, and deadlines for requests and answers.

uvicorn limits neither, and where descriptors run out asyncio logs thousands of lines a second.
"""

import errno
import resource
import socket
from dataclasses import replace
from functools import partial
from time import sleep
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pm_app.errors import BadSettings
from pm_app.web.connections import (
    CONNECTION,
    MOST_CLOSING,
    ConnectionLimits,
    Connections,
    OpenConnection,
)

_NO_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_SECONDS: Final = 0.01
_BACKLOG: Final = 128
# Descriptors of the program itself, its databases and files.
_OWN_DESCRIPTORS: Final = 128


class GuardedProtocol(H11Protocol):
    """HTTP/1.1 on a connection that is counted, and that has to get on."""

    def __init__(self, connections: Connections, **options: Any) -> None:
        super().__init__(**options)
        self._connections = connections
        self._own: OpenConnection | None = None

    def connection_made(self, transport: Any) -> None:
        """Find the connection as it was counted, and let requests know it."""
        super().connection_made(transport)
        self._own = self._connections.find(transport.get_extra_info("peername"))
        if self._own is None or self._own.gone:
            self.transport.abort()
            return
        self._own.protocol = self
        self.app_state = self.app_state | {CONNECTION: self._own}

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it no more."""
        if self._own is not None and not self._own.dropped:
            self._connections.leave(self.transport.get_extra_info("peername"))
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Note when a request begins."""
        if self._own is not None and not self._own.in_request:
            self._own.in_request, self._own.since = True, self._connections.clock()
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Note when it is answered."""
        if self._own is not None:
            self._own.in_request, self._own.since = False, self._connections.clock()
        super().on_response_complete()

    def resume_writing(self) -> None:
        """Note that an answer is being read."""
        if self._own is not None:
            self._own.unread = None
        super().resume_writing()


class GuardedListener(socket.socket):
    """A listening socket that accepts no more connections than there is room for."""

    connections: Connections

    def accept(self) -> tuple[socket.socket, Any]:
        """As socket.accept; raises ConnectionAbortedError for a connection that was closed.

        Raises BlockingIOError before too many of those that had to go hold their descriptors.
        """
        if not self.connections.ready:
            raise BlockingIOError
        try:
            accepted, address = super().accept()
        except OSError as error:
            if error.errno not in _NO_DESCRIPTORS:
                raise
            # The listener stays ready, and asyncio would ask it again thousands of times.
            if not self.connections.make_room():
                sleep(_PAUSE_SECONDS)
            raise ConnectionAbortedError(str(error)) from error
        if not self.connections.enter(accepted, address):
            accepted.close()
            raise ConnectionAbortedError("there is no room for more connections")
        return accepted, address


class GuardedServer(uvicorn.Server):
    """uvicorn, closing what takes too long."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections

    async def on_tick(self, counter: int) -> bool:
        """Once a second; uvicorn ticks ten times in one."""
        if counter % 10 == 0:
            self._connections.sweep()
        return await super().on_tick(counter)


def make_server(app: Any, connections: Connections, **options: Any) -> GuardedServer:
    """A server of these pages, for sockets of `open_listeners`.

    options: of uvicorn.Config. What a proxy says of a request is read by the pages, which know
    whom to believe.
    """
    limits = connections.limits
    config = uvicorn.Config(
        app,
        http=partial(GuardedProtocol, connections),  # type: ignore[arg-type]  # called like a class
        ws="none",
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=limits.head_bytes,
        timeout_keep_alive=round(limits.idle_seconds),
        server_header=False,
        proxy_headers=False,
        log_config=None,
        access_log=False,
        **options,
    )
    return GuardedServer(config, connections)


_NO_DOOR: Final = {
    errno.EADDRINUSE: "another program listens there already, perhaps these pages; stop it, or "
    "take another port, as --listen 127.0.0.1:8081 does",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "this user may not listen there; ports from 1024 on are free to all",
}


def open_listeners(host: str, port: int, connections: Connections) -> list[GuardedListener]:
    """Sockets that listen there, one for each address of the host. Raises BadSettings."""
    listeners: list[GuardedListener] = []
    try:
        for family, *_, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            listener = GuardedListener(family, socket.SOCK_STREAM)
            listener.connections = connections
            listeners.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
    except OSError as error:
        for listener in listeners:
            listener.close()
        reason = _NO_DOOR.get(error.errno or 0, str(error))
        raise BadSettings(f"web.listen: cannot listen at {host} port {port}: {reason}") from error
    return listeners


def fitting_limits(limits: ConnectionLimits) -> ConnectionLimits:
    """These limits with as many connections as this process has descriptors for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = max(1, soft - _OWN_DESCRIPTORS - MOST_CLOSING)
    return replace(limits, connections=min(limits.connections, room))
