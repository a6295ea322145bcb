"""Files that are there whole or not at all, also after the power fails."""

import os
from collections.abc import Callable
from pathlib import Path

from pm_app.errors import TransientError


def write_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a file beside `path`, make it durable, then give it its name.

    Raises TransientError where the disk is full or the folder cannot be written to.
    """
    beside = path.with_name(f".{path.name}.tmp")
    try:
        write(beside)
        sync(beside)
        os.replace(beside, path)
        sync(path.parent)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise TransientError(f"{path}: cannot be written: {error.strerror or error}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Durable bytes under this name, whole or not at all."""

    def fill(beside: Path) -> None:
        beside.write_bytes(content)

    write_file(path, fill)


def rename_folder(beside: Path, path: Path) -> None:
    """Give a complete folder its name; everything in it is durable first."""
    for item in sorted(beside.rglob("*")):
        sync(item)
    sync(beside)
    os.replace(beside, path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
