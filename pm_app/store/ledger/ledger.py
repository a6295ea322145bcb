"""The ledger: which files have been read, what they held, and whether they are scored."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    insert,
    literal,
    select,
    update,
)

from pm_app.records.readings import AssetSpans, Batch, LeftColumn
from pm_app.store.database.connection import Database
from pm_app.store.ledger.file_hashes import FileHashes, new_files
from pm_app.store.ledger.left_columns import new_left_columns, note_left_columns
from pm_app.store.ledger.rows import (
    first_of_digest,
    row_of,
    same_file,
    spans_seen,
    values_of,
    values_of_duplicate,
    widen_spans,
)
from pm_app.store.rows import BatchRow, BatchStatus, LedgerBalance, Source
from pm_app.store.schema.ledger import (
    INGESTED,
    QUARANTINED,
    UNSCORED,
    UNSETTLED,
    assets,
    batches,
)

SEQUENCES_PER_STATEMENT = 500  # SQLite of old takes 999 parameters


@dataclass(frozen=True, eq=False)
class Ledger:
    """Every file a source has delivered, in order of ingestion.

    All methods raise StoreUnavailable when a later call may succeed.
    """

    database: Database
    _hashes: FileHashes = field(default_factory=FileHashes, repr=False)

    def new_files(self, source: Source, listed: Iterable[Batch]) -> Iterator[Batch]:
        """Those of the files listed that have to be opened, in the order given.

        Flat in memory, but for eight bytes a file in the ledger, which stay for the next call.
        """
        with self.database.reading() as connection:
            hashes = self._hashes.catch_up(connection)
        yield from new_files(hashes, source, listed)

    def count(self, source: Source | None = None, *, status: BatchStatus | None = None) -> int:
        """How many files are noted, of a source and of a status where they are given."""
        query = select(func.count()).select_from(batches)
        if source is not None:
            query = query.where(batches.c.source == source)
        if status is not None:
            query = query.where(batches.c.status == literal(status, literal_execute=True))
        with self.database.reading() as connection:
            found: int = connection.execute(query).scalar_one()
        return found

    def count_unscored(self) -> int:
        """How many ingested files have cutoffs that are not scored yet."""
        query = select(func.count()).select_from(batches).where(UNSCORED)
        with self.database.reading() as connection:
            found: int = connection.execute(query).scalar_one()
        return found

    def find_digest(self, source: Source, digest: str) -> BatchRow | None:
        """The file that first brought this content, None where it is new."""
        with self.database.reading() as connection:
            return first_of_digest(connection, source, digest)

    def names_of(self, source: Source, digest: str) -> list[str]:
        """Every name that this content has come under, in order of ingestion."""
        query = select(batches.c.name).where(batches.c.source == source, batches.c.digest == digest)
        with self.database.reading() as connection:
            return list(connection.execute(query.order_by(batches.c.sequence)).scalars())

    def holds(self, source: Source, name: str, digest: str) -> bool:
        """Whether this content has come under this name."""
        same = (batches.c.source == source, batches.c.digest == digest, batches.c.name == name)
        with self.database.reading() as connection:
            found = connection.execute(select(literal(1)).where(*same).limit(1))
            return found.scalar() is not None

    def release(
        self,
        source: Source | None = None,
        *,
        names: Collection[str] = (),
        other_reader: str | None = None,
    ) -> list[BatchRow]:
        """Let quarantined files be read again at the next look; returns their rows.

        Files of the same content go with them. names: only these; other_reader: only those
        that settings of another digest than this have read.
        """
        chosen = QUARANTINED
        if source is not None:
            chosen &= batches.c.source == source
        if names:
            chosen &= batches.c.name.in_(names)
        if other_reader is not None:
            chosen &= batches.c.reader != other_reader
        found = self._rows(select(batches).where(chosen).order_by(batches.c.sequence))
        if found:
            with self.database.writing() as connection:
                for row in found:
                    connection.execute(update(batches).where(_refused_like(row)).values(_RETRIED))
        return found

    def replace_segments(self, batch: BatchRow) -> None:
        """Note what carries a batch of this sequence now, its counts, status and reason."""
        changed = ("segments", "rows", "rejected", "status", "reason")
        values = {name: values_of(batch)[name] for name in changed}
        with self.database.writing() as connection:
            where = batches.c.sequence == batch.sequence
            connection.execute(update(batches).where(where).values(values))

    def record_batch(
        self,
        batch: BatchRow,
        *,
        spans: AssetSpans | None = None,
        left: Sequence[LeftColumn] = (),
    ) -> int:
        """Note a file, and return its sequence.

        Content that is in the ledger already is noted as a "duplicate" whatever status came:
        it carries no rows and no segments. The very same file noted again changes nothing.
        What stood quarantined under its name, of other content, is there no longer: it is let go
        of as by `release`.
        spans gives the first and last time of each asset's rows in it; left: the columns of it
        that nothing uses.
        """
        with self.database.writing() as connection:
            recorded = same_file(connection, batch)
            if recorded is not None:
                return recorded
            first = first_of_digest(connection, batch.source, batch.digest)
            values = values_of(batch) if first is None else values_of_duplicate(batch, first)
            self._let_go_of_replaced(connection, batch)
            added = insert(batches).values(values).returning(batches.c.sequence)
            sequence: int = connection.execute(added).scalar_one()
            if spans is not None:
                widen_spans(connection, spans)
            note_left_columns(connection, batch.source, sequence, left)
            return sequence

    def _let_go_of_replaced(self, connection: Connection, batch: BatchRow) -> None:
        same_name = (batches.c.source == batch.source) & (batches.c.name == batch.name)
        query = select(batches).where(QUARANTINED, same_name, batches.c.digest != batch.digest)
        for found in connection.execute(query).all():
            row = row_of(found)
            connection.execute(update(batches).where(_refused_like(row)).values(_RETRIED))

    def new_left_columns(
        self, source: Source, left: Sequence[LeftColumn]
    ) -> tuple[LeftColumn, ...]:
        """Those columns that were left out of no file before for the same cause."""
        if not left:
            return ()
        with self.database.reading() as connection:
            return new_left_columns(connection, source, left)

    def balance(self) -> LedgerBalance:
        """What came in all, and what became of it."""
        query = select(
            func.coalesce(func.sum(batches.c.rows), 0),
            func.coalesce(func.sum(batches.c.rejected), 0),
        )
        with self.database.reading() as connection:
            used, rejected = connection.execute(query).one()
        return LedgerBalance(int(used), int(rejected))

    def batches(
        self,
        source: Source | None = None,
        *,
        status: BatchStatus | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> list[BatchRow]:
        """Files noted, newest first; before: only those that came before this sequence."""
        query = select(batches).order_by(batches.c.sequence.desc()).limit(limit)
        if source is not None:
            query = query.where(batches.c.source == source)
        if before is not None:
            query = query.where(batches.c.sequence < before)
        if status is not None:
            query = query.where(batches.c.status == literal(status, literal_execute=True))
        return self._rows(query)

    def unscored_batches(self) -> list[BatchRow]:
        """Ingested files whose cutoffs are not scored yet, in order of ingestion."""
        return self._rows(select(batches).where(UNSCORED).order_by(batches.c.sequence))

    def batches_overlapping(
        self, source: Source, first_time: datetime, last_time: datetime
    ) -> list[BatchRow]:
        """Ingested files with rows in [first_time, last_time], in order of ingestion."""
        return self._rows(
            select(batches)
            .where(batches.c.source == source, INGESTED)
            .where(batches.c.first_time <= last_time, batches.c.last_time >= first_time)
            .order_by(batches.c.sequence)
        )

    def ingested_batches(self, source: Source) -> list[BatchRow]:
        """Ingested files of a source, in order of ingestion."""
        kept = (batches.c.source == source) & INGESTED
        return self._rows(select(batches).where(kept).order_by(batches.c.sequence))

    def newest_batch(self, source: Source) -> BatchRow | None:
        """The file of a source that was ingested last, None without any."""
        kept = (batches.c.source == source) & INGESTED
        query = select(batches).where(kept).order_by(batches.c.sequence.desc()).limit(1)
        return next(iter(self._rows(query)), None)

    def ingested_after(self, source: Source, sequence: int, *, until: datetime) -> list[BatchRow]:
        """Files of a source ingested later than that one, with rows up to then, in order."""
        return self._rows(
            select(batches)
            .where(batches.c.sequence > sequence)
            .where(batches.c.source == source, INGESTED)
            .where(batches.c.first_time <= until)
            .order_by(batches.c.sequence)
        )

    def unsettled(self, count: int, *, before: datetime) -> list[BatchRow]:
        """The first files of readings that compaction has not come by, in order of ingestion.

        So many, or none where they are fewer, or the last of them came later than `before`.
        """
        waiting = select(batches).where(UNSETTLED).order_by(batches.c.sequence)
        last = waiting.with_only_columns(batches.c.ingested_at).offset(count - 1).limit(1)
        with self.database.reading() as connection:
            came = connection.execute(last).scalar()
        return [] if came is None or came > before else self._rows(waiting.limit(count))

    def settle(self, settled: Collection[BatchRow], *, joined: str | None) -> None:
        """Note that compaction has come by these files; joined: what carries them all now."""
        carried = [row.sequence for row in settled if row.segments]
        with self.database.writing() as connection:
            for part in _parts(row.sequence for row in settled):
                where = batches.c.sequence.in_(part)
                connection.execute(update(batches).where(where).values(settled=1))
            for part in _parts(carried if joined is not None else ()):
                where = batches.c.sequence.in_(part)
                connection.execute(update(batches).where(where).values(segments=[joined]))

    def digests(self, sequences: Collection[int]) -> dict[int, str]:
        """The digest of each of these files, but for those that are not there."""
        found = {}
        with self.database.reading() as connection:
            for part in _parts(sequences):
                query = select(batches.c.sequence, batches.c.digest)
                rows = connection.execute(query.where(batches.c.sequence.in_(part)))
                found.update({sequence: digest for sequence, digest in rows})
        return found

    def segments(self) -> set[str]:
        """The names of all segments a batch is carried by; any other on disk is garbage."""
        with self.database.reading() as connection:
            found = connection.execute(select(batches.c.segments)).scalars()
            return {name for names in found for name in names}

    def seen(self) -> AssetSpans:
        """The times of each asset's first reading ever and of its newest one."""
        with self.database.reading() as connection:
            return spans_seen(connection)

    def first_seen(self) -> dict[str, datetime]:
        """The time of each asset's first reading ever."""
        with self.database.reading() as connection:
            found = connection.execute(select(assets.c.asset_id, assets.c.first_time))
            return {name: first for name, first in found}

    def last_seen(self) -> dict[str, datetime]:
        """The time of each asset's newest reading."""
        with self.database.reading() as connection:
            found = connection.execute(select(assets.c.asset_id, assets.c.last_time))
            return {name: last for name, last in found}

    def newest_time(
        self, source: Source, *, ingested_until: datetime | None = None, scored: bool = False
    ) -> datetime | None:
        """The time of the newest row ingested from a source (up to then), None without any.

        scored: only of files whose cutoffs are scored.
        """
        newest = batches.c.last_time
        kept = (batches.c.source == source) & INGESTED & newest.is_not(None)
        if scored:
            kept &= batches.c.scored_at.is_not(None)
        query = select(newest).where(kept).order_by(newest.desc()).limit(1)
        if ingested_until is not None:
            # What came since is newer and ever more: grouped, it is looked up by when it came.
            until = batches.c.ingested_at <= ingested_until
            query = select(func.max(newest)).where(kept, until).group_by(batches.c.source)
        with self.database.reading() as connection:
            return connection.execute(query).scalar()

    def _rows(self, query: Select[Any]) -> list[BatchRow]:
        with self.database.reading() as connection:
            return [row_of(found) for found in connection.execute(query)]


def mark_scored(connection: Connection, sequences: Iterable[int], scored_at: datetime) -> None:
    """Set when batches were scored, within a transaction; the first time said stays."""
    for part in _parts(sequences):
        connection.execute(
            update(batches)
            .where(batches.c.sequence.in_(part), batches.c.scored_at.is_(None))
            .values(scored_at=scored_at)
        )


def _parts(sequences: Iterable[int]) -> Iterator[list[int]]:
    wanted = sorted(sequences)
    for start in range(0, len(wanted), SEQUENCES_PER_STATEMENT):
        yield wanted[start : start + SEQUENCES_PER_STATEMENT]


_RETRIED = {"status": "retried"}


def _refused_like(row: BatchRow) -> ColumnElement[bool]:
    return and_(
        batches.c.source == row.source,
        batches.c.digest == row.digest,
        batches.c.status.in_(("quarantined", "duplicate")),
    )
