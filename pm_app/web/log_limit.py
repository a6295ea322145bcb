"""Log limit: of lines that repeat, a few a minute are written, and how many were not.

Whoever floods the pages with broken requests fills the journal otherwise.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, Timer
from time import monotonic
from typing import Final

LINES: Final = 5
SECONDS: Final = 60.0
log = logging.getLogger(__name__)
_Place = tuple[str, str, int]


@dataclass(eq=False)
class _Repeats:
    began: float
    written: int = 0
    held_back: int = 0


class RepeatLimit(logging.Filter):
    """Lets each line of code write `lines` lines in `seconds`, and counts what it holds back.

    later: calls a function after so many seconds, to tell of what was held back when nothing more
    comes.
    """

    def __init__(
        self,
        lines: int = LINES,
        seconds: float = SECONDS,
        *,
        clock: Callable[[], float] = monotonic,
        later: Callable[[float, Callable[[], None]], None] | None = None,
    ) -> None:
        super().__init__()
        self._lines, self._seconds, self._clock = lines, seconds, clock
        self._later = later or _call_later
        self._lock = Lock()
        self._places: dict[_Place, _Repeats] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is written."""
        if record.name == __name__:
            return True
        place, now = (record.name, record.pathname, record.lineno), self._clock()
        with self._lock:
            repeats = self._places.setdefault(place, _Repeats(now))
            if now - repeats.began > self._seconds and not repeats.held_back:
                repeats = self._places[place] = _Repeats(now)
            if repeats.written < self._lines:
                repeats.written += 1
                return True
            repeats.held_back += 1
            first = repeats.held_back == 1
        if first:
            what = record.getMessage()[:100]
            self._later(
                max(0.0, repeats.began + self._seconds - now), lambda: self._tell(place, what)
            )
        return False

    def _tell(self, place: _Place, what: str) -> None:
        with self._lock:
            held_back = self._places.pop(place).held_back
        log.warning("%d more lines like this were held back: %s", held_back, what)


def limit_log() -> None:
    """Hold the lines of this process to the limit, whatever they are written to."""
    limit = RepeatLimit()
    handlers = logging.getLogger().handlers
    for handler in handlers or filter(None, [logging.lastResort]):
        handler.addFilter(limit)


def _call_later(seconds: float, act: Callable[[], None]) -> None:
    timer = Timer(seconds, act)
    timer.daemon = True
    timer.start()
