"""Backfill: the past scored anew with the champion, in this process or on workers."""

import logging
from collections.abc import Mapping
from datetime import datetime

from pm_app.errors import BadSettings, NotEnoughData
from pm_app.jobs.backfill.workers import JOB, predict_on_workers
from pm_app.jobs.ingest.repair import repairing
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import Plant
from pm_app.jobs.score.champion import Champion, load_champion
from pm_app.jobs.score.predict import PaneSpan, predict_spans
from pm_app.jobs.workers.files import remove_abandoned
from pm_app.ports import Engine
from pm_app.progress import Progress, silent
from pm_app.store import CommitCounts
from pm_app.times import to_nanoseconds

log = logging.getLogger(__name__)


def backfill(
    plant: Plant,
    *,
    first: datetime,
    last: datetime,
    now: datetime,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> CommitCounts:
    """Score every cutoff in [first, last) with the champion.

    What was predicted for a cutoff before moves to the history. Without an engine all is one
    transaction; on one every partition of assets is, and what was committed before something
    went wrong stays. Raises NotEnoughData without a champion, BadSettings where `last` is not
    after `first`, and as `predict_on_workers`.
    """
    champion = _require_champion(plant, first, last)
    ingest(plant, now=now)
    pane_ns = plant.history.pane_ns
    # A cutoff is the end of its pane.
    low, high = (-(-to_nanoseconds(moment) // pane_ns) - 1 for moment in (first, last))
    spans = {name: PaneSpan(low, high - 1) for name in plant.store.ledger.first_seen()}
    remove_abandoned(plant.settings.state, JOB)
    if engine is not None:
        return _score_on_workers(engine, plant, champion, spans, now, progress)

    def score() -> CommitCounts:
        chunks = predict_spans(plant.view, champion, spans)
        return plant.store.writer.commit_predictions(chunks, scored_at=now)

    return repairing(plant, score)


def _score_on_workers(
    engine: Engine,
    plant: Plant,
    champion: Champion,
    spans: Mapping[str, PaneSpan],
    now: datetime,
    progress: Progress,
) -> CommitCounts:
    left = dict(spans)
    counts: list[CommitCounts] = []

    def score() -> None:
        for part in predict_on_workers(plant, champion, left.copy(), engine):
            if part.file is not None:
                counts.append(plant.store.writer.commit_staged(part.file, scored_at=now))
            for name in part.assets:
                del left[name]
            progress(1 - len(left) / len(spans), f"{len(spans) - len(left)} of {len(spans)} assets")

    repairing(plant, score)
    return sum(counts, CommitCounts())


def _require_champion(plant: Plant, first: datetime, last: datetime) -> Champion:
    if first >= last:
        raise BadSettings(
            f"backfill needs a first cutoff before the last, got {first.isoformat()} "
            f"and {last.isoformat()}"
        )
    champion = load_champion(plant)
    if champion is None:
        raise NotEnoughData("no model yet: pm-app retrain makes the first")
    retired = plant.store.retention.retired_until()
    if retired is not None and first < retired:
        raise BadSettings(
            f"backfill needs a first cutoff from {retired.isoformat()} on, got "
            f"{first.isoformat()}: what was said before went by retention.predictions"
        )
    return champion
