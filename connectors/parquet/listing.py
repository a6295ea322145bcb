"""Every file below a local folder, in order of name, in memory that does not grow with them."""

import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from heapq import merge
from typing import IO, Final

from pm_app.records.readings import Batch

log = logging.getLogger(__name__)
# Files whose names are held at once; more are sorted in runs on disk, then merged.
NAMES_AT_ONCE: Final = 50_000


def list_local(root: str, *, wanted: Callable[[str], bool]) -> Iterator[Batch]:
    """Files below `root` whose relative name is wanted, ascending by it.

    Folders that are links are not entered, for they may lead in circles or out of the plant;
    links to files count where the file lies below `root`. A name that is not UTF-8 is given
    with its odd bytes as backslash escapes. Raises OSError where `root` cannot be listed.
    """
    runs: list[IO[str]] = []
    names: list[tuple[str, int, int]] = []
    try:
        for found in _walk(root, wanted):
            names.append(found)
            if len(names) == NAMES_AT_ONCE:
                runs.append(_spill(sorted(names)))
                names = []
        for name, size, modified in merge(sorted(names), *map(_read, runs)):
            yield Batch(name, size, modified)
    finally:
        for run in runs:
            run.close()


def _walk(root: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, int, int]]:
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
                elif wanted(_legible(name)) and _lies_below(entry, below):
                    yield from _look_at(entry, name)


def _look_at(entry: "os.DirEntry[str]", name: str) -> Iterator[tuple[str, int, int]]:
    try:
        found = entry.stat()
    except OSError:  # gone since it was listed
        return
    yield _legible(name), found.st_size, found.st_mtime_ns


def _lies_below(entry: "os.DirEntry[str]", below: str) -> bool:
    if not entry.is_symlink():
        return entry.is_file(follow_symlinks=False)
    target = os.path.realpath(entry.path)
    return target.startswith(f"{below}{os.sep}") and entry.is_file()


def _legible(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _spill(names: list[tuple[str, int, int]]) -> IO[str]:
    run = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # closed by list_local
    run.writelines(f"{json.dumps(found)}\n" for found in names)
    run.seek(0)
    return run


def _read(run: IO[str]) -> Iterator[tuple[str, int, int]]:
    for line in run:
        name, size, modified = json.loads(line)
        yield name, size, modified
