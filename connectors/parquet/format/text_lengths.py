"""Lengths of the texts of a page, found before Arrow makes room for them.

Arrow cannot hold each text once where a column is written as deltas, so it is to be known how
long they are. DELTA_BYTE_ARRAY moreover has of each text how many bytes it shares with the one
before, and the rest (Apache Parquet, Encodings.md): a few bytes stand for a text of any length,
a million times over. Finding lengths costs no more than the bytes of the page.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from connectors.parquet.format.thrift import MalformedThrift
from pm_app.records.readings import Int64

PLAIN, DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY = 0, 6, 7
_CODECS: Final = {1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_HADOOP_LZ4: Final = 5
_LENGTH: Final = 4
_MOST_WIDTH: Final = 32
_MOST_AT_ONCE: Final = 4096


@dataclass(frozen=True)
class PageBody:
    """The bytes of a page after its header.

    level_bytes: of levels in front, which are not packed; None where they are packed with the
    values, each kind of level with its length before it. levels: how many kinds.
    """

    content: bytes
    encoding: int
    codec: int
    unpacked_bytes: int
    level_bytes: int | None
    levels: int


@dataclass(frozen=True)
class TextLengths:
    """Of how many texts, in all and at most, in bytes. longest may be more than there is."""

    count: int = 0
    total: int = 0
    longest: int = 0


def text_lengths(body: PageBody) -> TextLengths:
    """The lengths of the texts in a page of a column of texts, none where it refers to others.

    Raises MalformedThrift and pa.ArrowException where the bytes make no sense.
    """
    if body.encoding not in (PLAIN, DELTA_LENGTH_BYTE_ARRAY, DELTA_BYTE_ARRAY):
        return TextLengths()
    values = _values(body)
    if not values:
        return TextLengths()
    if body.encoding == PLAIN:
        return _plain_lengths(values)
    first, at = _sum_packed(values, 0)
    if body.encoding == DELTA_LENGTH_BYTE_ARRAY:
        return first
    rest, _ = _sum_packed(values, at)
    if first.count != rest.count:
        raise MalformedThrift(f"a page of {first.count} shared parts of {rest.count} texts")
    return TextLengths(first.count, first.total + rest.total, first.longest + rest.longest)


def _plain_lengths(values: bytes) -> TextLengths:
    at = count = longest = 0
    end = len(values)
    while at < end:
        size = int.from_bytes(values[at : at + _LENGTH], "little")
        at += _LENGTH + size
        count += 1
        longest = max(longest, size)
    if at > end:
        raise MalformedThrift(f"a text of {longest} bytes beyond its page")
    return TextLengths(count, end - _LENGTH * count, longest)


def _values(body: PageBody) -> bytes:
    levels = body.level_bytes
    if levels is not None:
        return _unpack(body.content[levels:], body.codec, body.unpacked_bytes - levels)
    content = _unpack(body.content, body.codec, body.unpacked_bytes)
    at = 0
    for _ in range(body.levels):
        at += _LENGTH + int.from_bytes(content[at : at + _LENGTH], "little")
    return content[at:]


def _unpack(content: bytes, codec: int, size: int) -> bytes:
    if codec == 0 or not content:
        return content
    if codec == _HADOOP_LZ4:
        return _unpack_hadoop(content, size)
    if codec not in _CODECS:
        raise MalformedThrift(f"a page packed by codec {codec}")
    return bytes(pa.decompress(content, size, codec=_CODECS[codec], asbytes=True))


def _unpack_hadoop(content: bytes, size: int) -> bytes:
    """Blocks, each after its size unpacked and packed; older writers wrote one block alone."""
    found, at = b"", 0
    while at + 2 * _LENGTH <= len(content) and len(found) < size:
        unpacked = int.from_bytes(content[at : at + _LENGTH], "big")
        packed = int.from_bytes(content[at + _LENGTH : at + 2 * _LENGTH], "big")
        at += 2 * _LENGTH
        if unpacked > size - len(found) or packed > len(content) - at:
            break
        found += pa.decompress(content[at : at + packed], unpacked, codec="lz4_raw", asbytes=True)
        at += packed
    if at == len(content) and len(found) == size:
        return found
    return bytes(pa.decompress(content, size, codec="lz4_raw", asbytes=True))


def _sum_packed(data: bytes, at: int) -> tuple[TextLengths, int]:
    """Lengths in DELTA_BINARY_PACKED, and where they end."""
    block, at = _number(data, at)
    parts, at = _number(data, at)
    count, at = _number(data, at)
    last, at = _signed(data, at)
    size = block // parts if parts else 0
    if not size or size % 32 or last < 0:
        raise MalformedThrift(f"numbers in blocks of {block} of {parts} parts, the first {last}")
    total = longest = last if count else 0
    left = count - 1
    while left > 0:
        step, at = _signed(data, at)
        widths = data[at : at + parts]
        at += parts
        if len(widths) < parts:
            raise MalformedThrift("packed numbers without their end")
        for width in widths:
            if left <= 0:
                break
            packed = data[at : at + size * width // 8]
            part, last = _sum_part(packed, width, min(size, left), step, last)
            total += part.total
            longest = max(longest, part.longest)
            left -= part.count
            at += size * width // 8
    return TextLengths(count, total, longest), at


def _sum_part(
    packed: bytes, width: int, count: int, step: int, last: int
) -> tuple[TextLengths, int]:
    """These lengths, each the one before, a step and a delta; and the last of them."""
    if width == 0:
        end = last + count * step
        if end < 0:
            raise MalformedThrift("a length below 0")
        total = count * last + step * count * (count + 1) // 2
        return TextLengths(count, total, max(last + step, end)), end
    if width > _MOST_WIDTH or 8 * len(packed) < count * width:
        raise MalformedThrift(f"packed numbers of {width} bits without their end")
    total = longest = 0
    for start in range(0, count, _MOST_AT_ONCE):
        piece = np.frombuffer(packed, np.uint8)[start * width // 8 :]
        deltas = _unpack_bits(piece, width, min(_MOST_AT_ONCE, count - start))
        values = last + np.cumsum(deltas + step)
        if values.min() < 0:
            raise MalformedThrift("a length below 0")
        last, total = int(values[-1]), total + int(values.sum())
        longest = max(longest, int(values.max()))
    return TextLengths(count, total, longest), last


def _unpack_bits(packed: "np.typing.NDArray[np.uint8]", width: int, count: int) -> Int64:
    bits = np.unpackbits(packed, count=count * width, bitorder="little").reshape(count, width)
    return bits @ (np.int64(1) << np.arange(width, dtype=np.int64))


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64 and at < len(data):
        byte = data[at]
        at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            return value, at
    raise MalformedThrift("a number without its end")


def _signed(data: bytes, at: int) -> tuple[int, int]:
    value, at = _number(data, at)
    return (value >> 1) ^ -(value & 1), at
