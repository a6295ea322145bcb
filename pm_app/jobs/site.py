"""One plant, opened: what every job reads and writes."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock, RLock

from pm_app.jobs.ground import Ground
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.settings.plant import Settings
from pm_app.state.events import EventHistory
from pm_app.state.memory import Memories
from pm_app.state.panes import History
from pm_app.state.registry import Registry
from pm_app.store import Store
from pm_app.store.ledger import Ledger
from pm_app.times import NS

Progress = Callable[[float, str], None]


def silent(done: float, text: str) -> None:
    """Progress nobody watches."""


def unwatched() -> None:
    """A beat nobody hears."""


@dataclass
class Litter:
    """Whether files may lie in the state folder that no ledger row names: a crash leaves some."""

    possible: bool = True


@dataclass(frozen=True, eq=False)
class Site:
    """Settings, sources and places of one plant. Opened by `wiring`.

    ingesting: held while batches are taken in or rebuilt, for scoring and learning both do it.
    beat: called whenever a part of the work is done, for whoever watches over the jobs.
    litter: to be looked for at the first look, and after one that did not end well.
    channels: that are told of alarms.
    learning: held while a trainer reads segments, which only wait to be joined meanwhile.
    """

    settings: Settings
    readings: ReadingsSource
    events: EventsSource
    history: History
    event_history: EventHistory
    memories: Memories
    registry: Registry
    store: Store
    ingesting: AbstractContextManager[object] = field(default_factory=RLock)
    beat: Callable[[], None] = unwatched
    litter: Litter = field(default_factory=Litter)
    learning: Lock = field(default_factory=Lock)
    channels: tuple[str, ...] = ()

    @property
    def ledger(self) -> Ledger:
        """The store's, where predictions look up which panes count."""
        return self.store.ledger


def to_moment(nanoseconds: int) -> datetime:
    """Aware UTC time of nanoseconds since 1970, rounded down to microseconds."""
    seconds, rest = divmod(nanoseconds, NS)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest // 1000)


def to_nanoseconds(moment: datetime) -> int:
    """Nanoseconds since 1970 of an aware time."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    since = moment - epoch
    return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def first_seen_ns(site: Ground) -> dict[str, int]:
    """Nanoseconds UTC of each asset's first reading ever."""
    return {name: to_nanoseconds(at) for name, at in site.ledger.first_seen().items()}


def last_seen_ns(site: Ground) -> dict[str, int]:
    """Nanoseconds UTC of each asset's newest reading."""
    return {name: to_nanoseconds(at) for name, at in site.ledger.last_seen().items()}
