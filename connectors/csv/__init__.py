"""Folders and buckets of CSV and Excel files: readings (wide or long) and events.

Separator, encoding (UTF-8, UTF-16, cp1252), header, decimal sign and the order of days and months
are found for each file; what may mean two things is refused. Packed with gzip or not. Of Excel
files the sheet is read whose header has the names.

Delivery: exactly once by content. A file is delivered when it has its final name (none with a
leading "." or "_", ".tmp" or ".part"); one whose last line has no end is waited for as long as it
was written to within a minute. A file that grows is read again, and what it said before counts
once. Half a pack is waited for the same way.

Fulfils `pm_app.ports.SourceFormat`.
"""

from connectors.csv.readings import CsvReadings
from connectors.csv.texts import TABLES, reads_excel
from connectors.parquet.plan import readings_format
from pm_app.ports import EventsSource
from pm_app.settings.sources import EventsSettings, ReadingsSettings

__all__ = ["CsvReadings", "open_events", "open_readings"]


def open_readings(settings: ReadingsSettings, *, uri: str, label_column: str | None) -> CsvReadings:
    """See SourceFormat.open_readings."""
    form = readings_format(settings, label_column=label_column, dates=settings.dates)
    usual = "auto" if reads_excel() else "csv"
    kind = settings.format if settings.format in TABLES else usual
    return CsvReadings(uri, form, kind=usual if kind == "auto" else kind)


def open_events(settings: EventsSettings, *, uri: str) -> EventsSource:
    """See SourceFormat.open_events."""
    # It reads tables of this folder.
    from connectors.events.source import open_events as open_files

    return open_files(settings, uri=uri)
