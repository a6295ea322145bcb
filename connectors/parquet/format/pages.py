"""Page headers of Parquet: what a page unpacks to, checked before Arrow unpacks it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from connectors.parquet.format.footer import Chunk, Footer, TooLarge, shown
from connectors.parquet.format.text_lengths import (
    DELTA_BYTE_ARRAY,
    DELTA_LENGTH_BYTE_ARRAY,
    PLAIN,
    PageBody,
    TextLengths,
    text_lengths,
)
from connectors.parquet.format.thrift import BOOLEANS, STRUCT, MalformedThrift, ThriftReader

# A page is unpacked whole. Writers end one after a megabyte or so; some make one of each row
# group. Texts are held once more as names.
MOST_PAGE_BYTES: Final = 256_000_000
MOST_TEXT_PAGE_BYTES: Final = 64_000_000
# Where each text takes no byte, a page may claim any number of them.
MOST_PAGE_TEXTS: Final = 16_000_000
# Texts are left, not refused, where they take more than this and more than numbers would.
GLANCE_BYTES: Final = 1_000_000
NUMBER_BYTES: Final = 100
_HEADER_BYTES: Final = 4096
_MOST_HEADER_BYTES: Final = 1_000_000
_DELTAS: Final = frozenset((DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY))
_DICTIONARY: Final = 2
ReadAt = Callable[[int, int], bytes]


@dataclass(frozen=True)
class PageHeader:
    """What a page header tells. values counts rows, or names in a dictionary.

    level_bytes: of levels that are not packed, None where they are. is_packed: whether the
    values are. body: where the page begins after its header; in a header alone its length.
    """

    is_dictionary: bool
    encoding: int
    values: int
    unpacked_bytes: int
    packed_bytes: int
    body: int
    level_bytes: int | None = None
    is_packed: bool = True


def delta_texts(footer: Footer) -> frozenset[str]:
    """Columns of texts of which some are written as deltas: Arrow cannot hold each once."""
    chunks = (chunk for group in footer.groups for chunk in group)
    return frozenset(
        chunk.leaf.path for chunk in chunks if chunk.leaf.is_text and chunk.encodings & _DELTAS
    )


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
        if max(page.unpacked_bytes, page.packed_bytes) > room:
            return False
        if page.encoding == DELTA_BYTE_ARRAY and _lengths(chunk, page, read_at).total > room:
            return False
    return True


def check_pages(chunk: Chunk, read_at: ReadAt, *, deltas: frozenset[str]) -> int:
    """The length of its longest text in bytes, 0 where Arrow holds each once.

    deltas: as by `delta_texts`. Raises TooLarge where one of its pages unpacks to more than is
    borne.
    """
    longest = 0
    for page in _pages(chunk, read_at):
        _check_size(chunk, page)
        if page.is_dictionary and page.values > page.unpacked_bytes:
            raise MalformedThrift(f"a dictionary of {page.values} in {page.unpacked_bytes} bytes")
        if chunk.leaf.path in deltas or (chunk.leaf.is_text and page.encoding == DELTA_BYTE_ARRAY):
            lengths = _lengths(chunk, page, read_at)
            _bound(chunk, "bytes", MOST_TEXT_PAGE_BYTES, lengths.total)
            longest = max(longest, lengths.longest)
    return longest


def _check_size(chunk: Chunk, page: PageHeader) -> None:
    most = MOST_TEXT_PAGE_BYTES if chunk.leaf.is_text else MOST_PAGE_BYTES
    _bound(chunk, "bytes", most, page.unpacked_bytes)
    if chunk.leaf.is_text and page.encoding in _DELTAS:
        _bound(chunk, "bytes", most, page.packed_bytes)
        _bound(chunk, "texts", MOST_PAGE_TEXTS, page.values)


def _bound(chunk: Chunk, what: str, most: int, found: int) -> None:
    if found > most:
        raise TooLarge(
            f"column {shown(chunk.leaf.path)}: needed pages of at most {most:,} {what}, "
            f"got one of {found:,}"
        )


def _lengths(chunk: Chunk, page: PageHeader, read_at: ReadAt) -> TextLengths:
    body = PageBody(
        read_at(page.body, page.packed_bytes),
        page.encoding,
        chunk.codec if page.is_packed else 0,
        page.unpacked_bytes,
        page.level_bytes,
        levels=0 if page.is_dictionary else chunk.leaf.optional + chunk.leaf.repeated,
    )
    if page.is_dictionary:
        body = replace(body, encoding=PLAIN)
    lengths = text_lengths(body)
    if lengths.count > page.values:
        raise MalformedThrift(f"a page of {page.values} values, {lengths.count} texts in it")
    return lengths


def _pages(chunk: Chunk, read_at: ReadAt) -> Iterator[PageHeader]:
    at, end, left = chunk.start, chunk.start + chunk.size_bytes, chunk.values
    while at < end and left > 0:
        page = _page(at, end, read_at)
        body = at + page.body
        yield replace(page, body=body)
        left -= 0 if page.is_dictionary else page.values
        at = body + page.packed_bytes


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
    kind = unpacked = packed = -1
    counts = _PageCounts()
    for field, of in thrift.fields():
        if field == 1:
            kind = thrift.integer()
        elif field == 2:
            unpacked = thrift.integer()
        elif field == 3:
            packed = thrift.integer()
        elif field in (5, 7) and of == STRUCT:
            counts = _counts(thrift)
        elif field == 8 and of == STRUCT:
            counts = _counts_of_version_2(thrift)
        else:
            thrift.skip(of)
    levels = counts.level_bytes
    if unpacked < 0 or packed < 0 or counts.values < 0 or (levels or 0) > min(unpacked, packed):
        raise MalformedThrift("a page without its sizes")
    return PageHeader(
        kind == _DICTIONARY,
        counts.encoding,
        counts.values,
        unpacked,
        packed,
        thrift.at,
        levels,
        counts.is_packed,
    )


@dataclass(frozen=True)
class _PageCounts:
    values: int = -1
    encoding: int = -1
    level_bytes: int | None = None
    is_packed: bool = True


def _counts(thrift: ThriftReader) -> _PageCounts:
    values = encoding = -1
    for field, kind in thrift.fields():
        if field == 1:
            values = thrift.integer()
        elif field == 2:
            encoding = thrift.integer()
        else:
            thrift.skip(kind)
    return _PageCounts(values, encoding)


def _counts_of_version_2(thrift: ThriftReader) -> _PageCounts:
    found = dict.fromkeys((1, 4, 5, 6), -1)
    packed = True
    for field, kind in thrift.fields():
        if field in found:
            found[field] = thrift.integer()
        elif field == 7 and kind in BOOLEANS:
            packed = kind == BOOLEANS[0]
        else:
            thrift.skip(kind)
    if found[5] < 0 or found[6] < 0:
        raise MalformedThrift("a page without the sizes of its levels")
    return _PageCounts(found[1], found[4], found[5] + found[6], packed)
