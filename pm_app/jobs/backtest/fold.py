"""One fold of a backtest: learned from all before, and spoken of, here or by a worker."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from pm_app.features.frame import select_features
from pm_app.jobs.backtest.folds import Fold
from pm_app.jobs.plant import PlantView, WorkerPlant, first_seen_ns
from pm_app.jobs.retrain.dataset import gather_dataset
from pm_app.jobs.retrain.messages import REQUEST, RESPONSE, TrainingRequest, TrainingResponse
from pm_app.jobs.retrain.run import Trainer
from pm_app.jobs.score.champion import Champion, verified
from pm_app.jobs.score.predict import PaneSpan, frames
from pm_app.learning.evaluation.boosters import Booster, BoosterTask
from pm_app.learning.ranking import make_task
from pm_app.progress import Progress
from pm_app.records.features import Frame
from pm_app.records.readings import Float64, Int32, Int64
from pm_app.scoring.abstention import statuses
from pm_app.state.memory import Memories
from pm_app.state.registry import read_version
from pm_app.state.segments import MissingSegment

# A version that is published nowhere.
_NUMBER = 0
FitPeer = Callable[[BoosterTask], Booster]


@dataclass(frozen=True, eq=False)
class FoldPredictions:
    """What one fold said, rows as they came.

    ours: risk, hours left and their bounds, (4, n_rows); theirs: risk and hours, (2, n_rows).
    """

    fold: int
    peer: str
    names: tuple[str, ...]
    asset: Int32
    cutoff: Int64
    ours: Float64
    theirs: Float64


def speak_of(
    ground: PlantView,
    order: TrainingRequest,
    fold: Fold,
    number: int,
    *,
    now: datetime,
    trainer: Trainer,
    fit: FitPeer,
    progress: Progress,
) -> FoldPredictions | str:
    """What was said in the span of a fold, or in words why nothing could be learned.

    Raises TransientError where the trainer died, and MissingSegment.
    """
    with tempfile.TemporaryDirectory(prefix="pm-app-backtest-") as folder:
        staged = Path(folder, "version")
        staged.mkdir()
        mine = replace(order, as_of_ns=fold.origin, now=now.isoformat(), staging=str(staged))
        answer = _learn(mine, Path(folder), trainer, progress)
        if not answer.made:
            return answer.reason
        champion = verified(read_version(staged, number=_NUMBER))
        progress(0.9, "fitting what people use today")
        peer, features = _fit_peer(ground, mine, fit)
        progress(0.95, "speaking of the next span")
        beside = WorkerPlant(
            settings=ground.settings,
            history=ground.history,
            event_history=ground.event_history,
            memories=Memories(Path(folder, "memory")),
            ledger=ground.ledger,
            beat=ground.beat,
        )
        return _speak(beside, champion, peer, features, fold, number)


def _learn(
    order: TrainingRequest, folder: Path, trainer: Trainer, progress: Progress
) -> TrainingResponse:
    order_path, answer_path = folder / "order.json", folder / "answer.json"
    order_path.write_bytes(REQUEST.dump_json(order))
    trainer(order_path, answer_path, lambda done, text: progress(0.9 * done, text))
    answer: TrainingResponse = RESPONSE.validate_json(answer_path.read_bytes())
    if answer.missing:
        raise MissingSegment(Path(answer.missing), answer.reason)
    return answer


def _fit_peer(
    ground: PlantView, order: TrainingRequest, fit: FitPeer
) -> tuple[Booster, tuple[str, ...]]:
    """A peer that knows what the trainer knew, and the features that it reads."""
    known = gather_dataset(
        ground.history,
        order.segments,
        ground.event_history.read(order.event_segments),
        ground.settings,
        first_seen=order.first_seen,
        as_of_ns=order.as_of_ns,
        told=order.told,
    )
    study, target = make_task(known, ground.settings), ground.settings.target
    lesson = BoosterTask(
        study.frame,
        study.labels,
        study.split,
        horizon_hours=target.horizons_hours[-1],
        cap_hours=target.cap_hours,
        seed=ground.settings.retraining.seed,
    )
    return fit(lesson), study.frame.features


def _speak(
    ground: PlantView,
    champion: Champion,
    peer: Booster,
    features: tuple[str, ...],
    fold: Fold,
    number: int,
) -> FoldPredictions:
    """What both sides say of every cutoff in the span."""
    pane_ns = ground.history.pane_ns
    span = PaneSpan(fold.origin // pane_ns, fold.end // pane_ns - 1)
    names: list[str] = []
    rows: list[tuple[Int32, Int64, Float64, Float64]] = []
    for frame in frames(ground, champion, dict.fromkeys(first_seen_ns(ground), span)):
        ours = _ours(select_features(frame, champion.card.features), champion)
        theirs = np.stack(peer.answer(select_features(frame, features).values))
        theirs[:, np.isnan(ours[0])] = np.nan
        rows.append((frame.asset + np.int32(len(names)), frame.cutoff, ours, theirs))
        names += frame.assets
    asset, cutoff, ours, theirs = (
        (np.concatenate(columns, axis=-1) for columns in zip(*rows, strict=True))
        if rows
        else _nothing()
    )
    return FoldPredictions(number, peer.name, tuple(names), asset, cutoff, ours, theirs)


def _ours(frame: Frame, champion: Champion) -> Float64:
    """Risk of the longest horizon, hours left and their bounds, (4, n_rows); NaN: abstains."""
    result = np.full((4, len(frame.cutoff)), np.nan)
    rows = np.flatnonzero(statuses(frame, champion.card) == "scored")
    scores = champion.predictor.predict(frame.values[rows])
    result[:, rows] = scores.risk[:, -1], scores.rul, scores.low, scores.high
    return result


def _nothing() -> tuple[Int32, Int64, Float64, Float64]:
    return np.empty(0, np.int32), np.empty(0, np.int64), np.empty((4, 0)), np.empty((2, 0))
