"""Simulated work orders as an Excel file: dates and numbers are cells of their kind."""

from datetime import datetime
from pathlib import Path

from pm_app.simulator import OrderExport, OrderFile

_DATES = ("Datum", "Erfasst am", "Geändert am")
_NUMBERS = ("Stillstand h", "Kosten EUR")


def write_workbook(path: Path, export: OrderExport, file: OrderFile) -> None:
    """One sheet with a header row; a date without a time stands at midnight, shown as a date."""
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.title = "Auftraege"
    sheet.append(export.columns)
    for row in file.rows:
        sheet.append([_value(*pair) for pair in zip(export.columns, row, strict=True)])
        for cell, column, text in zip(sheet[sheet.max_row], export.columns, row, strict=True):
            if column in _DATES and text:
                cell.number_format = "DD.MM.YYYY" if len(text) == 10 else "DD.MM.YYYY HH:MM"
    book.save(path)


def _value(column: str, text: str) -> str | float | datetime | None:
    if text and column in _DATES:
        form = "%d.%m.%Y" if len(text) == 10 else "%d.%m.%Y %H:%M"
        return datetime.strptime(text, form)  # noqa: DTZ007 - Excel knows no zone
    if text and column in _NUMBERS:
        return float(text.replace(".", "").replace(",", "."))
    return text or None
