"""Scratch folders of runs on workers, and arrays in them.

A run has one folder, which its workers see under the same path: `.{job}-{token}` with the run's
request and, named after number and attempt, what each task brings back. Nothing is pickled; a
file of arrays is a zip archive, read only where its checksums hold.
"""

import logging
import math
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np

from pm_app.durable import make_folder, remove_folder, write_file
from pm_app.errors import TransientError

TOKEN_BYTES: Final = 8
log = logging.getLogger(__name__)


@contextmanager
def scratch_folder(parent: Path, job: str) -> Iterator[Path]:
    """A folder for one run of a job, gone at the end."""
    # Its own, for a worker of a run that ended may still be writing into that one's.
    folder = parent.absolute() / f".{job}-{secrets.token_hex(TOKEN_BYTES)}"
    make_folder(folder)
    try:
        yield folder
    finally:
        _remove(folder)


def remove_abandoned(parent: Path, job: str, *, before: float = math.inf) -> None:
    """Remove the folders of runs that were killed: last written into before this moment.

    before: seconds since 1970. A folder that a worker still writes into waits for the next time.
    """
    for folder in parent.glob(f".{job}-*"):
        # Another run may just remove its own.
        with suppress(FileNotFoundError):
            if folder.stat().st_mtime < before:
                _remove(folder)


def _remove(folder: Path) -> None:
    try:
        remove_folder(folder)
    except TransientError as error:
        log.info("left for the next run: %s", error)


def write_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Keep arrays by name; durable when this returns."""

    def fill(beside: Path) -> None:
        with beside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    write_file(path, fill)


def read_arrays(path: Path) -> dict[str, Any]:
    """Arrays that were kept, to the bit. Raises TransientError where they cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        # Another try may bring a whole one.
        raise TransientError(f"{path}: arrays of a worker cannot be read: {error}") from error
