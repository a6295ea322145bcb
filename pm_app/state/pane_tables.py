"""Panes as tables of one row a pane and sensor, and what such a table says of itself."""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from pm_app.records.features import PANE_KEYS, PANE_STATISTICS, PANE_TIMES, Panes, pane_arrays
from pm_app.records.readings import Index

_SELF = b"pm_app"


@dataclass(frozen=True)
class RowGroup:
    """What a row group holds, bounds included."""

    first_asset: str
    last_asset: str
    first_pane: int
    last_pane: int


@dataclass(frozen=True)
class Description:
    """What a segment says of itself; `groups` in the order of the file.

    carried: of a joined one, which panes each batch has, by its digest.
    """

    sensors: tuple[str, ...]
    pane_ns: int
    groups: tuple[RowGroup, ...]
    carried: Mapping[str, str] | None


def panes_to_table(panes: Panes, group_rows: int, carried: Mapping[str, Index] | None) -> pa.Table:
    """A table to be written in row groups of this many rows, described in its metadata.

    carried: of panes of several batches, the ascending rows of each by its digest.
    """
    width = len(panes.sensors)
    columns: dict[str, Any] = {}
    for name, values in pane_arrays(panes).items():
        columns[name] = pa.array(np.repeat(values, width) if name in PANE_KEYS else values.ravel())
    columns["asset"] = _asset_column(panes, group_rows)
    numbers = pa.array(np.tile(np.arange(width, dtype=np.int32), len(panes.pane)))
    columns["sensor"] = pa.DictionaryArray.from_arrays(numbers, pa.array(panes.sensors))
    table = pa.table(columns)
    description: dict[str, Any] = {
        "sensors": panes.sensors,
        "pane_ns": panes.pane_ns,
        "groups": list(_groups(panes, group_rows // width)),
    }
    if carried is not None:
        description["carried"] = {batch: _packed(rows) for batch, rows in carried.items()}
    return table.replace_schema_metadata({_SELF: json.dumps(description)})


def _asset_column(panes: Panes, group_rows: int) -> pa.ChunkedArray:
    """Names by row, a chunk a row group that holds no others: reading one decodes none of them."""
    width = len(panes.sensors)
    chunks = []
    for start in range(0, len(panes.pane), group_rows // width):
        asset = panes.asset[start : start + group_rows // width]
        names = pa.array(panes.assets[int(asset[0]) : int(asset[-1]) + 1])
        numbers = pa.array(np.repeat(asset - asset[0], width))
        chunks.append(pa.DictionaryArray.from_arrays(numbers, names))
    return pa.chunked_array(chunks, pa.dictionary(pa.int32(), pa.string()))


def _groups(panes: Panes, step: int) -> Iterator[tuple[str, str, int, int]]:
    """First and last asset and pane of each row group of this many panes."""
    for start in range(0, len(panes.pane), step):
        asset, pane = panes.asset[start : start + step], panes.pane[start : start + step]
        first, last = panes.assets[int(asset[0])], panes.assets[int(asset[-1])]
        yield first, last, int(pane.min()), int(pane.max())


def describe(metadata: dict[bytes, bytes]) -> Description:
    """What a table written here says of itself."""
    description = json.loads(metadata[_SELF])
    groups = tuple(RowGroup(*group) for group in description["groups"])
    return Description(
        tuple(description["sensors"]), description["pane_ns"], groups, description.get("carried")
    )


def _packed(rows: Index) -> str:
    """Ascending row numbers as text."""
    steps = np.diff(rows, prepend=0).astype("<i4")
    return base64.b85encode(zlib.compress(steps.tobytes())).decode()


def unpacked(text: str) -> Index:
    """The rows of a batch in `Description.carried`; "" is none."""
    if not text:
        return np.empty(0, dtype=np.intp)
    steps = np.frombuffer(zlib.decompress(base64.b85decode(text)), dtype="<i4")
    return np.cumsum(steps, dtype=np.intp)


class AssetNames:
    """Names of assets in tables, as text: made once for tables of the same that follow each
    other, as those of one row group of many segments do."""

    def __init__(self) -> None:
        self._last: tuple[pa.Array, tuple[str, ...]] = (pa.array([], pa.string()), ())

    def of(self, dictionary: pa.Array) -> tuple[str, ...]:
        """The names of a dictionary in its order."""
        before, names = self._last
        if not dictionary.equals(before):
            names = tuple(dictionary.to_pylist())
            self._last = dictionary, names
        return names


def panes_from_table(
    table: pa.Table, sensors: tuple[str, ...], pane_ns: int, names: AssetNames
) -> Panes:
    """Panes with these sensors, as views of the table; without times where it has none."""
    keys = keys_from_table(table, len(sensors), pane_ns, names)
    columns = {
        name: table.column(name).to_numpy().reshape(-1, len(sensors))
        for name in PANE_STATISTICS
        if name in table.column_names
    }
    panes = replace(keys, sensors=sensors, **columns)
    return panes if PANE_TIMES[0] in table.column_names else without_times(panes)


def without_times(panes: Panes) -> Panes:
    """The same panes as they are read without their times."""
    nothing: Any = np.empty((len(panes.pane), 0), dtype=np.int64)
    return replace(panes, **dict.fromkeys(PANE_TIMES, nothing))


def has_times(panes: Panes) -> bool:
    """Whether panes have been read with their times."""
    return panes.first_row_time.ndim == 1


def keys_from_table(table: pa.Table, step: int, pane_ns: int, asset_names: AssetNames) -> Panes:
    """Panes without sensors from a table that has `step` rows a pane."""
    text = table.column("asset").combine_chunks()
    if isinstance(text, pa.ChunkedArray):
        text = text.chunk(0) if text.num_chunks else pa.DictionaryArray.from_arrays([], [])
    names = asset_names.of(text.dictionary)
    asset = text.indices.to_numpy()[::step] if len(text) else np.empty(0, np.int32)
    assets = tuple(sorted(names))
    if assets == names:
        assets = names
    else:
        place = {name: number for number, name in enumerate(assets)}
        asset = np.array([place[name] for name in names], dtype=np.int32)[asset]
    keys: dict[str, Any] = {
        name: table.column(name).to_numpy()[::step]
        if name in table.column_names
        else np.zeros(len(asset), dtype=np.int64)
        for name in PANE_KEYS[1:]
    }
    empty: dict[str, Any] = {name: np.empty((len(asset), 0)) for name in PANE_STATISTICS}
    return Panes(pane_ns=pane_ns, assets=assets, asset=asset, sensors=(), **keys, **empty)
