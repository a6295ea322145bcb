"""Crowd control: requests of strangers at work at once, so that those who signed in find room."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from pm_app.web.connections import OpenConnection

# Threads share one interpreter: whoever has signed in waits for all of these.
MOST_AT_WORK: Final = 6
MOST_OF_A_NETWORK: Final = 3
WAIT_SECONDS: Final = 5.0


@dataclass(eq=False)
class _Waiter:
    network: str
    connection: OpenConnection | None
    called: "asyncio.Future[bool]"

    @property
    def gone(self) -> bool:
        return self.connection is not None and self.connection.gone


@dataclass(eq=False)
class Crowd:
    """Places for requests of those who are not known yet. One event loop alone may have it.

    Who finds none waits for one, in turn, but no network has more than its share. A connection
    that waits may have to go for another one.
    """

    most: int = MOST_AT_WORK
    most_of_a_network: int = MOST_OF_A_NETWORK
    wait_seconds: float = WAIT_SECONDS
    _at_work: Counter[str] = field(default_factory=Counter)
    _waiters: list[_Waiter] = field(default_factory=list)

    @asynccontextmanager
    async def place(
        self, network: str, connection: OpenConnection | None = None
    ) -> AsyncIterator[bool]:
        """Room for one request, meanwhile; False where none came free in time."""
        if self._is_room(network):
            self._at_work[network] += 1
        elif not await self._wait(_Waiter(network, connection, asyncio.Future())):
            yield False
            return
        try:
            yield True
        finally:
            self._at_work[network] -= 1
            self._at_work += Counter()
            self._call_waiters()

    def _is_room(self, network: str) -> bool:
        taken = self._at_work
        return taken.total() < self.most and taken[network] < self.most_of_a_network

    async def _wait(self, waiter: _Waiter) -> bool:
        self._waiters.append(waiter)
        if waiter.connection is not None:
            waiter.connection.waiting = True
        try:
            async with asyncio.timeout(self.wait_seconds):
                return await waiter.called
        except TimeoutError:
            if waiter.called.done() and not waiter.called.cancelled():
                return waiter.called.result()
            self._waiters.remove(waiter)
            return False
        finally:
            if waiter.connection is not None:
                waiter.connection.waiting = False

    def _call_waiters(self) -> None:
        for waiter in list(self._waiters):
            if self._at_work.total() >= self.most:
                return
            if waiter.gone:
                self._waiters.remove(waiter)
                waiter.called.set_result(False)
            elif self._is_room(waiter.network):
                self._waiters.remove(waiter)
                self._at_work[waiter.network] += 1
                waiter.called.set_result(True)
