"""Memory on disk: what assets remember at boundaries of blocks, so that lives are read once.

One Parquet file a boundary, page checksums written and verified, in a folder for what it is
that is remembered. A file is replaced whole or not at all. Memory is derived from panes: every
row says up to which batch of the ledger it knows of, who reads it looks whether a later batch
reaches behind the boundary, and deleting the folder only costs a rebuild.
"""

import hashlib
import json
import logging
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pm_app.durable import make_folder, remove_file, remove_folder, write_file
from pm_app.records.features import FeatureSpec
from pm_app.records.memory import MEMORY_KEYS, MEMORY_STATISTICS, Memory
from pm_app.records.readings import Index, Int64, Text

log = logging.getLogger(__name__)
FORMAT = 1
# Numbers waiting to be written, and numbers read that stay at hand: 16 MB each.
MOST_CELLS = 2_000_000
# Names that are ours: a folder for each thing remembered, a file a boundary.
_OWN_FOLDER = re.compile(r"[0-9a-f]{24}")
_BESIDE = "beside"
_OWN_FILE = re.compile(r"-?\d+\.parquet")


@dataclass(frozen=True, eq=False)
class StoredMemory:
    """Memory at one boundary, and the newest batch each row knows of.

    sequence, digest: shape (n_assets,), of that batch in the ledger.
    """

    memory: Memory
    sequence: Int64
    digest: Text

    def take(self, rows: Index) -> "StoredMemory":
        """Only these rows, ascending."""
        return StoredMemory(self.memory.take(rows), self.sequence[rows], self.digest[rows])


class Memories:
    """The memory of one plant in a folder; what is put is on disk after `flush`.

    below: a folder of memory that is read as well, where this one has nothing, and never written.
    """

    def __init__(self, folder: Path, *, below: Path | None = None) -> None:
        self.root = folder
        self.folder = folder
        self._below_root = below
        self._below: Path | None = None
        self._at_hand: dict[int, _BoundaryMemory] = {}
        self._unwritten: set[int] = set()
        self._fresh_cells = 0
        self._places: set[int] = set()
        self._beside: Memories | None = None
        make_folder(folder)

    def beside(self) -> "Memories":
        """Memory in a place of its own, for a spec that remembers otherwise at the same time."""
        if self._beside is None:
            below = None if self._below_root is None else self._below_root / _BESIDE
            self._beside = Memories(self.root / _BESIDE, below=below)
        return self._beside

    def open(self, spec: FeatureSpec, *, block_panes: int) -> None:
        """Turn to the memory that this spec makes; that of any other is deleted."""
        name = _digest(spec, block_panes)
        folder = self.root / name
        if self.folder == folder:
            return
        for path in self.root.iterdir():
            if path != folder and path.is_dir() and _OWN_FOLDER.fullmatch(path.name):
                log.info("removed memory %s: the champion remembers otherwise", path.name)
                remove_folder(path)
        make_folder(folder)
        for path in folder.glob(".*.parquet.tmp"):
            remove_file(path)
        self.folder, self._at_hand, self._unwritten = folder, {}, set()
        self._fresh_cells = 0
        self._below = None if self._below_root is None else self._below_root / name
        self._places = _places_in(folder)
        if self._below is not None and self._below.is_dir():
            self._places |= _places_in(self._below)

    def boundaries(self) -> list[int]:
        """Where something is kept, ascending."""
        return sorted(self._places)

    def read(self, boundary: int, *, assets: Collection[str] | None = None) -> StoredMemory | None:
        """What is kept at a boundary (of these assets); None where nothing is, or the file is
        damaged."""
        kept = self._look(boundary)
        if kept is None:
            return None
        return kept.whole() if assets is None else kept.of(assets)

    def put(self, boundary: int, fresh: StoredMemory) -> None:
        """Keep these rows, in place of what their assets have at this boundary."""
        kept = self._look(boundary)
        if kept is None:
            kept = self._at_hand[boundary] = _BoundaryMemory()
        kept.put(fresh)
        self._unwritten.add(boundary)
        self._places.add(boundary)
        self._fresh_cells += _cells(fresh)
        if self._fresh_cells > MOST_CELLS:
            self.flush()
            self._make_room()

    def flush(self) -> None:
        """Write what was put; durable when it returns."""
        # Whoever deletes the folder may do so while this runs.
        make_folder(self.folder)
        for boundary in sorted(self._unwritten):
            table = _to_table(self._at_hand[boundary].whole())
            write_file(
                self._path(boundary),
                lambda path, table=table: pq.write_table(  # type: ignore[misc]  # bound now
                    table, path, compression="zstd", write_page_checksum=True
                ),
            )
        self._unwritten.clear()
        self._fresh_cells = 0

    def _look(self, boundary: int) -> "_BoundaryMemory | None":
        if boundary not in self._at_hand:
            kept = self._load(boundary)
            if kept is None:
                return None
            self._make_room()
            self._at_hand[boundary] = _BoundaryMemory()
            self._at_hand[boundary].put(kept)
        return self._at_hand[boundary]

    def _path(self, boundary: int) -> Path:
        return self.folder / f"{boundary}.parquet"

    def _load(self, boundary: int) -> StoredMemory | None:
        path = self._path(boundary)
        if self._below is not None and not path.exists():
            path = self._below / path.name
        try:
            return _from_table(pq.read_table(path, page_checksum_verification=True), boundary)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            log.warning("%s: damaged, to be made again: %s", path, error)
            return None

    def _cells(self) -> int:
        return sum(kept.cells() for kept in self._at_hand.values())

    def _make_room(self) -> None:
        while self._cells() > MOST_CELLS and len(self._at_hand) > len(self._unwritten):
            del self._at_hand[next(b for b in self._at_hand if b not in self._unwritten)]


@dataclass(eq=False)
class _BoundaryMemory:
    """Memory at one boundary as it was put, part by part.

    place: of each asset the part and the row in it that count.
    """

    parts: list[StoredMemory] = field(default_factory=list)
    place: dict[str, tuple[int, int]] = field(default_factory=dict)

    def put(self, fresh: StoredMemory) -> None:
        """Rows in place of what their assets had."""
        number = len(self.parts)
        self.parts.append(fresh)
        self.place.update({name: (number, row) for row, name in enumerate(fresh.memory.assets)})

    def of(self, assets: Collection[str]) -> StoredMemory | None:
        """The rows of these assets; None without any."""
        rows: dict[int, list[int]] = {}
        for part, row in sorted(self.place[name] for name in assets if name in self.place):
            rows.setdefault(part, []).append(row)
        found = [self.parts[part].take(np.array(at)) for part, at in rows.items()]
        return join_stored_memory(found) if found else None

    def whole(self) -> StoredMemory:
        """All rows; parts are put together only now."""
        if len(self.parts) > 1:
            whole = self.of(self.place) or self.parts[-1]
            self.parts, self.place = [], {}
            self.put(whole)
        return self.parts[0]

    def cells(self) -> int:
        """Numbers held."""
        return sum(map(_cells, self.parts))


def _cells(kept: StoredMemory) -> int:
    return 3 * kept.memory.weight.size


def _places_in(folder: Path) -> set[int]:
    found = (path for path in folder.iterdir() if _OWN_FILE.fullmatch(path.name))
    return {int(path.stem) for path in found}


def _digest(spec: FeatureSpec, block_panes: int) -> str:
    remembered = [FORMAT, spec.seen, spec.pane_ns, spec.beginning_ns, spec.smooth_ns]
    remembered.append(None if spec.regimes is None else asdict(spec.regimes))
    return hashlib.sha256(json.dumps([*remembered, block_panes]).encode()).hexdigest()[:24]


def join_stored_memory(parts: Sequence[StoredMemory]) -> StoredMemory:
    """All rows of parts that have no asset in common, by asset."""
    names = [name for part in parts for name in part.memory.assets]
    order = np.array(sorted(range(len(names)), key=lambda at: names[at]), dtype=np.intp)
    columns = {
        name: np.concatenate([getattr(part.memory, name) for part in parts])[order]
        for name in MEMORY_KEYS + MEMORY_STATISTICS
    }
    return StoredMemory(
        Memory(tuple(names[at] for at in order.tolist()), **columns),
        np.concatenate([part.sequence for part in parts])[order],
        np.concatenate([part.digest for part in parts])[order],
    )


def _to_table(kept: StoredMemory) -> pa.Table:
    memory = kept.memory
    columns = {
        "asset": pa.array(memory.assets, pa.string()),
        "sequence": pa.array(kept.sequence),
        "digest": pa.array(kept.digest, pa.string()),
        **{name: pa.array(getattr(memory, name)) for name in MEMORY_KEYS[1:]},
    }
    for name in MEMORY_STATISTICS:
        values = getattr(memory, name)
        width = int(np.prod(values.shape[1:]))
        columns[name] = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), width)
    return pa.table(columns).replace_schema_metadata({"traces": str(memory.weight.shape[1])})


def _from_table(table: pa.Table, boundary: int) -> StoredMemory:
    rows, traces = len(table), int(table.schema.metadata[b"traces"])
    columns = {name: table.column(name).to_numpy() for name in MEMORY_KEYS[1:]}
    for name in MEMORY_STATISTICS:
        values = table.column(name).combine_chunks().flatten().to_numpy()
        shape = (rows, -1) if name in ("minimum", "maximum") else (rows, traces, -1)
        columns[name] = values.reshape(shape)
    assets, at = tuple(table.column("asset").to_pylist()), np.full(rows, boundary, dtype=np.int64)
    sequence, digest = (table.column(name).to_numpy() for name in ("sequence", "digest"))
    return StoredMemory(Memory(assets, at, **columns), sequence, digest)
