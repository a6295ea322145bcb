"""Fetching of new rows by a query: from the newest watermark on, less a look-back, into files."""

import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from pm_app.durable import make_folder, write_file
from pm_app.errors import BadSettings, SourceUnavailable
from pm_app.times import parse_duration

# Rows of one file, held at once; and of one look, so that what was fetched is soon scored.
MOST_ROWS: Final = 100_000
MOST_ROWS_A_LOOK: Final = 2_000_000
_CONNECT_SECONDS: Final = 5
_AT_ONCE: Final = 10_000
_FILES_A_FOLDER: Final = 1000
_WATERMARK: Final = b"pm_app.watermark"
_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Query:
    """What is asked of which database. section: of plant.toml, for messages.

    watermark: the column that grows with what is new; lookback: how late a row may come.
    """

    section: str
    uri: str
    query: str | None
    watermark: str | None
    lookback: str


def fetch(query: Query, folder: Path, *, most_rows: int | None = None) -> int:
    """Land the rows that are new in the folder, as files in order of name; how many there were.

    Raises BadSettings, and SourceUnavailable where the database cannot be asked now.
    """
    if query.query is None or query.watermark is None:
        raise BadSettings(
            f"{query.section}.uri names a database, which needs {query.section}.query and "
            f"{query.section}.watermark: what to ask for, and the column that grows with it"
        )
    most = MOST_ROWS_A_LOOK if most_rows is None else most_rows
    landed = _Landed(folder)
    newest = landed.watermark()
    start = None if newest is None else _earlier(newest, query.lookback)
    seen = set() if start is None else landed.rows_from(query.watermark, start)
    count = 0
    with _connected(query) as connection, closing(_rows(connection, query, start)) as coming:
        fresh = _fresh(coming, seen)
        while count < most and (rows := [*islice(fresh, min(MOST_ROWS, most))]):
            names = rows[0][0]
            newest = _newest(newest, [row[names.index(query.watermark)] for _, row in rows])
            landed.add(_table(names, [row for _, row in rows]), newest)
            count += len(rows)
    return count


@contextmanager
def _connected(query: Query) -> Iterator[Connection]:
    """A connection that only reads. Raises as `fetch`."""
    address, where = _address(query)
    options: dict[str, Any] = {"timeout": _CONNECT_SECONDS}
    if address.get_backend_name() == "postgresql":
        options = {
            "connect_timeout": _CONNECT_SECONDS,
            "options": "-c default_transaction_read_only=on -c timezone=UTC",
            "application_name": "pm-app",
        }
    try:
        engine = create_engine(address, connect_args=options, hide_parameters=True)
    except (ImportError, NoSuchModuleError) as error:
        raise BadSettings(
            f"{query.section}.uri {where} needs a driver: pip install 'pm-app[postgresql]'"
        ) from error
    try:
        with engine.connect().execution_options(stream_results=True) as connection:
            yield connection
    except SQLAlchemyError as error:
        words = str(getattr(error, "orig", None) or error).strip().splitlines()
        why = words[0] if words else type(error).__name__
        raise SourceUnavailable(f"{query.section}: {where} cannot be asked now: {why}") from error
    finally:
        engine.dispose()


def _address(query: Query) -> tuple[URL, str]:
    """Where the database is, and that without a secret. Raises BadSettings, SourceUnavailable."""
    try:
        address = make_url(query.uri)
        address = address.set(drivername=_DRIVERS.get(address.drivername, address.drivername))
    except ArgumentError as error:
        raise BadSettings(f"{query.section}.uri: needed the address of a database") from error
    where = address.set(query={}).render_as_string(hide_password=True)
    file = address.database
    if address.get_backend_name() == "sqlite" and not (file and Path(file).is_file()):
        # SQLite would make an empty one.
        raise SourceUnavailable(f"{query.section}: {where} cannot be asked now: no such file")
    return address, where


def _rows(
    connection: Connection, query: Query, start: Any
) -> Generator[tuple[Row, Row], None, None]:
    """Names of columns and values of each row from there on, in order of the watermark."""
    column = connection.dialect.identifier_preparer.quote(str(query.watermark))
    inner = str(query.query).strip().rstrip(";")
    where = f"{column} IS NOT NULL" if start is None else f"{column} >= :start"
    asked = text(f"SELECT * FROM (\n{inner}\n) AS asked WHERE {where} ORDER BY {column}")
    options, values = {"yield_per": _AT_ONCE}, {} if start is None else {"start": start}
    with connection.execute(asked, values, execution_options=options) as found:
        names = tuple(found.keys())
        if query.watermark not in names:
            needed = f"{query.section}.watermark names {query.watermark!r}"
            raise BadSettings(f"{needed}, the query gives {list(names)}")
        for row in found:
            yield names, tuple(map(_plain, row))


def _plain(value: Any) -> Any:
    """A value as files hold it: numbers as float64, whole ones as they are, times, else text."""
    if value is None or isinstance(value, (bool, int, float, str, datetime)):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - of its own zone
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _fresh(rows: Iterator[tuple[Row, Row]], seen: set[bytes]) -> Iterator[tuple[Row, Row]]:
    for names, row in rows:
        if not seen or _mark(names, row) not in seen:
            yield names, row


def _mark(names: Sequence[str], row: Row) -> bytes:
    """Tells one row from another by what it holds."""
    values = []
    for name, value in zip(names, row, strict=True):
        if isinstance(value, datetime) and value.tzinfo is not None:
            value = value.astimezone(UTC)
        elif isinstance(value, (bool, int, float)):
            value = float(value)
        if value is not None:
            values.append((name, str(value)))
    return blake2b(repr(sorted(values)).encode(), digest_size=16).digest()


def _earlier(newest: Any, lookback: str) -> Any:
    """From where on to ask again; numbers that count rows are asked for from the newest on."""
    back = timedelta(microseconds=parse_duration(lookback) / 1000)
    if isinstance(newest, datetime):
        return newest - back
    if isinstance(newest, str):
        try:
            written = datetime.fromisoformat(newest)
        except ValueError:
            return newest
        separator = "T" if "T" in newest else " "
        return (written - back).replace(microsecond=0).isoformat(sep=separator)
    return newest


def _newest(before: Any, found: Sequence[Any]) -> Any:
    return max(found if before is None else [before, *found])


def _table(names: Sequence[str], rows: Sequence[Row]) -> Any:
    columns = [_array(list(column)) for column in zip(*rows, strict=True)]
    return pa.Table.from_arrays(columns, names=list(names))


def _array(values: list[Any]) -> Any:
    """One type a column: what does not agree is text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool, int, float} and len(kinds) > 1:
        return pa.array([None if value is None else float(value) for value in values])
    if len(kinds) > 1:
        return pa.array([None if value is None else str(value) for value in values])
    if kinds == {datetime}:
        zoned = any(value is not None and value.tzinfo is not None for value in values)
        return pa.array(values, pa.timestamp("us", "UTC" if zoned else None))
    return pa.array(values)


@dataclass(frozen=True)
class _Landed:
    """The files that were fetched, a thousand a folder, each saying how far all of them reach."""

    folder: Path

    def watermark(self) -> Any:
        """How far they reach, None where there are none."""
        newest = next(self._newest_first(), None)
        return None if newest is None else _watermark_of(newest)

    def rows_from(self, watermark: str, start: Any) -> set[bytes]:
        """The rows from there on."""
        seen: set[bytes] = set()
        for path in self._newest_first():
            if _watermark_of(path) < start:
                break
            file = pq.ParquetFile(path)
            names = file.schema_arrow.names
            for batch in file.iter_batches(_AT_ONCE):
                columns = [column.to_pylist() for column in batch.columns]
                for row in zip(*columns, strict=True):
                    at = row[names.index(watermark)] if watermark in names else None
                    if at is None or type(at) is not type(start) or at >= start:
                        seen.add(_mark(names, row))
        return seen

    def add(self, table: Any, newest: Any) -> None:
        """A file more, durable when this returns."""
        last = next(self._newest_first(), None)
        number = 0 if last is None else int(last.stem) + 1
        path = self.folder / f"{number // _FILES_A_FOLDER:07d}" / f"{number:010d}.parquet"
        marked = table.replace_schema_metadata({_WATERMARK: _as_text(newest)})
        make_folder(path.parent)
        write_file(path, lambda beside: pq.write_table(marked, beside, write_page_checksum=True))

    def _newest_first(self) -> Iterator[Path]:
        folders = sorted(self.folder.glob("[0-9]*"), reverse=True)
        for folder in folders:
            yield from sorted(folder.glob("[0-9]*.parquet"), reverse=True)


def _watermark_of(path: Path) -> Any:
    kind, value = json.loads(pq.read_schema(path).metadata[_WATERMARK])
    return datetime.fromisoformat(value) if kind == "time" else value


def _as_text(watermark: Any) -> str:
    is_time = isinstance(watermark, datetime)
    value = watermark.isoformat() if is_time else watermark
    return json.dumps(["time" if is_time else "value", value])
