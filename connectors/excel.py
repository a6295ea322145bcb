"""Tables of texts in Excel files, by openpyxl (the extra "excel"); whatever a cell holds is text.

A date with a time reads as 2024-02-03T14:05:00, one without as 2024-02-03, whole numbers without
a point, and what a formula gave when it was last calculated. The sheet is the first that has a
header with the names that are looked for.
"""

import io
import warnings
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import chain, islice
from typing import Any, Final
from xml.etree.ElementTree import ParseError

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
_PACKED: Final = b"PK"
# What openpyxl raises over files that are damaged, or none of Excel's.
_DAMAGED: Final = (
    *(zipfile.BadZipFile, zlib.error, ParseError, OSError, EOFError, NotImplementedError),
    *(ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError),
)


@dataclass(frozen=True, eq=False)
class ExcelTable:
    """A sheet. columns: as its header names them; rows: texts, one a column, "" for nothing."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def read_excel(
    folder: Folder, batch: Batch, *, wanted: Collection[str] = (), most_rows: int
) -> ExcelTable:
    """The table of a file of the folder.

    Raises BadSettings without openpyxl, SourceUnavailable, BadBatch for what is no table or
    larger than a server can bear, and TornBatch where its end is missing.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise BadSettings("Excel files need openpyxl: pip install 'pm-app[excel]'") from error
    with folder.opened(batch) as raw:
        content = _content(FetchedFile(raw, batch.name), batch)
        file = io.BytesIO(content)
        try:
            _check_size(file, batch.name)
            # Of styles that are not there, and the like.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                book = load_workbook(file, read_only=True, data_only=True, keep_links=False)
                table = _table(book, batch.name, wanted, most_rows)
        except MemoryError as error:
            raise BadBatch(f"{batch.name}: needs more memory than there is") from error
        except _DAMAGED as error:
            if isinstance(error, zipfile.BadZipFile) and content.startswith(_PACKED):
                raise TornBatch(f"{batch.name}: needed a whole Excel file: {error}") from error
            why = f"{type(error).__name__}: {error}"
            raise BadBatch(
                f"{batch.name}: needed an Excel file, got one that does not decode: {why}"
            ) from error
        folder.check_unchanged(batch)
    return table


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


def _table(book: Any, name: str, wanted: Collection[str], most_rows: int) -> ExcelTable:
    best: tuple[int, int] = (-1, 0)
    found: tuple[Any, int, tuple[str, ...]] | None = None
    for sheet in book.worksheets:
        # What a sheet says of its size may be anything.
        sheet.reset_dimensions()
        for number, row in enumerate(islice(_rows(sheet, name, most_rows), _HEAD_ROWS)):
            names = tuple(" ".join(each.split()) for each in row)
            matching = len(set(names).intersection(wanted))
            if any(names) and (matching, len(names)) > best and (matching or best[0] < 0):
                best, found = (matching, len(names)), (sheet, number, names)
    if found is None:
        raise BadBatch(f"{name}: needed a header with the names of columns, got none")
    sheet, number, names = found
    rows = islice(_rows(sheet, name, most_rows), number + 1, None)
    filled = [tuple(islice(chain(row, [""] * len(names)), len(names))) for row in rows if any(row)]
    return ExcelTable(names, filled)


def _rows(sheet: Any, name: str, most_rows: int) -> Iterator[tuple[str, ...]]:
    cells = 0
    for number, row in enumerate(sheet.iter_rows()):
        cells += len(row)
        # Rows that are not there count as well: a file may claim that its only one is the last.
        if number > most_rows + _HEAD_ROWS or cells > MOST_CELLS:
            raise BadBatch(f"{name}: needed at most {most_rows:,} rows, got more")
        yield tuple(_text(cell) for cell in row)


def _text(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, datetime):
        shown = "" if cell.number_format is None else str(cell.number_format).lower()
        if value.time() == time() and not ("h" in shown or "s" in shown):
            return value.date().isoformat()
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.isoformat() if isinstance(value, date | time) else str(value).strip()
