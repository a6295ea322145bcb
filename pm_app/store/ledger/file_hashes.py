"""Hashes of files in the ledger, which need not be opened again: eight bytes a file.

A look at a folder asks this of every file in it, every few seconds and for years. So the answer
stays in memory, and the ledger is only asked for what is new in it.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from threading import Lock
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from pm_app.records.readings import Batch
from pm_app.store.rows import Source
from pm_app.store.schema.ledger import MAY_COME_AGAIN, batches

Hashes = NDArray[np.int64]
ASKED_AT_ONCE: Final = 4096
_READ_AT_ONCE: Final = 10_000


class FileHashes:
    """The files of a ledger, as it stood when last asked. Safe to share between threads.

    A file is known by a 64-bit hash of source, name, size and time stamp, another one in each
    process: of 10**6 files, a new one is taken for one of them once in 2 * 10**13 times, and
    read after the next start.
    """

    def __init__(self) -> None:
        self._hashes: Hashes = np.empty(0, dtype=np.int64)
        self._sequence = 0
        self._come_again = 0
        self._lock = Lock()

    def catch_up(self, connection: Connection) -> Hashes:
        """The hashes of all files seen, ascending; within one transaction.

        Rows only ever leave what is seen by a status of MAY_COME_AGAIN, which they keep: where
        their number is another, all is read again.
        """
        with self._lock:
            come_again = _count(connection)
            newest = connection.execute(select(func.max(batches.c.sequence))).scalar() or 0
            if come_again != self._come_again or newest < self._sequence:
                self._hashes, self._sequence = self._hashes[:0], 0
            if newest > self._sequence:
                fresh = np.sort(np.fromiter(_noted(connection, self._sequence), dtype=np.int64))
                places = np.searchsorted(self._hashes, fresh)
                self._hashes = np.insert(self._hashes, places, fresh)
            self._sequence, self._come_again = newest, come_again
            return self._hashes


def new_files(known_hashes: Hashes, source: Source, listed: Iterable[Batch]) -> Iterator[Batch]:
    """Those of the files listed that are not seen, in the order given; flat in memory."""
    listed = iter(listed)
    while part := list(islice(listed, ASKED_AT_ONCE)):
        for number in np.flatnonzero(~_among(known_hashes, source, part)).tolist():
            yield part[number]


def _among(known_hashes: Hashes, source: Source, part: Sequence[Batch]) -> NDArray[np.bool_]:
    keys = (hash((source, b.name, b.size_bytes, b.modified_ns)) for b in part)
    hashes = np.fromiter(keys, dtype=np.int64, count=len(part))
    if not len(known_hashes):
        return np.zeros(len(part), dtype=np.bool_)
    places = np.minimum(np.searchsorted(known_hashes, hashes), len(known_hashes) - 1)
    return np.asarray(known_hashes[places] == hashes)


def _count(connection: Connection) -> int:
    count: int = connection.execute(
        select(func.count()).select_from(batches).where(MAY_COME_AGAIN)
    ).scalar_one()
    return count


def _noted(connection: Connection, after: int) -> Iterator[int]:
    columns = (batches.c.source, batches.c.name, batches.c.size_bytes, batches.c.modified_ns)
    query = select(*columns).where(batches.c.sequence > after, ~MAY_COME_AGAIN)
    rows = connection.execution_options(yield_per=_READ_AT_ONCE).execute(query)
    for source, name, size_bytes, modified_ns in rows:
        yield hash((source, name, size_bytes, modified_ns))
