"""Every file below a local folder, in memory that does not grow with them."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from pm_app.records.readings import Batch

log = logging.getLogger(__name__)


def list_local(root: str, *, wanted: Callable[[str], bool]) -> Iterator[Batch]:
    """Files below `root` whose relative name is wanted, in the order the system gives them.

    Folders that are links are not entered, for they may lead in circles or out of the plant;
    links to files count where the file lies below `root`. A name that is not UTF-8 is given
    with its odd bytes as backslash escapes. Raises OSError where `root` cannot be listed.
    """
    below = os.path.realpath(root)
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            entries = os.scandir(os.path.join(root, folder))
        except OSError as error:
            if not folder:
                raise
            log.warning("%s: cannot be listed: %s", _legible(folder), error)
            continue
        with entries:
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                    continue
                legible = _legible(name)
                if wanted(legible) and _lies_below(entry, below):
                    with suppress(FileNotFoundError):  # gone since it was listed
                        about = entry.stat()
                        yield Batch(legible, about.st_size, about.st_mtime_ns)


def _lies_below(entry: "os.DirEntry[str]", below: str) -> bool:
    if not entry.is_symlink():
        return entry.is_file(follow_symlinks=False)
    target = os.path.realpath(entry.path)
    return target.startswith(f"{below}{os.sep}") and entry.is_file()


def _legible(name: str) -> str:
    # Nearly every name is plain, and a look asks this of all of them.
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")
