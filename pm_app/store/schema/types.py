"""Points in time: nanoseconds inside, aware UTC datetimes outside, one column type below."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Dialect,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
)
from sqlalchemy.types import TypeEngine


class Moment(TypeDecorator[datetime]):
    """An aware UTC time: timestamptz in PostgreSQL, "2026-01-02T03:04:05.000000Z" in SQLite.

    The text has a fixed width, so it sorts as the times do, and SQLite's own date functions
    read it. Both keep microseconds. A naive time is refused with ValueError.
    """

    impl = String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """timestamptz where there is one."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> object:
        """The stored form of an aware time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a stored time must be aware, got {value!r}")
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment_text(moment)

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """The aware UTC time of a stored form."""
        if value is None:
            return None
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return moment.astimezone(UTC)


def moment_text(moment: datetime) -> str:
    """The sortable text of an aware UTC time."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def stored_moments(nanoseconds: NDArray[np.int64], dialect: str) -> list[object]:
    """What a driver is handed for a column of nanoseconds since 1970 UTC."""
    instants = (nanoseconds // 1000).astype("datetime64[us]")
    if dialect == "postgresql":
        return [moment.replace(tzinfo=UTC) for moment in instants.tolist()]
    return np.char.add(np.datetime_as_string(instants), "Z").tolist()  # type: ignore[no-any-return]  # numpy types tolist as Any


metadata = MetaData(
    naming_convention={
        "ix": "%(table_name)s_%(column_0_N_name)s",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "pk": "%(table_name)s_pkey",
    }
)

# SQLite numbers rows by itself only in a column typed exactly INTEGER.
NUMBER = BigInteger().with_variant(Integer(), "sqlite")

# Every database sorts assets by their code points, as Python does.
ASSET = Text().with_variant(Text(collation="C"), "postgresql")
