"""Retraining: history to a decision, and where the decision asks for it, to a new champion.

The learning happens in a child process. It may die at any moment and leave nothing but a
staging folder; only the transaction that records the retraining makes its version count.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic

from pm_app.errors import BadVersion, TransientError
from pm_app.jobs.ingest.ownership import note_progress, require_own
from pm_app.jobs.ingest.repair import rebuild, repairing
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import Plant
from pm_app.jobs.retrain.messages import (
    REQUEST,
    RESPONSE,
    OfferedNormal,
    TrainingRequest,
    TrainingResponse,
)
from pm_app.jobs.retrain.request import Learner, ask_by_files, recorded_request, scratch
from pm_app.jobs.score.champion import load_champion, verified
from pm_app.learning.allocation.by_mode import announcing
from pm_app.learning.allocation.change import selection_text
from pm_app.learning.allocation.strategies import describe
from pm_app.progress import Progress, silent
from pm_app.records.learning import Importance, VersionCard
from pm_app.settings.plant import Settings
from pm_app.settings.sections import RetrainingSettings
from pm_app.state.registry import Registry, Version, read_version
from pm_app.state.segments import MissingSegment
from pm_app.store import ImportanceRow, RetrainingRow, Store, VersionRow
from pm_app.wording import waits_text

PARITY = 1e-5


@dataclass(frozen=True)
class Retrained:
    """Outcome of a retraining: what it decided, why, and the version it made."""

    decision: str
    reason: str
    version: int | None
    promoted: bool


@dataclass(frozen=True)
class RetrainingOptions:
    """Options of a retraining that a person may ask for.

    as_of: only what was recorded by then is learned from, by default now. force: rebuild.
    engine: the name of what tries networks beside the trainer.
    """

    as_of: datetime | None = None
    force: bool = False
    engine: str | None = None


def retrain(
    plant: Plant,
    *,
    now: datetime,
    trainer: Learner,
    options: RetrainingOptions = RetrainingOptions(),
    progress: Progress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> Retrained:
    """Ingest, learn in a child process, publish, record; `stop` is asked while ingesting.

    Raises SourceUnavailable, StoreUnavailable, TransientError when the trainer died, and
    BadVersion when its version fails its own checks; the champion is then untouched.
    """
    began = monotonic()
    ingest(plant, now=now, stop=stop)
    if stop():
        raise TransientError("asked to stop before the training began")
    rebuild(plant)
    settings, store, registry = plant.settings, plant.store, plant.registry
    require_own(settings.state, store)

    def learn() -> tuple[TrainingRequest, TrainingResponse]:
        champion = load_champion(plant)
        number = champion.number if champion is not None else None
        staging = registry.staging()
        request = make_request(store, settings, options, champion=number, now=now, staging=staging)
        with scratch(settings.state) as folder:
            return request, ask_trainer(trainer, request, folder, progress)

    # What is learned of normal behaviour fills the same staging folder.
    with plant.learning:
        registry.remove_unnamed([row.version for row in store.lineage.versions()])
        request, response = repairing(plant, learn)
        finished = now + timedelta(seconds=monotonic() - began)
        row = _retraining_row(response, now, finished, options.as_of or now)
        return _record(plant.settings, store, registry, Path(request.staging), row, response)


def _record(
    settings: Settings,
    store: Store,
    registry: Registry,
    staged: Path,
    row: RetrainingRow,
    response: TrainingResponse,
) -> Retrained:
    if not response.has_version:
        store.lineage.record_retraining(row)
        return Retrained(row.decision, row.reason, None, promoted=False)
    done = _publish(store, registry, staged, row, response, settings.retraining)
    note_progress(settings.state, store)
    return done


def ask_trainer(
    trainer: Learner, request: TrainingRequest, folder: Path, progress: Progress
) -> TrainingResponse:
    """The trainer's response, by files in this folder. Raises MissingSegment where it met one."""
    message = REQUEST.dump_json(request)
    answer: TrainingResponse = RESPONSE.validate_json(
        ask_by_files(trainer, message, folder, progress)
    )
    if answer.missing:
        raise MissingSegment(Path(answer.missing), answer.reason)
    return answer


def make_request(
    store: Store,
    settings: Settings,
    options: RetrainingOptions = RetrainingOptions(),
    *,
    champion: int | None,
    now: datetime,
    staging: Path,
) -> TrainingRequest:
    """The request of what the trainer is to learn from, and the folder it is to fill."""
    lineage, as_of = store.lineage, options.as_of or now
    last = next(iter(lineage.retrainings(limit=1)), None)
    scoring = lineage.version(champion) if champion is not None else None
    seen = scoring.summary.get("failures", 0) if scoring is not None else 0
    past = recorded_request(
        store, settings, champion=champion, now=now, as_of=as_of, staging=staging
    )
    return TrainingRequest(
        **vars(past),
        in_a_row_before=_in_a_row(last, champion),
        failures_before=int(str(seen)),
        failures_last=int(str(last.metrics.get("failures", 0))) if last else 0,
        force=options.force,
        engine=options.engine,
        normal=_offered(store, settings, as_of),
    )


def _offered(store: Store, settings: Settings, as_of: datetime) -> OfferedNormal | None:
    """The normal behaviour that said deviations at a moment, None without one."""
    number = store.lineage.champion_at(as_of, kind="normal")
    row = store.lineage.version(number) if number and settings.deviation.enabled else None
    if row is None:
        return None
    return OfferedNormal(row.version, str(settings.state / "versions" / row.path))


def _in_a_row(last: RetrainingRow | None, champion: int | None) -> int:
    """How many retrainings up to the last one found another ranking than the champion's.

    A champion with a ranking of its own begins the count anew.
    """
    if last is None or (last.version == champion and last.decision != "refit"):
        return 0
    return int(str(last.metrics.get("in_a_row", 0)))


def _retraining_row(
    response: TrainingResponse, now: datetime, finished: datetime, as_of: datetime
) -> RetrainingRow:
    return RetrainingRow(
        started_at=now,
        finished_at=finished,
        as_of=as_of,
        decision=response.decision,
        reason=response.reason,
        metrics={
            **response.metrics,
            "in_a_row": response.in_a_row,
            "failures": response.failures,
            "failures_from_verdicts": response.failures_from_verdicts,
        },
    )


def _publish(
    store: Store,
    registry: Registry,
    staged: Path,
    row: RetrainingRow,
    response: TrainingResponse,
    settings: RetrainingSettings,
) -> Retrained:
    """One transaction says what was decided, and with it which version counts.

    Raises BadVersion for a version whose graph is not its network's.
    """
    number = store.lineage.next_version()
    waits = response.promote and settings.promotion == "approve"
    reason = f"{row.reason}; {waits_text(number)}" if waits else row.reason
    promoted = response.promote and not waits
    version = read_version(staged, number=number)
    if not version.card.parity <= PARITY:
        raise BadVersion(
            f"ONNX and Keras outputs must agree within {PARITY:g}, got {version.card.parity:.3g}"
        )
    verified(version)
    registry.publish(staged, number)
    store.lineage.record_retraining(
        replace(row, version=number, reason=reason, metrics={**row.metrics, "waits": waits}),
        version=_version_row(registry, version, response.reason, row.started_at),
        importances=_importance_rows(number, version.card),
        promote=promoted,
    )
    return Retrained(row.decision, reason, number, promoted=promoted)


def _version_row(
    registry: Registry, version: Version, reason: str, created_at: datetime
) -> VersionRow:
    card = version.card
    return VersionRow(
        version=version.number,
        path=registry.path(version.number).name,
        digest=registry.digest(version.number),
        created_at=created_at,
        strategy=card.allocation.strategy,
        parameters=card.allocation.parameters,
        status="published",
        summary={
            "failures": card.failures,
            "failures_from_verdicts": card.failures_from_verdicts,
            "rows": card.rows,
            "trained_until": card.trained_until,
            "reports": [asdict(report) for report in card.reports],
            "drift": asdict(card.drift),
            "gate": reason,
            "suspicions": [asdict(suspicion) for suspicion in card.suspicions],
            "revision": asdict(card.revision) if card.revision else None,
            "pool": card.pool.reason if card.pool else None,
            "selection": selection_text(card),
            "spread": card.spread,
            "renewed": asdict(card.renewed) if card.renewed else None,
            "announces": announced_modes(card.importance),
            "modes": dict(zip(card.head.modes, card.mode_failures, strict=False)),
            "modes_text": card.modes_text,
        },
    )


def announced_modes(importance: Importance) -> dict[str, dict[str, float]]:
    """Share of each sensor in what tells each mode it announces; empty without modes."""
    if not importance.modes:
        return {}
    needed = announcing(importance)
    return {
        sensor: {
            mode: importance.mode_shares[at][number]
            for at, mode in enumerate(importance.modes)
            if needed[at, number]
        }
        for number, sensor in enumerate(importance.sensors)
    }


def _importance_rows(number: int, card: VersionCard) -> list[ImportanceRow]:
    importance = card.importance
    placed = {row.sensor: row for row in describe(card.allocation, importance.sensors)}
    shares = zip(importance.sensors, importance.shares, importance.spread, strict=True)
    return [
        ImportanceRow(
            version=number,
            sensor=sensor,
            share=share,
            spread=spread,
            rank=rank,
            tier=placed[sensor].tier,
            units=placed[sensor].units,
            l1=placed[sensor].l1,
        )
        for rank, (sensor, share, spread) in enumerate(sorted(shares, key=lambda row: -row[1]), 1)
    ]
