"""Numbers in text: "8,01", "1.234,5", "1 234.5", read where every value of a file agrees.

Which decimal sign a column has, its values decide: "8,01" and "0,123" can only be a comma,
"1,234.5" and "1,234,567" only a point, "1,234" and "1.234" may be either and are refused
unless another value of the column, or every other column of the file that decides, says
which: one program writes a file, in one locale. Thousands may be parted by spaces of any width
and apostrophes as well, always in groups of three.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pm_app.records.readings import Float64, Int32, LeftCause, LeftColumn

Sign = Literal["auto", ",", "."]
NOTHING: Final = frozenset(
    [
        *("", "-", "--", "---", "\u2013", "\u2014", "nan", "-nan", "nan(ind)", "-nan(ind)"),
        *("n/a", "na", "n.a.", "#n/a", "#na", "<na>", "k.a.", "null", "none", "nil"),
        *("1.#qnan", "-1.#ind"),
    ]
)
_GAP = "[ '\u00a0\u2007\u2009\u202f\u2019]"
_MINUS = "\u2212"
_EMPTY, _PLAIN, _POINT, _COMMA, _EITHER, _BAD = range(6)
_SHOWN = 40
# A number is never so long; texts that are would only cost memory.
LONGEST_NUMBER: Final = 64


def _pattern(sign: str) -> str:
    """Numbers with this decimal sign; the other one parts thousands, and then no power follows."""
    part, thousands = (r"\.", ",") if sign == "." else (",", r"\.")
    power = r"(?:[eE][+-]?\d{1,4})?"
    plain = rf"(?:\d+|\d{{1,3}}(?:{_GAP}\d{{3}})+)"
    parted = rf"[1-9]\d{{0,2}}(?:{thousands}\d{{3}})+(?:{part}\d*)?"
    signs = rf"[+\-{_MINUS}]?"
    return rf"^{signs}(?:(?:{plain}(?:{part}\d*)?|{part}\d+){power}|{parted}|(?i:inf(?:inity)?))$"


_PATTERNS: Final = {sign: _pattern(sign) for sign in (".", ",")}


@dataclass(eq=False)
class TextValues:
    """What the texts of some columns (or tags) are, and where each kind came first.

    firsts: by name, by kind of value: the text and its row, from 1.
    """

    sign: Sign
    firsts: dict[str, dict[int, tuple[str, int]]] = field(default_factory=dict)

    def add(self, name: str, column: Any, *, start: int) -> bool:
        """Look at more of a column, from this row on; False once it is found to be no number."""
        if self._is_as_before(name, column):
            return True
        return self.add_tags((name,), np.zeros(len(column), dtype=np.int32), column, start=start)

    def add_tags(self, names: Sequence[str], tag: Int32, column: Any, *, start: int) -> bool:
        """The same for rows of several tags, -1 of none; False where all are no numbers."""
        texts, codes = _distinct(column)
        kinds = np.append(_kinds(texts, self.sign), _EMPTY)[codes]
        rows = np.flatnonzero(tag >= 0)
        pairs = tag[rows].astype(np.int64) * (_BAD + 1) + kinds[rows]
        found, first = np.unique(pairs, return_index=True)
        for pair, row in zip(found.tolist(), rows[first].tolist(), strict=True):
            name, kind = names[pair // (_BAD + 1)], pair % (_BAD + 1)
            text = "" if codes[row] < 0 else str(texts[int(codes[row])])
            self.firsts.setdefault(name, {}).setdefault(kind, (text, start + row + 1))
        return any(map(self.may_hold, names))

    def _is_as_before(self, name: str, column: Any) -> bool:
        """Whether all of these are plain numbers with the decimal sign that the column showed."""
        seen = self.firsts.get(name, {})
        if _BAD in seen or pa.types.is_dictionary(column.type):
            return False
        if self.sign == "auto":
            shown = [sign for sign, kind in ((".", _POINT), (",", _COMMA)) if kind in seen]
        else:
            shown = [self.sign] if _PLAIN in seen else []
        return len(shown) == 1 and _plain_numbers(column, shown[0]) is not None

    def may_hold(self, name: str) -> bool:
        """Whether nothing but numbers was seen of a column."""
        return _BAD not in self.firsts.get(name, {})

    def decide(
        self, names: Sequence[str], *, without: Sequence[str] = ()
    ) -> tuple[dict[str, str], tuple[LeftColumn, ...]]:
        """The decimal sign of each column that holds numbers, and why the others do not.

        without: those whose texts are too long to be looked at.
        """
        seen = {name: self.firsts.get(name, {}) for name in names if name not in without}
        own = {name: _own_sign(kinds) for name, kinds in seen.items()}
        agreed = {sign for sign in own.values() if sign in (".", ",")}
        if self.sign != "auto":
            agreed = {self.sign}
        signs = {}
        left = [LeftColumn(name, "holds texts longer than numbers are", "text") for name in without]
        for name, kinds in seen.items():
            sign = own[name]
            if sign == "either" and len(agreed) == 1:
                (sign,) = agreed
            if sign in (".", ","):
                signs[name] = sign
            elif sign == "plain":
                signs[name] = "." if self.sign == "auto" else self.sign
            else:
                left.append(LeftColumn(name, *_why_left(kinds, sign, self.sign)))
        return signs, tuple(left)


def _own_sign(kinds: Mapping[int, object]) -> str:
    if _BAD in kinds:
        return "bad"
    if _POINT in kinds and _COMMA in kinds:
        return "both"
    if _POINT in kinds or _COMMA in kinds:
        return "." if _POINT in kinds else ","
    return "either" if _EITHER in kinds else "plain" if _PLAIN in kinds else "empty"


def _why_left(
    kinds: Mapping[int, tuple[str, int]], verdict: str, sign: Sign
) -> tuple[str, LeftCause]:
    if verdict == "empty":
        return "holds no value", "empty"
    if verdict == "bad":
        by = "" if sign == "auto" else f" by readings.decimal = {sign!r}"
        return f"holds {_shown(kinds[_BAD])}, which is no number{by}", "text"
    remedy = 'say which sign decimals have: readings.decimal = "," or "."'
    if verdict == "both":
        point, comma = _shown(kinds[_POINT]), _shown(kinds[_COMMA])
        return f"holds {point} and {comma}, which cannot both be right; {remedy}", "locale"
    text, _ = kinds[_EITHER]
    sides = f"{_plain(text, ',')} or {_plain(text, '.')}"
    return f"holds {_shown(kinds[_EITHER])}, which may be {sides}; {remedy}", "locale"


def _shown(first: tuple[str, int]) -> str:
    text, row = first
    return f"{text if len(text) <= _SHOWN else text[:_SHOWN] + '...'!r} in row {row:,}"


def read_texts(column: Any, sign: str) -> Float64:
    """The numbers that texts with this decimal sign are, NaN for those that stand for nothing.

    Raises ValueError for a text that is neither: a file that changed since it was looked at.
    """
    quick = _plain_numbers(column, sign)
    if quick is not None:
        return quick
    texts, codes = _distinct(column)
    folded = pc.utf8_lower(texts)
    nothing = pc.is_in(folded, pa.array(sorted(NOTHING), texts.type))
    plain = _plain_texts(pc.if_else(nothing, pa.scalar("nan", texts.type), texts), sign)
    values = np.append(pc.cast(plain, pa.float64()).to_numpy(zero_copy_only=False), np.nan)
    read: Float64 = values[codes]
    return read


def is_number(text: str) -> bool:
    """Whether a text is a number by either decimal sign."""
    kinds = _kinds(pa.array([text[: LONGEST_NUMBER + 1]], pa.large_string()), "auto")
    return int(kinds[0]) in (_PLAIN, _POINT, _COMMA, _EITHER)


def _plain_numbers(column: Any, sign: str) -> Float64 | None:
    """The numbers of texts that a computer would write but for the decimal sign; None where any
    is another, and has to be looked at."""
    if not pa.types.is_string(column.type):
        return None
    if sign == ",":
        # A point would part thousands.
        if pc.any(pc.match_substring(column, ".")).as_py():
            return None
        column = pc.replace_substring(column, ",", ".")
    try:
        values = column.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    numbers: Float64 = values.to_numpy(zero_copy_only=False)
    return numbers


def _plain(text: str, sign: str) -> str:
    return str(_plain_texts(pa.array([text]), sign)[0])


def _plain_texts(texts: Any, sign: str) -> Any:
    """As a computer writes them: no thousands parted, a point, and a plain minus."""
    texts = pc.replace_substring_regex(texts, _GAP, "")
    texts = pc.replace_substring(texts, "," if sign == "." else ".", "")
    texts = pc.replace_substring(texts, ",", ".")
    return pc.replace_substring(texts, _MINUS, "-")


def _distinct(column: Any) -> tuple[Any, Any]:
    """Each text once, without spaces around it, and its place for every row, -1 for null."""
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    codes = pc.fill_null(column.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    used = np.unique(codes[codes >= 0])
    texts = column.dictionary.take(pa.array(used))
    missing = texts.is_null().to_numpy(zero_copy_only=False)
    texts = pc.fill_null(_valid(texts), "")
    # One character more than a number has, so that none is taken for another.
    texts = pc.utf8_slice_codeunits(pc.utf8_trim_whitespace(texts), 0, LONGEST_NUMBER + 1)
    place = np.full(len(column.dictionary) + 1, -1, dtype=np.int64)
    place[used] = np.where(missing, -1, np.arange(len(used)))
    return texts, place[codes]


def _valid(texts: Any) -> Any:
    """The same as whole Unicode, bytes that are none of it shown as \\x and their number."""
    texts = texts.cast(pa.large_binary())
    try:
        return texts.cast(pa.large_string())
    except pa.ArrowInvalid:
        starts = pc.binary_slice(texts, 0, 4 * LONGEST_NUMBER).to_pylist()
        shown = [None if raw is None else raw.decode(errors="backslashreplace") for raw in starts]
        return pa.array(shown, pa.large_string())


def _kinds(texts: Any, sign: Sign) -> Any:
    """What each text is, by the patterns of both signs or of the one that is set."""
    as_point, as_comma = (_matches(texts, each) for each in (".", ","))
    if sign != "auto":
        kinds = np.where(as_point if sign == "." else as_comma, _PLAIN, _BAD)
    else:
        parted = pc.match_substring_regex(texts, "[.,]").to_numpy(zero_copy_only=False)
        both = np.where(parted, _EITHER, _PLAIN)
        one = np.where(as_point, _POINT, np.where(as_comma, _COMMA, _BAD))
        kinds = np.where(as_point & as_comma, both, one)
    nothing = pc.is_in(pc.utf8_lower(texts), pa.array(sorted(NOTHING), texts.type))
    return np.where(nothing.to_numpy(zero_copy_only=False), _EMPTY, kinds)


def _matches(texts: Any, sign: str) -> Any:
    fits = pc.match_substring_regex(texts, _PATTERNS[sign]).to_numpy(zero_copy_only=False)
    short = pc.less_equal(pc.utf8_length(texts), LONGEST_NUMBER).to_numpy(zero_copy_only=False)
    return fits & short
