"""Parquet files under a folder or prefix: listing, content digest, opening, whose fault it is."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from pm_app.errors import BadBatch, BadSettings, SourceUnavailable
from pm_app.records.readings import Batch

_BLOCK_BYTES = 1 << 20
_COLUMN_BUFFER_BYTES = 1 << 18
_UNFINISHED = {"tmp", "part"}


@dataclass(frozen=True)
class BatchDescription:
    """What a file says of itself: rows, and (name, type) of each column."""

    rows: int
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Folder:
    """A folder or bucket prefix of Parquet files, on any `pyarrow.fs` file system."""

    filesystem: Any
    root: str

    def batches(self, *, absent_is_empty: bool) -> Iterator[Batch]:
        """Finished *.parquet files below the folder, in any order; flat in memory on a disk.

        Raises SourceUnavailable when the folder cannot be listed (or is absent, unless that
        counts as empty), BadSettings when the address is that of a file.
        """
        try:
            kind = self.filesystem.get_file_info(self.root).type
            if kind == fs.FileType.File:
                raise BadSettings(f"{self.root}: needed a folder of Parquet files, got a file")
            if kind == fs.FileType.NotFound and absent_is_empty:
                return
            if isinstance(self.filesystem, fs.LocalFileSystem):
                yield from _walk(self.root, "")
            else:
                yield from self._listed()
        except (OSError, pa.ArrowException) as error:
            raise SourceUnavailable(f"{self.root}: cannot be listed: {error}") from error

    def _listed(self) -> Iterator[Batch]:
        selector = fs.FileSelector(self.root, recursive=True)
        for info in self.filesystem.get_file_info(selector):
            name = self._relative(info.path)
            if info.is_file and _is_finished(name):
                yield Batch(name, info.size or 0, info.mtime_ns or 0)

    def digest(self, batch: Batch) -> str:
        """SHA-256 of a file's bytes, hex, read a block at a time. Raises SourceUnavailable."""
        content = hashlib.sha256()
        try:
            with self.filesystem.open_input_stream(self._path(batch)) as stream:
                while block := stream.read(_BLOCK_BYTES):
                    content.update(block)
        except (OSError, pa.ArrowException) as error:
            raise SourceUnavailable(f"{batch.name}: cannot be read: {error}") from error
        return content.hexdigest()

    @contextmanager
    def opened(self, batch: Batch) -> Iterator[Any]:
        """The file as `pyarrow.parquet.ParquetFile`, page checksums verified where present.

        Inside the block, bytes that cannot be fetched raise SourceUnavailable; bytes that
        were fetched and do not decode raise BadBatch.
        """
        try:
            file = self.filesystem.open_input_file(self._path(batch))
        except (OSError, pa.ArrowException) as error:
            raise SourceUnavailable(f"{batch.name}: cannot be opened: {error}") from error
        with file:
            try:
                yield pq.ParquetFile(
                    _Fetched(file, batch.name),
                    # Else a huge row group is fetched whole.
                    buffer_size=_COLUMN_BUFFER_BYTES,
                    pre_buffer=False,
                    page_checksum_verification=True,
                    # Spark's INT96 read as nanoseconds wraps around outside 1677-2262.
                    coerce_int96_timestamp_unit="us",
                )
            except MemoryError:
                raise
            except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
                raise BadBatch(
                    f"{batch.name}: needed a whole Parquet file of {batch.size_bytes} bytes, "
                    f"got one that does not decode: {error}"
                ) from error

    def describe(self, batch: Batch) -> BatchDescription:
        """Rows and columns of a file, from its footer alone. Raises as `opened`."""
        with self.opened(batch) as file:
            fields = tuple((field.name, str(field.type)) for field in file.schema_arrow)
            return BatchDescription(file.metadata.num_rows, fields)

    def _path(self, batch: Batch) -> str:
        return f"{self.root}/{batch.name}"

    def _relative(self, path: str) -> str:
        return path.removeprefix(self.root).lstrip("/")


def open_folder(uri: str) -> Folder:
    """The folder or prefix at a `pyarrow.fs` URI or plain path; nothing is opened yet.

    Raises BadSettings for an address that no file system understands.
    """
    if "://" not in uri:
        return Folder(fs.LocalFileSystem(), Path(uri).absolute().as_posix().rstrip("/"))
    try:
        filesystem, root = fs.FileSystem.from_uri(uri)
    except (OSError, ValueError, NotImplementedError) as error:
        raise BadSettings(
            f"{uri!r}: needed a path or an address like s3://bucket/prefix: {error}"
        ) from error
    return Folder(filesystem, root.rstrip("/"))


def _walk(folder: str, below: str) -> Iterator[Batch]:
    """Finished files of a folder on a disk and the folders in it, as the system names them.

    pyarrow would list them all before the first one comes.
    """
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if not _is_finished(name) and not entry.is_dir():
                continue
            try:
                about = entry.stat()
                if S_ISREG(about.st_mode):
                    yield Batch(below + name, about.st_size, about.st_mtime_ns)
                elif S_ISDIR(about.st_mode) and not _is_hidden(name):
                    yield from _walk(entry.path, f"{below}{name}/")
            except FileNotFoundError:
                continue  # gone since it was named


def _is_finished(name: str) -> bool:
    if not name.endswith(".parquet"):
        return False
    *above, last = name.split("/")
    if _is_hidden(last) or any(map(_is_hidden, above)):
        return False
    return last.count(".") == 1 or _UNFINISHED.isdisjoint(last.split(".")[1:])


def _is_hidden(part: str) -> bool:
    return part.startswith((".", "_"))


class _Fetched:
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
