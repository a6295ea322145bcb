"""How much is waiting to be read and to be scored."""

from dataclasses import dataclass

from pm_app.ports import EventsSource, ReadingsSource
from pm_app.store import Source, Store


@dataclass(frozen=True)
class Backlog:
    """Files: not read yet, read but not scored yet, and set aside because they cannot be used."""

    unread_readings: int
    unread_events: int
    unscored: int
    quarantined: int


def count_backlog(store: Store, readings: ReadingsSource, events: EventsSource) -> Backlog:
    """What waits at this moment. Raises SourceUnavailable and StoreUnavailable."""
    return Backlog(
        unread_readings=_unread(store, readings, "readings"),
        unread_events=_unread(store, events, "events"),
        unscored=store.ledger.count_unscored(),
        quarantined=store.ledger.count(status="quarantined"),
    )


def _unread(store: Store, port: ReadingsSource | EventsSource, source: Source) -> int:
    return sum(1 for _ in store.ledger.unseen(source, port.list()))
