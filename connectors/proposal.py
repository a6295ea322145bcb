"""Proposal of settings that read a file: which columns are asset, time and the others, and units.

Goes by what columns are called and by the first rows. What it does not see it leaves to a person.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.columns.missing_columns import Role, is_called, words_of
from connectors.columns.moments import MomentRules, read_moments
from connectors.columns.numbers_in_text import is_number
from connectors.csv.tables import MOST_READINGS_BYTES
from connectors.csv.texts import TABLES, open_table
from connectors.files.folder import open_folder
from connectors.parquet.files import SUFFIXES as PARQUET
from pm_app.errors import BadBatch, BadSettings
from pm_app.records.previews import ProposedSettings
from pm_app.records.readings import Batch
from pm_app.settings.values import asset_and_sensor

_ROWS: Final = 20
# Shorter texts are numbers of people and orders, names and marks.
_LEAST_TEXT: Final = 6.0
# How people call files of events of one kind, begun or whole; the first kind counts.
_KINDS: Final[dict[str, tuple[str, ...]]] = {
    "failure": ("fail", "breakdown", "ausfall", "ausfaelle", "stoerung", "schaeden"),
    "error": ("error", "alarm", "fehler", "meldung", "warnung", "warning"),
    "inspection": ("inspect", "inspektion", "pruef"),
    "maintenance": ("maint", "service", "repair", "wartung", "instandhaltung", "reparatur"),
}
_SIGNS: Final = "-./:"
# Words of columns about a machine that do not tell which it is, names of columns that do, words of
# such that may tell failures, that count time, that number, and that number rows or orders.
_ABOUT_MACHINES: Final = frozenset(
    ("status", "state", "zustand", "type", "typ", "model", "modell", "art", "mode", "modus")
)
_MACHINES: Final = tuple(
    [word]
    for word in (
        *("robot", "roboter", "turbine", "pump", "pumpe", "motor", "engine", "compressor"),
        *("kompressor", "vehicle", "fahrzeug", "truck", "press", "presse", "drive", "tool"),
        *("line", "linie", "station", "well"),
    )
)
_OUTCOMES: Final = frozenset(
    ("status", "state", "zustand", "failure", "failed", "fault", "broken", "breakdown")
    + ("ausfall", "stoerung")
)
_FLAGS: Final = frozenset(("0", "1"))
_TRUST: Final = frozenset(("quality", "qualitaet", "status"))
_BETWEEN: Final = (".", "/", ":", "_", "-", " ")
_STEPS: Final = frozenset(("cycle", "cycles", "step", "zyklus", "takt"))
_NUMBERING: Final = frozenset(("id", "nr", "no", "number", "nummer", "serial", "vin"))
_OF_ROWS: Final = frozenset(
    ("lfd", "row", "zeile", "index", "record", "order", "auftrag", "ticket", "event", "work")
)
Rows = Sequence[tuple[str, ...]]
Source = Literal["readings", "events"]


def propose_settings(path: Path, source: Source) -> ProposedSettings:
    """Keys of a section of plant.toml that read this file. Raises BadSettings and BadBatch."""
    names, rows = _head(path)
    units = _units(names, rows)
    rows = rows[1:] if units else rows
    columns = {name: [row[place] for row in rows] for place, name in enumerate(names) if name}
    times = [name for name, texts in columns.items() if _are_times(name, texts)]
    keys: dict[str, Any] = {}
    remarks = []
    time = next((name for name in times if is_called("time", name)), next(iter(times), None))
    if time is None:
        time = next((name for name, texts in columns.items() if _count(name, texts)), None)
        if time is not None:
            times, keys["counts"] = [time], "1h"
            remarks.append(f"{time!r} counts: how long one is is for {source}.counts to say")
    if time is not None:
        keys["time_column"] = time
    else:
        remarks.append(f"none of its columns holds times: {source}.time_column has to name one")
    others = [name for name in columns if name not in times]
    asset = _asset(columns, others, source)
    pattern = _tag_pattern(columns, others) if asset is None and source == "readings" else None
    if asset is not None:
        keys["asset_column"] = asset
    elif pattern is not None:
        keys["tags"] = [pattern]
    else:
        remarks.append(
            f"none of its columns is called like a machine: {source}.asset_column names it, "
            f'{source}.asset_from where paths do ("{{asset}}_*.csv"), {source}.asset the only one'
            + (', readings.tags where tags do ("{asset}.{sensor}")' if source == "readings" else "")
        )
    others = [name for name in others if name != asset]
    if source == "readings":
        keys |= _long(columns, others)
        remarks += _outcomes(others)
    else:
        keys |= _words(columns, others, remarks, file=path.stem)
    zoned = time is not None and ("counts" in keys or _carry_zones(columns[time]))
    return ProposedSettings(keys, {} if source == "events" else units, zoned, tuple(remarks))


def _outcomes(names: Sequence[str]) -> list[str]:
    return [
        f"{name!r} may tell failures: [events] can read them from there, and readings.ignore "
        "leaves it out (pm-app docs work-orders: Failures among the readings)"
        for name in names
        if _OUTCOMES.intersection(words_of(name))
    ]


def _head(path: Path) -> tuple[tuple[str, ...], Rows]:
    """Names of columns and the first rows as texts."""
    if not path.is_file():
        raise BadSettings(f"{path}: needed a file, got none")
    batch = Batch(path.name, path.stat().st_size, path.stat().st_mtime_ns)
    name, folder = path.name.lower(), str(path.absolute().parent)
    suffixes, contents = TABLES["auto"]
    if name.endswith(suffixes):
        where = open_folder(folder, suffixes=suffixes, contents=contents)
        with open_table(where, batch, most_bytes=MOST_READINGS_BYTES) as file:
            return file.columns, file.head
    if name.endswith(PARQUET):
        try:
            some = next(pq.ParquetFile(path).iter_batches(_ROWS), None)
        except (OSError, pa.ArrowException) as error:
            raise BadBatch(f"{path.name}: needed a Parquet file: {error}") from error
        values = [column.to_pylist() for column in some.columns] if some is not None else []
        texts = [["" if value is None else str(value) for value in column] for column in values]
        return tuple(some.schema.names if some is not None else ()), [*zip(*texts, strict=True)]
    raise BadSettings(f"{path}: needed a Parquet, CSV or Excel file")


def _units(names: tuple[str, ...], rows: Rows) -> dict[str, str]:
    """Units by column, where the first row holds no number and no time and the next ones do."""
    if len(rows) < 2:
        return {}
    first, second = rows[0], rows[1]
    values = [place for place, text in enumerate(second) if is_number(text)]
    if any(map(is_number, first)) or not values or _are_times("", [text for text in first if text]):
        return {}
    return {names[place]: first[place] for place in values if first[place] and names[place]}


def _are_times(name: str, texts: Sequence[str]) -> bool:
    given = [text for text in texts if text]
    if given and all(map(is_number, given)):
        # Sensors may read as much as Unix time, and names alone tell.
        return is_called("time", name) and _carry_zones(given)
    if not given or not all(any(sign in text for sign in _SIGNS) for text in given):
        return False
    found = read_moments(given, MomentRules("UTC", "day first"))
    return not any(found.reason.tolist())


def _count(name: str, texts: Sequence[str]) -> bool:
    """Whether these are numbers called like steps of time."""
    given = [text for text in texts if text]
    steps = is_called("time", name) or not _STEPS.isdisjoint(words_of(name))
    return bool(given) and steps and all(map(is_number, given))


def _carry_zones(texts: Sequence[str]) -> bool:
    given = [text for text in texts if text]
    return not any(read_moments(given, MomentRules(None, "day first")).reason.tolist())


def _called(role: Role, names: Sequence[str]) -> str | None:
    return next((name for name in names if is_called(role, name)), None)


def _asset(columns: dict[str, list[str]], names: Sequence[str], source: Source) -> str | None:
    """The column called like a machine, and not like its state; else the only one that numbers, or
    of readings the only one of texts."""
    words = {name: words_of(name) for name in names}
    things = [
        name
        for name in names
        if not _ABOUT_MACHINES.intersection(words[name])
        and not is_called("code", name)
        and not is_called("tag", name)
    ]
    called = next((name for name in things if words[name] in _MACHINES), None)
    called = called or _called("asset", things)
    if called is not None:
        return called
    numbering = [
        name
        for name in things
        if _NUMBERING.intersection(words[name])
        and not _OF_ROWS.intersection(words[name])
        and not any("." in each or "," in each for each in columns[name])
    ]
    if numbering:
        return numbering[0] if len(numbering) == 1 else None
    # Where rows are numbers but for one text, it is whose they are.
    texts = [
        name for name in things if any(columns[name]) and not any(map(is_number, columns[name]))
    ]
    return texts[0] if source == "readings" and len(texts) == 1 else None


def _tag_pattern(columns: dict[str, list[str]], names: Sequence[str]) -> str | None:
    """How columns, or tags of a long file, name machine and sensor, where that is to be seen: the
    same sensors of several machines, parted by one sign."""
    found = _long(columns, names)
    tags = set(columns[found["tag_column"]]) if found else set(names)
    for sign in _BETWEEN:
        pattern = f"{{asset}}{sign}{{sensor}}"
        machines: dict[str, set[str]] = {}
        for tag in tags:
            parts = asset_and_sensor(tag, (pattern,))
            if parts is not None:
                machines.setdefault(parts[0], set()).add(parts[1])
        shared = set.intersection(*machines.values()) if machines else set()
        numbered = any(map(str.isdigit, "".join(shared)))
        if len(machines) > 1 and len(shared) > 1 and not numbered:
            return pattern
    return None


def _long(columns: dict[str, list[str]], others: Sequence[str]) -> dict[str, str]:
    """Tag and value, where they and little else stand beside asset and time."""
    texts = [name for name in others if not all(is_number(each) for each in columns[name] if each)]
    tag = _called("tag", texts)
    numbers = [
        name for name in others if name not in texts and not _TRUST.intersection(words_of(name))
    ]
    value = _called("value", numbers)
    if tag is None or value is None or len(numbers) > 1:
        return {}
    return {"layout": "long", "tag_column": tag, "value_column": value}


def _words(
    columns: dict[str, list[str]], others: Sequence[str], remarks: list[str], *, file: str
) -> dict[str, Any]:
    """The kind of events, their code, and the text that says what happened."""
    keys: dict[str, Any] = {}
    texts = [name for name in others if not all(is_number(each) for each in columns[name] if each)]
    kind = _called("kind", texts)
    # A one alone may be the number of a row.
    flags = [name for name in others if "0" in columns[name] and _FLAGS.issuperset(columns[name])]
    if kind is not None:
        keys["kind_column"] = kind
        remarks.append(f"what texts of {kind!r} mean is for events.kinds to say")
    elif len(flags) == 1:
        keys |= {"kind_column": flags[0], "kinds": {"1": "failure"}, "ignore_rows": ["0"]}
        remarks.append(f"rows with 1 in {flags[0]!r} are taken for failures")
    else:
        keys["default_kind"], why = _kind_of_file(file)
        remarks.append(f"it has no column of kinds: {why}")
    texts = [name for name in texts if name != kind]
    text = max(texts, key=lambda name: _length(columns[name]), default=None)
    if text is not None and (_length(columns[text]) < _LEAST_TEXT or _are_words(columns[text])):
        text = None
    # One column of single words says what it was; of several, only a name tells which.
    words = [name for name in texts if name != text and _are_words(columns[name])]
    named = [name for name in others if name not in texts or name in words]
    code = _called("code", [name for name in named if name not in flags])
    if code is None and text is None and len(words) == 1:
        code = words[0]
    if code is not None:
        keys["code_column"] = code
    if text is not None:
        keys["text_column"] = text
        remarks.append(f"which codes the texts of {text!r} stand for is for events.codes to say")
    return keys


def _kind_of_file(stem: str) -> tuple[str, str]:
    """The kind of all rows of a file by its name, and what to say of that."""
    words = words_of(stem)
    for kind, hints in _KINDS.items():
        if any(word.startswith(hint) for word in words for hint in hints):
            return kind, f"by the file's name every row is taken for kind {kind!r}"
    return "failure", "every row is taken for a failure"


def _length(texts: Sequence[str]) -> float:
    """How long texts are on average, in characters."""
    given = [text for text in texts if text]
    return sum(map(len, given)) / max(len(given), 1)


def _are_words(texts: Sequence[str]) -> bool:
    return not any(" " in text.strip() for text in texts)
