"""Readings and events from tables of a database, by a query with a watermark.

PostgreSQL with all that speaks as it does (TimescaleDB), and SQLite. A look fetches the rows from
the newest watermark on, less a look-back for rows that come late, and lands those that are new as
immutable Parquet files in the state folder, which are read like any others.

Delivery: exactly once. Rows and how far they reach become durable by one rename; a fetch that
dies is repeated, and rows that were landed before are known by what they hold. Rows that come
later than the look-back, or without a watermark, are never seen.

Fulfils `pm_app.ports.SourceFormat`, for the folder of what was fetched.
"""

from pathlib import Path

from connectors.events.form import events_format
from connectors.parquet import ParquetEvents, ParquetReadings
from connectors.parquet.plan import readings_format
from connectors.sql.fetching import Query, fetch
from pm_app.settings.sources import EventsSettings, ReadingsSettings

__all__ = ["Query", "fetch", "open_events", "open_readings", "query_of"]
_BESIDE = "sqlite:///"


def query_of(
    source: str, settings: ReadingsSettings | EventsSettings, *, uri: str, folder: Path
) -> Query:
    """What these settings ask for. uri: of the database, its file relative to the folder."""
    if uri.startswith(_BESIDE):
        uri = f"{_BESIDE}{folder / uri.removeprefix(_BESIDE)}"
    return Query(source, uri, settings.query, settings.watermark, settings.lookback)


def open_readings(
    settings: ReadingsSettings, *, uri: str, label_column: str | None
) -> ParquetReadings:
    """See SourceFormat.open_readings."""
    # Rows of several fetches lie in a file: what a text means must not depend on its company.
    dates = "unclear" if settings.dates == "auto" else settings.dates
    form = readings_format(settings, label_column=label_column, dates=dates)
    return ParquetReadings(uri, form, absent_is_empty=True)


def open_events(settings: EventsSettings, *, uri: str) -> ParquetEvents:
    """See SourceFormat.open_events."""
    return ParquetEvents(uri, events_format(settings, texts=True))
