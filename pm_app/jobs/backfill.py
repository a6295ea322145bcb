"""The past, scored again with the champion."""

from datetime import datetime

from pm_app.errors import BadSettings, NotEnoughData
from pm_app.jobs.champion import load_champion
from pm_app.jobs.ingest import ingest
from pm_app.jobs.predict import Span, predict_spans
from pm_app.jobs.rebuild import repairing
from pm_app.jobs.site import Site, to_nanoseconds
from pm_app.store import Committed


def backfill(site: Site, *, first: datetime, last: datetime, now: datetime) -> Committed:
    """Score every cutoff in [first, last) with the champion.

    What was said of a cutoff before moves to the history. Raises NotEnoughData without a
    champion, BadSettings where `last` is not after `first`.
    """
    if first >= last:
        raise BadSettings(
            f"backfill needs a first cutoff before the last, got {first.isoformat()} "
            f"and {last.isoformat()}"
        )
    champion = load_champion(site)
    if champion is None:
        raise NotEnoughData("no model yet: pm-app retrain makes the first")
    retired = site.store.retention.retired_until()
    if retired is not None and first < retired:
        raise BadSettings(
            f"backfill needs a first cutoff from {retired.isoformat()} on, got "
            f"{first.isoformat()}: what was said before went by retention.predictions"
        )
    ingest(site, now=now)
    pane_ns = site.history.pane_ns
    # A cutoff is the end of its pane.
    low, high = (-(-to_nanoseconds(moment) // pane_ns) - 1 for moment in (first, last))
    spans = {name: Span(low, high - 1) for name in site.store.ledger.first_seen()}

    def say() -> Committed:
        chunks = predict_spans(site, champion, spans)
        return site.store.scores.commit_predictions(chunks, scored_at=now)

    return repairing(site, say)
