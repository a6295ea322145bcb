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
from dataclasses import replace
from pathlib import Path
from sys import getsizeof
from threading import Lock
from typing import Any

from pm_app.durable import make_folder, remove_file
from pm_app.records.features import (
    PANE_KEYS,
    PANE_STATISTICS,
    PANE_TIMES,
    Panes,
    pane_arrays,
)
from pm_app.records.readings import Index
from pm_app.state.pane_selection import PaneSelection, concat_panes, selection
from pm_app.state.pane_tables import (
    AssetNames,
    Description,
    describe,
    has_times,
    keys_from_table,
    panes_from_table,
    panes_to_table,
    unpacked,
    without_times,
)
from pm_app.state.segments import PROOF, MissingSegment, Segment, opened_segment, write_segment

# Panes times sensors that are read together: few, for most looks want the newest panes of an asset.
ROW_GROUP_CELLS = 12_500
# What is read stays at hand up to this, all that Python keeps beside the numbers included: a
# row group of each of some forty files, whose assets are looked at some at a time. A segment of
# more than an eighth of it is read anew where all of it is wanted.
CACHE_BYTES = 64_000_000
# An object with a dictionary, and its place in the cache.
_OBJECT_BYTES = 2_000
_ARRAY_BYTES = 144
_POINTER_BYTES = 8
# In the place of a row group's number: all of them.
_WHOLE = -1
_MOST_DESCRIPTIONS = 1_000
_KEYS_ONLY = ("asset", "pane")
_COLUMNS = PANE_KEYS + PANE_STATISTICS
_NO_TIMES = tuple(name for name in _COLUMNS if name not in PANE_TIMES)
# Names that are ours to delete: segments, and ones that were being written.
_OWN = re.compile(rf"\.?[0-9a-f]{{24}}-(?:\d{{4}}|joined)(?:{PROOF}|\.parquet)(?:\.tmp)?")


class History:
    """Pane segments in a folder; the newest ones read stay in memory, for they never change."""

    def __init__(self, folder: Path, *, pane_ns: int) -> None:
        self.folder = folder
        self.pane_ns = pane_ns
        # By segment and row group; a small segment as one.
        self._cache: OrderedDict[tuple[str, int], Panes] = OrderedDict()
        self._descriptions: dict[str, Description] = {}
        self._weights: dict[tuple[str, int], int] = {}
        self._cache_bytes = 0
        self._names = AssetNames()
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
        times: bool = True,
    ) -> Iterator[Panes]:
        """The panes of each segment in the order given, only these assets and panes.

        assets: numbered as these are, sorted, by default as the segment's are. since_pane and
        until_pane are included. times: whether their times are wanted (see `Panes`). Raises
        MissingSegment naming the file.
        """
        wanted = selection(assets, since_pane, until_pane, times=times)
        for name in names:
            yield self._load(name, wanted)

    def keys(self, names: Iterable[str], *, batch: str | None = None) -> Iterator[Panes]:
        """As `read`, but without sensors: which assets have which panes.

        batch: only those that the batch of this digest has, of what others share with it.
        """
        for name in names:
            with self._open(name) as (segment, description):
                table = segment.read(columns=_KEYS_ONLY)
            keys = keys_from_table(table, len(description.sensors), self.pane_ns, self._names)
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

    def _load(self, name: str, wanted: PaneSelection) -> Panes:
        panes = self._at_hand(name, _WHOLE, times=wanted.times)
        if panes is not None:
            return wanted.of(panes)
        description = self._describe(name)
        groups = wanted.groups_of(description)
        if wanted.assets is None or len(groups) == len(description.groups) or not groups:
            panes = self._read(name, description, groups, times=wanted.times)
            if len(groups) == len(description.groups) and _weight(panes) <= _whole_bytes():
                panes = self._remember(name, _WHOLE, panes)
            return wanted.of(panes)
        parts = [wanted.of(self._group(name, description, number, wanted)) for number in groups]
        return parts[0] if len(parts) == 1 else concat_panes(parts)

    def _group(
        self, name: str, description: Description, number: int, wanted: PaneSelection
    ) -> Panes:
        """A row group; the next assets asked for may be in it too."""
        # Whoever asks for assets in order is done with one whose last has come. Were it used
        # anew, the ones that come next would push out those that are still to be looked at.
        goes_on = wanted.goes_on_after(description.groups[number])
        panes = self._at_hand(name, number, times=wanted.times, again=goes_on)
        if panes is None:
            panes = self._read(name, description, [number], times=wanted.times)
            panes = self._remember(name, number, panes)
        return panes

    def _read(
        self, name: str, description: Description, groups: Sequence[int], *, times: bool
    ) -> Panes:
        with self._open(name) as (segment, _):
            table = segment.read(groups=groups, columns=_COLUMNS if times else _NO_TIMES)
        return panes_from_table(table, description.sensors, self.pane_ns, self._names)

    def _describe(self, name: str) -> Description:
        description = self._descriptions.get(name)
        if description is None:
            with self._open(name) as (_, description):
                pass
            description = replace(description, carried=None)
            with self._cache_lock:
                if len(self._descriptions) >= _MOST_DESCRIPTIONS:
                    self._descriptions.clear()
                if len(description.groups) > 1:
                    self._descriptions[name] = description
        return description

    def _at_hand(self, name: str, group: int, *, times: bool, again: bool = True) -> Panes | None:
        with self._cache_lock:
            panes = self._cache.get((name, group))
            if panes is None or (times and not has_times(panes)):
                return None
            if again:
                self._cache.move_to_end((name, group))
        return panes if times else without_times(panes)

    def _remember(self, name: str, group: int, panes: Panes) -> Panes:
        """The same panes in arrays of their own: a view of a table holds on to all of it."""
        own: dict[str, Any] = {n: values.copy() for n, values in pane_arrays(panes).items()}
        panes = replace(panes, **own)
        # Scoring and ingesting for a training look at the same time.
        with self._cache_lock:
            self._drop((name, group))
            self._cache[name, group] = panes
            self._weights[name, group] = _weight(panes)
            self._cache_bytes += self._weights[name, group]
            while self._cache_bytes > CACHE_BYTES:
                self._drop(next(iter(self._cache)))
        return panes

    def _forget(self, name: str) -> None:
        """A batch that was not recorded may be written again with other panes."""
        with self._cache_lock:
            self._descriptions.pop(name, None)
            for key in [key for key in self._cache if key[0] == name]:
                self._drop(key)

    def _drop(self, key: tuple[str, int]) -> None:
        self._cache.pop(key, None)
        self._cache_bytes -= self._weights.pop(key, 0)

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


def _whole_bytes() -> int:
    return CACHE_BYTES // 8


def _weight(panes: Panes) -> int:
    """Bytes of memory that panes take, once their arrays are their own."""
    names = (*panes.assets, *panes.sensors)
    arrays = pane_arrays(panes).values()
    texts = sum(map(getsizeof, names)) + _POINTER_BYTES * len(names)
    return _OBJECT_BYTES + texts + sum(_ARRAY_BYTES + values.nbytes for values in arrays)
