"""Tables of texts in Excel files, by openpyxl (the extra "excel"); whatever a cell holds is text.

A date with a time reads as 2024-02-03T14:05:00, one without as 2024-02-03, whole numbers without
a point, and what a formula gave when it was last calculated, nothing where that was an error. The
sheet is the first that has a header with the names that are looked for.
"""

import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import islice
from typing import Any, Final
from xml.etree.ElementTree import ParseError

import pyarrow as pa

from connectors.files.folder import FetchedFile, Folder
from pm_app.errors import BadBatch, BadSettings, TornBatch
from pm_app.records.readings import Batch

SUFFIXES: Final = (".xlsx", ".xlsm")
CONTENTS: Final = "Excel files"
# Unpacked, and cells: a pack of a few kilobytes may hold far more.
MOST_FILE_BYTES: Final = 100_000_000
MOST_BYTES: Final = 500_000_000
MOST_CELLS: Final = 20_000_000
_BLOCK_BYTES: Final = 1 << 16
_HEAD_ROWS: Final = 20
_BATCH_ROWS: Final = 10_000
# As many as a sheet can have.
MOST_ROWS: Final = 1_048_576
_PACKED: Final = b"PK"
_LIKE_THOUSANDS: Final = re.compile(r"-?\d{1,3}\.\d{3}")
# What openpyxl raises over files that are damaged, or none of Excel's.
_DAMAGED: Final = (
    *(zipfile.BadZipFile, zlib.error, ParseError, OSError, EOFError, NotImplementedError),
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)


@dataclass(frozen=True, eq=False)
class ExcelSheet:
    """A sheet whose header was found. columns: as it names them, "" where it does not.

    head: the first rows below it, as many values each as there are columns. refused: of rows that
    are none; here nothing. written: how its texts are stored.
    """

    name: str
    columns: tuple[str, ...]
    head: tuple[tuple[str, ...], ...]
    written: str
    _rows: Callable[[], Iterator[tuple[str, ...]]]
    refused: list[tuple[int, str]] = field(default_factory=list)

    def batches(self, places: Sequence[int] | None = None) -> Iterator[Any]:
        """Record batches of texts, "" where there is nothing, of rows that hold anything.

        places: of the columns that are wanted, by default all of them. Raises as open_excel.
        """
        chosen = range(len(self.columns)) if places is None else places
        names, rows = [self.columns[place] for place in chosen], self._rows()
        while block := list(islice(rows, _BATCH_ROWS)):
            arrays = [pa.array([row[place] for row in block], pa.string()) for place in chosen]
            yield pa.RecordBatch.from_arrays(arrays, names=names)


@contextmanager
def open_excel(
    folder: Folder, batch: Batch, *, wanted: Collection[str] = (), measured: bool = False
) -> Iterator[ExcelSheet]:
    """The sheet of a file of the folder that has a header. wanted: names that it is known by.

    measured: whether numbers of cells are values, and no codes: then none reads as 1.234, which
    may be thousands where texts of the file have decimal commas, but as 1.2340.

    Raises BadSettings without openpyxl; inside the block SourceUnavailable, BadBatch for what is
    no table or larger than a server can bear, and TornBatch where its end is missing.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise BadSettings("Excel files need openpyxl: pip install 'pm-app[excel]'") from error
    with folder.opened(batch) as raw:
        content = _content(FetchedFile(raw, batch.name), batch)
        file = io.BytesIO(content)
        with _damage_named(batch.name, content):
            _check_size(file, batch.name)
            # Of styles that are not there, and the like.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
                sheet, number, names = _header(book, batch.name, wanted)

        def rows() -> Iterator[tuple[str, ...]]:
            found = islice(_rows(sheet, batch.name, measured=measured), number + 1, None)
            while True:
                with _damage_named(batch.name, content):
                    row = next((row for row in found if any(row)), None)
                if row is None:
                    return
                yield (*row[: len(names)], *[""] * (len(names) - len(row)))

        head = tuple(islice(rows(), _HEAD_ROWS))
        yield ExcelSheet(batch.name, names, head, f"sheet {sheet.title!r} of an Excel file", rows)
        folder.check_unchanged(batch)


@contextmanager
def _damage_named(name: str, content: bytes) -> Iterator[None]:
    """Raise what openpyxl raises inside the block as what is wrong with the file."""
    try:
        yield
    except MemoryError as error:
        raise BadBatch(f"{name}: needs more memory than there is") from error
    except _DAMAGED as error:
        if isinstance(error, zipfile.BadZipFile) and content.startswith(_PACKED):
            raise TornBatch(f"{name}: needed a whole Excel file: {error}") from error
        why = f"{type(error).__name__}: {error}"
        raise BadBatch(
            f"{name}: needed an Excel file, got one that does not decode: {why}"
        ) from error


def _content(file: FetchedFile, batch: Batch) -> bytes:
    if batch.size_bytes > MOST_FILE_BYTES:
        most = f"at most {MOST_FILE_BYTES:,} bytes"
        raise BadBatch(f"{batch.name}: needed {most}, got {batch.size_bytes:,}")
    content = io.BytesIO()
    while block := file.read(_BLOCK_BYTES):
        content.write(block)
    return content.getvalue()


def _check_size(file: io.BytesIO, name: str) -> None:
    with zipfile.ZipFile(file) as pack:
        size = sum(entry.file_size for entry in pack.infolist())
    if size > MOST_BYTES:
        raise BadBatch(f"{name}: needed at most {MOST_BYTES:,} bytes unpacked, got {size:,}")
    file.seek(0)


def _header(book: Any, name: str, wanted: Collection[str]) -> tuple[Any, int, tuple[str, ...]]:
    """The sheet, the place of its header, and the names there."""
    best: tuple[int, int] = (-1, 0)
    found: tuple[Any, int, tuple[str, ...]] | None = None
    for sheet in book.worksheets:
        # What a sheet says of its size may be anything.
        sheet.reset_dimensions()
        for number, row in enumerate(islice(_rows(sheet, name), _HEAD_ROWS)):
            names = tuple(" ".join(each.split()) for each in row)
            matching = len(set(names).intersection(wanted))
            if any(names) and (matching, len(names)) > best and (matching or best[0] < 0):
                best, found = (matching, len(names)), (sheet, number, names)
    if found is None:
        raise BadBatch(f"{name}: needed a header with the names of columns, got none")
    return found


def _rows(sheet: Any, name: str, *, measured: bool = False) -> Iterator[tuple[str, ...]]:
    cells = 0
    for number, row in enumerate(sheet.iter_rows()):
        cells += len(row)
        # Rows that are not there count as well: a file may claim that its only one is the last.
        if number > MOST_ROWS + _HEAD_ROWS or cells > MOST_CELLS:
            raise BadBatch(f"{name}: needed at most {MOST_ROWS:,} rows, got more")
        yield tuple(_text(cell, measured) for cell in row)


def _text(cell: Any, measured: bool) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, datetime):
        shown = "" if cell.number_format is None else str(cell.number_format).lower()
        if value.time() == time() and not ("h" in shown or "s" in shown):
            return value.date().isoformat()
        return value.isoformat()
    if isinstance(value, float):
        if value.is_integer():
            return str(int(value))
        zero = "0" if measured and _LIKE_THOUSANDS.fullmatch(str(value)) else ""
        return f"{value}{zero}"
    if cell.data_type == "e":
        return ""
    return value.isoformat() if isinstance(value, date | time) else str(value).strip()
