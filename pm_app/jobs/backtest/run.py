"""History as it would have happened: learn from the past, speak of the next span, and so on.

Each fold is learned by the trainer process that the product learns with, and spoken of by the
functions that it scores with; nothing of the store, its versions or its champion changes. A
reading and an event are taken to have been known from their own time stamps on: when a file of
history really came, nobody knows any more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from pm_app.errors import BadSettings, NotEnoughData
from pm_app.jobs.backtest.fold import FitPeer, FoldPredictions, speak_of
from pm_app.jobs.backtest.folds import Fold, bare_frame, plan_folds
from pm_app.jobs.backtest.workers import MOST_TRIES, speak_elsewhere
from pm_app.jobs.plant import Plant
from pm_app.jobs.retrain.dataset import all_failures
from pm_app.jobs.retrain.messages import TrainingRequest
from pm_app.jobs.retrain.run import Trainer, make_request
from pm_app.learning.data.labels import life_labels, while_running
from pm_app.learning.evaluation.boosters import fit_booster
from pm_app.ports import Engine
from pm_app.progress import Progress, silent
from pm_app.records.labels import Labels
from pm_app.records.readings import Events, Float64, Int32, Int64
from pm_app.state.segments import MissingSegment
from pm_app.times import to_moment, to_nanoseconds

_Renew = Callable[[], TrainingRequest]


@dataclass(frozen=True, eq=False)
class Account:
    """What was said of every cutoff after the first origin, and what came.

    decisions: why a fold could not be learned, "" where it was. Rows by asset, then cutoff, every
    array (n_rows,). fold: index into `folds`. risk: of horizon_hours, NaN where nothing is said.
    rul, low, high: hours. peer_risk, peer_rul: what the peer says of the rows that we speak of.
    """

    folds: tuple[Fold, ...]
    decisions: tuple[str, ...]
    peer: str
    horizon_hours: float
    cap_hours: float
    assets: tuple[str, ...]
    asset: Int32
    cutoff: Int64
    fold: Int32
    risk: Float64
    rul: Float64
    low: Float64
    high: Float64
    peer_risk: Float64
    peer_rul: Float64
    labels: Labels


def backtest(
    plant: Plant,
    *,
    now: datetime,
    folds: int,
    first: datetime | None,
    last: datetime | None,
    trainer: Trainer,
    fit: FitPeer = fit_booster,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> Account:
    """Learn and speak fold by fold; writes nothing.

    engine: whose workers take a fold each, with a trainer and a peer of the product's own.

    Raises BadSettings for a column target, NotEnoughData where no fold can be learned,
    TransientError where a trainer died, and MissingSegment.
    """
    if plant.settings.target.kind == "column":
        raise BadSettings('backtest replays lives, target.kind is "column"')
    order = _order(plant, now)
    # What came is judged by all that is known today, verdicts included.
    everything = plant.event_history.read(order.event_segments)
    events = all_failures(
        everything, order.told, plant.settings, known_until=to_nanoseconds(now)
    ).events
    planned = plan_folds(plant, events, folds=folds, first=first, last=last)

    def renew() -> TrainingRequest:
        return _order(plant, now)

    if engine is None:
        found = _speak_here(plant, order, planned, renew, now, trainer, fit, progress)
    else:
        found = speak_elsewhere(plant, order, planned, renew, now, engine, progress)
    decisions = [one if isinstance(one, str) else "" for one in found]
    parts = [one for one in found if not isinstance(one, str)]
    if not parts:
        raise NotEnoughData(f"not enough data: no fold could be learned: {decisions[-1]}")
    return _account(plant, events, planned, decisions, parts)


def _order(plant: Plant, now: datetime) -> TrainingRequest:
    """As a first retraining is told."""
    order = make_request(plant, now, now, force=False, staging=Path())
    return replace(order, champion=None, in_a_row_before=0, failures_before=0, failures_last=0)


def _speak_here(
    plant: Plant,
    order: TrainingRequest,
    folds: Sequence[Fold],
    renew: _Renew,
    now: datetime,
    trainer: Trainer,
    fit: FitPeer,
    progress: Progress,
) -> list[FoldPredictions | str]:
    """One fold after the other; where the daemon has joined segments meanwhile, once more."""
    found = []
    for number, fold in enumerate(folds):
        where = f"fold {number + 1} of {len(folds)}, up to {to_moment(fold.origin):%Y-%m-%d}"
        told = _told(progress, number / len(folds), 1 / len(folds), where)
        for tries in range(1, MOST_TRIES + 1):
            try:
                said = speak_of(
                    plant, order, fold, number, now=now, trainer=trainer, fit=fit, progress=told
                )
                break
            except MissingSegment:
                if tries == MOST_TRIES:
                    raise
                order = renew()
        found.append(said)
    return found


def _told(progress: Progress, begun: float, share: float, where: str) -> Progress:
    return lambda done, text: progress(begun + share * done, f"{where}: {text}")


def _account(
    plant: Plant,
    events: Events,
    folds: Sequence[Fold],
    decisions: Sequence[str],
    parts: Sequence[FoldPredictions],
) -> Account:
    """All that was said in one order, with what came."""
    assets = tuple(sorted({name for part in parts for name in part.names}))
    place = {name: number for number, name in enumerate(assets)}
    asset = np.concatenate(
        [
            np.array([place[name] for name in part.names], dtype=np.int32)[part.asset]
            for part in parts
        ]
    )
    cutoff = np.concatenate([part.cutoff for part in parts])
    fold = np.repeat(
        np.array([part.fold for part in parts], dtype=np.int32), [len(p.cutoff) for p in parts]
    )
    order = np.lexsort((cutoff, asset))
    ours = np.concatenate([part.ours for part in parts], axis=1)[:, order]
    theirs = np.concatenate([part.theirs for part in parts], axis=1)[:, order]
    frame = bare_frame(assets, asset[order], cutoff[order])
    target = plant.settings.target
    return Account(
        tuple(folds),
        tuple(decisions),
        parts[0].peer,
        target.horizons_hours[-1],
        target.cap_hours,
        assets,
        frame.asset,
        frame.cutoff,
        fold[order],
        ours[0],
        ours[1],
        ours[2],
        ours[3],
        theirs[0],
        theirs[1],
        while_running(frame, life_labels(frame, events, known_until=folds[-1].end)),
    )
