"""Lineage of models: versions, retrainings, promotions, and the champion of each time."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Row,
    Select,
    Text,
    and_,
    case,
    cast,
    func,
    insert,
    literal,
    select,
)

from pm_app.errors import TerminalError
from pm_app.store.database.connection import Database
from pm_app.store.rows import ImportanceRow, PromotionRow, RetrainingRow, VersionKind, VersionRow
from pm_app.store.schema.predictions import importances, promotions, retrainings, versions
from pm_app.store.schema.users import audit
from pm_app.store.users import Actor, note

# Who moves the champion pointer where no person does.
ITSELF: Final = Actor("pm-app")
_MOVES: Final = {"promote": "promote", "rollback": "roll back"}
_REJECT: Final = "reject"


@dataclass(frozen=True, eq=False)
class Lineage:
    """The history of what has been learned. Rows are only ever added.

    Versions have one sequence of numbers and two kinds: what is learned of failures, and what is
    normal. Each kind has a champion: the version of the newest row of `promotions` that names one
    of that kind; there is no other pointer.
    All methods raise StoreUnavailable when a later call may succeed.
    """

    database: Database

    def champion(self, kind: VersionKind = "failure") -> int | None:
        """The version of a kind that scores, None before the first promotion."""
        with self.database.reading() as connection:
            return _champion(connection, kind)

    def champion_at(self, at: datetime, kind: VersionKind = "failure") -> int | None:
        """The version of a kind that scored at a time, None before the first promotion."""
        moves = _moves(kind).where(promotions.c.at <= at)
        with self.database.reading() as connection:
            return connection.execute(moves.order_by(promotions.c.id.desc())).scalars().first()

    def promote(self, version: int, *, at: datetime, reason: str, actor: Actor = ITSELF) -> None:
        """Make a version the champion of its kind; the one that is already stays without a new
        row.

        Raises TerminalError naming the versions there are where this is none of them.
        """
        with self.database.writing() as connection:
            _promote(connection, version, at, reason, actor)

    def rollback(
        self, *, at: datetime, reason: str, actor: Actor = ITSELF, kind: VersionKind = "failure"
    ) -> int:
        """Make the version live before the champion of a kind live again, and return it.

        Each further rollback goes one promotion further back.
        Raises TerminalError where there was none before.
        """
        with self.database.writing() as connection:
            version = version_before(_promotions(connection, kind))
            _move(connection, version, at, reason, "rollback", actor)
        return version

    def promotions(self, kind: VersionKind = "failure") -> list[PromotionRow]:
        """Every move of the champion pointer of a kind, oldest first."""
        with self.database.reading() as connection:
            return _promotions(connection, kind)

    def promotion_actors(self) -> dict[int, str]:
        """Who made each move of the champion pointer, by its id; older moves than people may
        make are left out."""
        moved = and_(
            audit.c.at == promotions.c.at,
            audit.c.target == literal("version ").concat(cast(promotions.c.version, Text)),
            audit.c.action == case(_MOVES, value=promotions.c.kind),
        )
        query = select(promotions.c.id, audit.c.actor).join_from(promotions, audit, moved)
        with self.database.reading() as connection:
            return {number: actor for number, actor in connection.execute(query)}

    def waiting(self, kind: VersionKind = "failure") -> RetrainingRow | None:
        """The retraining whose version waits for a person; None where none does.

        A newer version of its kind takes the place of one that waits.
        """
        query = select(retrainings).where(retrainings.c.version.is_not(None))
        query = query.where(retrainings.c.kind == kind)
        rejected = select(audit.c.target).where(audit.c.action == _REJECT)
        with self.database.reading() as connection:
            found = connection.execute(query.order_by(retrainings.c.id.desc()).limit(1)).first()
            if found is None or not found.metrics.get("waits"):
                return None
            moved = select(promotions.c.id).where(promotions.c.version == found.version)
            answered = rejected.where(audit.c.target == f"version {found.version}")
            if any(connection.execute(answer).first() for answer in (moved, answered)):
                return None
            return RetrainingRow(**found._asdict())

    def reject(self, version: int, *, at: datetime, reason: str, actor: Actor) -> None:
        """Say no to the version that waits. Raises TerminalError where it does not."""
        row = self.version(version)
        waits = self.waiting("failure" if row is None else row.kind)
        if waits is None or waits.version != version:
            other = "none does" if waits is None else f"version {waits.version} does"
            raise TerminalError(f"version {version} waits for no answer; {other}")
        with self.database.writing() as connection:
            note(connection, actor, _REJECT, f"version {version}", at=at, details=reason)

    def next_version(self) -> int:
        """The number after the newest version's, 1 at first."""
        with self.database.reading() as connection:
            newest = connection.execute(select(func.max(versions.c.version))).scalar()
        return 1 + (newest or 0)

    def record_retraining(
        self,
        retraining: RetrainingRow,
        *,
        version: VersionRow | None = None,
        importances: Sequence[ImportanceRow] = (),
        promote: bool = False,
    ) -> int:
        """Note a retraining with all that came of it, at once, and return its id.

        promote makes `retraining.version` the champion at `finished_at`, for `reason`.
        NaN and infinities in metrics and summary become null: JSON has none.
        Raises TerminalError where the version is in the store already, or, to be promoted,
        is not.
        """
        with self.database.writing() as connection:
            if version is not None:
                _insert_version(connection, version)
            _insert_importances(connection, importances)
            values = _json_ready({**asdict(retraining), "metrics": dict(retraining.metrics)})
            del values["id"]
            added = insert(retrainings).values(values).returning(retrainings.c.id)
            number: int = connection.execute(added).scalar_one()
            if promote:
                at, reason = retraining.finished_at, retraining.reason
                _promote(connection, retraining.version, at, reason, ITSELF)
            return number

    def record_normal(
        self,
        learning: RetrainingRow,
        *,
        version: VersionRow | None = None,
        importances: Sequence[ImportanceRow] = (),
        promote: bool = False,
    ) -> int:
        """As record_retraining, of normal behaviour: the row, the version and the promotion are of
        that kind, and the champion of failures stays.

        importances: of every sensor it learned from, by which its columns stay sensors.
        """
        return self.record_retraining(
            replace(learning, kind="normal"),
            version=None if version is None else replace(version, kind="normal"),
            importances=importances,
            promote=promote,
        )

    def retrainings(
        self, limit: int | None = None, *, kind: VersionKind = "failure"
    ) -> list[RetrainingRow]:
        """Retrainings of a kind, newest first."""
        query = select(retrainings).where(retrainings.c.kind == kind)
        query = query.order_by(retrainings.c.id.desc()).limit(limit)
        with self.database.reading() as connection:
            return [RetrainingRow(**found._asdict()) for found in connection.execute(query)]

    def versions(
        self, limit: int | None = None, *, kind: VersionKind | None = None
    ) -> list[VersionRow]:
        """Versions, newest first; of both kinds where none is named."""
        query = select(versions).order_by(versions.c.version.desc()).limit(limit)
        if kind is not None:
            query = query.where(versions.c.kind == kind)
        with self.database.reading() as connection:
            return [VersionRow(**found._asdict()) for found in connection.execute(query)]

    def version(self, version: int) -> VersionRow | None:
        """One version, None where there is no such."""
        query = select(versions).where(versions.c.version == version)
        with self.database.reading() as connection:
            found = connection.execute(query).first()
            return None if found is None else VersionRow(**found._asdict())

    def sensors(self) -> frozenset[str]:
        """Every sensor that some version learned from."""
        with self.database.reading() as connection:
            found = connection.execute(select(importances.c.sensor).distinct())
            return frozenset(found.scalars())

    def importances(self, version: int) -> list[ImportanceRow]:
        """What each sensor was worth to a version, most important first."""
        query = (
            select(importances)
            .where(importances.c.version == version)
            .order_by(importances.c.rank, importances.c.sensor)
        )
        with self.database.reading() as connection:
            return [ImportanceRow(**found._asdict()) for found in connection.execute(query)]


def version_before(moves: Iterable[PromotionRow]) -> int:
    """The version a rollback returns to, given every move so far, oldest first.

    A promotion puts a version on a pile and a rollback takes the top one off, so 1, 2, 3
    promoted go back to 2, then to 1.
    Raises TerminalError where the pile would be left empty.
    """
    pile: list[int] = []
    for move in moves:
        if move.kind == "promote":
            pile.append(move.version)
        else:
            pile.pop()
    if len(pile) < 2:
        live = f"version {pile[0]} is the first" if pile else "none has been promoted"
        raise TerminalError(f"rollback needs a version that was live before, but {live}")
    return pile[-2]


def _promotions(connection: Connection, kind: VersionKind) -> list[PromotionRow]:
    moves = select(promotions).join_from(promotions, versions).where(versions.c.kind == kind)
    found: Iterable[Row[Any]] = connection.execute(moves.order_by(promotions.c.id))
    return [PromotionRow(**row._asdict()) for row in found]


def _moves(kind: VersionKind) -> Select[Any]:
    """The versions of a kind that promotions name."""
    moves = select(promotions.c.version).join_from(promotions, versions)
    return moves.where(versions.c.kind == kind)


def _champion(connection: Connection, kind: VersionKind) -> int | None:
    newest = _moves(kind).order_by(promotions.c.id.desc()).limit(1)
    return connection.execute(newest).scalar()


def _promote(
    connection: Connection, version: int | None, at: datetime, reason: str, actor: Actor
) -> None:
    recorded = select(versions.c.version, versions.c.kind).order_by(versions.c.version)
    kinds: dict[int, VersionKind] = {row.version: row.kind for row in connection.execute(recorded)}
    if version is None or version not in kinds:
        shown = ", ".join(str(number) for number in list(kinds)[-10:]) or "none"
        raise TerminalError(f"promote needs a version in the store ({shown}), got {version}")
    if version != _champion(connection, kinds[version]):
        _move(connection, version, at, reason, "promote", actor)


def _move(
    connection: Connection, version: int, at: datetime, reason: str, kind: str, actor: Actor
) -> None:
    move = {"version": version, "at": at, "reason": reason, "kind": kind}
    connection.execute(insert(promotions).values(move))
    note(connection, actor, _MOVES[kind], f"version {version}", at=at, details=reason)


def _insert_version(connection: Connection, version: VersionRow) -> None:
    taken = select(versions.c.version).where(versions.c.version == version.version)
    if connection.execute(taken).first() is not None:
        raise TerminalError(f"version {version.version} is in the store; versions never change")
    values = _json_ready({**asdict(version), "summary": dict(version.summary)})
    connection.execute(insert(versions).values(values))


def _insert_importances(connection: Connection, rows: Sequence[ImportanceRow]) -> None:
    if rows:
        connection.execute(insert(importances), [asdict(row) for row in rows])


def _json_ready(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_ready(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def scored_before(version: int, moves: Sequence[PromotionRow]) -> int | None:
    """The version that scored before this one did first, or scores now; None for the first."""
    first = next((at for at, move in enumerate(moves) if move.version == version), len(moves))
    earlier = [move.version for move in moves[:first] if move.version != version]
    return earlier[-1] if earlier else None
