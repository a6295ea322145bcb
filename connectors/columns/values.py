"""Columns of any Arrow type as the arrays that records hold, with a reason per refused row."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from connectors.columns.numbers_in_text import read_texts
from pm_app.errors import BadBatch
from pm_app.records.readings import Float64, Int32, Int64, Rejection
from pm_app.wording import holds_unseen

Flags = NDArray[np.bool_]
# No sensor reads this: historians mark bad values so (1e30, 9.97e36, the largest double), and
# the square of anything larger would soon leave what models compute with.
LARGEST = 1e30
# Longer than any name that a person gives a machine, a sensor or a fault.
LONGEST_NAME = 256
_SHOWN = 40
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_ODD_SPACE = re.compile(r"^\s|\s$|[^\S ]")
Unfit = Callable[[str, int], str]


@dataclass(frozen=True, eq=False)
class TextCodes:
    """Text per row as indices into distinct names, sorted; -1 where there is none to use.

    odd: rows whose text cannot be a name, and what is wrong with the first of them.
    """

    names: tuple[str, ...]
    index: Int32
    odd: tuple[tuple[Flags, str], ...] = ()

    def refused(self, column: str) -> list[tuple[Flags, str]]:
        """Rows without a name, and why, for messages about this column."""
        found = [(rows, f"{column} {why}") for rows, why in self.odd]
        return [*found, (self.index < 0, f"{column} is null or empty")]


def is_numeric(kind: Any) -> bool:
    """Whether a column of this Arrow type is a sensor without being named as one."""
    types = pa.types
    kind = plain_type(kind)
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
    )


def read_numbers(column: Any, *, sign: str = ".") -> tuple[Float64, int]:
    """Values as float64, null as NaN; those from `LARGEST` on are NaN too, and counted.

    sign: the decimal sign of numbers written as text.
    """
    if is_text(plain_type(column.type)):
        return _bounded(read_texts(column, sign))
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan), 0
    if not pa.types.is_float64(column.type):
        column = pc.cast(column, pa.float64(), safe=False)
    return _bounded(column.to_numpy(zero_copy_only=False))


def _bounded(values: Float64) -> tuple[Float64, int]:
    too_large = np.abs(values) >= LARGEST
    count = int(np.count_nonzero(too_large))
    return (np.where(too_large, np.nan, values) if count else values), count


def check_label_column(kind: Any, where: str) -> None:
    """Raises BadBatch unless this type can name assets, tags, kinds or codes."""
    kind = plain_type(kind)
    types = pa.types
    if not (is_text(kind) or types.is_integer(kind) or types.is_null(kind)):
        raise BadBatch(f"{where} is {kind}; needed text or whole numbers")


def read_assets(column: Any) -> TextCodes:
    """As read_labels; names with characters that nobody sees are refused.

    Else "pump-1" and what looks like it would be two machines for good.
    """
    return read_labels(column, unfit=_unfit_asset)


def odd_spaces(names: Sequence[str], column: str) -> list[Rejection]:
    """A note where names of assets hold spaces that nobody sees: at an end, or of another kind."""
    odd = [name for name in names if _ODD_SPACE.search(name)]
    if not odd:
        return []
    plain, more = " ".join(odd[0].split()), f" and {len(odd) - 1} more" if odd[1:] else ""
    why = "with a space at its end or of another kind, is another asset than"
    return [Rejection(0, f"{column} {odd[0][:_SHOWN]!r}{more}, {why} {plain[:_SHOWN]!r}")]


def read_labels(column: Any, *, unfit: Unfit | None = None) -> TextCodes:
    """Text (or whole numbers as text) per row, each distinct value decoded once.

    unfit: why a text cannot be a name, by default for its length or control characters.
    """
    unfit = unfit or _unfit
    if pa.types.is_null(column.type):
        return TextCodes((), np.full(len(column), -1, dtype=np.int32))
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    codes = pc.fill_null(column.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    used, codes = _used(codes, len(column.dictionary))
    texts, sizes = _texts(column.dictionary.take(pa.array(used)))
    wrong = [at for at, text in enumerate(texts) if unfit(text, sizes[at])]
    table = np.full(len(texts) + 1, -1, dtype=np.int32)
    names = sorted({text for text in texts if text}.difference(texts[at] for at in wrong))
    place = {name: index for index, name in enumerate(names)}
    # One look-up slot more than there are values: code -1 lands on it and stays -1.
    table[:-1] = [place.get(text, -1) for text in texts]
    if not wrong:
        return TextCodes(tuple(names), table[codes])
    rows = np.isin(codes, wrong)
    first = int(codes[np.argmax(rows)])
    return TextCodes(tuple(names), table[codes], ((rows, unfit(texts[first], sizes[first])),))


def _used(codes: Int64, size: int) -> tuple[Int64, Int64]:
    """Which codes occur, ascending, and the codes by their place among those."""
    occurs = np.zeros(size + 1, dtype=np.bool_)
    occurs[codes] = True
    occurs[-1] = False
    place = np.append(np.cumsum(occurs[:-1]) - 1, -1)
    return np.flatnonzero(occurs), place[codes]


def _texts(values: Any) -> tuple[list[str], list[int]]:
    """The start of each distinct value as text, "" for null, and how many characters it has."""
    if not is_text(values.type):
        texts = ["" if value is None else str(value) for value in values.to_pylist()]
        return texts, [len(text) for text in texts]
    if not pa.types.is_string(values.type):
        values = values.cast(pa.large_string())
    sizes = pc.fill_null(pc.utf8_length(values), 0).to_pylist()
    # One character more than a name has, so that none is taken for another. What is far longer
    # is never held as a text of Python, which takes up to four bytes a character.
    starts = pc.utf8_slice_codeunits(values, 0, LONGEST_NAME + 1).to_pylist()
    return [text or "" for text in starts], sizes


def why_no_name(text: str) -> str:
    """Why a text cannot name anything, "" where it can."""
    return _unfit(text, len(text)) or ("" if text else "is empty")


def _unfit(text: str, size: int) -> str:
    """Why a text of so many characters, these first, cannot be a name; "" where it can."""
    if size > LONGEST_NAME:
        return f"is {text[:_SHOWN]!r}... of {size:,} characters; needed at most {LONGEST_NAME}"
    if _CONTROL.search(text):
        return f"is {text[:_SHOWN]!r}; needed a name without control characters"
    return ""


def why_no_asset(text: str) -> str:
    """Why a text cannot name an asset, "" where it can."""
    return _unfit_asset(text, len(text)) or ("" if text else "is empty")


def _unfit_asset(text: str, size: int) -> str:
    why = _unfit(text, size)
    if not why and holds_unseen(text):
        return f"is {ascii(text[:_SHOWN])}; needed a name without characters that nobody sees"
    return why


def count_refusals(refused: list[tuple[Flags, str]]) -> tuple[Flags, tuple[Rejection, ...]]:
    """Rows refused for any reason, and how many each reason took, each row counted once."""
    taken = np.zeros_like(refused[0][0])
    rejections = []
    for rows, reason in refused:
        fresh = int(np.count_nonzero(rows & ~taken))
        if fresh:
            rejections.append(Rejection(fresh, reason))
        taken = taken | rows
    return taken, tuple(rejections)


def holds_texts(kind: Any) -> bool:
    """Whether a column of this type holds texts that may be numbers; bytes never are."""
    plain = plain_type(kind)
    return is_text(plain) and not (pa.types.is_binary(plain) or pa.types.is_large_binary(plain))


def plain_type(kind: Any) -> Any:
    """The type of a column's values, whether or not each is held once."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def is_text(kind: Any) -> bool:
    """Whether a column of this Arrow type holds texts."""
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_binary(kind)
        or types.is_large_binary(kind)
    )
