"""Column types: points in time, numbers of rows, names of assets."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import BigInteger, Dialect, MetaData, String, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

from pm_app.store.dialects.table import DIALECTS, with_variants


class Moment(TypeDecorator[datetime]):
    """An aware UTC time: timestamptz in PostgreSQL, "2026-01-02T03:04:05.000000Z" in SQLite.

    The text has a fixed width, so it sorts as the times do, and SQLite's own date functions
    read it. Both keep microseconds. A naive time is refused with ValueError.
    """

    impl = String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type that a database has for it."""
        return dialect.type_descriptor(DIALECTS[dialect.name].moment_type)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        """The stored form of an aware time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a stored time must be aware, got {value!r}")
        return DIALECTS[dialect.name].stored_moment(value.astimezone(UTC))

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """The aware UTC time of a stored form."""
        if value is None:
            return None
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return moment.astimezone(UTC)


def moment_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """An Arrow array of times, which came as their text or as datetimes."""
    if any(isinstance(value, str) for value in values):
        return pa.array(values, pa.string()).cast(kind)
    return pa.array(values, kind)


def nanoseconds_list(values: Sequence[Any]) -> list[int | None]:
    """Nanoseconds UTC of times, which came as their text or as datetimes; None stays."""
    moments = moment_array(values, pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return [None if moment is None else 1000 * moment for moment in moments.to_pylist()]


metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

# What a database numbers by itself.
NUMBER = with_variants(
    BigInteger(), {name: dialect.number_type for name, dialect in DIALECTS.items()}
)

# Every database sorts assets by their code points, as Python does.
ASSET = with_variants(Text(), {name: dialect.asset_type for name, dialect in DIALECTS.items()})
