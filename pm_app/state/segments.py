"""Segments: Parquet files that prove themselves; a name ends in the digest of the file's footer.

Page checksums cover the values, neither the headers of pages nor the footer that says where they
are and what they mean; pyarrow may read other rows over a damaged header, and end the process
over a damaged footer. So nothing of a footer is parsed before its digest is that of the name,
which a row of the ledger holds, and the footer holds a checksum of every row group.
"""

import errno
import hashlib
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pm_app.durable import write_bytes
from pm_app.errors import TerminalError, TransientError

# What names end in: of accidents, one in 2**64 would pass.
PROOF = r"-[0-9a-f]{16}\.parquet"
_PROOF_DIGITS = 16
_TAIL_BYTES = 8  # length of the footer, then "PAR1"
_CHECKSUMS = "pm_app checksums"


class MissingSegment(TerminalError):
    """A segment the ledger names is not there, damaged, or of other panes: rebuild it.

    name is that of the file.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.name = path.name


@dataclass(frozen=True, eq=False)
class Segment:
    """A segment with its footer proven. groups: where each row group ends, and its checksum."""

    path: Path
    groups: tuple[tuple[int, int], ...]
    _bytes: Any
    _parquet: Any

    @property
    def metadata(self) -> dict[bytes, bytes]:
        """What was written beside the columns."""
        return self._parquet.schema_arrow.metadata or {}

    @property
    def rows(self) -> int:
        """How many rows it has, as its footer says."""
        return int(self._parquet.metadata.num_rows)

    def read(
        self, *, groups: Sequence[int] | None = None, columns: Sequence[str] | None = None
    ) -> Any:
        """These row groups (default: all) as a table, each proven. Raises MissingSegment."""
        wanted = range(len(self.groups)) if groups is None else groups
        for number in wanted:
            start = self.groups[number - 1][0] if number else 0
            end, checksum = self.groups[number]
            self._bytes.seek(start)
            if zlib.crc32(self._bytes.read(end - start)) != checksum:
                raise MissingSegment(self.path, f"damaged: row group {number} is another")
        return self._parquet.read_row_groups(list(wanted), columns=columns)


def write_segment(folder: Path, stem: str, table: Any, *, group_rows: int | None = None) -> str:
    """Keep a table, durable when this returns its name: the stem, and the proof of its footer.

    The same table gives the same name. Raises TransientError.
    """
    content = _encode(table, group_rows or max(table.num_rows, 1))
    footer = content[_footer_start(content[-_TAIL_BYTES:], len(content)) :]
    name = f"{stem}-{_proof(footer)}.parquet"
    write_bytes(folder / name, content)
    return name


def _encode(table: Any, group_rows: int) -> bytes:
    sink = io.BytesIO()
    groups: list[tuple[int, int]] = []
    start = 0
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        # Measurements hardly repeat: looking for repetitions took a quarter of the time.
        use_dictionary=[f.name for f in table.schema if not pa.types.is_floating(f.type)],
        write_page_checksum=True,
    ) as writer:
        for row in range(0, table.num_rows, group_rows):
            writer.write_table(table.slice(row, group_rows), row_group_size=group_rows)
            groups.append((sink.tell(), zlib.crc32(sink.getbuffer()[start:])))
            start = sink.tell()
        writer.add_key_value_metadata({_CHECKSUMS: json.dumps(groups)})
    return sink.getvalue()


@contextmanager
def opened_segment(folder: Path, name: str) -> Iterator[Segment]:
    """A segment, its footer proven.

    Raises MissingSegment, also for what turns out damaged inside the block; TransientError where
    the file cannot be read now.
    """
    path = folder / name
    try:
        with pa.OSFile(str(path)) as file:
            _check_footer(path, file)
            parquet = pq.ParquetFile(file, page_checksum_verification=True)
            groups = json.loads(parquet.metadata.metadata[_CHECKSUMS.encode()])
            yield Segment(path, tuple(map(tuple, groups)), file, parquet)
    except FileNotFoundError as error:
        raise MissingSegment(path, "not there") from error
    except (OSError, pa.ArrowException) as error:
        # What pyarrow cannot decode has no number; a disk that fails has this one.
        number = getattr(error, "errno", None)
        if number is not None and number != errno.EIO:
            raise TransientError(f"{path}: cannot be read: {error}") from error
        raise MissingSegment(path, f"damaged: {error}") from error


def _check_footer(path: Path, file: Any) -> None:
    size = file.size()
    start = -1
    if size > _TAIL_BYTES:
        file.seek(size - _TAIL_BYTES)
        start = _footer_start(file.read(_TAIL_BYTES), size)
    if start < 0:
        raise MissingSegment(path, f"damaged: {size} bytes have no whole footer")
    file.seek(start)
    found = _proof(file.read(size - start))
    if not path.name.endswith(f"-{found}.parquet"):
        raise MissingSegment(path, f"damaged: its footer proves to be {found}")
    file.seek(0)


def _footer_start(tail: bytes, size: int) -> int:
    """Where the footer of a file of `size` bytes starts by its last ones, negative for nowhere."""
    return size - _TAIL_BYTES - int.from_bytes(tail[:4], "little")


def _proof(footer: bytes) -> str:
    return hashlib.sha256(footer).hexdigest()[:_PROOF_DIGITS]
