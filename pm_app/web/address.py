"""Query strings of addresses, checked; and where the page of an asset is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote, urlencode

MOST_PAGES: Final = 1_000_000
LONGEST_SEARCH: Final = 200
LARGEST_ID: Final = 2**31 - 1


class BadAddress(ValueError):
    """An address asks for something that is not there; the text says what is."""


def check_keys(values: Mapping[str, str], keys: Iterable[str]) -> None:
    """Raises BadAddress where a query string has other keys than these."""
    unknown = sorted(set(values) - set(keys))
    if unknown:
        raise BadAddress(f"known are {', '.join(keys)}, got {unknown[0][:40]!r}")


def one_of(value: str, key: str, choices: Sequence[str]) -> str:
    """A value that is one of these. Raises BadAddress."""
    if value not in choices:
        names = ", ".join(name for name in choices if name)
        raise BadAddress(f"{key} takes one of {names}, got {value[:40]!r}")
    return value


def whole_number(value: str, key: str, most: int) -> int:
    """A number in [1, most] of an address. Raises BadAddress."""
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= most):
        raise BadAddress(f"{key} takes a number from 1 to {most}, got {value[:40]!r}")
    return int(value[:9])


def storable_id(number: int) -> int:
    """The number, or the nearest that the store can look for: none of its rows has that."""
    return min(max(number, 0), LARGEST_ID)


def printable(value: str, key: str, most: int) -> str:
    """Text without control characters, of at most so many. Raises BadAddress."""
    if len(value) > most or not value.isprintable():
        raise BadAddress(f"{key} takes up to {most} printable characters")
    return value


def page_number(value: str) -> int:
    """Which page of a table, from 1. Raises BadAddress."""
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= MOST_PAGES):
        raise BadAddress(f"page takes a number from 1, got {value[:40]!r}")
    return int(value[:9])


def asset_address(asset: str, **query: object) -> str:
    """Where the page of an asset is. A name that no path can carry stands in the query."""
    if _fits_a_path(asset):
        return f"/assets/{quote(asset, safe='')}{f'?{urlencode(query)}' if query else ''}"
    return f"/assets/?{urlencode({'asset': asset, **query})}"


def _fits_a_path(asset: str) -> bool:
    # Browsers take "." and ".." out of paths, also where they are written %2e.
    steps = asset.replace("\\", "/").split("/")
    return bool(asset) and asset.isprintable() and not {".", ".."} & set(steps)
