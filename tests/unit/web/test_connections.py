"""Who may hold a connection, who has to go for another one, and what takes too long."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import h11
import pytest

from pm_app.web.connections import ConnectionLimits, Connections, network_of

LIMITS = ConnectionLimits(connections=6, per_network=3, request_seconds=10, idle_seconds=20)


@dataclass
class FakeSocket:
    """A socket that is open until it is shut."""

    shut: bool = False

    def fileno(self):
        return -1 if self.shut else 7

    def shutdown(self, how):
        self.shut = True


@dataclass
class FakeTransport:
    """A transport with so much unread."""

    unread: int = 0
    aborted: bool = False

    def get_write_buffer_size(self):
        return self.unread

    def abort(self):
        self.aborted = True


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self):
        return self.now


@dataclass
class House:
    """Connections under a clock that is set."""

    limits: ConnectionLimits = LIMITS
    trusted: tuple = ()
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self):
        self.connections = Connections(self.limits, self.trusted, self.clock)
        self.ports = 0

    def come(self, address="10.0.0.1"):
        """A new connection, None where it was turned away."""
        self.ports += 1
        peer = (address, self.ports)
        self.clock.now += 0.001
        return self.connections.find(peer) if self.connections.enter(FakeSocket(), peer) else None


@pytest.fixture
def house():
    return House()


def does(own, what):
    """Let a connection be in the midst of something."""
    answered = what == "idle"
    state = h11.DONE if what in ("answering", "idle") else h11.IDLE
    cycle = None if what == "arriving" else SimpleNamespace(response_complete=answered)
    own.protocol = SimpleNamespace(
        transport=FakeTransport(), cycle=cycle, conn=SimpleNamespace(their_state=state)
    )
    own.in_request = not answered


def test_of_one_client_the_connection_goes_that_has_done_nothing_for_longest(house):
    first, second, third = (house.come() for _ in range(3))
    does(first, "answering")
    other = house.come("10.0.0.2")

    fourth = house.come()

    assert (first.gone, second.gone, third.gone, fourth.gone) == (False, True, False, False)
    assert not other.gone


def test_a_client_whose_connections_are_all_at_work_gets_no_other(house):
    for _ in range(3):
        does(house.come(), "answering")

    assert house.come() is None
    assert house.come("10.0.0.2") is not None


def test_where_all_together_are_too_many_strangers_go_first(house):
    known = house.come("10.0.0.1")
    known.recognised = True
    strangers = [house.come(f"10.0.1.{number}") for number in range(20)]

    assert not known.gone
    assert [own.gone for own in strangers] == [True] * 15 + [False] * 5


def test_half_open_connections_without_end_keep_nobody_out(house):
    for number in range(1000):
        house.come(f"10.0.{number % 7}.1")
    operator = house.come("192.168.0.9")

    assert operator is not None and not operator.gone


def test_a_proxy_that_is_named_comes_for_many():
    house = House(trusted=("10.0.0.7",))
    came = [house.come("10.0.0.7") for _ in range(6)]

    assert not any(own.gone for own in came)


@pytest.mark.parametrize(
    ("what", "seconds", "gone"),
    [
        ("arriving", 9.9, False),
        ("arriving", 10.1, True),
        ("idle", 19.9, False),
        ("idle", 20.1, True),
        ("answering", 1000, False),
    ],
)
def test_what_takes_too_long_is_closed(house, what, seconds, gone):
    own = house.come()
    does(own, what)
    house.clock.now += seconds
    house.connections.sweep()

    assert own.gone is own.protocol.transport.aborted is gone


def test_a_connection_that_never_agrees_on_tls_is_closed(house):
    own = house.come()
    house.clock.now += 10.1
    house.connections.sweep()

    assert own.accepted.shut


@pytest.mark.parametrize(("taken", "gone"), [(0, True), (1000, True), (70_000, False)])
def test_who_does_not_read_an_answer_is_closed(house, taken, gone):
    own = house.come()
    does(own, "answering")
    own.protocol.transport.unread = 1_000_000
    house.connections.sweep()
    own.protocol.transport.unread -= taken
    house.clock.now += 20.1
    house.connections.sweep()

    assert own.gone is gone


def test_what_was_closed_is_told_once_a_minute(house, caplog):
    for _ in range(300):
        for _ in range(10):
            house.come()
        house.clock.now += 1
        house.connections.sweep()

    assert 4 <= len(caplog.records) <= 6
    assert "most of them from 10.0.0.1" in caplog.text


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::"),
        ("unknown", "unknown"),
    ],
)
def test_a_site_with_many_addresses_is_one_client(address, network):
    assert network_of(address) == network
