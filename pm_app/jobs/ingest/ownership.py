"""State ownership: a folder and its database belong together, so that neither loses the other's.

Files that no ledger row names are deleted as what a crash left behind. Beside the ledger of
another plant, an empty one, or one put back to an earlier day, that would be everything. So the
folder bears its database's identity, and how far the ledger had come when last seen.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pydantic import TypeAdapter, ValidationError

from pm_app.durable import make_folder, write_bytes
from pm_app.errors import TerminalError
from pm_app.store import DatabaseState, Store

FILE = "identity.json"
FILLED = ("panes", "events", "versions")


@dataclass(frozen=True)
class OwnershipMark:
    """What a state folder knows of its database: its identity, and the newest numbers seen."""

    identity: str
    sequence: int = 0
    version: int = 0


_MARK = TypeAdapter(OwnershipMark)


def claim(state: Path, store: Store) -> None:
    """Make sure that folder and database belong together; new ones are given an identity.

    Raises TerminalError, before anything is changed, where they do not.
    """
    mark, standing = read_mark(state), store.identity.state()
    if mark is not None and mark.identity == standing.identity:
        # A crash may have come between the ledger and the mark.
        note_progress(state, store)
        return
    _require_fit(state, mark, standing)
    # The folder first: a crash in between leaves a database that anyone may still name.
    wanted = standing.identity or (mark.identity if mark else uuid4().hex)
    write_mark(state, OwnershipMark(wanted, standing.sequence, standing.version))
    given = store.identity.assign(wanted, at=datetime.now(tz=UTC))
    if given != wanted:
        write_mark(state, OwnershipMark(given, standing.sequence, standing.version))


def require_own(state: Path, store: Store) -> tuple[OwnershipMark, DatabaseState]:
    """What folder and database know of each other.

    Raises TerminalError where the ledger is not this folder's, or older than it was.
    """
    mark, standing = read_mark(state), store.identity.state()
    if mark is None or mark.identity != standing.identity:
        raise TerminalError(
            f"{state}: the database has become another one; nothing is touched before the daemon "
            "is started again, and finds that they belong together"
        )
    _require_not_older(state, mark, standing)
    return mark, standing


def note_progress(state: Path, store: Store) -> None:
    """Note how far the ledger has come, where it has come further."""
    mark, standing = require_own(state, store)
    seen = OwnershipMark(standing.identity, standing.sequence, standing.version)
    if mark != seen:
        write_mark(state, seen)


def read_mark(state: Path) -> OwnershipMark | None:
    """What a folder knows, None where it has no mark yet. Raises TerminalError if damaged."""
    path = state / FILE
    try:
        return _MARK.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise TerminalError(f"{path}: needed the identity of the database, got {error}") from error


def write_mark(state: Path, mark: OwnershipMark) -> None:
    """Keep a mark; durable when it returns."""
    make_folder(state)
    write_bytes(state / FILE, _MARK.dump_json(mark))


def _require_fit(state: Path, mark: OwnershipMark | None, standing: DatabaseState) -> None:
    remedy = "restore the database from its backup, or name another plant.state"
    if standing.empty and is_filled(state):
        raise TerminalError(
            f"{state} is full of what another database names, but store.url leads to an empty "
            f"one: {remedy}; to begin anew, move the folder away"
        )
    if mark is not None and standing.identity:
        raise TerminalError(
            f"{state} belongs to database {mark.identity}, but store.url leads to "
            f"{standing.identity}: {remedy}"
        )
    if mark is None and standing.identity and not standing.empty:
        raise TerminalError(
            f"store.url leads to database {standing.identity}, which belongs to another state "
            f"folder than {state}: give this plant a database of its own, or put the folder "
            "back (pm-app restore)"
        )
    if mark is not None:
        _require_not_older(state, mark, standing)


def _require_not_older(state: Path, mark: OwnershipMark, standing: DatabaseState) -> None:
    if standing.sequence < mark.sequence or standing.version < mark.version:
        raise TerminalError(
            f"{state} has seen the database at file {mark.sequence} and version {mark.version}, "
            f"but it is at {standing.sequence} and {standing.version}: it was put back to an "
            "earlier day. Put the state folder of that day back as well (pm-app restore)"
        )


def is_filled(state: Path) -> bool:
    """Whether a state folder holds files that a database names."""
    folders = (state / name for name in FILLED)
    files = (path for folder in folders if folder.is_dir() for path in folder.iterdir())
    return any(not path.name.startswith(".") for path in files)
