"""Lock of a state folder: one process holds it; the system lets go when the holder dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pm_app.durable import FILE_MODE, denial, make_folder
from pm_app.errors import BadSettings, Busy, TransientError


@contextmanager
def hold_state(folder: Path) -> Iterator[None]:
    """Hold the state folder for writing until the block ends.

    Raises Busy, naming the holder's process, when another one has it, BadSettings where the
    folder cannot be made or written to.
    """
    with _opened(folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise Busy(
                f"{folder}: in use by process {file.read().strip() or 'unknown'} of pm-app; "
                "stop it first, or wait until it is done"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _opened(folder: Path) -> TextIO:
    try:
        make_folder(folder)
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, FILE_MODE)
        return os.fdopen(handle, "r+")
    except (OSError, TransientError) as error:
        reason = denial(folder / "lock", writing=True) or error
        raise BadSettings(
            f"plant.state needs a folder that can be written to, got {folder}: {reason}"
        ) from error
