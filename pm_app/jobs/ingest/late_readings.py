"""Late readings, that fall between earlier ones: panes built again from all their batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from pm_app.errors import BadBatch
from pm_app.features.panes.panes import (
    build_panes,
    merge_panes,
    panes_among,
    panes_touched,
    rows_held,
    rows_in_panes,
)
from pm_app.features.panes.readings import concat_readings, take_readings
from pm_app.jobs.ingest.rejections import readings_in_time
from pm_app.jobs.plant import IngestView
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.records.features import Panes
from pm_app.records.readings import Batch, Readings, name_order
from pm_app.store import BatchRow, segments_of
from pm_app.store.ledger.ledger import Ledger
from pm_app.times import to_moment

# Put in order at once: half a gigabyte. A row counts for its time, its asset and their sorting.
MOST_NUMBERS: Final = 50_000_000
_NUMBERS_A_ROW: Final = 8


def panes_in_history(
    view: IngestView, row: BatchRow, readings: Readings, segments: Sequence[str]
) -> Panes:
    """What history holds of the panes these readings fall into.

    row: the batch they are of; what came after it counts as unknown. segments: those written
    of the same batch so far, which no ledger row names yet.
    """
    pane_ns = view.history.pane_ns
    first, last = int(readings.time.min()) // pane_ns, int(readings.time.max()) // pane_ns
    names = segments_of(_batches(view, row, first, last))
    parts = view.history.read(
        [*names, *segments], assets=set(readings.assets), since_pane=first, until_pane=last
    )
    # One stray time stamp makes this a long time, of which only some panes matter.
    touched = [part.take(panes_touched(part, readings)) for part in parts]
    return merge_panes(touched, pane_ns=pane_ns)


def rebuild_panes(
    view: IngestView, batch: Batch, row: BatchRow, late: Panes
) -> tuple[Panes, tuple[str, ...]]:
    """Those of the late panes that can be told from the batches there, `batch` with them.

    Of equal times the value of the later name counts. A file replaced under its name stands for
    what it was before. Also returned: the names that are missing for the others, none where
    files have been replaced by ones that hold less. Raises BadBatch where `batch` itself is bad.
    """
    panes = int(late.pane.min()), int(late.pane.max())
    files, gone = _files_behind(view, batch, row, _batches(view, row, *panes))
    parts: list[Readings] = []
    numbers = 0
    for name in sorted(files, key=name_order):
        file, found = files[name]
        try:
            for part in _inside(view, file, late, found.ingested_at):
                parts.append(part)
                numbers += len(part.time) * (len(part.sensors) + _NUMBERS_A_ROW)
                if numbers > MOST_NUMBERS:
                    raise _out_of_order(row)
        except BadBatch:
            if name == row.name or numbers > MOST_NUMBERS:
                raise
            gone.append(found)
    again = build_panes(concat_readings(parts), pane_ns=view.history.pane_ns)
    whole = again.rows >= rows_held(again, late)
    for found in gone:
        for carried in view.history.keys(found.segments, batch=found.digest):
            whole &= ~panes_among(again, carried)
    return again.take(whole), tuple(sorted({found.name for found in gone}))


def _files_behind(
    view: IngestView, batch: Batch, row: BatchRow, behind: Sequence[BatchRow]
) -> tuple[dict[str, tuple[Batch, BatchRow]], list[BatchRow]]:
    """The files that hold what these batches brought and the one of `row`, by name, each with the
    row that says when it came; and the rows of which nothing is there.

    Content that came under several names stands under one that still has it.
    """
    there = _files_of(view, behind) | {row.name: batch}
    files, gone = {}, []
    for found in behind:
        file = there.get(found.name)
        if file is None or view.ledger.names_of("readings", found.digest) != [found.name]:
            file = content_of(view.ledger, view.readings, found, there)[0] or file
        if file is None:
            gone.append(found)
        else:
            files[file.name] = file, found
    return files | {row.name: (batch, row)}, gone


def _out_of_order(row: BatchRow) -> BadBatch:
    return BadBatch(
        f"{row.name}: needed readings in order of timestamp, got so many between others that more "
        f"than {MOST_NUMBERS:,} numbers would have to be put in order at once"
    )


def content_of(
    ledger: Ledger, port: ReadingsSource | EventsSource, row: BatchRow, there: Mapping[str, Batch]
) -> tuple[Batch | None, bool]:
    """The file that has what this batch brought, and whether it is the same to the byte.

    The one of its name, or one of another name that the same content came under; else the one
    of its name that has been ingested since in its place. None where there is none.
    there: the files of the source by name. Raises SourceUnavailable.
    """
    digests = {}
    for name in [row.name, *ledger.names_of(row.source, row.digest)]:
        if name in there and name not in digests:
            digests[name] = port.digest(there[name])
            if digests[name] == row.digest:
                return there[name], True
    heir = ledger.find_digest(row.source, digests.get(row.name, ""))
    if heir is None or heir.name != row.name or heir.status != "ingested":
        return None, False
    return there[row.name], False


def _files_of(view: IngestView, batches: Iterable[BatchRow]) -> dict[str, Batch]:
    """The files of readings, by name, that may still hold what these batches brought."""
    names_of = view.ledger.names_of
    wanted = {name for row in batches for name in names_of("readings", row.digest)}
    return {found.name: found for found in view.readings.list() if found.name in wanted}


def _batches(view: IngestView, row: BatchRow, first_pane: int, last_pane: int) -> list[BatchRow]:
    """The batches before this one whose readings may lie in these panes."""
    pane_ns = view.history.pane_ns
    found = view.ledger.batches_overlapping(
        "readings", to_moment(first_pane * pane_ns), to_moment((last_pane + 1) * pane_ns)
    )
    return [behind for behind in found if not row.sequence or behind.sequence < row.sequence]


def _inside(view: IngestView, batch: Batch, late: Panes, came: datetime) -> Iterator[Readings]:
    for chunk in view.readings.read(batch):
        # What its clock said was judged when it came, and is so again.
        readings, _ = readings_in_time(view.settings, chunk.readings, came)
        inside = rows_in_panes(readings, late)
        if inside.any():
            yield take_readings(readings, inside)
