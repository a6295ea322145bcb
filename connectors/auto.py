"""Readings and events by what lies at their address; fulfils `pm_app.ports.SourceFormat`.

Delivery: as the format that is found there delivers.
"""

from collections.abc import Iterator
from pathlib import Path

from connectors.csv import CsvReadings
from connectors.csv import open_readings as open_csv_readings
from connectors.events.source import open_events as open_files
from connectors.files.folder import open_folder
from connectors.parquet import ParquetReadings
from connectors.parquet import open_readings as open_parquet_readings
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.records.readings import Batch, BatchDescription, LeftFile, ReadingsChunk
from pm_app.settings.sources import EventsSettings, ReadingsSettings


class FileReadings:
    """Readings from Parquet files, from CSV and Excel files where there is none of those.

    Files of texts that lie beside Parquet are what these were made from: both would say everything
    twice.
    """

    def __init__(self, uri: str, parquet: ParquetReadings, csv: CsvReadings) -> None:
        """Raises BadSettings for an address that no file system understands."""
        self._parquet, self._csv = parquet, csv
        self.suffixes = (*parquet.suffixes, *csv.suffixes)
        both = "Parquet, CSV or Excel files" if " or " in csv.contents else "Parquet or CSV files"
        self.contents = both
        self._both = open_folder(uri, suffixes=self.suffixes, contents=self.contents)

    @property
    def watched_folder(self) -> str | None:
        """See BatchSource.watched_folder."""
        return self._parquet.watched_folder

    def keep(self, learned: frozenset[str]) -> None:
        """See KeepsLearnedSensors.keep."""
        self._parquet.keep(learned)

    def list(self) -> Iterator[Batch]:
        """See ReadingsSource.list; an absent folder raises SourceUnavailable."""
        found = self._parquet.list()
        first = next(found, None)
        if first is None:
            yield from self._csv.list()
            return
        yield first
        yield from found

    def left_files(self) -> Iterator[LeftFile]:
        """See BatchSource.left_files."""
        found = self._parquet.list() if self._both.exists() else iter(())
        return self._both.left_files() if next(found, None) is None else self._parquet.left_files()

    def digest(self, batch: Batch) -> str:
        """See ReadingsSource.digest."""
        return self._of(batch).digest(batch)

    def count(self, batch: Batch) -> int:
        """See ReadingsSource.count."""
        return self._of(batch).count(batch)

    def describe(self, batch: Batch) -> BatchDescription:
        """See ReadingsSource.describe."""
        return self._of(batch).describe(batch)

    def read(self, batch: Batch) -> Iterator[ReadingsChunk]:
        """See ReadingsSource.read."""
        return self._of(batch).read(batch)

    def _of(self, batch: Batch) -> ReadingsSource:
        return self._csv if batch.name.lower().endswith(self._csv.suffixes) else self._parquet


def open_readings(
    settings: ReadingsSettings, *, uri: str, label_column: str | None
) -> ReadingsSource:
    """See SourceFormat.open_readings."""
    if "://" not in uri and (Path(uri) / "_delta_log").is_dir():
        # It is an extra.
        from connectors.delta import open_readings as open_delta_readings

        return open_delta_readings(settings, uri=uri, label_column=label_column)
    return FileReadings(
        uri,
        open_parquet_readings(settings, uri=uri, label_column=label_column),
        open_csv_readings(settings, uri=uri, label_column=label_column),
    )


def open_events(settings: EventsSettings, *, uri: str) -> EventsSource:
    """See SourceFormat.open_events."""
    return open_files(settings, uri=uri)
