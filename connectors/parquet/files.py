"""Parquet files under a folder or prefix: listing, content digest, opening, whose fault it is."""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from connectors.parquet import outline as outlines
from connectors.parquet.compact import Malformed
from connectors.parquet.fetched import Fetched
from connectors.parquet.outline import Outline, TooMuch, check_pages, read_outline, takes_a_glance
from pm_app.errors import BadBatch, BadSettings, SourceUnavailable, TornBatch
from pm_app.records.readings import Batch

_BLOCK_BYTES = 1 << 20
_COLUMN_BUFFER_BYTES = 1 << 18
_UNFINISHED = {"tmp", "part"}
_ESCAPED = re.compile(r"\\x[0-9a-f]{2}")
# A file ends with its footer, the footer's length in four bytes, and these.
_MAGIC: Final = b"PAR1"
_TAIL_BYTES: Final = 8
_MOST_TEXT_BYTES: Final = 10_000_000
_MOST_ITEMS: Final = 1_000_000


@dataclass(frozen=True)
class BatchDescription:
    """What a file says of itself: rows, and (name, type) of each column."""

    rows: int
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class OpenFile:
    """A file whose footer makes sense. parquet: a `pyarrow.parquet.ParquetFile`."""

    parquet: Any
    outline: Outline
    _fetched: Fetched

    def check(self, columns: Sequence[str]) -> None:
        """Raises TooMuch unless the pages of these columns can be unpacked safely."""
        check_pages(self.outline, columns, self._fetched.read_at)

    def first(self, column: str, rows: int) -> list[Any]:
        """Up to so many values from the start of a column; none where that takes memory."""
        if not takes_a_glance(self.outline, column, self._fetched.read_at):
            return []
        table = next(self.parquet.iter_batches(batch_size=rows, columns=[column]), None)
        return [] if table is None else list(table.column(column).to_pylist())


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
                yield from list_local(self.root, wanted=is_finished)
            else:
                yield from self._listed()
        except (OSError, pa.ArrowException) as error:
            raise SourceUnavailable(f"{self.root}: cannot be listed: {error}") from error

    def _listed(self) -> Iterator[Batch]:
        selector = fs.FileSelector(self.root, recursive=True)
        for info in self.filesystem.get_file_info(selector):
            name = self._relative(info.path)
            if info.is_file and is_finished(name):
                yield Batch(name, info.size or 0, info.mtime_ns or 0)

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
            raise SourceUnavailable(f"{batch.name}: cannot be read: {error}") from error
        return content.hexdigest()

    @contextmanager
    def opened(self, batch: Batch, *, labels: Sequence[str] = ()) -> Iterator[OpenFile]:
        """The file, its page checksums verified where present.

        labels: columns whose texts repeat; each text is held once, however often it comes.
        Inside the block, bytes that cannot be fetched raise SourceUnavailable; bytes that
        were fetched and do not decode raise BadBatch, TornBatch where the end is missing, and
        what would take more than a server can bear raises BadBatch.
        """
        try:
            file = self.filesystem.open_input_file(self._path(batch))
        except (OSError, pa.ArrowException) as error:
            raise SourceUnavailable(f"{batch.name}: cannot be opened: {error}") from error
        with file:
            fetched = Fetched(file, batch.name)
            try:
                outline = _outline(fetched, file.size(), batch)
                footer = _open(fetched).metadata
                yield OpenFile(_open(fetched, footer, labels), outline, fetched)
            except (OSError, pa.ArrowException, UnicodeDecodeError, Malformed) as error:
                raise BadBatch(f"{_whole(batch)}, got one that does not decode: {error}") from error
            except TooMuch as error:
                raise BadBatch(f"{batch.name}: {error}") from error
            except MemoryError as error:
                raise BadBatch(f"{batch.name}: needs more memory than there is") from error
            self._check_unchanged(batch)

    def count(self, batch: Batch) -> int:
        """Rows of a file by its footer, 0 where that cannot be read; raises nothing."""
        try:
            with self.filesystem.open_input_file(self._path(batch)) as file:
                return _outline(Fetched(file, batch.name), file.size(), batch).rows
        except (OSError, pa.ArrowException, Malformed, TooMuch, BadBatch, SourceUnavailable):
            return 0

    def describe(self, batch: Batch) -> BatchDescription:
        """Rows and columns of a file, from its footer alone. Raises as `opened`."""
        with self.opened(batch) as file:
            fields = tuple((field.name, str(field.type)) for field in file.parquet.schema_arrow)
            return BatchDescription(file.outline.rows, fields)

    def _check_unchanged(self, batch: Batch) -> None:
        """Raises SourceUnavailable where the file is not the one that was listed any more."""
        try:
            found = self.filesystem.get_file_info(self._path(batch))
        except (OSError, pa.ArrowException) as error:
            raise SourceUnavailable(f"{batch.name}: cannot be read: {error}") from error
        now = (found.size or 0, found.mtime_ns or 0) if found.is_file else None
        if now != (batch.size_bytes, batch.modified_ns):
            raise SourceUnavailable(f"{batch.name}: changed while it was read")

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


def _outline(file: Fetched, size: int, batch: Batch) -> Outline:
    """Raises TornBatch where a file does not end as one does, Malformed and TooMuch."""
    tail = file.read_at(max(size - _TAIL_BYTES, 0), _TAIL_BYTES)
    footer = int.from_bytes(tail[:4], "little")
    if len(tail) < _TAIL_BYTES or tail[4:] != _MAGIC or footer > size - _TAIL_BYTES:
        raise TornBatch(f"{_whole(batch)}, got one that does not decode: its end is missing")
    if footer > outlines.MOST_FOOTER_BYTES:
        raise TooMuch(
            f"needed a footer of at most {outlines.MOST_FOOTER_BYTES:,} bytes, got {footer:,}"
        )
    start = size - _TAIL_BYTES - footer
    return read_outline(file.read_at(start, footer), size_bytes=start)


def _open(file: Any, footer: Any = None, labels: Sequence[str] = ()) -> Any:
    there = {footer.schema.column(at).path for at in range(footer.num_columns)} if footer else ()
    return pq.ParquetFile(
        file,
        metadata=footer,
        # Else a huge row group is fetched whole.
        buffer_size=_COLUMN_BUFFER_BYTES,
        pre_buffer=False,
        page_checksum_verification=True,
        read_dictionary=[name for name in labels if name in there],
        thrift_string_size_limit=_MOST_TEXT_BYTES,
        thrift_container_size_limit=_MOST_ITEMS,
        # Spark's INT96 read as nanoseconds wraps around outside 1677-2262.
        coerce_int96_timestamp_unit="us",
    )


def _whole(batch: Batch) -> str:
    return f"{batch.name}: needed a whole Parquet file of {batch.size_bytes} bytes"


def is_finished(name: str) -> bool:
    """Whether a file of this relative name is a batch: Parquet, not hidden, not half written."""
    parts = name.split("/")
    if not name.endswith(".parquet") or any(map(_is_hidden, parts)):
        return False
    return _UNFINISHED.isdisjoint(parts[-1].split(".")[1:])


def _is_hidden(part: str) -> bool:
    return part.startswith((".", "_"))


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
