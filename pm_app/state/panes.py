"""Panes on disk: one or more immutable segments a batch, or one that many batches share.

A segment is a Parquet file that proves itself (see `segments`) with one row a pane and sensor,
sorted by asset and pane; its footer says of which length the panes are, which sensors it holds,
and what lies in each row group. Of the same asset and pane in several segments the one of the
batch latest in the ledger counts. A joined segment is what a run of batches comes to that way, and
its footer says which panes each of them had. Panes are derived data: what the ledger does not name
is an orphan, and deleting the folder only costs a rebuild.
"""

import re
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from sys import getsizeof
from threading import Lock
from typing import Any

import numpy as np

from pm_app.durable import make_folder, remove_file
from pm_app.records.features import Panes, pane_arrays
from pm_app.records.readings import Index
from pm_app.state.pane_tables import (
    Description,
    RowGroup,
    describe,
    keys_from_table,
    panes_from_table,
    panes_to_table,
    unpacked,
)
from pm_app.state.segments import PROOF, MissingSegment, Segment, opened_segment, write_segment

# Panes times sensors that are read together: few, for most looks want the newest panes of an asset.
ROW_GROUP_CELLS = 12_500
# What is read stays at hand up to this, all that Python keeps beside the numbers included; a
# segment of more than an eighth of it is read anew each time.
CACHE_BYTES = 16_000_000
# An object with a dictionary, and its place in the cache.
_OBJECT_BYTES = 2_000
_ARRAY_BYTES = 144
_POINTER_BYTES = 8
_KEYS_ONLY = ("asset", "pane")
# Names that are ours to delete: segments, and ones that were being written.
_OWN = re.compile(rf"\.?[0-9a-f]{{24}}-(?:\d{{4}}|joined)(?:{PROOF}|\.parquet)(?:\.tmp)?")


class History:
    """Pane segments in a folder; the newest ones read stay in memory, for they never change."""

    def __init__(self, folder: Path, *, pane_ns: int) -> None:
        self.folder = folder
        self.pane_ns = pane_ns
        self._cache: OrderedDict[str, Panes] = OrderedDict()
        self._cache_bytes = 0
        self._cache_lock = Lock()
        make_folder(folder)

    def write(self, stem: str, panes: Panes, *, carried: Mapping[str, Index] | None = None) -> str:
        """Keep panes under a name that begins with this; durable when it returns the name.

        carried: where they are those of several batches, the rows of each by its digest.
        """
        width = len(panes.sensors)
        group_rows = max(ROW_GROUP_CELLS // width, 1) * width
        table = panes_to_table(panes, group_rows, carried)
        name = write_segment(self.folder, stem, table, group_rows=group_rows)
        self._forget(name)
        return name

    def check(self, name: str) -> None:
        """Raises MissingSegment where a segment is not there, or not the one of this name."""
        with self._open(name):
            pass

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
        wanted = _Selection(assets, since_pane, until_pane)
        for name in names:
            panes = self._cache.get(name)
            yield wanted.of(self._load(name, wanted) if panes is None else panes)

    def keys(self, names: Iterable[str], *, batch: str | None = None) -> Iterator[Panes]:
        """As `read`, but without sensors: which assets have which panes.

        batch: only those that the batch of this digest has, of what others share with it.
        """
        for name in names:
            with self._open(name) as (segment, description):
                table = segment.read(columns=_KEYS_ONLY)
            keys = keys_from_table(table, len(description.sensors), self.pane_ns)
            if batch is not None and description.carried is not None:
                keys = keys.take(unpacked(description.carried.get(batch, "")))
            yield keys

    def sensors(self, name: str) -> tuple[str, ...]:
        """Which sensors a segment holds."""
        with self._open(name) as (_, description):
            return description.sensors

    def cells(self, name: str) -> int:
        """How large a segment is: its panes times its sensors. Raises MissingSegment."""
        with self._open(name) as (segment, _):
            return segment.rows

    def remove(self, names: Iterable[str]) -> None:
        """Delete segments that nothing names any more."""
        for name in names:
            self._forget(name)
            remove_file(self.folder / name)

    def remove_unnamed(self, named: Collection[str], *, stem: str = "") -> list[str]:
        """Delete every segment (of this stem) that is not named; returns what went.

        What is not ours stays.
        """
        found = (path for path in self.folder.iterdir() if _OWN.fullmatch(path.name))
        ours = (path for path in found if path.name.removeprefix(".").startswith(stem))
        orphans = [path for path in ours if path.name not in named]
        self.remove(path.name for path in orphans)
        return sorted(path.name for path in orphans)

    def _load(self, name: str, wanted: "_Selection") -> Panes:
        with self._open(name) as (segment, description):
            groups = [wanted.may_be_in(group) for group in description.groups]
            table = segment.read(groups=np.flatnonzero(groups).tolist())
        panes = panes_from_table(table, description.sensors, self.pane_ns)
        if all(groups) and _weight(panes) <= CACHE_BYTES // 8:
            # Arrays of their own: a view of a table holds on to all that came with it.
            own: dict[str, Any] = {n: values.copy() for n, values in pane_arrays(panes).items()}
            panes = replace(panes, **own)
            self._remember(name, panes)
        return panes

    def _remember(self, name: str, panes: Panes) -> None:
        # Scoring and ingesting for a training look at the same time.
        with self._cache_lock:
            self._drop(name)
            self._cache[name] = panes
            self._cache_bytes += _weight(panes)
            while self._cache_bytes > CACHE_BYTES:
                self._drop(next(iter(self._cache)))

    def _forget(self, name: str) -> None:
        """A batch that was not recorded may be written again with other panes."""
        with self._cache_lock:
            self._drop(name)

    def _drop(self, name: str) -> None:
        panes = self._cache.pop(name, None)
        self._cache_bytes -= 0 if panes is None else _weight(panes)

    @contextmanager
    def _open(self, name: str) -> Iterator[tuple[Segment, Description]]:
        with opened_segment(self.folder, name) as segment:
            description = describe(segment.metadata)
            if description.pane_ns != self.pane_ns:
                raise MissingSegment(
                    self.folder / name,
                    f"holds panes of {description.pane_ns} ns, needed {self.pane_ns} ns",
                )
            yield segment, description


def _weight(panes: Panes) -> int:
    """Bytes of memory that panes take, once their arrays are their own."""
    names = (*panes.assets, *panes.sensors)
    arrays = pane_arrays(panes).values()
    texts = sum(getsizeof(name) + _POINTER_BYTES for name in names)
    return _OBJECT_BYTES + texts + sum(_ARRAY_BYTES + values.nbytes for values in arrays)


@dataclass(frozen=True)
class _Selection:
    """The panes that are asked for, bounds included; None where there is no bound."""

    assets: Collection[str] | None
    since_pane: int | None
    until_pane: int | None

    def may_be_in(self, group: RowGroup) -> bool:
        """Whether a row group's bounds leave room for some."""
        if self.since_pane is not None and group.last_pane < self.since_pane:
            return False
        if self.until_pane is not None and group.first_pane > self.until_pane:
            return False
        names = self.assets
        return names is None or any(group.first_asset <= n <= group.last_asset for n in names)

    def of(self, panes: Panes) -> Panes:
        """Those among these."""
        stays = np.ones(len(panes.pane), dtype=bool)
        if self.since_pane is not None:
            stays &= panes.pane >= self.since_pane
        if self.until_pane is not None:
            stays &= panes.pane <= self.until_pane
        if self.assets is not None:
            wanted = np.array([name in self.assets for name in panes.assets], dtype=bool)
            stays &= wanted[panes.asset]
        return panes if stays.all() else panes.take(stays)
