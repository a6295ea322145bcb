"""Signing in, slowed down for whoever guesses."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Final

SPAN: Final = timedelta(minutes=5)
# A name from one address; an address, whatever the names; a name, wherever it is tried from.
MOST: Final = {"pair": 5, "address": 20, "name": 50}
_MOST_KEYS: Final = 10_000
Key = tuple[str, str]


@dataclass(eq=False)
class Attempts:
    """Failed attempts of the last minutes, in memory. Safe to share between threads."""

    _lock: Lock = field(default_factory=Lock, repr=False)
    _failed: dict[Key, deque[datetime]] = field(default_factory=lambda: defaultdict(deque))

    def wait_seconds(self, name: str, address: str, *, now: datetime) -> int:
        """How long until the next attempt is looked at, 0 where it is now."""
        with self._lock:
            return max(self._wait(key, now) for key in _keys(name, address))

    def failed(self, name: str, address: str, *, now: datetime) -> None:
        """Count an attempt that failed."""
        with self._lock:
            if len(self._failed) > _MOST_KEYS:
                self._forget(now)
            for key in _keys(name, address):
                self._failed[key].append(now)

    def succeeded(self, name: str, address: str) -> None:
        """Let someone who got in begin anew."""
        with self._lock:
            for key in _keys(name, address):
                self._failed.pop(key, None)

    def _wait(self, key: Key, now: datetime) -> int:
        times = self._failed.get(key, deque())
        while times and times[0] <= now - SPAN:
            times.popleft()
        if len(times) < MOST[key[0]]:
            return 0
        return max(1, round((times[-MOST[key[0]]] + SPAN - now).total_seconds()))

    def _forget(self, now: datetime) -> None:
        old = [key for key, times in self._failed.items() if times[-1] <= now - SPAN]
        for key in old or list(self._failed):
            del self._failed[key]


def _keys(name: str, address: str) -> Sequence[Key]:
    return ("pair", f"{address} {name}"), ("address", address), ("name", name)
