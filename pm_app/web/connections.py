"""Connection limits: how many there may be, how slowly requests may come, who goes first."""

import logging
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import inf
from socket import SHUT_RDWR, socket
from time import monotonic
from typing import Any, Final, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)
# Under this name a request's state holds the connection it came by.
CONNECTION: Final = "connection"
_REPORT_SECONDS: Final = 60.0
MOST_CLOSING: Final = 32
_IPV6_NETWORK_BITS: Final = 64
Doing = Literal["arriving", "waiting", "answering", "idle"]


@dataclass(frozen=True)
class ConnectionLimits:
    """How many connections there may be, and how long each may take for what.

    request_seconds: for a request to come whole, its head, its body and before it TLS.
    idle_seconds: between two requests. unread_seconds: in which unread_bytes of an answer have to
    be taken. per_network: connections of one client, by its network (`network_of`).
    """

    connections: int = 512
    per_network: int = 64
    request_seconds: float = 10.0
    idle_seconds: float = 10.0
    unread_seconds: float = 20.0
    unread_bytes: int = 64 * 1024
    head_bytes: int = 16 * 1024


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the 64 bits that one IPv6 site has."""
    try:
        number = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(number, IPv6Address):
        return str(number)
    if number.ipv4_mapped is not None:
        return str(number.ipv4_mapped)
    bits = 128 - _IPV6_NETWORK_BITS
    return str(IPv6Address(int(number) >> bits << bits))


@dataclass(eq=False)
class OpenConnection:
    """One connection: what it does, and since when.

    protocol: None while TLS is agreed on. recognised: someone who has signed in came by it.
    waiting: its request is whole, and has no place yet.
    """

    accepted: socket
    network: str
    since: float
    protocol: H11Protocol | None = None
    recognised: bool = False
    waiting: bool = False
    dropped: bool = False
    in_request: bool = True
    unread: tuple[float, int] | None = None

    @property
    def doing(self) -> Doing:
        """What it does now. Only what is answering cannot make room for others."""
        if self.waiting:
            return "waiting"
        if self.protocol is None or self.protocol.cycle is None:
            return "arriving"
        if self.protocol.conn.their_state is h11.SEND_BODY:
            return "arriving"
        if not self.protocol.cycle.response_complete:
            return "answering"
        return "arriving" if self.in_request else "idle"

    @property
    def gone(self) -> bool:
        """Whether it is closed, or about to be."""
        return self.dropped or self.accepted.fileno() < 0

    def drop(self) -> None:
        """Close it at once, whatever has not been sent."""
        self.dropped = True
        if self.protocol is not None:
            self.protocol.transport.abort()
            return
        with suppress(OSError):
            self.accepted.shutdown(SHUT_RDWR)

    def overdue(self, limits: ConnectionLimits, *, now: float) -> bool:
        """Whether it has taken longer than it may."""
        if self._leaves_unread(limits, now):
            return True
        doing, seconds = self.doing, now - self.since
        return (doing == "arriving" and seconds > limits.request_seconds) or (
            doing == "idle" and seconds > limits.idle_seconds
        )

    def _leaves_unread(self, limits: ConnectionLimits, now: float) -> bool:
        size = 0 if self.protocol is None else self.protocol.transport.get_write_buffer_size()
        if not size:
            self.unread = None
            return False
        if self.unread is None:
            self.unread = now, size
        at, before = self.unread
        if now - at < limits.unread_seconds:
            return False
        self.unread = now, size
        return size > before - limits.unread_bytes


@dataclass(eq=False)
class Connections:
    """All connections of a server. Not to be shared between threads: its event loop has it.

    trusted: addresses of proxies, which come for many.
    """

    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    trusted: Collection[str] = ()
    clock: Callable[[], float] = monotonic
    _open: dict[Any, OpenConnection] = field(default_factory=dict, repr=False)
    _networks: dict[str, dict[Any, OpenConnection]] = field(default_factory=dict, repr=False)
    _closing: list[OpenConnection] = field(default_factory=list, repr=False)
    _sent_away: Counter[str] = field(default_factory=Counter, repr=False)
    _reported: float = -inf

    def enter(self, accepted: socket, address: Any) -> bool:
        """Whether there is room for one more; another one may have to go for it.

        Where a client has as many as it may, one of its own goes, and where all together have,
        anyone's: the oldest that is not being answered, strangers before those who have signed in.
        """
        network, limits = network_of(address[0]), self.limits
        same = self._networks.get(network, {})
        too_many = len(same) >= limits.per_network and address[0] not in self.trusted
        full = too_many or len(self._open) >= limits.connections
        if full and not self._make_room(same if too_many else self._open):
            self._sent_away[network] += 1
            return False
        own = OpenConnection(accepted, network, self.clock())
        self._open[address] = self._networks.setdefault(network, {})[address] = own
        return True

    def leave(self, address: Any) -> None:
        """Count a connection no more."""
        own = self._open.pop(address, None)
        if own is not None:
            same = self._networks[own.network]
            del same[address]
            if not same:
                del self._networks[own.network]

    @property
    def ready(self) -> bool:
        """Whether those that had to go have let go of their descriptors, all but a few."""
        self._closing = [own for own in self._closing if own.accepted.fileno() >= 0]
        return len(self._closing) < MOST_CLOSING

    def make_room(self) -> bool:
        """Close the oldest connection that is not being answered; False without such."""
        return self._make_room(self._open)

    def find(self, address: Any) -> OpenConnection | None:
        """The connection from this address and port."""
        return self._open.get(address)

    def sweep(self) -> None:
        """Close what has taken too long."""
        now = self.clock()
        for address, own in list(self._open.items()):
            if own.gone:
                self.leave(address)
            elif own.overdue(self.limits, now=now):
                self._send_away(address, own)
        if self._sent_away and now - self._reported >= _REPORT_SECONDS:
            self._reported = now
            (network, _), *_ = self._sent_away.most_common(1)
            log.warning(
                "closed %d connections that were too many or too slow, most of them from %s",
                self._sent_away.total(),
                network,
            )
            self._sent_away.clear()

    def _make_room(self, among: dict[Any, OpenConnection]) -> bool:
        for recognised in (False, True):
            for address, own in among.items():
                if own.recognised is recognised and own.doing != "answering":
                    self._send_away(address, own)
                    return True
        return False

    def _send_away(self, address: Any, own: OpenConnection) -> None:
        if own.doing != "idle":
            self._sent_away[own.network] += 1
        own.drop()
        self._closing.append(own)
        self.leave(address)
