"""Columns of a table of events by what the format calls them; one that is not there is empty."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.columns.moments import MomentRules, WrittenMoments, read_moments
from connectors.columns.times import read_times
from connectors.columns.values import (
    Flags,
    TextCodes,
    is_text,
    plain_type,
    read_assets,
    read_labels,
)
from connectors.events.form import EventsFormat
from connectors.events.patterns import MOST_CHARACTERS, Patterns
from pm_app.records.readings import Int64, Text


@dataclass(frozen=True, eq=False)
class EventColumns:
    """Columns of a table by what the format calls them; one that is not there is empty."""

    table: Any
    form: EventsFormat

    def labels(self, name: str | None) -> TextCodes:
        """Names per row, assets by their patterns; the default asset where there is no such
        column."""
        if name in self.table.column_names:
            if name == self.form.asset_column:
                return _renamed(read_assets(self._array(name)), self.form.asset_patterns)
            return read_labels(self._array(name))
        default = self.form.default_asset if name == self.form.asset_column else None
        if default is None:
            return TextCodes((), np.full(self.table.num_rows, -1, dtype=np.int32))
        only = TextCodes((default,), np.zeros(self.table.num_rows, dtype=np.int32))
        return _renamed(only, self.form.asset_patterns)

    def texts(self) -> Text:
        """Free text per row, its start where it is long, "" where there is none."""
        name = self.form.text_column
        if name not in self.table.column_names:
            return np.full(self.table.num_rows, "", dtype=object)
        column = self._array(name)
        column = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        starts = pc.utf8_slice_codeunits(column.cast(pa.large_string()), 0, MOST_CHARACTERS)
        texts: Text = np.array([text or "" for text in starts.to_pylist()], dtype=object)
        return texts

    def moments(self, name: str) -> WrittenMoments:
        """Times per row: timestamps as they are, texts as people write them."""
        column = self._array(name)
        if is_text(plain_type(column.type)):
            texts = [text or "" for text in column.to_pylist()]
            form = self.form
            rules = MomentRules(form.timezone, form.dates, counts=form.counts_ns)
            return read_moments(texts, rules)
        times = read_times(column, name, self.form.time_rules)
        reason = np.full(len(column), "", dtype=object)
        for rows, why in times.refused:
            reason[rows] = why.removeprefix(f"{name} ")
        return WrittenMoments(times.time, times.time, reason)

    def untils(self, times: WrittenMoments, reasons: Text) -> Int64:
        """By when each event had happened; rows where that cannot be get a reason."""
        name, before = self.form.until_column, self.form.time_column
        if name is None or name not in self.table.column_names:
            return times.until
        until, given = self.moments(name), self._given(name)
        give_reasons(reasons, np.where(given, until.reason, ""), name)
        late = given & (reasons == "") & (until.until < times.since)
        reasons[late] = f"{name} is before {before}"
        # A date alone ends with its day, however late it was booked.
        ends = np.where(times.until > times.since, times.until, until.until)
        return np.where(given, np.minimum(until.until, ends), times.until)

    def changes(self, reasons: Text) -> Int64:
        """When each row's order was last changed, 0 where it never was."""
        name = self.form.changed_column
        if name is None or name not in self.table.column_names:
            return np.zeros(self.table.num_rows, dtype=np.int64)
        changed, given = self.moments(name), self._given(name)
        give_reasons(reasons, np.where(given, changed.reason, ""), name)
        return np.where(given, changed.until, 0)

    def _given(self, name: str) -> Flags:
        column = self._array(name)
        if not is_text(plain_type(column.type)):
            return np.asarray(column.is_valid().to_numpy(zero_copy_only=False), dtype=bool)
        return np.array([bool(text) for text in column.to_pylist()], dtype=np.bool_)

    def _array(self, name: str | None) -> Any:
        """One contiguous array of a column, dictionaries of its row groups made one."""
        column = self.table.column(name).unify_dictionaries().combine_chunks()
        return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def _renamed(assets: TextCodes, patterns: Patterns) -> TextCodes:
    """Assets by what the readings call them."""
    if not patterns:
        return assets
    renamed = [patterns.find(name) or name for name in assets.names]
    names = tuple(sorted(set(renamed)))
    table = np.array([*(names.index(name) for name in renamed), -1], dtype=np.int32)
    return TextCodes(names, table[assets.index], assets.odd)


def give_reasons(reasons: Text, found: Text, column: str) -> None:
    """Give rows the reasons found in a column."""
    for row in np.flatnonzero(found != "").tolist():
        reasons[row] = f"{column} {found[row]}"
