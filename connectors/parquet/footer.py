"""Footer and page headers of Parquet: rows, columns and sizes, checked before Arrow unpacks.

Arrow makes room for whatever a footer or a page header claims, and 16 KB can unpack to
gigabytes. Here both are read first (Apache Parquet, parquet.thrift), at a cost that the bytes
there are bound, and what no plant writes is refused in words.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from connectors.parquet.thrift import BINARY, STRUCT, MalformedThrift, ThriftReader

# What no plant writes and a server's memory may not bear. Arrow takes footers whole, at some
# twenty times their size: a file of 5,000 columns and ten row groups has one of 7 MB.
MOST_FOOTER_BYTES: Final = 16_000_000
MOST_COLUMNS: Final = 5_000
MOST_ROW_GROUPS: Final = 10_000
MOST_ROWS: Final = 1_000_000_000
MOST_PATH_CHARACTERS: Final = 1_000
_MOST_LEVELS: Final = 100
# A page is unpacked whole. Writers end one after a megabyte or so; some make one of each row
# group. Texts are held once more as names.
MOST_PAGE_BYTES: Final = 256_000_000
MOST_TEXT_PAGE_BYTES: Final = 64_000_000
# Texts are left, not refused, where they take more than this and more than numbers would.
GLANCE_BYTES: Final = 1_000_000
NUMBER_BYTES: Final = 100
_HEADER_BYTES: Final = 4096
_MOST_HEADER_BYTES: Final = 1_000_000
_BYTE_ARRAY: Final = 6
# Each text as a few bytes more than the one before: pages unpack a million times over.
_DELTA_BYTE_ARRAY: Final = 7
_DICTIONARY: Final = 2
ReadAt = Callable[[int, int], bytes]


class TooLarge(ValueError):
    """More than any plant writes; the text says what was needed and what came."""


@dataclass(frozen=True)
class Leaf:
    """A column without columns in it: its path, dots between the levels."""

    path: str
    is_text: bool


@dataclass(frozen=True)
class Chunk:
    """The pages of one leaf in one row group."""

    leaf: Leaf
    start: int
    size_bytes: int
    values: int


@dataclass(frozen=True)
class Footer:
    """Rows, leaves and chunks of a file, by its footer."""

    rows: int
    leaves: tuple[Leaf, ...]
    groups: tuple[tuple[Chunk, ...], ...]

    def chunks_of(self, columns: Sequence[str]) -> Iterator[Chunk]:
        """What Arrow reads for these columns: it takes "a.b" along with "a"."""
        wanted = set(columns)
        parts = [[*_prefixes(leaf.path)] for leaf in self.leaves]
        places = [at for at, prefixes in enumerate(parts) if not wanted.isdisjoint(prefixes)]
        return (group[at] for group in self.groups for at in places)


@dataclass(frozen=True)
class PageHeader:
    """What a page header tells. values counts rows, or names in a dictionary."""

    is_dictionary: bool
    encoding: int
    values: int
    unpacked_bytes: int
    packed_bytes: int
    header_bytes: int


def read_footer(encoded: bytes, *, size_bytes: int) -> Footer:
    """What a footer tells of a file of this size. Raises MalformedThrift and TooLarge."""
    thrift = ThriftReader(encoded)
    rows, held = -1, 0
    leaves: tuple[Leaf, ...] = ()
    groups: tuple[tuple[Chunk, ...], ...] = ()
    for field, kind in thrift.fields():
        if field == 2 and not leaves:
            leaves = tuple(_leaves(thrift))
        elif field == 3:
            rows = thrift.integer()
        elif field == 4 and not groups:
            held, groups = _groups(thrift, leaves, size_bytes)
        else:
            thrift.skip(kind)
    if rows != held:
        raise TooLarge(f"needed rows as its footer counts them, got {rows:,} and {held:,} in parts")
    _bound("rows", MOST_ROWS, rows)
    return Footer(rows, leaves, groups)


def check_pages(footer: Footer, columns: Sequence[str], read_at: ReadAt) -> None:
    """Raises TooLarge where a page of these columns unpacks to more than is borne."""
    for chunk in footer.chunks_of(columns):
        _check_chunk(chunk, read_at)


def holds_short_texts(footer: Footer, column: str, read_at: ReadAt, *, groups: int) -> bool:
    """Whether the texts of a column, in so many row groups, are as short as numbers are."""
    for group in footer.groups[:groups]:
        for chunk in group:
            if chunk.leaf.path == column and not _is_short(chunk, read_at):
                return False
    return True


def _is_short(chunk: Chunk, read_at: ReadAt) -> bool:
    for page in _pages(chunk, read_at):
        room = max(GLANCE_BYTES, NUMBER_BYTES * page.values)
        if page.encoding == _DELTA_BYTE_ARRAY or page.unpacked_bytes > room:
            return False
    return True


def _check_chunk(chunk: Chunk, read_at: ReadAt) -> None:
    name = chunk.leaf.path
    most = MOST_TEXT_PAGE_BYTES if chunk.leaf.is_text else MOST_PAGE_BYTES
    for page in _pages(chunk, read_at):
        if page.unpacked_bytes > most:
            raise TooLarge(
                f"column {_shown(name)}: needed pages of at most {most:,} bytes, "
                f"got one of {page.unpacked_bytes:,}"
            )
        if chunk.leaf.is_text and page.encoding == _DELTA_BYTE_ARRAY:
            raise TooLarge(
                f"column {_shown(name)}: needed texts written plainly or as a dictionary, "
                "got encoding DELTA_BYTE_ARRAY"
            )
        if page.is_dictionary and page.values > page.unpacked_bytes:
            raise MalformedThrift(f"a dictionary of {page.values} in {page.unpacked_bytes} bytes")


def _pages(chunk: Chunk, read_at: ReadAt) -> Iterator[PageHeader]:
    at, end, left = chunk.start, chunk.start + chunk.size_bytes, chunk.values
    while at < end and left > 0:
        page = _page(at, end, read_at)
        yield page
        left -= 0 if page.is_dictionary else page.values
        at += page.header_bytes + page.packed_bytes


def _page(at: int, end: int, read_at: ReadAt) -> PageHeader:
    size = _HEADER_BYTES
    while True:
        head = read_at(at, min(size, end - at))
        try:
            return _page_of(ThriftReader(head))
        except MalformedThrift:
            if size >= min(end - at, _MOST_HEADER_BYTES):
                raise
        size *= 16


def _page_of(thrift: ThriftReader) -> PageHeader:
    kind = values = encoding = -1
    unpacked = packed = -1
    for field, of in thrift.fields():
        if field == 1:
            kind = thrift.integer()
        elif field == 2:
            unpacked = thrift.integer()
        elif field == 3:
            packed = thrift.integer()
        elif field in (5, 7, 8) and of == STRUCT:
            values, encoding = _counts(thrift, encoding_field=4 if field == 8 else 2)
        else:
            thrift.skip(of)
    if unpacked < 0 or packed < 0 or values < 0:
        raise MalformedThrift("a page without its sizes")
    return PageHeader(kind == _DICTIONARY, encoding, values, unpacked, packed, thrift.at)


def _counts(thrift: ThriftReader, *, encoding_field: int) -> tuple[int, int]:
    values = encoding = -1
    for field, kind in thrift.fields():
        if field == 1:
            values = thrift.integer()
        elif field == encoding_field:
            encoding = thrift.integer()
        else:
            thrift.skip(kind)
    return values, encoding


def _leaves(thrift: ThriftReader) -> Iterator[Leaf]:
    """Columns in the order of their chunks; the schema is a tree in depth-first order."""
    size, kind = thrift.items()
    if kind != STRUCT or size == 0:
        raise MalformedThrift("no schema")
    open_: list[tuple[str, int]] = []
    found = 0
    for number in range(size):
        name, children, physical = _element(thrift)
        if number and not open_:
            raise MalformedThrift("columns beyond the schema")
        if open_:
            prefix, left = open_.pop()
            path = f"{prefix}.{name}" if prefix else name
            if left > 1:
                open_.append((prefix, left - 1))
        else:
            path = ""
        _bound("characters in a column's name", MOST_PATH_CHARACTERS, len(path))
        if children > 0:
            open_.append((path, children))
            if len(open_) > _MOST_LEVELS:
                raise TooLarge(f"column {_shown(path)}: needed at most {_MOST_LEVELS} levels")
            continue
        found += 1
        if found > MOST_COLUMNS:
            _bound("columns", MOST_COLUMNS, size - 1)
        yield Leaf(path, physical == _BYTE_ARRAY)


def _element(thrift: ThriftReader) -> tuple[str, int, int]:
    name, children, physical = "", 0, -1
    for field, kind in thrift.fields():
        if field == 1:
            physical = thrift.integer()
        elif field == 4 and kind == BINARY:
            name = thrift.binary().decode("utf-8", "backslashreplace")
        elif field == 5:
            children = thrift.integer()
        else:
            thrift.skip(kind)
    return name, children, physical


def _groups(
    thrift: ThriftReader, leaves: Sequence[Leaf], size_bytes: int
) -> tuple[int, tuple[tuple[Chunk, ...], ...]]:
    """Rows in all row groups, and their chunks."""
    size, kind = thrift.items()
    if size and kind != STRUCT:
        raise MalformedThrift("no row groups")
    _bound("row groups", MOST_ROW_GROUPS, size)
    rows, groups = 0, []
    for _ in range(size):
        chunks: tuple[Chunk, ...] = ()
        for field, inner in thrift.fields():
            if field == 1:
                chunks = tuple(_chunks(thrift, leaves, size_bytes))
            elif field == 3:
                here = thrift.integer()
                if here < 0:
                    raise MalformedThrift(f"a row group of {here} rows")
                rows += here
            else:
                thrift.skip(inner)
        if len(chunks) != len(leaves):
            raise MalformedThrift(
                f"{len(chunks)} columns in a row group, {len(leaves)} in the schema"
            )
        groups.append(chunks)
    return rows, tuple(groups)


def _chunks(thrift: ThriftReader, leaves: Sequence[Leaf], size_bytes: int) -> Iterator[Chunk]:
    size, kind = thrift.items()
    if size != len(leaves) or (size and kind != STRUCT):
        raise MalformedThrift(f"{size} columns in a row group, {len(leaves)} in the schema")
    for leaf in leaves:
        chunk = None
        for field, inner in thrift.fields():
            if field == 3 and inner == STRUCT:
                chunk = _chunk(thrift, leaf)
            else:
                thrift.skip(inner)
        if chunk is None or chunk.start < 0 or chunk.size_bytes < 0 or chunk.values < 0:
            raise MalformedThrift(f"column {_shown(leaf.path)} without its place")
        if chunk.start + chunk.size_bytes > size_bytes:
            raise MalformedThrift(f"column {_shown(leaf.path)} beyond the file")
        yield chunk


def _chunk(thrift: ThriftReader, leaf: Leaf) -> Chunk:
    values = packed = data = -1
    dictionary = 0
    for field, kind in thrift.fields():
        if field == 5:
            values = thrift.integer()
        elif field == 7:
            packed = thrift.integer()
        elif field == 9:
            data = thrift.integer()
        elif field == 11:
            dictionary = thrift.integer()
        else:
            thrift.skip(kind)
    return Chunk(leaf, dictionary if 0 < dictionary < data else data, packed, values)


def _bound(what: str, most: int, found: int) -> None:
    if found > most:
        raise TooLarge(f"needed at most {most:,} {what}, got {found:,}")


def _prefixes(path: str) -> Iterator[str]:
    end = path.find(".")
    while end >= 0:
        yield path[:end]
        end = path.find(".", end + 1)
    yield path


def _shown(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:80]}...")
