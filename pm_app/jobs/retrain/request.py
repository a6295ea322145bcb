"""Requests to processes that learn: what a plant has recorded, by files, and what they answer.

A process that learns reads a request, fills a staging folder and responds; it may die any moment.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from pm_app.durable import remove_folder
from pm_app.jobs.plant import first_seen_ns
from pm_app.jobs.retrain.dataset import DatasetSource
from pm_app.jobs.retrain.messages import LearningRequest
from pm_app.learning.data.failures import ConfirmedFailure
from pm_app.learning.normality.teaching import ALARM, LeftSpan
from pm_app.progress import Progress
from pm_app.records.alarms import ACKNOWLEDGED, OF_ASSETS, SHELVED, UNACKNOWLEDGED
from pm_app.settings.plant import Settings
from pm_app.state.events import EventHistory
from pm_app.state.panes import History
from pm_app.store import Store, VerdictRow, segments_of
from pm_app.store.alarms.alarms import AlarmEventRow, AlarmRow
from pm_app.times import to_nanoseconds

# Runs what learns on (request file, response file): a process, or a fake of one.
Learner = Callable[[Path, Path, Progress], None]
# Folders of the state for a request and its response.
SCRATCH = ".training-"
_STANDING = (UNACKNOWLEDGED, ACKNOWLEDGED, SHELVED)
DISMISSED = "not-confirmed"


def recorded_request(
    store: Store,
    settings: Settings,
    *,
    champion: int | None,
    now: datetime,
    as_of: datetime,
    staging: Path,
) -> LearningRequest:
    """What is to be learned from, as it was recorded by a moment, and the folder to be filled."""
    ledger, alarms = store.ledger, store.alarms
    verdicts = alarms.verdicts(until=as_of)
    return LearningRequest(
        settings=settings.model_dump(mode="json", exclude={"store"}),
        folder=str(settings.folder),
        segments=tuple(segments_of(ledger.ingested_batches("readings"))),
        event_segments=tuple(segments_of(ledger.ingested_batches("events"))),
        first_seen=first_seen_ns(ledger),
        as_of_ns=to_nanoseconds(as_of),
        now=now.isoformat(),
        champion=champion,
        staging=str(staging),
        confirmed_failures=confirmed_failures(verdicts),
        indices=store.left_columns.indices(),
        alarms=alarm_spans(alarms.alarms(), alarms.events(), verdicts, as_of=as_of),
    )


def read_source(request: LearningRequest, settings: Settings) -> DatasetSource:
    """What a request names, read from the state folder."""
    return DatasetSource(
        History(settings.state / "panes", pane_ns=settings.features.pane_ns),
        request.segments,
        EventHistory(settings.state / "events").read(request.event_segments),
        request.first_seen,
        request.confirmed_failures,
        request.indices,
    )


@contextmanager
def scratch(state: Path) -> Iterator[Path]:
    """A folder of the state for a request, gone afterwards, with those that a crash has left."""
    # A process that was killed could not take its own away.
    for left in state.glob(f"{SCRATCH}*"):
        remove_folder(left)
    with tempfile.TemporaryDirectory(dir=state, prefix=SCRATCH) as folder:
        yield Path(folder)


def ask_by_files(learner: Learner, request: bytes, folder: Path, progress: Progress) -> bytes:
    """What a learner responds, by files in this folder."""
    asked, answered = folder / "request.json", folder / "response.json"
    asked.write_bytes(request)
    learner(asked, answered, progress)
    return answered.read_bytes()


def alarm_spans(
    alarms: Iterable[AlarmRow],
    events: Iterable[AlarmEventRow],
    verdicts: Iterable[VerdictRow],
    *,
    as_of: datetime,
) -> tuple[LeftSpan, ...]:
    """What alarms of assets leave out, as it was known at a moment; events: oldest first.

    From the cutoff that raised an alarm to the one that returned it; up to the moment where it
    stands. Alarms that a person dismissed leave nothing out.
    """
    dismissed = {row.alarm_id for row in verdicts if row.verdict == DISMISSED and row.at <= as_of}
    assets = {
        row.id: row.asset_id
        for row in alarms
        if row.kind in OF_ASSETS and row.raised_at <= as_of and row.id not in dismissed
    }
    begun: dict[int, int] = {}
    spans: list[LeftSpan] = []
    for event in events:
        if event.alarm_id not in assets or event.at > as_of:
            continue
        # A person moves an alarm at the time on the wall, a prediction at its cutoff.
        moment = to_nanoseconds(event.at if event.cutoff is None else event.cutoff)
        if event.to_state in _STANDING:
            begun.setdefault(event.alarm_id, moment)
        elif event.alarm_id in begun:
            since = begun.pop(event.alarm_id)
            spans.append(LeftSpan(assets[event.alarm_id], since, max(since, moment), ALARM))
    return (*spans, *_open_spans(assets, begun, to_nanoseconds(as_of)))


def _open_spans(
    assets: Mapping[int, str], begun: Mapping[int, int], until: int
) -> Iterable[LeftSpan]:
    return (
        LeftSpan(assets[alarm], since, max(since, until), ALARM) for alarm, since in begun.items()
    )


def confirmed_failures(rows: Iterable[VerdictRow]) -> tuple[ConfirmedFailure, ...]:
    """The failures of confirmed verdicts; others are no failure, nor its absence.

    Where the verdict names no time, it was between the cutoff that raised the alarm and the
    verdict.
    """
    return tuple(_confirmed(row) for row in rows if row.verdict == "confirmed")


def _confirmed(row: VerdictRow) -> ConfirmedFailure:
    until = row.at if row.failed_until is None else row.failed_until
    since = min(row.cutoff, row.at) if row.failed_from is None else row.failed_from
    return ConfirmedFailure(
        row.asset_id,
        to_nanoseconds(since),
        to_nanoseconds(until),
        to_nanoseconds(row.at),
        row.code,
        row.mode,
    )
