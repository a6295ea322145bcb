"""What workers are told and bring, in a folder that they and who asks see under one path.

Nothing is pickled; a file of arrays is a zip archive, read only where its checksums hold.
"""

import socket
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from pm_app import __version__
from pm_app.durable import write_file
from pm_app.errors import BadSettings, TerminalError, TransientError

Said = TypeVar("Said")


def read_told(path: Path, adapter: TypeAdapter[Said]) -> Said:
    """What a worker is told in this file of JSON. Raises BadSettings where it is not there."""
    try:
        return adapter.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        why = getattr(error, "strerror", None) or "it is another program's"
        raise BadSettings(
            f"a worker on {socket.gethostname()} needs the plant's state folder under the same "
            f"path as the plant's server, but cannot read {path}: {why}"
        ) from error


def require_program(asked: str) -> None:
    """Raises TerminalError where this worker's program is not the one that asks."""
    if asked != __version__:
        raise TerminalError(
            f"a worker on {socket.gethostname()} runs pm-app {__version__}, the plant's server "
            f"{asked}: both need the same"
        )


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
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> TransientError:
    """For another try may bring a whole one."""
    return TransientError(f"{path}: what a worker was told or brought cannot be read: {error}")
