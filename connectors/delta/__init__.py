"""Readings from a Delta table, by deltalake (the extra "lake"): each of its files is a batch.

A look reads the newest version and takes the files that are part of it, each as it is: Delta
never changes a file. Files that no version names yet, or any more, are passed over.

Delivery: exactly once. A file is known by its content; one that was written anew of others
(OPTIMIZE) repeats their rows, which changes nothing. Rows that are deleted or changed afterwards
stay as they were read.

Fulfils `pm_app.ports.SourceFormat`.
"""

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from connectors.parquet import ParquetReadings
from connectors.parquet.plan import readings_format
from pm_app.errors import BadSettings, SourceUnavailable
from pm_app.ports import EventsSource
from pm_app.records.readings import Batch, BatchDescription, LeftFile, ReadingsChunk
from pm_app.settings.sources import EventsSettings, ReadingsSettings

# With these a file holds rows that are none, or under other names.
_UNREAD: Final = ("deletionVectors", "columnMapping")


class DeltaReadings:
    """Files of the newest version of a table, read as Parquet."""

    def __init__(self, uri: str, files: ParquetReadings) -> None:
        self._uri, self._files = uri, files
        self.suffixes, self.contents = files.suffixes, "files of a Delta table"

    @property
    def watched_folder(self) -> str | None:
        """See BatchSource.watched_folder."""
        return self._files.watched_folder

    def keep(self, learned: frozenset[str]) -> None:
        """See KeepsLearnedSensors.keep."""
        self._files.keep(learned)

    def list(self) -> Iterator[Batch]:
        """See ReadingsSource.list. Raises SourceUnavailable where there is no table to read."""
        named = self._named()
        return (batch for batch in self._files.list() if batch.name in named)

    def _named(self) -> frozenset[str]:
        """Files of the newest version, by their place in the table."""
        try:
            from deltalake import DeltaTable
            from deltalake.exceptions import DeltaError
        except ImportError as error:
            raise BadSettings(
                "readings.format = \"delta\" needs deltalake: pip install 'pm-app[lake]'"
            ) from error
        try:
            table = DeltaTable(self._uri)
            features = table.protocol().reader_features or []
            paths = _paths(table)
        # What its storage raises is OSError, and what it does not know is a DeltaError.
        except (DeltaError, OSError, ValueError) as error:
            raise SourceUnavailable(f"{self._uri}: cannot be read as a table: {error}") from error
        unread = [each for each in _UNREAD if each in features]
        if unread:
            raise SourceUnavailable(
                f"{self._uri}: has the feature {unread[0]}, which is not read: write the table "
                "without it, or have it rewritten so"
            )
        return frozenset(paths)

    def left_files(self) -> Iterator[LeftFile]:
        """See BatchSource.left_files."""
        return self._files.left_files()

    def digest(self, batch: Batch) -> str:
        """See ReadingsSource.digest."""
        return self._files.digest(batch)

    def count(self, batch: Batch) -> int:
        """See ReadingsSource.count."""
        return self._files.count(batch)

    def describe(self, batch: Batch) -> BatchDescription:
        """See ReadingsSource.describe."""
        return self._files.describe(batch)

    def read(self, batch: Batch) -> Iterator[ReadingsChunk]:
        """See ReadingsSource.read."""
        return self._files.read(batch)


def _paths(table: Any) -> list[str]:
    """Places in the table, as its files are called and as its log writes them."""
    root = str(table.table_uri).rstrip("/")
    local = unquote(urlsplit(root).path) if root.startswith("file:") else root
    names = [
        str(uri).removeprefix(root).removeprefix(local).lstrip("/") for uri in table.file_uris()
    ]
    return [*names, *map(unquote, names)]


def open_readings(
    settings: ReadingsSettings, *, uri: str, label_column: str | None
) -> DeltaReadings:
    """See SourceFormat.open_readings."""
    form = readings_format(settings, label_column=label_column)
    return DeltaReadings(uri, ParquetReadings(uri, form))


def open_events(settings: EventsSettings, *, uri: str) -> EventsSource:
    """See SourceFormat.open_events."""
    raise BadSettings('events.format = "delta" is not read: Delta tables hold readings alone here')
