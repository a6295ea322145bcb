"""Learning of normal behaviour: history to a version that says deviations, published or asked for.

The learning happens in a child process. It may die at any moment and leave nothing but a staging
folder; only the transaction that records it makes its version count. It gives way to a retraining.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Final

from pm_app.errors import BadVersion, NotEnoughData, TransientError
from pm_app.jobs.ingest.ownership import note_progress, require_own
from pm_app.jobs.ingest.repair import rebuild, repairing
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.normality.messages import (
    NORMAL_REQUEST,
    NORMAL_RESPONSE,
    NormalRequest,
    NormalResponse,
)
from pm_app.jobs.plant import Plant
from pm_app.jobs.retrain.request import Learner, ask_by_files, recorded_request, scratch
from pm_app.jobs.retrain.run import PARITY
from pm_app.jobs.score.champion import Champion, load_champion
from pm_app.jobs.score.normal_champion import NormalChampion, load_normal_champion, verified_normal
from pm_app.progress import Progress, silent
from pm_app.settings.plant import Settings
from pm_app.state.registry import NormalVersion, Registry, read_normal
from pm_app.state.segments import MissingSegment
from pm_app.store import ImportanceRow, RetrainingRow, Store, VersionRow
from pm_app.store.ledger.ledger import Ledger
from pm_app.times import duration_text
from pm_app.wording import waits_text

LEARNER: Final = "pm_app.jobs.normality.learner"
WAIT_SECONDS = 0.5


@dataclass(frozen=True)
class NormalLearned:
    """Outcome: what was decided, why, and the version it made."""

    decision: str
    reason: str
    version: int | None
    promoted: bool


def learn_plant_normal(
    plant: Plant,
    *,
    now: datetime,
    learner: Learner,
    as_of: datetime | None = None,
    progress: Progress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> NormalLearned:
    """Ingest, learn in a child process, publish, record; waits while a retraining is at it.

    as_of: only what was recorded by then is learned from. stop: asked while ingesting and waiting.
    Raises NotEnoughData where history is too short to begin, SourceUnavailable, StoreUnavailable,
    TransientError when the learner died or `stop` said so, and BadVersion when its version fails
    its own checks; the champion is then untouched.
    """
    began = monotonic()
    ingest(plant, now=now, stop=stop)
    if stop():
        raise TransientError("asked to stop before the learning began")
    require_history(plant.ledger, plant.settings)
    rebuild(plant)
    settings, store, registry = plant.settings, plant.store, plant.registry
    require_own(settings.state, store)

    def ask() -> tuple[NormalRequest, NormalResponse]:
        scoring = load_champion(plant), load_normal_champion(plant).champion
        request = _request(store, settings, scoring, now, as_of or now, registry.staging())
        return request, _ask_learner(learner, request, settings.state, progress)

    _wait_for_turn(plant.learning, stop)
    try:
        registry.remove_unnamed([row.version for row in store.lineage.versions()])
        request, response = repairing(plant, ask)
        row = _learning_row(response, now, monotonic() - began, as_of or now)
        return _record(settings, store, registry, Path(request.staging), row, response)
    finally:
        plant.learning.release()


def _request(
    store: Store,
    settings: Settings,
    scoring: tuple[Champion | None, NormalChampion | None],
    now: datetime,
    as_of: datetime,
    staging: Path,
) -> NormalRequest:
    """The request, by what says risks and deviations now."""
    champion, before = (None if each is None else each.number for each in scoring)
    past = recorded_request(
        store, settings, champion=champion, now=now, as_of=as_of, staging=staging
    )
    return NormalRequest(**vars(past), before=before)


def _wait_for_turn(learning: Lock, stop: Callable[[], bool]) -> None:
    """Until nothing else is learned: it gives way to a retraining."""
    while not learning.acquire(timeout=WAIT_SECONDS):
        if stop():
            raise TransientError("asked to stop while a retraining was at it")


def require_history(ledger: Ledger, settings: Settings) -> None:
    """Raises NotEnoughData where no asset has `deviation.minimum_history` of readings yet."""
    seen = ledger.seen()
    longest = int((seen.last - seen.first).max(initial=0))
    least = settings.deviation.minimum_history_ns
    if longest < least:
        raise NotEnoughData(
            f"not enough data: {settings.deviation.minimum_history} of readings of one asset are "
            f"needed (deviation.minimum_history), there are {duration_text(longest) or 'none'}"
        )


def _learning_row(
    response: NormalResponse, now: datetime, seconds: float, as_of: datetime
) -> RetrainingRow:
    finished = now + timedelta(seconds=seconds)
    decision, reason, metrics = response.decision, response.reason, response.metrics
    return RetrainingRow(now, finished, as_of, decision, reason, metrics=metrics)


def _record(
    settings: Settings,
    store: Store,
    registry: Registry,
    staged: Path,
    row: RetrainingRow,
    response: NormalResponse,
) -> NormalLearned:
    if not response.has_version:
        _record_once(store, row)
        return NormalLearned(row.decision, row.reason, None, promoted=False)
    done = _publish(store, registry, staged, row, response, settings)
    note_progress(settings.state, store)
    return done


def _record_once(store: Store, row: RetrainingRow) -> None:
    """Note an outcome without a version, but for one that repeats the one before."""
    last = next(iter(store.lineage.retrainings(limit=1, kind="normal")), None)
    if last is None or (last.decision, last.reason) != (row.decision, row.reason):
        store.lineage.record_normal(row)


def _ask_learner(
    learner: Learner, request: NormalRequest, state: Path, progress: Progress
) -> NormalResponse:
    """The learner's response, by files in a folder that passes. Raises MissingSegment."""
    message = NORMAL_REQUEST.dump_json(request)
    with scratch(state) as folder:
        response: NormalResponse = NORMAL_RESPONSE.validate_json(
            ask_by_files(learner, message, folder, progress)
        )
    if response.missing:
        raise MissingSegment(Path(response.missing), response.reason)
    return response


def _publish(
    store: Store,
    registry: Registry,
    staged: Path,
    row: RetrainingRow,
    response: NormalResponse,
    settings: Settings,
) -> NormalLearned:
    """One transaction says what was decided, and with it which version counts.

    Raises BadVersion for a version whose graph is not what was learned.
    """
    number = store.lineage.next_version()
    waits = not response.publish or settings.retraining.promotion == "approve"
    reason = f"{row.reason}; {waits_text(number)}" if waits else row.reason
    version = read_normal(staged, number=number)
    if not version.card.parity <= PARITY:
        raise BadVersion(
            f"the graph must say what was learned within {PARITY:g}, got {version.card.parity:.3g}"
        )
    verified_normal(version)
    registry.publish(staged, number)
    store.lineage.record_normal(
        replace(row, version=number, reason=reason, metrics={**row.metrics, "waits": waits}),
        version=_version_row(registry, version, response, row.started_at),
        importances=_importance_rows(version),
        promote=not waits,
    )
    return NormalLearned(row.decision, reason, number, promoted=not waits)


def _version_row(
    registry: Registry, version: NormalVersion, response: NormalResponse, created_at: datetime
) -> VersionRow:
    card = version.card
    return VersionRow(
        version=version.number,
        path=registry.path(version.number).name,
        digest=registry.digest(version.number),
        created_at=created_at,
        strategy=card.method,
        parameters=0,
        status="published",
        summary={
            **response.metrics,
            "gate": response.reason,
            "rows": card.taught.rows,
            "trained_until": card.taught.trained_until,
            "sensors": list(card.sensors),
            "groups": [list(group) for group in card.groups],
        },
    )


def _importance_rows(version: NormalVersion) -> list[ImportanceRow]:
    """Every sensor that it looks at, alike, so that its column stays one."""
    sensors = version.card.sensors
    share = 1.0 / max(len(sensors), 1)
    return [
        ImportanceRow(version.number, sensor, share, 0.0, rank, "", 0, 0.0)
        for rank, sensor in enumerate(sensors, 1)
    ]
