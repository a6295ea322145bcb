"""A Delta table that is appended to, each append once.

Every append carries the name of who appends and how far it has come, in the same commit as its
rows (Delta protocol, "application transactions"): whoever is killed before the commit has
appended nothing, whoever is killed after it finds there that it has.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import DeltaError, SchemaMismatchError

from pm_app.errors import BadSettings, TransientError

# The library holds a file in memory until it has this size.
FILE_BYTES = 32_000_000
_CREDENTIALS = re.compile(r"^([a-z0-9+.-]+://)[^/]*@", re.IGNORECASE)


class DeltaLake:
    """The Delta table at `uri`: a folder, or s3://, gs://, abfs://, credentials from the
    environment. Methods raise TransientError when a later call may succeed, and BadSettings,
    as it does for an address with credentials: messages and histories of shells would show them.
    """

    def __init__(self, uri: str) -> None:
        if not uri:
            raise BadSettings("--delta takes a folder or an address like s3://bucket/table, got ''")
        if _CREDENTIALS.match(uri):
            shown = _CREDENTIALS.sub(r"\1…@", uri)
            raise BadSettings(
                "--delta takes an address without credentials, they come from the environment; "
                f"got {shown!r}"
            )
        self.uri = uri
        self._table: Any = None

    def position(self, application: str) -> int | None:
        """How far this application has come in the table, None before its first append."""
        with _translated(self.uri):
            there = DeltaTable.is_deltatable(self.uri)
            self._table = DeltaTable(self.uri) if there else None
            found = self._table.transaction_version(application) if there else None
        return None if found is None else int(found)

    def append(
        self, schema: Any, tables: Iterator[Any], *, application: str, position: int
    ) -> None:
        """Add rows, and that the application has now come to `position`: both or neither.

        schema: a pyarrow.Schema; tables: of it, taken one at a time. Follows a call of
        `position`: where another process has appended for the application since, nothing is
        added and TransientError raised. A table of this application that lacks columns gets them;
        raises BadSettings where another one has not these.
        """
        batches = (batch for table in tables for batch in table.to_batches())
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        ours = self._table is not None and self._table.transaction_version(application) is not None
        properties = CommitProperties(app_transactions=[Transaction(application, position)])
        with _translated(self.uri):
            write_deltalake(
                self.uri if self._table is None else self._table,
                reader,
                mode="append" if self._table is not None else "error",
                schema_mode="merge" if ours else None,
                target_file_size=FILE_BYTES,
                commit_properties=properties,
            )


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Errors of the library as ours, its panics included."""
    try:
        yield
    except SchemaMismatchError as error:
        raise BadSettings(
            f"{uri} needs the columns of predictions, but is another table: {_first_line(error)}"
        ) from error
    except (DeltaError, OSError) as error:
        raise TransientError(f"{uri}: {_first_line(error)}") from error
    except ValueError as error:
        raise BadSettings(f"{uri}: {_first_line(error)}") from error
    except BaseException as error:
        # What Rust code gives up on is no Exception, and has no class that can be imported.
        if type(error).__name__ != "PanicException":
            raise
        raise BadSettings(
            f"--delta takes a folder or an address like s3://bucket/table, got {uri!r}, which the "
            f"library of Delta tables cannot read: {_first_line(error)}"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
