"""Timed cache: answers of the last seconds, looked up once for all who ask for the same."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Final, Generic, TypeVar

SECONDS: Final = 2.0
_MOST: Final = 200
Found = TypeVar("Found")


@dataclass(eq=False)
class TimedCache(Generic[Found]):
    """Answers no older than `seconds`. Of many who ask for the same at once one looks it up.

    Fifty screens of a control room that renew themselves together cost what one does.
    """

    seconds: float = SECONDS
    clock: Callable[[], float] = monotonic
    _lock: Lock = field(default_factory=Lock, repr=False)
    _slots: dict[Hashable, "_Slot[Found]"] = field(default_factory=dict, repr=False)

    def get(self, key: Hashable, look_up: Callable[[], Found]) -> Found:
        """What `look_up` gave for this key within the last seconds, or gives now."""
        with self._lock:
            if key not in self._slots and len(self._slots) >= _MOST:
                self._slots.clear()
            slot = self._slots.setdefault(key, _Slot())
        with slot.lock:
            if slot.found is None or self.clock() - slot.at > self.seconds:
                began = self.clock()
                slot.found, slot.at = (look_up(),), began
            return slot.found[0]


@dataclass(eq=False)
class _Slot(Generic[Found]):
    lock: Lock = field(default_factory=Lock)
    at: float = 0.0
    found: tuple[Found] | None = None
