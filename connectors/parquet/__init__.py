"""Folders and buckets of Parquet files: readings (wide or long) and events.

A file is delivered when it has its final name: names that begin with "." or "_" or hold an
ending like ".tmp" or ".part" are taken as unfinished. Any `pyarrow.fs` address is read: a
plain path, file://, s3://, gs://, abfs://, hdfs://.

Fulfils `pm_app.ports.SourceFormat`.
"""

from connectors.events.form import EventsFormat, events_format
from connectors.parquet.events import ParquetEvents
from connectors.parquet.plan import ReadingsFormat
from connectors.parquet.readings import ParquetReadings
from pm_app.settings.sources import EventsSettings, ReadingsSettings

__all__ = ["EventsFormat", "ParquetEvents", "ParquetReadings", "open_events", "open_readings"]


def open_readings(
    settings: ReadingsSettings, *, uri: str, label_column: str | None
) -> ParquetReadings:
    """See SourceFormat.open_readings."""
    sensors = settings.sensors
    if sensors is not None and label_column is not None:
        sensors = (*sensors, label_column)
    return ParquetReadings(
        uri,
        ReadingsFormat(
            layout=settings.layout,
            asset_column=settings.asset_column,
            time_column=settings.time_column,
            tag_column=settings.tag_column,
            value_column=settings.value_column,
            quality_column=settings.quality_column,
            sensors=sensors,
            ignore=settings.ignore,
            decimal=settings.decimal,
            timezone=settings.timezone,
            default_asset=settings.asset,
            table=label_column is not None,
        ),
    )


def open_events(settings: EventsSettings, *, uri: str) -> ParquetEvents:
    """See SourceFormat.open_events."""
    return ParquetEvents(uri, events_format(settings))
