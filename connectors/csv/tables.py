"""Tables of texts in CSV files: encoding, separator and header found, packed or not.

Nothing is taken for a number or a time here: whoever reads the texts knows what a column means.
"""

import csv
import gzip
import io
import zlib
from codecs import getincrementaldecoder
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from connectors.files.folder import FetchedFile, Folder
from pm_app.errors import BadBatch, TornBatch
from pm_app.records.readings import Batch

SUFFIXES: Final = tuple(
    f"{name}{packed}" for packed in ("", ".gz") for name in (".csv", ".tsv", ".txt")
)
CONTENTS: Final = "CSV files"
SEPARATORS: Final = (";", ",", "\t", "|")
_SEPARATOR_NAMES: Final = {";": "semicolons", ",": "commas", "\t": "tabs", "|": "bars"}
# Unpacked; a pack of a few kilobytes may hold far more. Readings are never held as a whole.
MOST_BYTES: Final = 1_000_000_000
MOST_READINGS_BYTES: Final = 50_000_000_000
MOST_COLUMNS: Final = 10_000
_BLOCK_BYTES: Final = 1 << 20
# The longest row, and how much is looked at to find header and separator.
_ROW_BYTES: Final = 1 << 22
_HEAD_BYTES: Final = 1 << 16
_HEAD_ROWS: Final = 20
_PACKED: Final = b"\x1f\x8b"
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass(frozen=True, eq=False)
class CsvFile:
    """A file whose header was found. columns: as it names them, "" where it does not.

    head: the first rows below it, as many values each as there are columns. refused: number and
    reason of rows with more or fewer values than the header has; grows as batches are read.
    """

    name: str
    columns: tuple[str, ...]
    separator: str
    encoding: str
    skipped_lines: int
    head: tuple[tuple[str, ...], ...] = ()
    refused: list[tuple[int, str]] = field(default_factory=list)
    _stream: Any = None

    @property
    def written(self) -> str:
        """How its texts are stored."""
        return f"{self.encoding}, columns parted by {_SEPARATOR_NAMES[self.separator]}"

    def batches(self, places: Sequence[int] | None = None) -> Iterator[Any]:
        """Record batches of texts without blanks around them, "" where there is nothing.

        places: of the columns that are wanted, by default all of them.
        """
        numbered = [f"{number}" for number in range(len(self.columns))]
        chosen = range(len(numbered)) if places is None else places
        reader = arrow_csv.open_csv(
            self._stream,
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                block_size=_ROW_BYTES,
                skip_rows=self.skipped_lines,
                column_names=numbered,
                encoding=self.encoding,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self.separator,
                newlines_in_values=True,
                invalid_row_handler=self._refuse,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(numbered, pa.string()),
                include_columns=[numbered[place] for place in chosen],
            ),
        )
        for batch in reader:
            texts = [pc.utf8_trim_whitespace(column) for column in batch.columns]
            yield pa.RecordBatch.from_arrays(texts, names=[self.columns[place] for place in chosen])

    def _refuse(self, row: Any) -> str:
        number = int(row.number) - self.skipped_lines
        why = f"has {row.actual_columns:,} values where the header names {row.expected_columns:,}"
        self.refused.append((number, why))
        return "skip"


@contextmanager
def open_csv(
    folder: Folder, batch: Batch, *, wanted: Collection[str] = (), most_bytes: int | None = None
) -> Iterator[CsvFile]:
    """A file of the folder. wanted: names that its header is known by, where lines stand before.

    most_bytes: unpacked, by default as many as are held at once.
    Inside the block, bytes that cannot be fetched raise SourceUnavailable; what is no table of
    texts, or larger than a server can bear, raises BadBatch, TornBatch where a pack has no end.
    """
    most = MOST_BYTES if most_bytes is None else most_bytes
    with folder.opened(batch) as raw:
        fetched = FetchedFile(raw, batch.name)
        try:
            encoding = _encoding(_unpacked(fetched, batch.name, most), batch.name)
            start = _unpacked(fetched, batch.name, most).read(_HEAD_BYTES)
            text = _decoded(start, encoding)
            names, separator, lines = _header(text, batch.name, wanted)
            head = _rows_below(text, separator, lines, whole=len(start) < _HEAD_BYTES)
            names += ("",) * _unnamed_at_the_end(head, len(names))
            head = tuple(row for row in head if len(row) == len(names))
            stream = _unpacked(fetched, batch.name, most)
            yield CsvFile(batch.name, names, separator, encoding, lines, head, _stream=stream)
        except EOFError as error:
            raise TornBatch(
                f"{batch.name}: needed a whole pack, got one without its end"
            ) from error
        except (OSError, zlib.error, pa.ArrowException, csv.Error, UnicodeError) as error:
            raise BadBatch(
                f"{batch.name}: needed a CSV file, got one that does not decode: {error}"
            ) from error
        folder.check_unchanged(batch)


class _Unpacked(io.RawIOBase):
    """Bytes of a stream, at most so many of them."""

    def __init__(self, stream: Any, name: str, most: int) -> None:
        self._stream, self._name, self._most, self._came = stream, name, most, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Bytes from the current position; raises BadBatch beyond the bound."""
        block = bytes(self._stream.read(_BLOCK_BYTES if size < 0 else size))
        self._came += len(block)
        if self._came > self._most:
            raise BadBatch(f"{self._name}: needed at most {self._most:,} bytes of text, got more")
        return block


def _unpacked(file: FetchedFile, name: str, most: int) -> _Unpacked:
    """The bytes from the start, unpacked where they are packed."""
    packed = file.read_at(0, len(_PACKED)) == _PACKED
    file.seek(0)
    return _Unpacked(gzip.GzipFile(fileobj=file, mode="rb") if packed else file, name, most)


def _encoding(stream: _Unpacked, name: str) -> str:
    """How the bytes are text: by their mark, UTF-8 where all of them are, else cp1252."""
    block = stream.read(_BLOCK_BYTES)
    marked = next((encoding for mark, encoding in _MARKS if block.startswith(mark)), None)
    decoders = {
        encoding: getincrementaldecoder(encoding)()
        for encoding in ([marked] if marked else ["utf-8", "cp1252"])
    }
    wrong: dict[str, UnicodeError] = {}
    while decoders:
        for encoding, decoder in list(decoders.items()):
            # What is ASCII can only be wrong in the middle of a letter of several bytes.
            if encoding == "cp1252" and block.isascii() and b"\0" not in block:
                continue
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeError as error:
                wrong[encoding] = error
                del decoders[encoding]
            else:
                if "\0" in text:
                    raise BadBatch(f"{name}: needed text, got bytes that are none")
        if not block:
            break
        block = stream.read(_BLOCK_BYTES)
    for encoding in decoders:
        return encoding
    reasons = "; ".join(f"no {encoding}: {error}" for encoding, error in wrong.items())
    raise BadBatch(f"{name}: needed text in UTF-8, UTF-16 or cp1252, got bytes that are {reasons}")


def _decoded(head: bytes, encoding: str) -> str:
    return head.decode(encoding, errors="replace").removeprefix("\ufeff")


def _header(text: str, name: str, wanted: Collection[str]) -> tuple[tuple[str, ...], str, int]:
    """Names of columns, what separates them, and how many lines end with them."""
    best: tuple[int, int] = (-1, 0)
    found: tuple[tuple[str, ...], str, int] | None = None
    for separator in SEPARATORS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        for number, row in enumerate(reader):
            names = tuple(" ".join(each.split()) for each in row)
            matching = len(set(names).intersection(wanted))
            if number >= _HEAD_ROWS:
                break
            # Without names that are known, the first line is the header.
            if any(names) and (matching, len(names)) > best and (matching or not number):
                best, found = (matching, len(names)), (names, separator, reader.line_num)
    if found is None:
        raise BadBatch(f"{name}: needed a header with the names of columns, got none")
    if len(found[0]) > MOST_COLUMNS:
        raise BadBatch(f"{name}: needed at most {MOST_COLUMNS:,} columns, got {len(found[0]):,}")
    return found


def _rows_below(
    text: str, separator: str, lines: int, *, whole: bool
) -> tuple[tuple[str, ...], ...]:
    """The first rows below the header; the last line of a text that is cut off is none."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows = []
    for row in reader:
        if reader.line_num > lines and any(row):
            rows.append(tuple(value.strip() for value in row))
        if len(rows) > _HEAD_ROWS:
            break
    return tuple(rows if whole and len(rows) <= _HEAD_ROWS else rows[:-1])


def _unnamed_at_the_end(head: Sequence[tuple[str, ...]], names: int) -> int:
    """How many columns follow the last name: rows that all end with separators have no values."""
    surplus = {len(row) - names for row in head}
    more = surplus.pop() if len(surplus) == 1 else 0
    return more if more > 0 and not any(any(row[names:]) for row in head) else 0
