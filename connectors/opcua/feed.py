"""Values of an OPC UA server for a recorder; fulfils `pm_app.ports.Feed`."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from connectors.opcua.security import ServerAddress
from connectors.opcua.session import HISTORY_AT_ONCE, ServerSession
from connectors.opcua.values import SubscribedNode, nanoseconds_of, read_value
from pm_app.errors import PmAppError, SourceUnavailable
from pm_app.records.recording import FeedDelivery, MeasuredValue
from pm_app.settings.recorders import RecorderPlace, RecorderSettings, read_pattern
from pm_app.times import parse_duration

log = logging.getLogger(__name__)
MOST_VALUES: Final = 5_000
# History of a server may be a little behind what it has just sent.
SETTLE_SECONDS: Final = 2.0
READING_SECONDS: Final = 0.5
# Connections in which a node's history fails before the rest goes on without it.
MOST_FAILURES: Final = 3
Result = TypeVar("Result")


class ServerFeed:
    """Changes of the variables of a server; history first.

    history_ns: how far back history is read of what was never recorded. clock: nanoseconds UTC.
    """

    def __init__(
        self, address: ServerAddress, *, history_ns: int, clock: Callable[[], int] = time.time_ns
    ) -> None:
        self.address, self._history_ns, self._clock = address, history_ns, clock
        self._runner: asyncio.Runner | None = None
        self._session: ServerSession | None = None
        self._reading_from = 0.0
        self._complained: set[str] = set()
        self._failures: Counter[str] = Counter()

    def open(self, newest: Mapping[tuple[str, str], int]) -> None:
        """See Feed.open."""
        self.close()
        self._runner = asyncio.Runner()
        self._session = self._run(self._opened())
        now = self._clock()
        for node in self._session.nodes:
            since = newest.get((node.asset, node.sensor), now - self._history_ns)
            # A source whose clock was ahead for a moment is read from now on.
            node.since = min(since, now)
        self._reading_from = time.monotonic() + SETTLE_SECONDS
        self._run(self._session.subscribe())

    def take(self, seconds: float) -> Sequence[FeedDelivery]:
        """See Feed.take."""
        if self._session is None:
            raise SourceUnavailable(f"{self.address.url}: the connection is lost")
        values, refused = self._run(self._taken(self._session, seconds))
        return [FeedDelivery(tuple(values), refused=tuple(refused))] if values or refused else ()

    def acknowledge(self, deliveries: Sequence[FeedDelivery]) -> None:
        """See Feed.acknowledge; the next start reads from the newest durable value on."""

    def remarks(self) -> tuple[str, ...]:
        """See Feed.remarks."""
        return self._session.refused if self._session is not None else ()

    def close(self) -> None:
        """See Feed.close."""
        session, self._session = self._session, None
        runner, self._runner = self._runner, None
        if runner is not None:
            if session is not None:
                # Whatever a connection that is lost answers to that.
                with suppress(Exception):
                    runner.run(session.close())
            with suppress(Exception):
                runner.close()

    async def _opened(self) -> ServerSession:
        session = ServerSession(self.address)
        try:
            await session.open()
        except BaseException:
            with suppress(Exception):
                await session.close()
            raise
        return session

    async def _taken(
        self, session: ServerSession, seconds: float
    ) -> tuple[list[MeasuredValue], list[str]]:
        behind = [node for node in session.nodes if node.since is not None]
        reading = bool(behind) and time.monotonic() >= self._reading_from
        await session.wait(0.001 if reading else seconds)
        values: list[MeasuredValue] = []
        refused: list[str] = []
        while session.came and len(values) < MOST_VALUES:
            node, content = session.came.popleft()
            value = read_value(node, content, arrived=self._clock())
            if isinstance(value, str):
                refused.append(value)
            elif node.since is not None:
                node.held.append(value)
            else:
                values.append(value)
        end = time.monotonic() + READING_SECONDS
        for node in behind if reading else ():
            if len(values) >= MOST_VALUES or time.monotonic() > end:
                break
            values += await self._from_history(session, node)
        return values, refused

    async def _from_history(
        self, session: ServerSession, node: SubscribedNode
    ) -> list[MeasuredValue]:
        """A part of a node's history; with what was held back once nothing is missing before it."""
        assert node.since is not None
        end = node.held[0].time if node.held else self._clock()
        if end <= node.since:
            return _caught_up(node)
        try:
            found = await session.history(node, end)
        except PmAppError:
            raise
        except Exception as error:
            self._failures[node.name] += 1
            if not _says_no(error) and self._failures[node.name] < MOST_FAILURES:
                raise
            self._complain(node, error)
            return _caught_up(node)
        self._failures.pop(node.name, None)
        values = [
            value
            for each in found
            if isinstance(value := read_value(node, each, arrived=self._clock()), MeasuredValue)
            and value.time < end
        ]
        if not found or (node.continuation is None and len(found) < HISTORY_AT_ONCE):
            return values + _caught_up(node)
        if node.continuation is None:
            last = max(nanoseconds_of(each.SourceTimestamp) for each in found)
            # A server that gives no word to go on from, and a full answer of one instant.
            node.since = last if last > node.since else last + 1000
        return values

    def _complain(self, node: SubscribedNode, error: Exception) -> None:
        words = type(error).__name__
        if words not in self._complained:
            self._complained.add(words)
            log.warning(
                "%s has no history of %s (%s): what it sends while nobody listens is lost",
                *(self.address.url, node.name, words),
            )

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        if self._runner is None:
            work.close()
            raise SourceUnavailable(f"{self.address.url}: the connection is lost")
        with _translated(self.address.url):
            return self._runner.run(work)


def _caught_up(node: SubscribedNode) -> list[MeasuredValue]:
    held = list(node.held)
    node.since, node.continuation = None, None
    node.held.clear()
    return held


def _says_no(error: Exception) -> bool:
    """Whether it is the server's last word on a node's history."""
    from asyncua import ua

    return isinstance(
        error,
        ua.uaerrors.BadHistoryOperationUnsupported
        | ua.uaerrors.BadHistoryOperationInvalid
        | ua.uaerrors.BadServiceUnsupported
        | ua.uaerrors.BadUserAccessDenied
        | ua.uaerrors.BadNotImplemented
        | ua.uaerrors.BadNotSupported
        | ua.uaerrors.BadNotReadable
        | ua.uaerrors.BadNodeIdUnknown,
    )


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except PmAppError:
        raise
    # The library raises what its protocol, its sockets and its cryptography raise.
    except Exception as error:
        words = str(error).strip().split("\n")[0] or type(error).__name__
        raise SourceUnavailable(f"{url}: {words}") from error


def make_feed(settings: RecorderSettings, place: RecorderPlace) -> ServerFeed:
    """The feed of a recorder of kind "opcua"; nothing is connected yet."""
    if not log.isEnabledFor(logging.DEBUG):
        # It writes lines of its own at every attempt to connect; ours say what they mean, once.
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    nodes = [(node, text.rpartition("/")) for node, text in settings.nodes.items()]
    address = ServerAddress(
        settings.url,
        place.user,
        place.password,
        security=settings.security,
        certificate=place.file(settings.certificate),
        key=place.file(settings.key),
        server_certificate=place.file(settings.ca),
        browse_from=settings.browse_from,
        patterns=tuple(map(read_pattern, settings.paths)),
        nodes=tuple((node, (asset, sensor)) for node, (asset, _, sensor) in nodes),
        asset=settings.asset,
        publishing_ms=parse_duration(settings.publishing) / 1e6,
        recorder=place.name,
    )
    return ServerFeed(address, history_ns=parse_duration(settings.history))
