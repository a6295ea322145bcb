"""Folders and buckets of batch files: listing, content digest, bytes, whose fault it is."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from connectors.files.listing import FileNames, list_local
from connectors.files.storage import ask, open_storage, storage_words
from pm_app.errors import BadBatch, BadSettings, SourceUnavailable
from pm_app.records.readings import Batch, LeftFile

_BLOCK_BYTES = 1 << 20
_ESCAPED = re.compile(r"\\x[0-9a-f]{2}")


@dataclass(frozen=True)
class Folder:
    """A folder or bucket prefix of batch files, on any `pyarrow.fs` file system.

    suffixes: what names of batches end with, as ".parquet", in small or capital letters;
    contents: what they are called.
    """

    filesystem: Any
    root: str
    suffixes: tuple[str, ...]
    contents: str = "files"

    @property
    def local(self) -> str | None:
        """Its path where it is a folder of this machine."""
        return self.root if isinstance(self.filesystem, fs.LocalFileSystem) else None

    def exists(self) -> bool:
        """Whether there is anything at its address. Raises SourceUnavailable."""
        try:
            return bool(self._ask_for_root().type != fs.FileType.NotFound)
        except (OSError, pa.ArrowException) as error:
            raise self._unavailable(self.root, "listed", error) from error

    def _ask_for_root(self) -> Any:
        return ask(self.filesystem, lambda: self.filesystem.get_file_info(self.root))

    def _unavailable(self, name: str, what: str, error: BaseException) -> SourceUnavailable:
        words = storage_words(self.filesystem, error)
        return SourceUnavailable(f"{name}: cannot be {what}: {words}")

    def batches(self, *, absent_is_empty: bool) -> Iterator[Batch]:
        """Finished files below the folder, in any order; flat in memory on a disk.

        Raises SourceUnavailable when the folder cannot be listed (or is absent, unless that
        counts as empty), BadSettings when the address is that of a file.
        """
        found = self._entries(absent_is_empty=absent_is_empty)
        return (each for each in found if isinstance(each, Batch))

    def left_files(self) -> Iterator[LeftFile]:
        """See BatchSource.left_files."""
        found = self._entries(absent_is_empty=True)
        return (each for each in found if isinstance(each, LeftFile))

    def _entries(self, *, absent_is_empty: bool) -> Iterator[Batch | LeftFile]:
        try:
            kind = self._ask_for_root().type
            if kind == fs.FileType.File:
                raise BadSettings(f"{self.root}: needed a folder of {self.contents}, got a file")
            if kind == fs.FileType.NotFound and absent_is_empty:
                return
            if self.local is not None:
                yield from list_local(self.local, self._names)
            else:
                yield from self._listed()
        except (OSError, pa.ArrowException) as error:
            raise self._unavailable(self.root, "listed", error) from error

    def _listed(self) -> Iterator[Batch | LeftFile]:
        selector = fs.FileSelector(self.root, recursive=True)
        for info in self.filesystem.get_file_info(selector):
            name = self._relative(info.path)
            if not info.is_file:
                continue
            if self._names.is_batch(name):
                yield Batch(name, info.size or 0, info.mtime_ns or 0)
            elif why := self._names.why_left(name):
                yield LeftFile(name, why)

    def digest(self, batch: Batch) -> str:
        """SHA-256 of a file's bytes, hex, read a block at a time.

        Raises SourceUnavailable, and BadBatch where its name is not UTF-8.
        """
        content = hashlib.sha256()
        try:
            with self.filesystem.open_input_stream(self._path(batch)) as stream:
                while block := stream.read(_BLOCK_BYTES):
                    content.update(block)
        except (OSError, pa.ArrowException) as error:
            if _ESCAPED.search(batch.name):
                raise BadBatch(f"{batch.name}: needed a file name in UTF-8") from error
            raise self._unavailable(batch.name, "read", error) from error
        return content.hexdigest()

    def opened(self, batch: Batch) -> Any:
        """A file for random access, to be closed. Raises SourceUnavailable."""
        try:
            file = self.filesystem.open_input_file(self._path(batch))
            # Where an answer breaks off within its head, a store's file seems to be empty.
            if self.local is None and file.size() != batch.size_bytes:
                file.close()
                raise SourceUnavailable(f"{batch.name}: cannot be opened: its size has changed")
            return file
        except (OSError, pa.ArrowException) as error:
            raise self._unavailable(batch.name, "opened", error) from error

    def check_unchanged(self, batch: Batch) -> None:
        """Raises SourceUnavailable where the file is not the one that was listed any more."""
        try:
            found = self.filesystem.get_file_info(self._path(batch))
        except (OSError, pa.ArrowException) as error:
            raise self._unavailable(batch.name, "read", error) from error
        now = (found.size or 0, found.mtime_ns or 0) if found.is_file else None
        if now != (batch.size_bytes, batch.modified_ns):
            raise SourceUnavailable(f"{batch.name}: changed while it was read")

    @property
    def _names(self) -> FileNames:
        return FileNames(self.suffixes, self.contents)

    def _path(self, batch: Batch) -> str:
        return f"{self.root}/{batch.name}"

    def _relative(self, path: str) -> str:
        return path.removeprefix(self.root).lstrip("/")


def open_folder(uri: str, *, suffixes: tuple[str, ...], contents: str) -> Folder:
    """The folder or prefix at a `pyarrow.fs` URI or plain path; nothing is opened yet.

    Raises BadSettings for an address that no file system understands.
    """
    if "://" not in uri:
        return Folder(
            fs.LocalFileSystem(), Path(uri).absolute().as_posix().rstrip("/"), suffixes, contents
        )
    filesystem, root = open_storage(uri)
    return Folder(filesystem, root.rstrip("/"), suffixes, contents)


class FetchedFile:
    """A file whose failures to deliver bytes are told apart from bytes that make no sense.

    pyarrow reports both as OSError; an exception raised in here passes through it unchanged.
    """

    def __init__(self, file: Any, name: str) -> None:
        self._file, self._name = file, name

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def read(self, size: int = -1) -> Any:
        """Bytes from the current position; raises SourceUnavailable."""
        try:
            return self._file.read_buffer(None if size < 0 else size)
        except OSError as error:
            raise SourceUnavailable(f"{self._name}: cannot be read: {error}") from error

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position; raises SourceUnavailable."""
        try:
            return int(self._file.seek(offset, whence))
        except OSError as error:
            raise SourceUnavailable(f"{self._name}: cannot be read: {error}") from error

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes from a position; raises SourceUnavailable."""
        self.seek(offset)
        return bytes(self.read(size))

    def tell(self) -> int:
        """The current position."""
        return int(self._file.tell())

    def close(self) -> None:
        """Leave closing to whoever opened it."""

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def writable(self) -> bool:
        """No."""
        return False

    def flush(self) -> None:
        """Nothing to flush."""
