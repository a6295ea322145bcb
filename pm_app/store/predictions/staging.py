"""Staged predictions, before they are merged: in a temporary table, or in a file.

A file is a portable database with one table. Whoever scores elsewhere fills it, and the one
writer of the store then has nothing left to do but merge it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, Join
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from pm_app.durable import write_file
from pm_app.errors import TransientError
from pm_app.records.predictions import Predictions
from pm_app.records.readings import Float64
from pm_app.store.dialects.dialect import StoreDialect
from pm_app.store.dialects.portable import (
    PORTABLE,
    reading_table_file,
    write_errors,
    write_table_file,
)
from pm_app.store.dialects.table import DIALECTS, dialect_of
from pm_app.store.schema.predictions import (
    PREDICTION_KEY,
    PREDICTION_VALUES,
    portable_predictions,
    staged_predictions,
)

ROWS_PER_INSERT: Final = 20_000
STAGED: Final = (*PREDICTION_KEY, *PREDICTION_VALUES)
_NUMBERS: Final = ("risk", "rul_hours", "rul_low_hours", "rul_high_hours", "value")


class StagedJoin(Join):
    """Rows laid down, each beside what it finds in another table.

    Those few are to be read first: a planner that knows the sizes of neither might read all of
    a table that has grown for years to find them in it.
    """

    inherit_cache = True


@compiles(StagedJoin)
def _in_order(join: StagedJoin, compiler: SQLCompiler, **options: Any) -> str:
    written: str = compiler.visit_join(join, **options)  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    return DIALECTS[compiler.dialect.name].keep_join_order(written)


def write_staged(path: Path, chunks: Iterable[Predictions]) -> str:
    """Lay predictions down in a new file, durable when this returns the SHA-256 of its bytes.

    Memory is that of a chunk. A key must not come twice. Raises TransientError where the file
    cannot be written, and what `chunks` raises.
    """

    def fill(beside: Path) -> None:
        parts = (_rows(chunk, rows, PORTABLE) for chunk, rows in _pieces(chunks))
        with write_errors(path):
            write_table_file(beside, portable_predictions, STAGED, parts)

    write_file(path, fill)
    return _digest(path)


def require_whole(path: Path, digest: str) -> None:
    """Raises TransientError where the file is not the one that `write_staged` left."""
    try:
        found = _digest(path)
    except OSError as error:
        raise TransientError(f"{path}: cannot be read: {error.strerror or error}") from error
    if found != digest:
        raise TransientError(f"{path}: damaged: its SHA-256 is {found}, {digest} was written")


def stage(connection: Connection, chunks: Iterable[Predictions]) -> None:
    """Lay predictions down in a temporary table of this connection."""
    _begin(connection)
    dialect = dialect_of(connection)
    for chunk, rows in _pieces(chunks):
        columns = _rows(chunk, rows, dialect)
        dialect.insert_rows(connection, staged_predictions.name, STAGED, columns)
    _end(connection)


def stage_file(connection: Connection, path: Path) -> None:
    """Lay down what a file holds in a temporary table of this connection, where the database
    cannot attach it."""
    _begin(connection)
    with reading_table_file(path, portable_predictions.name, STAGED) as rows:
        dialect_of(connection).insert_rows(connection, staged_predictions.name, STAGED, rows)
    _end(connection)


def forget_staged(connection: Connection) -> None:
    """Remove what is laid down; the pool may give a connection again whose last commit failed."""
    staged_predictions.drop(connection, checkfirst=True)


def _begin(connection: Connection) -> None:
    forget_staged(connection)
    staged_predictions.create(connection)


def _end(connection: Connection) -> None:
    dialect_of(connection).analyze(connection, staged_predictions.name)


def _pieces(chunks: Iterable[Predictions]) -> Iterator[tuple[Predictions, slice]]:
    for chunk in chunks:
        for start in range(0, len(chunk.asset), ROWS_PER_INSERT):
            yield chunk, slice(start, start + ROWS_PER_INSERT)


def _rows(chunk: Predictions, rows: slice, dialect: StoreDialect) -> Iterator[tuple[object, ...]]:
    names = np.array(chunk.assets, dtype=object)
    asset_ids = names[chunk.asset[rows]].tolist()
    nothing = [None] * len(asset_ids)
    columns: list[Sequence[object]] = [
        asset_ids,
        dialect.stored_moments(chunk.cutoff[rows]),
        chunk.horizon_hours[rows].tolist(),
        chunk.status[rows].tolist(),
        *(_nullable(getattr(chunk, name)[rows]) for name in _NUMBERS),
        chunk.top_sensors[rows].tolist(),
        [chunk.model_version] * len(asset_ids),
        chunk.attention[rows].tolist(),
        _nullable(chunk.extrapolated[rows]),
        *(
            nothing if texts is None else texts[rows].tolist()
            for texts in (chunk.mode, chunk.mode_risks, chunk.mode_sensors)
        ),
        nothing if chunk.deviation is None else _nullable(chunk.deviation[rows]),
        nothing if chunk.deviation_sensors is None else chunk.deviation_sensors[rows].tolist(),
        [chunk.normal_version] * len(asset_ids),
    ]
    return zip(*columns, strict=True)


def _nullable(values: Float64) -> list[object]:
    boxed = values.astype(object)
    boxed[np.isnan(values)] = None
    listed: list[object] = boxed.tolist()
    return listed


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
