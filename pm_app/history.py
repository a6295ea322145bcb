"""Panes on disk: one or more immutable segments a batch.

A segment is a Parquet file with one row a pane and sensor, sorted by asset and pane, page
checksums written and verified. Of the same asset and pane in several segments the one of the
batch latest in the ledger counts. Panes are derived data: what the ledger does not name is
garbage, and deleting the folder only costs a rebuild.
"""

import re
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pm_app.durable import make_folder, remove_file, write_file
from pm_app.errors import TerminalError
from pm_app.records.features import PANE_KEYS, PANE_STATISTICS, Panes, pane_arrays

ROW_GROUP_CELLS = 100_000
CACHE_CELLS = 400_000
_KEYS_ONLY = ("asset", "pane")
# Names that are ours to delete: segments, and ones that were being written.
_OWN = re.compile(r"(\.[0-9a-f]{24}-\d{4}\.parquet\.tmp|[0-9a-f]{24}-\d{4}\.parquet)")
_NEEDED = {*PANE_KEYS, "sensor", *PANE_STATISTICS}


class MissingSegment(TerminalError):
    """A segment the ledger names is not on disk, or damaged: rebuild it from its batch."""


class History:
    """Pane segments in a folder; the newest ones read stay in memory, for they never change."""

    def __init__(self, folder: Path, *, pane_ns: int) -> None:
        self.folder = folder
        self.pane_ns = pane_ns
        self._cache: OrderedDict[str, Panes] = OrderedDict()
        self._cache_lock = Lock()
        make_folder(folder)

    def write(self, name: str, panes: Panes) -> None:
        """Keep panes under this name; durable when it returns."""
        self._forget(name)
        table = _to_table(panes)
        write_file(
            self.folder / name,
            lambda path: pq.write_table(
                table,
                path,
                row_group_size=max(ROW_GROUP_CELLS // len(panes.sensors), 1) * len(panes.sensors),
                compression="zstd",
                write_page_checksum=True,
            ),
        )

    def read(
        self,
        names: Sequence[str],
        *,
        assets: Collection[str] | None = None,
        since_pane: int | None = None,
        until_pane: int | None = None,
    ) -> Iterator[Panes]:
        """The panes of each segment in the order given, only these assets and panes.

        since_pane and until_pane are included. Raises MissingSegment naming the file.
        """
        for name in names:
            panes = self._cache.get(name)
            if panes is None:
                panes = self._load(name, assets, since_pane, until_pane)
            yield _restrict(panes, assets, since_pane, until_pane)

    def keys(self, names: Iterable[str]) -> Iterator[Panes]:
        """As `read`, but without sensors: which assets have which panes."""
        for name in names:
            with self._open(name) as file:
                sensors = _sensors(file.schema_arrow)
                step = len(sensors)
                table = file.read(columns=list(_KEYS_ONLY))
            yield _keys_of(table, step, self.pane_ns)

    def sensors(self, name: str) -> tuple[str, ...]:
        """Which sensors a segment holds."""
        with self._open(name) as file:
            return _sensors(file.schema_arrow)

    def remove_unnamed(self, named: Collection[str]) -> list[str]:
        """Delete every segment that is not named; returns what went. What is not ours stays."""
        found = (path for path in self.folder.iterdir() if _OWN.fullmatch(path.name))
        garbage = [path for path in found if path.name not in named]
        for path in garbage:
            self._forget(path.name)
            remove_file(path)
        return sorted(path.name for path in garbage)

    def _load(
        self,
        name: str,
        assets: Collection[str] | None,
        since_pane: int | None,
        until_pane: int | None,
    ) -> Panes:
        with self._open(name) as file:
            groups = [
                number
                for number in range(file.num_row_groups)
                if _may_hold(file.metadata.row_group(number), assets, since_pane, until_pane)
            ]
            try:
                table = file.read_row_groups(groups)
            except (OSError, pa.ArrowException) as error:
                raise MissingSegment(f"{self.folder / name}: damaged: {error}") from error
            whole = len(groups) == file.num_row_groups
        panes = _from_table(table, self.pane_ns)
        if whole and panes.count.size <= CACHE_CELLS // 8:
            self._remember(name, panes)
        return panes

    def _remember(self, name: str, panes: Panes) -> None:
        # Scoring and ingesting for a training look at the same time.
        with self._cache_lock:
            self._cache[name] = panes
            while sum(kept.count.size for kept in self._cache.values()) > CACHE_CELLS:
                self._cache.popitem(last=False)

    def _forget(self, name: str) -> None:
        """A batch that was not recorded may be written again with other panes."""
        with self._cache_lock:
            self._cache.pop(name, None)

    def _open(self, name: str) -> pq.ParquetFile:
        try:
            file = pq.ParquetFile(self.folder / name, page_checksum_verification=True)
        except FileNotFoundError as error:
            raise MissingSegment(f"{self.folder / name}: not there") from error
        except (OSError, pa.ArrowException) as error:
            raise MissingSegment(f"{self.folder / name}: damaged: {error}") from error
        # Checksums cover the pages, not the footer that names the columns.
        lost = _NEEDED - set(file.schema_arrow.names)
        if lost or b"sensors" not in (file.schema_arrow.metadata or {}):
            raise MissingSegment(f"{self.folder / name}: damaged: no {sorted(lost) or 'sensors'}")
        return file


def _to_table(panes: Panes) -> pa.Table:
    width = len(panes.sensors)
    columns: dict[str, Any] = {}
    for name, values in pane_arrays(panes).items():
        columns[name] = pa.array(np.repeat(values, width) if name in PANE_KEYS else values.ravel())
    columns["asset"] = pa.DictionaryArray.from_arrays(columns["asset"], pa.array(panes.assets))
    numbers = pa.array(np.tile(np.arange(width, dtype=np.int32), len(panes.pane)))
    columns["sensor"] = pa.DictionaryArray.from_arrays(numbers, pa.array(panes.sensors))
    table = pa.table(columns)
    return table.replace_schema_metadata({"sensors": "\x00".join(panes.sensors)})


def _sensors(schema: pa.Schema) -> tuple[str, ...]:
    return tuple(schema.metadata[b"sensors"].decode().split("\x00"))


def _from_table(table: pa.Table, pane_ns: int) -> Panes:
    sensors = _sensors(table.schema)
    keys = _keys_of(table, len(sensors), pane_ns)
    columns = {
        name: table.column(name).to_numpy().reshape(-1, len(sensors)) for name in PANE_STATISTICS
    }
    return replace(keys, sensors=sensors, **columns)


def _keys_of(table: pa.Table, step: int, pane_ns: int) -> Panes:
    """Panes without sensors from a table that has `step` rows a pane."""
    text = table.column("asset").combine_chunks()
    if isinstance(text, pa.ChunkedArray):
        text = text.chunk(0) if text.num_chunks else pa.DictionaryArray.from_arrays([], [])
    names = text.dictionary.to_pylist()
    order = sorted(range(len(names)), key=lambda number: names[number])
    rank = np.empty(len(names), dtype=np.int32)
    rank[order] = np.arange(len(names))
    asset = rank[text.indices.to_numpy()[::step]] if len(text) else np.empty(0, np.int32)
    keys: dict[str, Any] = {
        name: table.column(name).to_numpy()[::step]
        if name in table.column_names
        else np.zeros(len(asset), dtype=np.int64)
        for name in PANE_KEYS[1:]
    }
    empty: dict[str, Any] = {name: np.empty((len(asset), 0)) for name in PANE_STATISTICS}
    assets = tuple(names[number] for number in order)
    return Panes(pane_ns=pane_ns, assets=assets, asset=asset, sensors=(), **keys, **empty)


def _may_hold(
    group: Any,
    assets: Collection[str] | None,
    since_pane: int | None,
    until_pane: int | None,
) -> bool:
    """Whether a row group's statistics leave room for what is asked."""
    bounds = {}
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema in _KEYS_ONLY and column.statistics is not None:
            bounds[column.path_in_schema] = (column.statistics.min, column.statistics.max)
    low, high = bounds.get("pane", (None, None))
    if since_pane is not None and high is not None and high < since_pane:
        return False
    if until_pane is not None and low is not None and low > until_pane:
        return False
    if assets is None or "asset" not in bounds:
        return True
    first, last = bounds["asset"]
    return any(first <= name <= last for name in assets)


def _restrict(
    panes: Panes,
    assets: Collection[str] | None,
    since_pane: int | None,
    until_pane: int | None,
) -> Panes:
    stays = np.ones(len(panes.pane), dtype=bool)
    if since_pane is not None:
        stays &= panes.pane >= since_pane
    if until_pane is not None:
        stays &= panes.pane <= until_pane
    if assets is not None:
        wanted = np.array([name in assets for name in panes.assets], dtype=bool)
        stays &= wanted[panes.asset]
    if stays.all():
        return panes
    columns: dict[str, Any] = {name: values[stays] for name, values in pane_arrays(panes).items()}
    return replace(panes, **columns)
