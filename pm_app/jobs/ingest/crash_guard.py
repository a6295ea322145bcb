"""Crash guard: a file that ends the process that reads it, found by a mark that outlives it.

Nothing in the process can catch an abort inside a decoder, or the kernel's end of a process that
takes too much memory. The mark names the file that is read; who finds it at the next start knows
what was read when the process before ended.
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from pm_app.durable import remove_file, write_passing
from pm_app.errors import BadBatch
from pm_app.records.readings import Batch

FILE: Final = "reading.json"
# Power fails too, and whoever kills a daemon does not ask what it does: five ends in a row while
# the same file was read have been chance. A supervisor is through with this many in minutes.
MOST_ENDS: Final = 10


@dataclass(frozen=True)
class _ReadingMark:
    name: str
    size_bytes: int
    modified_ns: int
    ends: int


_MARK = TypeAdapter(_ReadingMark)


@contextmanager
def crash_guard(state: Path, batch: Batch) -> Iterator[None]:
    """Bear in mind that this file is read, for a process that may not live to tell.

    Raises BadBatch, before anything is read, where MOST_ENDS processes in a row have ended so.
    """
    path = state / FILE
    mark = _ReadingMark(batch.name, batch.size_bytes, batch.modified_ns, ends=0)
    before = _read(path)
    ends = before.ends if before and replace(before, ends=0) == mark else 0
    if ends >= MOST_ENDS:
        remove_file(path)
        raise BadBatch(
            f"{batch.name}: needed a file that can be read, got one whose reader ended {ends} "
            "times in a row without a word, as by a lack of memory"
        )
    write_passing(path, _MARK.dump_json(replace(mark, ends=ends + 1)))
    try:
        yield
    finally:
        # The process lives, whatever became of the file.
        remove_file(path)


def _read(path: Path) -> _ReadingMark | None:
    with contextlib.suppress(OSError, ValidationError):
        return _MARK.validate_json(path.read_bytes())
    return None
