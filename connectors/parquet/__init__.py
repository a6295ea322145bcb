"""Folders and buckets of Parquet files: readings (wide or long) and events.

A file is delivered when it has its final name: names that begin with "." or "_" or hold an
ending like ".tmp" or ".part" are taken as unfinished. Any `pyarrow.fs` address is read: a
plain path, file://, s3://, gs://, abfs://, hdfs://.

Fulfils `pm_app.ports.SourceFormat`.
"""

from connectors.events.form import EventsFormat, events_format
from connectors.parquet.events import ParquetEvents
from connectors.parquet.plan import ReadingsFormat, readings_format
from connectors.parquet.readings import ParquetReadings
from pm_app.settings.sources import EventsSettings, ReadingsSettings

__all__ = [
    "EventsFormat",
    "ParquetEvents",
    "ParquetReadings",
    "ReadingsFormat",
    "open_events",
    "open_readings",
]


def open_readings(
    settings: ReadingsSettings, *, uri: str, label_column: str | None
) -> ParquetReadings:
    """See SourceFormat.open_readings."""
    return ParquetReadings(uri, readings_format(settings, label_column=label_column))


def open_events(settings: EventsSettings, *, uri: str) -> ParquetEvents:
    """See SourceFormat.open_events."""
    return ParquetEvents(uri, events_format(settings))
