"""Footer of Parquet: rows, columns and where their pages are, checked before Arrow unpacks.

Arrow makes room for whatever a footer or a page header claims, and 16 KB can unpack to
gigabytes. Here (pages: pages.py) both are read first (Apache Parquet, parquet.thrift), at a cost
that the bytes there are bound, and what no plant writes is refused in words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from connectors.parquet.format.thrift import BINARY, LISTS, STRUCT, MalformedThrift, ThriftReader

# What no plant writes and a server's memory may not bear. Arrow takes footers whole, at some
# twenty times their size: a file of 5,000 columns and ten row groups has one of 7 MB.
MOST_FOOTER_BYTES: Final = 16_000_000
MOST_COLUMNS: Final = 5_000
MOST_ROW_GROUPS: Final = 10_000
MOST_ROWS: Final = 1_000_000_000
MOST_PATH_CHARACTERS: Final = 1_000
_MOST_LEVELS: Final = 100
_BYTE_ARRAY: Final = 6
_REPEATED: Final = 2


class TooLarge(ValueError):
    """More than any plant writes; the text says what was needed and what came."""


@dataclass(frozen=True)
class Leaf:
    """A column without columns in it: its path, dots between the levels.

    optional, repeated: whether a value may be missing, or be several, at any level.
    """

    path: str
    is_text: bool
    optional: bool = False
    repeated: bool = False


@dataclass(frozen=True)
class Chunk:
    """The pages of one leaf in one row group.

    codec: the number of what packs them; encodings: the numbers of how values are written.
    """

    leaf: Leaf
    start: int
    size_bytes: int
    values: int
    codec: int
    encodings: frozenset[int]


@dataclass(frozen=True)
class Footer:
    """Rows, leaves and chunks of a file, by its footer."""

    rows: int
    leaves: tuple[Leaf, ...]
    groups: tuple[tuple[Chunk, ...], ...]

    def chunks_of(
        self, columns: Sequence[str], groups: Sequence[int] | None = None
    ) -> Iterator[Chunk]:
        """What Arrow reads for these columns (of these row groups): "a.b" along with "a"."""
        wanted = set(columns)
        parts = [[*_prefixes(leaf.path)] for leaf in self.leaves]
        places = [at for at, prefixes in enumerate(parts) if not wanted.isdisjoint(prefixes)]
        chosen = self.groups if groups is None else [self.groups[at] for at in groups]
        return (group[at] for group in chosen for at in places)


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


def _leaves(thrift: ThriftReader) -> Iterator[Leaf]:
    """Columns in the order of their chunks; the schema is a tree in depth-first order."""
    size, kind = thrift.items()
    if kind != STRUCT or size == 0:
        raise MalformedThrift("no schema")
    open_: list[tuple[Leaf, int]] = []
    found = 0
    for number in range(size):
        name, children, physical, repetition = _element(thrift)
        if number and not open_:
            raise MalformedThrift("columns beyond the schema")
        leaf = Leaf("", is_text=False)
        if open_:
            above, left = open_.pop()
            if left > 1:
                open_.append((above, left - 1))
            leaf = Leaf(
                f"{above.path}.{name}" if above.path else name,
                physical == _BYTE_ARRAY,
                optional=above.optional or repetition != 0,
                repeated=above.repeated or repetition == _REPEATED,
            )
        _bound("characters in a column's name", MOST_PATH_CHARACTERS, len(leaf.path))
        if children > 0:
            open_.append((leaf, children))
            if len(open_) > _MOST_LEVELS:
                raise TooLarge(f"column {shown(leaf.path)}: needed at most {_MOST_LEVELS} levels")
            continue
        found += 1
        if found > MOST_COLUMNS:
            _bound("columns", MOST_COLUMNS, size - 1)
        yield leaf


def _element(thrift: ThriftReader) -> tuple[str, int, int, int]:
    name, children, physical, repetition = "", 0, -1, 0
    for field, kind in thrift.fields():
        if field == 1:
            physical = thrift.integer()
        elif field == 3:
            repetition = thrift.integer()
        elif field == 4 and kind == BINARY:
            name = thrift.binary().decode("utf-8", "backslashreplace")
        elif field == 5:
            children = thrift.integer()
        else:
            thrift.skip(kind)
    return name, children, physical, repetition


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
            raise MalformedThrift(f"column {shown(leaf.path)} without its place")
        if chunk.start + chunk.size_bytes > size_bytes:
            raise MalformedThrift(f"column {shown(leaf.path)} beyond the file")
        yield chunk


def _chunk(thrift: ThriftReader, leaf: Leaf) -> Chunk:
    values = packed = data = codec = -1
    dictionary = 0
    encodings: frozenset[int] = frozenset()
    for field, kind in thrift.fields():
        if field == 2 and kind in LISTS:
            count, _ = thrift.items()
            encodings = frozenset(thrift.integer() for _ in range(count))
        elif field == 4:
            codec = thrift.integer()
        elif field == 5:
            values = thrift.integer()
        elif field == 7:
            packed = thrift.integer()
        elif field == 9:
            data = thrift.integer()
        elif field == 11:
            dictionary = thrift.integer()
        else:
            thrift.skip(kind)
    start = dictionary if 0 < dictionary < data else data
    return Chunk(leaf, start, packed, values, codec, encodings)


def _bound(what: str, most: int, found: int) -> None:
    if found > most:
        raise TooLarge(f"needed at most {most:,} {what}, got {found:,}")


def _prefixes(path: str) -> Iterator[str]:
    end = path.find(".")
    while end >= 0:
        yield path[:end]
        end = path.find(".", end + 1)
    yield path


def shown(name: str) -> str:
    """A column's name for messages, cut where it is long."""
    return repr(name if len(name) <= 80 else f"{name[:80]}...")
