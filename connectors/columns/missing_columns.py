"""Missing columns: which are needed, by which settings, and which columns of a file may be they."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa

from connectors.columns.values import LONGEST_NAME, is_text, plain_type
from pm_app.errors import BadBatch

Role = Literal["asset", "time", "kind", "code", "tag", "value"]
_NAMES_SHOWN, _CANDIDATES = 12, 3
_WRITTEN_OUT: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
# How exports call such columns: as a word, or at either end of one.
_WORDS: Final[dict[Role, tuple[str, ...]]] = {
    "asset": ("asset", "maschine", "machine", "equipment", "anlage", "aggregat", "geraet", "device")
    + ("objekt", "tplnr", "unit"),
    "time": ("time", "zeit", "datum", "date", "stamp", "stempel", "utc", "ts", "moment", "epoch"),
    "kind": ("kind", "art", "typ", "type", "kategorie", "category"),
    "code": ("code", "error", "fehler", "failure", "component", "komponente", "cause", "ursache"),
    "tag": ("tag", "sensor", "signal", "variable", "channel", "kanal", "messstelle", "parameter"),
    "value": ("value", "wert", "val"),
}


@dataclass(frozen=True)
class NeededColumn:
    """A column that a file has to have. setting: which names it; purpose: said after its name."""

    role: Role
    setting: str
    name: str
    purpose: str = ""


def missing_columns(
    file: str, needed: Sequence[NeededColumn], schema: Any, *, note: str = ""
) -> BadBatch:
    """What to raise of a file without these columns: all of them, and which may be they."""
    each_name = [f"{each.name!r}{each.purpose}" for each in needed]
    names = " and ".join([*([", ".join(each_name[:-1])] if each_name[1:] else []), each_name[-1]])
    came = f"got columns {shown_names(schema.names)}"
    if len(needed) == 1:
        likely = _quoted(likely_columns(needed[0].role, needed[0].name, schema))
        hint = f"{needed[0].setting} in plant.toml names it" + (f": {likely}?" if likely else "")
        return BadBatch(f"{file}: needed a column {names}, {came}; {hint}{note}")
    found = [(each, likely_columns(each.role, each.name, schema)) for each in needed]
    hints = [
        each.setting + (f" = {_quoted(columns)}" if columns else "") for each, columns in found
    ]
    asked = "?" if any(columns for _, columns in found) else ""
    return BadBatch(
        f"{file}: needed columns {names}, {came}; plant.toml names them: "
        f"{', '.join(hints)}{asked}{note}"
    )


def likely_columns(role: Role, wanted: str, schema: Any) -> tuple[str, ...]:
    """Columns that may be the one of this role, the likeliest first: those called almost as the one
    that was wanted, else by a word for it, else those of a type that fits, where these are few."""
    fitting = [each.name for each in schema if _may_be(role, plain_type(each.type))]
    by_case = {name.casefold(): name for name in reversed(fitting)}
    close = difflib.get_close_matches(wanted.casefold(), by_case, n=_CANDIDATES, cutoff=0.75)
    found = [by_case[name] for name in close]
    found = found or [name for name in fitting if is_called(role, name)][:_CANDIDATES]
    typed = [each.name for each in schema if _is_typical(role, plain_type(each.type))]
    return tuple(found or (typed if len(typed) <= _CANDIDATES else ()))


def is_called(role: Role, name: str) -> bool:
    """Whether a column's name has a word for this role, such as "Datum/Uhrzeit" for a time."""
    words = words_of(name)
    return any(
        word == hint or (len(hint) > 2 and word.startswith(hint)) or word.endswith(hint)
        for word in words
        for hint in _WORDS[role]
    )


def words_of(name: str) -> list[str]:
    """Words of a name in lower case, without umlauts: "AlarmLog_März 2" gives alarm, log, maerz."""
    apart = re.sub(r"(?<=[a-zäöüß])(?=[A-ZÄÖÜ])", " ", name)
    return re.findall(r"[a-z]+", apart.casefold().translate(_WRITTEN_OUT))


def shown_names(names: Sequence[str]) -> str:
    """The first few names of columns, as a list."""
    shown = [name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..." for name in names]
    more = len(names) - _NAMES_SHOWN
    return f"{shown[:_NAMES_SHOWN]} and {more} more" if more > 0 else f"{shown}"


def _may_be(role: Role, kind: Any) -> bool:
    types = pa.types
    if role == "time":
        return bool(types.is_timestamp(kind) or is_text(kind))
    if role == "value":
        return bool(types.is_floating(kind) or types.is_integer(kind) or is_text(kind))
    return bool(is_text(kind) or types.is_integer(kind))


def _is_typical(role: Role, kind: Any) -> bool:
    """Whether the type alone makes it worth a mention."""
    if role == "time":
        return bool(pa.types.is_timestamp(kind))
    return bool(pa.types.is_floating(kind) if role == "value" else is_text(kind))


def _quoted(columns: Sequence[str]) -> str:
    return " or ".join(f'"{name}"' for name in columns)
