"""Thrift compact protocol, as far as the footers and page headers of Parquet need it.

(Apache Thrift, "Thrift ThriftReader protocol encoding".) Reading costs no more than the bytes that
are there, whatever sizes they claim.
"""

from collections.abc import Iterator
from typing import Final

BINARY: Final = 8
STRUCT: Final = 12
BOOLEANS: Final = (1, 2)  # true, false: as fields they have no other bytes
_BYTE: Final = 3
_INTEGERS: Final = (4, 5, 6)
_DOUBLE: Final = 7
LISTS: Final = (9, 10)
_MOST_DEPTH: Final = 20
_MOST_SHIFT: Final = 63


class MalformedThrift(ValueError):
    """Bytes that are no Thrift."""


class ThriftReader:
    """Reads forward through bytes; every method raises MalformedThrift where they make no sense."""

    __slots__ = ("_data", "at")

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and type of each field of a struct; each has to be read before the next."""
        data, number = self._data, 0
        while True:
            try:
                head = data[self.at]
            except IndexError:
                raise MalformedThrift("a struct without its end") from None
            self.at += 1
            if head == 0:
                return
            number = number + (head >> 4) if head >> 4 else self.integer()
            yield number, head & 0x0F

    def integer(self) -> int:
        """A whole number of any width."""
        data, at = self._data, self.at
        try:
            byte = data[at]
            value, shift = byte & 0x7F, 0
            while byte > 0x7F:
                at, shift = at + 1, shift + 7
                byte = data[at]
                value |= (byte & 0x7F) << shift
        except IndexError:
            raise MalformedThrift("a number without its end") from None
        if shift > _MOST_SHIFT:
            raise MalformedThrift("a number of more than 64 bits")
        self.at = at + 1
        return (value >> 1) ^ -(value & 1)

    def binary(self) -> bytes:
        """Bytes, as of a text."""
        size = self._length()
        start, self.at = self.at, self.at + size
        return self._data[start : self.at]

    def items(self) -> tuple[int, int]:
        """How many items a list holds, and their type; each has to be read then."""
        head = self._byte()
        size = head >> 4
        return (self._length() if size == 0x0F else size), head & 0x0F

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass over a value of this type."""
        if depth > _MOST_DEPTH:
            raise MalformedThrift("too many levels")
        if kind in _INTEGERS:
            self.integer()
        elif kind == BINARY:
            size = self._length()
            self.at += size
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif kind in LISTS:
            size, inner = self.items()
            for _ in range(size):
                # Booleans take a byte in a list, and none as a field.
                self.skip(_BYTE if inner in BOOLEANS else inner, depth + 1)
        elif kind in (_BYTE, _DOUBLE):
            self.at += 1 if kind == _BYTE else 8
            if self.at > len(self._data):
                raise MalformedThrift("a value without its end")
        elif kind not in BOOLEANS:
            raise MalformedThrift(f"type {kind}")

    def _byte(self) -> int:
        self.at += 1
        if self.at > len(self._data):
            raise MalformedThrift("a value without its end")
        return self._data[self.at - 1]

    def _length(self) -> int:
        """A length that the bytes can hold; lengths are the numbers that are not zigzag."""
        value = self.integer()
        size = 2 * value if value >= 0 else -2 * value - 1
        if size > len(self._data) - self.at:
            raise MalformedThrift(f"a length of {size}")
        return size
