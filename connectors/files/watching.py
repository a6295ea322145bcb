"""Watching local folders for new files, so that nobody waits for the next look.

The system's word (inotify and its like) only shortens the wait: it is not given for network
drives and may be lost, and looking through the folder stays the truth.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from watchdog.events import (
    EVENT_TYPE_CLOSED,
    EVENT_TYPE_CREATED,
    EVENT_TYPE_MOVED,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from connectors.files.listing import FileNames
from pm_app.ports import BatchSource

log = logging.getLogger(__name__)
_JOIN_SECONDS = 5.0


@contextmanager
def watched(sources: Sequence[BatchSource], ring: Callable[[], None]) -> Iterator[bool]:
    """Call `ring`, on a thread of its own, whenever a finished file may have come to a source.

    Sources without a folder to watch are passed over. Yields whether any folder is watched;
    where the system refuses, that is logged and none is.
    """
    folders: dict[str, tuple[str, ...]] = {}
    for source in sources:
        folder = source.watched_folder
        if folder is not None and os.path.isdir(folder):
            folders[folder] = (*folders.get(folder, ()), *source.suffixes)
    observer = Observer()
    try:
        for folder, suffixes in sorted(folders.items()):
            observer.schedule(_Bell(folder, suffixes, ring), folder, recursive=True)
        observer.start()
    except OSError as error:
        log.warning("folders are looked at by the clock alone: %s", error)
        folders = {}
    try:
        yield bool(folders)
    finally:
        if observer.is_alive():
            observer.stop()
            observer.join(_JOIN_SECONDS)


class _Bell(FileSystemEventHandler):
    def __init__(self, folder: str, suffixes: tuple[str, ...], ring: Callable[[], None]) -> None:
        self._folder, self._names, self._ring = folder, FileNames(suffixes), ring

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Ring for a file that was closed after writing, moved here or linked."""
        moved = event.event_type == EVENT_TYPE_MOVED
        if not moved and event.event_type not in (EVENT_TYPE_CLOSED, EVENT_TYPE_CREATED):
            return
        path = os.fsdecode(event.dest_path if moved else event.src_path)
        name = os.path.relpath(path, self._folder)
        # A folder that is moved here brings its files along without another word.
        if (event.is_directory and moved) or self._names.is_batch(name):
            self._ring()
