"""Backtest: history as it would have happened, learned from and predicted fold by fold.

Each fold is learned by the trainer process that the product learns with, and predicted by the
functions that it scores with; nothing of the store, its versions or its champion changes. A
reading and an event are taken to have been known from their own time stamps on: when a file of
history really came, nobody knows any more.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from pm_app.errors import BadSettings, NotEnoughData
from pm_app.features.limits import heard_until
from pm_app.jobs.backtest.fold import FoldPredictions, FoldTrainers, predict_fold
from pm_app.jobs.backtest.folds import BacktestOptions, Fold, bare_frame, plan_folds
from pm_app.jobs.backtest.workers import ABANDONED_SECONDS, JOB, MOST_TRIES, predict_on_workers
from pm_app.jobs.plant import Plant, PlantView
from pm_app.jobs.retrain.dataset import all_failures
from pm_app.jobs.retrain.messages import TrainingRequest
from pm_app.jobs.retrain.run import make_request
from pm_app.jobs.workers.files import remove_abandoned
from pm_app.learning.data.labels import life_labels, while_running
from pm_app.learning.data.renewal_weights import with_renewal_weights
from pm_app.learning.evaluation.backtest import ModelPredictions
from pm_app.ports import Engine
from pm_app.progress import Progress, silent
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.readings import Events, Float64, Int32, Int64
from pm_app.settings.plant import Settings
from pm_app.state.segments import MissingSegment
from pm_app.store import Store
from pm_app.times import to_moment, to_nanoseconds

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class BacktestPredictions:
    """Predictions at every cutoff after the first origin, and what came.

    decisions: why a fold could not be learned, "" where it was. Rows by asset, then cutoff, every
    array (n_rows,). fold: index into `folds`. ours: risks are of horizon_hours, NaN where we
    abstain. theirs: the peer's in the rows where we do not. deviation: what is normal by the
    origin says of the row, NaN where it says nothing.
    """

    folds: tuple[Fold, ...]
    decisions: tuple[str, ...]
    horizon_hours: float
    cap_hours: float
    assets: tuple[str, ...]
    asset: Int32
    cutoff: Int64
    fold: Int32
    ours: ModelPredictions
    theirs: ModelPredictions
    labels: Labels
    deviation: Float64


def backtest(
    plant: Plant,
    options: BacktestOptions,
    *,
    now: datetime,
    trainers: FoldTrainers,
    engine: Engine | None = None,
    progress: Progress = silent,
) -> BacktestPredictions:
    """Learn and predict fold by fold; writes nothing.

    engine: whose workers take a fold each, with a trainer and a peer of the product's own.

    Raises BadSettings for a column target, NotEnoughData where no fold can be learned,
    TransientError where a trainer died, and MissingSegment.
    """
    if plant.settings.target.kind == "column":
        raise BadSettings('backtest replays lives, target.kind is "column"')
    new_request = partial(_first_request, plant.store, plant.settings, now)
    request = new_request()
    # All that is recorded today, verdicts included: by that folds are judged.
    recorded = plant.event_history.read(request.event_segments)
    events = all_failures(
        recorded, request.confirmed_failures, plant.settings, known_until=to_nanoseconds(now)
    ).events
    folds = plan_folds(plant.history, plant.ledger, events, options, plant.settings)
    if engine is None:
        found = _predict_here(plant.view, folds, new_request, trainers, progress)
    else:
        before = now.timestamp() - ABANDONED_SECONDS
        remove_abandoned(plant.settings.state, JOB, before=before)
        found = predict_on_workers(plant.view, folds, new_request, engine, progress)
    reasons = [one if isinstance(one, str) else "" for one in found]
    if all(reasons):
        raise NotEnoughData(f"not enough data: no fold could be learned: {reasons[-1]}")
    return _in_one(plant.settings, events, folds, found)


def _first_request(store: Store, settings: Settings, now: datetime) -> TrainingRequest:
    """That of a first retraining."""
    request = make_request(store, settings, champion=None, now=now, staging=Path())
    return replace(request, champion=None, in_a_row_before=0, failures_before=0, failures_last=0)


def _predict_here(
    plant: PlantView,
    folds: Sequence[Fold],
    new_request: Callable[[], TrainingRequest],
    trainers: FoldTrainers,
    progress: Progress,
) -> list[FoldPredictions | str]:
    """One fold after the other; where the daemon has joined segments meanwhile, once more."""
    found = []
    request = new_request()
    for number, fold in enumerate(folds):
        where = f"fold {number + 1} of {len(folds)}, up to {to_moment(fold.origin):%Y-%m-%d}"
        part = _part_of(progress, number / len(folds), 1 / len(folds), where)
        for tries in range(1, MOST_TRIES + 1):
            try:
                found.append(predict_fold(plant, request, fold, trainers=trainers, progress=part))
                break
            except MissingSegment:
                if tries == MOST_TRIES:
                    raise
                request = new_request()
    return found


def _part_of(progress: Progress, begun: float, share: float, where: str) -> Progress:
    return lambda done, text: progress(begun + share * done, f"{where}: {text}")


def _in_one(
    settings: Settings,
    events: Events,
    folds: Sequence[Fold],
    found: Sequence[FoldPredictions | str],
) -> BacktestPredictions:
    """All predictions in one order, with what came."""
    parts = {at: part for at, part in enumerate(found) if not isinstance(part, str)}
    assets = tuple(sorted({name for part in parts.values() for name in part.names}))
    place = {name: number for number, name in enumerate(assets)}
    places = [np.array([place[name] for name in part.names], np.int32) for part in parts.values()]
    asset = np.concatenate(
        [own[part.asset] for own, part in zip(places, parts.values(), strict=True)]
    )
    cutoff = np.concatenate([part.cutoff for part in parts.values()])
    fold = np.repeat(np.array([*parts], np.int32), [len(part.cutoff) for part in parts.values()])
    order = np.lexsort((cutoff, asset))
    ours, theirs, deviation = (
        np.concatenate([getattr(part, name) for part in parts.values()], axis=-1)[..., order]
        for name in ("ours", "theirs", "deviation")
    )
    peer, unbounded = next(iter(parts.values())).peer, np.full((2, len(order)), np.nan)
    frame = bare_frame(assets, asset[order], cutoff[order])
    end, renewals = _judged_until(events, folds[-1].end), settings.renewals
    labels = life_labels(frame, events, known_until=end, renewals=renewals)
    labels, horizon = while_running(frame, labels), settings.target.horizons_hours[-1]
    return BacktestPredictions(
        tuple(folds),
        tuple(one if isinstance(one, str) else "" for one in found),
        horizon,
        settings.target.cap_hours,
        assets,
        frame.asset,
        frame.cutoff,
        fold[order],
        ModelPredictions("pm-app", *ours),
        ModelPredictions(peer, *theirs, *unbounded),
        with_renewal_weights(_of_predictions(frame, ours, theirs), labels, (horizon,)),
        deviation,
    )


def _judged_until(events: Events, end: int) -> int:
    """Until when it is known what came, nanoseconds UTC, at most `end`; said where that is less."""
    heard = heard_until(events, end)
    if heard < end:
        log.warning(
            "neither failures nor maintenance are told of since %s UTC: nobody knows what survived "
            "since then, and nothing that is predicted of that time is judged",
            f"{to_moment(heard):%Y-%m-%d %H:%M}",
        )
    return heard


def _of_predictions(frame: Frame, ours: Float64, theirs: Float64) -> Frame:
    """The frame with risks and lives left for features: work is done because of what is seen, and
    they are the gist of it."""
    seen = np.concatenate([ours[:2], theirs]).T.astype(np.float32)
    names = tuple(f"prediction.{number}" for number in range(seen.shape[1]))
    return replace(frame, features=names, sensor_of=names, values=seen)
