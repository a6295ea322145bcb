"""Backfill: the past scored anew with the champion, in this process or on workers."""

from datetime import datetime

from pm_app.errors import BadSettings, NotEnoughData
from pm_app.jobs.backfill.workers import JOB, predict_on_workers, version_digests
from pm_app.jobs.ingest.repair import repairing
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import Plant
from pm_app.jobs.score.champion import load_champion
from pm_app.jobs.score.frames import PaneSpan
from pm_app.jobs.score.normal_champion import load_normal_champion
from pm_app.jobs.score.predict import predict_spans
from pm_app.jobs.workers.files import remove_abandoned
from pm_app.ports import Engine
from pm_app.progress import Progress, silent
from pm_app.store import CommitCounts
from pm_app.times import to_nanoseconds


def backfill(
    plant: Plant,
    *,
    first: datetime,
    last: datetime,
    now: datetime,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> CommitCounts:
    """Score every cutoff in [first, last) with the champions that there are.

    What was predicted before moves to the history. Without an engine all is one transaction; on
    one every partition of assets is, and what was committed stays. Raises NotEnoughData without
    a champion, BadSettings where `last` is not after `first`, and as `predict_on_workers`.
    """
    champion, normal = load_champion(plant), load_normal_champion(plant).champion
    if champion is None and normal is None:
        raise NotEnoughData("no model yet: pm-app retrain makes the first")
    _require_span(first, last, plant.store.retention.retired_until())
    ingest(plant, now=now)
    left = dict.fromkeys(plant.ledger.first_seen(), _span(first, last, plant.history.pane_ns))
    count, counts = len(left), CommitCounts()
    remove_abandoned(plant.settings.state, JOB)

    def score() -> None:
        nonlocal counts
        if engine is None:
            chunks = predict_spans(plant.view, champion, left, normal=normal)
            counts = plant.store.writer.commit_predictions(chunks, scored_at=now)
            return
        digests = version_digests(plant.registry, champion, normal)
        for assets, file in predict_on_workers(plant.view, digests, left.copy(), engine):
            if file is not None:
                counts += plant.store.writer.commit_staged(file, scored_at=now)
            for name in assets:
                del left[name]
            progress(1 - len(left) / count, f"{count - len(left)} of {count} assets")

    repairing(plant, score)
    return counts


def _require_span(first: datetime, last: datetime, retired: datetime | None) -> None:
    if first >= last:
        raise BadSettings(
            f"backfill needs a first cutoff before the last, got {first.isoformat()} "
            f"and {last.isoformat()}"
        )
    if retired is not None and first < retired:
        raise BadSettings(
            f"backfill needs a first cutoff from {retired.isoformat()} on, got "
            f"{first.isoformat()}: what was said before went by retention.predictions"
        )


def _span(first: datetime, last: datetime, pane_ns: int) -> PaneSpan:
    # A cutoff is the end of its pane.
    low, high = (-(-to_nanoseconds(moment) // pane_ns) - 1 for moment in (first, last))
    return PaneSpan(low, high - 1)
