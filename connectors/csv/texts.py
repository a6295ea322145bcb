"""Tables of texts in files of a folder, by their ending: CSV, packed or not, and Excel."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Any, Final, Protocol

from connectors import excel
from connectors.csv import tables as csv
from connectors.files.folder import Folder
from pm_app.records.readings import Batch

# Endings and names of what a format reads.
TABLES: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "csv": (csv.SUFFIXES, csv.CONTENTS),
    "excel": (excel.SUFFIXES, excel.CONTENTS),
    "auto": ((*csv.SUFFIXES, *excel.SUFFIXES), "CSV or Excel files"),
}


class TextFile(Protocol):
    """A table of texts whose header was found; see `CsvFile` and `ExcelSheet`."""

    @property
    def name(self) -> str:
        """Of its batch."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """As the header names them, "" where it does not."""
        ...

    @property
    def head(self) -> tuple[tuple[str, ...], ...]:
        """The first rows below the header."""
        ...

    @property
    def refused(self) -> list[tuple[int, str]]:
        """Number and reason of rows that are none; grows as batches are read."""
        ...

    @property
    def written(self) -> str:
        """How its texts are stored."""
        ...

    def batches(self, places: Sequence[int] | None = None) -> Iterator[Any]:
        """Record batches of texts, "" where there is nothing; of these columns."""
        ...


def open_table(
    folder: Folder,
    batch: Batch,
    *,
    wanted: Collection[str] = (),
    most_bytes: int | None = None,
    measured: bool = False,
) -> AbstractContextManager[TextFile]:
    """A file of the folder by its ending. measured: see open_excel. Raises as it and open_csv."""
    if batch.name.lower().endswith(excel.SUFFIXES):
        return excel.open_excel(folder, batch, wanted=wanted, measured=measured)
    return csv.open_csv(folder, batch, wanted=wanted, most_bytes=most_bytes)


def reads_excel() -> bool:
    """Whether what reads Excel files is installed."""
    return find_spec("openpyxl") is not None
