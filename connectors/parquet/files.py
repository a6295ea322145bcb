"""Parquet files of a folder: opening, rows and columns by their footer, whose fault it is."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.columns.values import is_text, plain_type
from connectors.files.folder import FetchedFile, Folder
from connectors.parquet.format import footer as parquet_footer
from connectors.parquet.format.footer import Footer, TooLarge, read_footer
from connectors.parquet.format.pages import check_pages, delta_texts, holds_short_texts
from connectors.parquet.format.thrift import MalformedThrift
from pm_app.errors import BadBatch, SourceUnavailable, TornBatch
from pm_app.records.readings import Batch

SUFFIXES: Final = (".parquet", ".parq", ".pq")
CONTENTS: Final = "Parquet files"
_COLUMN_BUFFER_BYTES = 1 << 18
# Texts written as deltas are held one by one.
_MOST_DELTA_BYTES: Final = 64_000_000
# A file ends with its footer, the footer's length in four bytes, and these.
_MAGIC: Final = b"PAR1"
_TAIL_BYTES: Final = 8
_MOST_TEXT_BYTES: Final = 10_000_000
_MOST_ITEMS: Final = 1_000_000


@dataclass(frozen=True, eq=False)
class OpenFile:
    """A file whose footer makes sense. parquet: a `pyarrow.parquet.ParquetFile`."""

    parquet: Any
    footer: Footer
    _fetched: FetchedFile
    _deltas: frozenset[str]
    _longest: dict[int, int] = field(default_factory=dict)

    def check(self, columns: Sequence[str]) -> None:
        """Raises TooLarge unless the pages of these columns can be unpacked safely."""
        self._longest_text(columns)

    def batches(
        self, rows: int, columns: Sequence[str], *, row_groups: Sequence[int] | None = None
    ) -> Iterator[Any]:
        """These columns as record batches of at most so many rows, fewer where texts are long.

        Raises TooLarge as `check`.
        """
        longest = self._longest_text(columns, row_groups)
        most = max(1, _MOST_DELTA_BYTES // longest) if longest else rows
        found: Iterator[Any] = self.parquet.iter_batches(
            min(rows, most), row_groups=row_groups, columns=list(columns)
        )
        return found

    def table(self, columns: Sequence[str]) -> Any:
        """These columns as a whole, each text held once. Raises TooLarge as `check`."""
        if not self._longest_text(columns):
            return self.parquet.read(columns=list(columns))
        batches = [_encoded(batch) for batch in self.batches(self.footer.rows, columns)]
        empty = self.parquet.schema_arrow.empty_table().select(list(columns))
        return pa.Table.from_batches(batches) if batches else empty

    def _longest_text(self, columns: Sequence[str], groups: Sequence[int] | None = None) -> int:
        longest = 0
        for chunk in self.footer.chunks_of(columns, groups):
            if chunk.start not in self._longest:
                found = check_pages(chunk, self._fetched.read_at, deltas=self._deltas)
                self._longest[chunk.start] = found
            longest = max(longest, self._longest[chunk.start])
        return longest

    def holds_short_texts(self, column: str, *, groups: int) -> bool:
        """Whether the texts of a column, in so many row groups, are as short as numbers are."""
        return holds_short_texts(self.footer, column, self._fetched.read_at, groups=groups)


@contextmanager
def open_parquet(folder: Folder, batch: Batch) -> Iterator[OpenFile]:
    """A file of the folder, its page checksums verified where present.

    Each text of a column is held once, however often it comes.
    Inside the block, bytes that cannot be fetched raise SourceUnavailable; bytes that
    were fetched and do not decode raise BadBatch, TornBatch where the end is missing, and
    what would take more than a server can bear raises BadBatch.
    """
    with folder.opened(batch) as file:
        fetched = FetchedFile(file, batch.name)
        try:
            yield opened_parquet(fetched, file.size(), batch)
        except (OSError, pa.ArrowException, UnicodeDecodeError, MalformedThrift) as error:
            raise BadBatch(f"{_whole(batch)}, got one that does not decode: {error}") from error
        except TooLarge as error:
            raise BadBatch(f"{batch.name}: {error}") from error
        except MemoryError as error:
            raise BadBatch(f"{batch.name}: needs more memory than there is") from error
        folder.check_unchanged(batch)


def count_rows(folder: Folder, batch: Batch) -> int:
    """Rows of a file by its footer, 0 where that cannot be read; raises nothing."""
    try:
        with folder.opened(batch) as file:
            return _footer(FetchedFile(file, batch.name), file.size(), batch).rows
    except (OSError, pa.ArrowException, MalformedThrift, TooLarge, BadBatch, SourceUnavailable):
        return 0


def opened_parquet(
    file: FetchedFile, size: int, batch: Batch, *, plain: Collection[str] = ()
) -> OpenFile:
    """The file of so many bytes. plain: columns of texts that hardly ever come twice.

    Raises as the libraries do: `open_parquet` says what that means.
    """
    footer = _footer(file, size, batch)
    first = _open(file)
    deltas = delta_texts(footer)
    names = (each.name for each in first.schema_arrow if is_text(each.type))
    texts = [name for name in names if name not in deltas and name not in plain]
    opened = _open(file, first.metadata, texts) if texts else first
    return OpenFile(opened, footer, file, deltas)


def column_names(folder: Folder, batch: Batch) -> list[str]:
    """Names of a file's columns. Raises BadBatch and SourceUnavailable."""
    with open_parquet(folder, batch) as file:
        return [*file.parquet.schema_arrow.names]


def typed_columns(file: OpenFile) -> tuple[tuple[str, str], ...]:
    """Name and type of each column."""
    schema = file.parquet.schema_arrow
    return tuple((field.name, str(plain_type(field.type))) for field in schema)


def _encoded(batch: Any) -> Any:
    """The same rows, each text held once."""
    columns = [
        pc.dictionary_encode(each) if pa.types.is_string(each.type) else each
        for each in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _footer(file: FetchedFile, size: int, batch: Batch) -> Footer:
    """Raises TornBatch where a file does not end as one does, MalformedThrift and TooLarge."""
    tail = file.read_at(max(size - _TAIL_BYTES, 0), _TAIL_BYTES)
    size_bytes = int.from_bytes(tail[:4], "little")
    if len(tail) < _TAIL_BYTES or tail[4:] != _MAGIC or size_bytes > size - _TAIL_BYTES:
        raise TornBatch(f"{_whole(batch)}, got one that does not decode: its end is missing")
    if size_bytes > parquet_footer.MOST_FOOTER_BYTES:
        most = parquet_footer.MOST_FOOTER_BYTES
        raise TooLarge(f"needed a footer of at most {most:,} bytes, got {size_bytes:,}")
    start = size - _TAIL_BYTES - size_bytes
    return read_footer(file.read_at(start, size_bytes), size_bytes=start)


def _open(file: Any, metadata: Any = None, texts: Sequence[str] = ()) -> Any:
    return pq.ParquetFile(
        file,
        metadata=metadata,
        # Else a huge row group is fetched whole.
        buffer_size=_COLUMN_BUFFER_BYTES,
        pre_buffer=False,
        page_checksum_verification=True,
        read_dictionary=[*texts],
        thrift_string_size_limit=_MOST_TEXT_BYTES,
        thrift_container_size_limit=_MOST_ITEMS,
        # Spark's INT96 read as nanoseconds wraps around outside 1677-2262.
        coerce_int96_timestamp_unit="us",
    )


def _whole(batch: Batch) -> str:
    return f"{batch.name}: needed a whole Parquet file of {batch.size_bytes} bytes"
