"""Parquet files of a folder: opening, rows and columns by their footer, whose fault it is."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.files.folder import FetchedFile, Folder
from connectors.parquet import footer as parquet_footer
from connectors.parquet.columns import is_text, plain_type
from connectors.parquet.footer import Footer, TooLarge, check_pages, holds_short_texts, read_footer
from connectors.parquet.thrift import MalformedThrift
from pm_app.errors import BadBatch, SourceUnavailable, TornBatch
from pm_app.records.readings import Batch

SUFFIXES: Final = (".parquet", ".parq", ".pq")
CONTENTS: Final = "Parquet files"
_COLUMN_BUFFER_BYTES = 1 << 18
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

    def check(self, columns: Sequence[str]) -> None:
        """Raises TooLarge unless the pages of these columns can be unpacked safely."""
        check_pages(self.footer, columns, self._fetched.read_at)

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
            footer = _footer(fetched, file.size(), batch)
            plain = _open(fetched)
            texts = [each.name for each in plain.schema_arrow if is_text(each.type)]
            opened = _open(fetched, plain.metadata, texts) if texts else plain
            yield OpenFile(opened, footer, fetched)
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


def typed_columns(file: OpenFile) -> tuple[tuple[str, str], ...]:
    """Name and type of each column."""
    schema = file.parquet.schema_arrow
    return tuple((field.name, str(plain_type(field.type))) for field in schema)


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
