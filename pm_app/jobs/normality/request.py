"""Request for normal behaviour: what there is to learn from, and which alarms must not teach."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from pm_app.jobs.normality.messages import NormalRequest
from pm_app.jobs.plant import first_seen_ns
from pm_app.jobs.retrain.run import confirmed_failures
from pm_app.jobs.score.champion import Champion
from pm_app.jobs.score.normal_champion import NormalChampion
from pm_app.learning.normality.teaching import ALARM, LeftSpan
from pm_app.records.alarms import ACKNOWLEDGED, OF_ASSETS, SHELVED, UNACKNOWLEDGED
from pm_app.settings.plant import Settings
from pm_app.store import Store, VerdictRow, segments_of
from pm_app.store.alarms.alarms import AlarmEventRow, AlarmRow
from pm_app.times import to_nanoseconds

_STANDING = (UNACKNOWLEDGED, ACKNOWLEDGED, SHELVED)
DISMISSED = "not-confirmed"


def make_normal_request(
    store: Store,
    settings: Settings,
    scoring: tuple[Champion | None, NormalChampion | None],
    now: datetime,
    as_of: datetime,
    staging: Path,
) -> NormalRequest:
    """The request of what is to be learned from, and the folder that is to be filled.

    scoring: what speaks of failures and of deviations now.
    """
    ledger, alarms, (champion, before) = store.ledger, store.alarms, scoring
    verdicts = alarms.verdicts(until=as_of)
    return NormalRequest(
        settings=settings.model_dump(mode="json", exclude={"store"}),
        folder=str(settings.folder),
        segments=tuple(segments_of(ledger.ingested_batches("readings"))),
        event_segments=tuple(segments_of(ledger.ingested_batches("events"))),
        first_seen=first_seen_ns(ledger),
        as_of_ns=to_nanoseconds(as_of),
        now=now.isoformat(),
        champion=None if champion is None else champion.number,
        before=None if before is None else before.number,
        staging=str(staging),
        alarms=alarm_spans(alarms.alarms(), alarms.events(), verdicts, as_of=as_of),
        confirmed_failures=confirmed_failures(verdicts),
        indices=store.left_columns.indices(),
    )


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
