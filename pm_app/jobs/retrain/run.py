"""Retraining: history to a decision, and where the decision says so, to a new champion.

The learning happens in a child process. It may die at any moment and leave nothing but a
staging folder; only the transaction that records the retraining makes its version count.
"""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pm_app.durable import remove_folder
from pm_app.errors import BadVersion, TransientError
from pm_app.jobs.ingest.ownership import note_progress, require_own
from pm_app.jobs.ingest.repair import rebuild, repairing
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import Plant, first_seen_ns
from pm_app.jobs.retrain.messages import REQUEST, RESPONSE, TrainingRequest, TrainingResponse
from pm_app.jobs.score.champion import load_champion, verified
from pm_app.learning.allocation.strategies import describe
from pm_app.learning.data.failures import ConfirmedFailure
from pm_app.progress import Progress, silent
from pm_app.records.learning import VersionCard
from pm_app.state.registry import Version, read_version
from pm_app.state.segments import MissingSegment
from pm_app.store import ImportanceRow, RetrainingRow, VerdictRow, VersionRow, segments_of
from pm_app.times import to_nanoseconds
from pm_app.wording import waits_text

PARITY = 1e-5
# Folders of the state in which a trainer is told what to learn, and answers.
SCRATCH = ".training-"

# Runs the trainer on (order file, answer file): the process, or a fake of it.
Trainer = Callable[[Path, Path, Progress], None]


@dataclass(frozen=True)
class Retrained:
    """What a retraining decided, why, and the version it made."""

    decision: str
    reason: str
    version: int | None
    promoted: bool


def retrain(
    plant: Plant,
    *,
    now: datetime,
    as_of: datetime | None = None,
    force: bool = False,
    trainer: Trainer,
    engine: str | None = None,
    progress: Progress = silent,
    stop: Callable[[], bool] = lambda: False,
) -> Retrained:
    """Ingest, learn in a child process, gate, publish, record; `stop` is asked while ingesting.

    engine: the name of what tries networks beside the trainer.

    Raises SourceUnavailable, StoreUnavailable, TransientError when the trainer died, and
    BadVersion when its version fails its own checks; the champion is then untouched.
    """
    ingest(plant, now=now, stop=stop)
    if stop():
        raise TransientError("asked to stop before the training began")
    rebuild(plant)
    require_own(plant.settings.state, plant.store)
    plant.registry.remove_unnamed([row.version for row in plant.store.lineage.versions()])
    as_of = as_of or now
    with plant.learning:
        order, answer = repairing(
            plant, lambda: _learn(plant, now, as_of, force, engine, trainer, progress)
        )
    return _record(plant, order, answer, now, as_of)


def _learn(
    plant: Plant,
    now: datetime,
    as_of: datetime,
    force: bool,
    engine: str | None,
    trainer: Trainer,
    progress: Progress,
) -> tuple[TrainingRequest, TrainingResponse]:
    """What the trainer was told, and its answer. Raises MissingSegment where it met one."""
    order = make_request(plant, now, as_of, force=force, staging=plant.registry.staging())
    order = replace(order, engine=engine)
    # A process that was killed could not take its own away.
    for left in plant.settings.state.glob(f"{SCRATCH}*"):
        remove_folder(left)
    with tempfile.TemporaryDirectory(dir=plant.settings.state, prefix=SCRATCH) as folder:
        order_path, answer_path = Path(folder, "order.json"), Path(folder, "answer.json")
        order_path.write_bytes(REQUEST.dump_json(order))
        trainer(order_path, answer_path, progress)
        answer: TrainingResponse = RESPONSE.validate_json(answer_path.read_bytes())
    if answer.missing:
        raise MissingSegment(Path(answer.missing), answer.reason)
    return order, answer


def make_request(
    plant: Plant, now: datetime, as_of: datetime, *, force: bool, staging: Path
) -> TrainingRequest:
    """What the trainer is to learn from, and the folder it is to fill."""
    ledger, lineage = plant.store.ledger, plant.store.lineage
    ready_now = load_champion(plant)
    champion = ready_now.number if ready_now is not None else None
    last = next(iter(lineage.retrainings(limit=1)), None)
    scoring = lineage.version(champion) if champion is not None else None
    seen = scoring.summary.get("failures", 0) if scoring is not None else 0
    return TrainingRequest(
        settings=plant.settings.model_dump(mode="json", exclude={"store"}),
        folder=str(plant.settings.folder),
        segments=tuple(segments_of(ledger.ingested_batches("readings"))),
        event_segments=tuple(segments_of(ledger.ingested_batches("events"))),
        first_seen=first_seen_ns(plant),
        as_of_ns=to_nanoseconds(as_of),
        now=now.isoformat(),
        champion=champion,
        in_a_row_before=_in_a_row(last, champion),
        failures_before=int(str(seen)),
        failures_last=int(str(last.metrics.get("failures", 0))) if last else 0,
        force=force,
        staging=str(staging),
        told=confirmed_failures(plant.store.alarms.verdicts(until=as_of)),
    )


def _in_a_row(last: RetrainingRow | None, champion: int | None) -> int:
    """How many retrainings up to the last one found another ranking than the champion's.

    A champion with a ranking of its own begins the count anew.
    """
    if last is None or (last.version == champion and last.decision != "refit"):
        return 0
    return int(str(last.metrics.get("in_a_row", 0)))


def _record(
    plant: Plant, order: TrainingRequest, answer: TrainingResponse, now: datetime, as_of: datetime
) -> Retrained:
    """One transaction says what was decided, and with it which version counts."""
    row = RetrainingRow(
        started_at=now,
        finished_at=datetime.now(tz=UTC),
        as_of=as_of,
        decision=answer.decision,
        reason=answer.reason,
        metrics={
            **answer.metrics,
            "in_a_row": answer.in_a_row,
            "failures": answer.failures,
            "failures_from_verdicts": answer.told,
        },
    )
    if not answer.made:
        plant.store.lineage.record_retraining(row)
        return Retrained(answer.decision, answer.reason, None, promoted=False)
    number = plant.store.lineage.next_version()
    waits = answer.promote and plant.settings.retraining.promotion == "approve"
    reason = f"{answer.reason}; {waits_text(number)}" if waits else answer.reason
    promoted = answer.promote and not waits
    staged = Path(order.staging)
    version = read_version(staged, number=number)
    _check(version)
    plant.registry.publish(staged, number)
    plant.store.lineage.record_retraining(
        replace(row, version=number, reason=reason, metrics={**row.metrics, "waits": waits}),
        version=_version_row(plant, version, answer, now),
        importances=_importance_rows(number, version.card),
        promote=promoted,
    )
    note_progress(plant.settings.state, plant.store)
    return Retrained(answer.decision, reason, number, promoted=promoted)


def _check(version: Version) -> None:
    """Refuse a version whose graph is not its network's."""
    if not version.card.parity <= PARITY:
        raise BadVersion(
            f"ONNX and Keras outputs must agree within {PARITY:g}, got {version.card.parity:.3g}"
        )
    verified(version)


def _version_row(
    plant: Plant, version: Version, answer: TrainingResponse, now: datetime
) -> VersionRow:
    card = version.card
    return VersionRow(
        version=version.number,
        path=plant.registry.path(version.number).name,
        digest=plant.registry.digest(version.number),
        created_at=now,
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
            "gate": answer.reason,
            "suspicions": [asdict(suspicion) for suspicion in card.suspicions],
            "revision": asdict(card.revision) if card.revision else None,
        },
    )


def _importance_rows(number: int, card: VersionCard) -> list[ImportanceRow]:
    placed = {row.sensor: row for row in describe(card.allocation)}
    importance = card.importance
    order = sorted(range(len(importance.sensors)), key=lambda at: -importance.shares[at])
    return [
        ImportanceRow(
            version=number,
            sensor=importance.sensors[at],
            share=importance.shares[at],
            spread=importance.spread[at],
            rank=rank,
            tier=placed[importance.sensors[at]].tier,
            units=placed[importance.sensors[at]].units,
            l1=placed[importance.sensors[at]].l1,
        )
        for rank, at in enumerate(order, 1)
    ]


def confirmed_failures(rows: Iterable[VerdictRow]) -> tuple[ConfirmedFailure, ...]:
    """The failures that confirmed verdicts tell of; others are no failure, nor its absence.

    Where the verdict names no time, it was between the cutoff that raised the alarm and the
    verdict.
    """
    return tuple(_told(row) for row in rows if row.verdict == "confirmed")


def _told(row: VerdictRow) -> ConfirmedFailure:
    until = row.at if row.failed_until is None else row.failed_until
    since = min(row.cutoff, row.at) if row.failed_from is None else row.failed_from
    return ConfirmedFailure(
        row.asset_id,
        to_nanoseconds(since),
        to_nanoseconds(until),
        to_nanoseconds(row.at),
        row.code,
    )
