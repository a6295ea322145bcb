"""One fold of a backtest: learned from all before, then predicted, here or by a worker."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pm_app.errors import NotEnoughData
from pm_app.features.frame import select_features
from pm_app.jobs.backtest.folds import Fold
from pm_app.jobs.normality.gather import gather_normal
from pm_app.jobs.plant import PlantView, first_seen_ns
from pm_app.jobs.retrain.dataset import DatasetSource, gather_dataset
from pm_app.jobs.retrain.messages import OfferedNormal, TrainingRequest
from pm_app.jobs.retrain.request import Learner, read_source
from pm_app.jobs.retrain.run import ask_trainer
from pm_app.jobs.score.champion import Champion, verified
from pm_app.jobs.score.frames import PaneSpan, frames_of
from pm_app.jobs.score.normal_champion import NormalChampion, row_deviations
from pm_app.learning.evaluation.boosters import Booster, BoosterTask, fit_booster
from pm_app.learning.normality.learn import learn_normal
from pm_app.learning.ranking import make_task
from pm_app.progress import Progress, silent
from pm_app.records.features import Frame
from pm_app.records.readings import Float64, Int32, Int64
from pm_app.scoring.abstention import answer_frame
from pm_app.scoring.deviation import DeviationPredictor
from pm_app.state.memory import Memories
from pm_app.state.registry import Golden, read_version, write_normal

# Versions that are published nowhere.
_NUMBER, _NORMAL = 0, 1
FitPeer = Callable[[BoosterTask], Booster]


@dataclass(frozen=True)
class FoldTrainers:
    """What learns from the past of a fold: our trainer process, and what fits its peer."""

    trainer: Learner
    fit: FitPeer = fit_booster


@dataclass(frozen=True, eq=False)
class FoldPredictions:
    """Predictions of one fold, rows as they came.

    ours: risk, hours left and their bounds, (4, n_rows); theirs: risk and hours, (2, n_rows).
    deviation: (n_rows,), NaN where nothing is said.
    """

    peer: str
    names: tuple[str, ...]
    asset: Int32
    cutoff: Int64
    ours: Float64
    theirs: Float64
    deviation: Float64


def predict_fold(
    plant: PlantView,
    request: TrainingRequest,
    fold: Fold,
    *,
    trainers: FoldTrainers,
    progress: Progress = silent,
) -> FoldPredictions | str:
    """Predictions in the span of a fold, or in words why nothing could be learned.

    Raises TransientError where the trainer died, and MissingSegment.
    """
    with tempfile.TemporaryDirectory(prefix="pm-app-backtest-") as folder:
        staged = Path(folder, "version")
        staged.mkdir()
        mine = replace(request, as_of_ns=fold.origin, staging=str(staged), normal=None)
        source = read_source(mine, plant.settings)
        progress(0.0, "learning what is normal")
        normal = _learn_normal(plant, source, mine, Path(folder, "normal"))
        if normal is not None:
            mine = replace(mine, normal=OfferedNormal(_NORMAL, str(Path(folder, "normal"))))
        response = ask_trainer(
            trainers.trainer, mine, Path(folder), lambda done, text: progress(0.9 * done, text)
        )
        if not response.has_version:
            return response.reason
        champion = verified(read_version(staged, number=_NUMBER))
        progress(0.9, "fitting what people use today")
        peer, features = _fit_peer(plant, source, mine, trainers.fit)
        progress(0.95, "predicting the next span")
        beside = replace(plant, memories=Memories(Path(folder, "memory")))
        return _predict(beside, _Speakers(champion, peer, features, normal), fold)


def _learn_normal(
    plant: PlantView, source: DatasetSource, request: TrainingRequest, folder: Path
) -> NormalChampion | None:
    """What is normal by the moment of the request, and its files in a new folder; None where it is
    off, or too little to learn."""
    settings = plant.settings
    if not settings.deviation.enabled:
        return None
    try:
        rows, _ = gather_normal(source, settings, as_of_ns=request.as_of_ns)
        learned = learn_normal(
            rows,
            settings=settings.deviation,
            before=None,
            seed=settings.retraining.seed,
            progress=silent,
        )
    except NotEnoughData:
        return None
    golden = Golden(learned.golden_rows, learned.golden_outputs)
    folder.mkdir()
    write_normal(folder, card=learned.card, onnx=learned.onnx, golden=golden)
    return NormalChampion(_NORMAL, learned.card, DeviationPredictor(learned.onnx, learned.card))


def _fit_peer(
    plant: PlantView, source: DatasetSource, request: TrainingRequest, fit: FitPeer
) -> tuple[Booster, tuple[str, ...]]:
    """A peer fitted to what the trainer learned from, and the features that it reads."""
    settings = plant.settings
    study = make_task(gather_dataset(source, settings, as_of_ns=request.as_of_ns), settings)
    task = BoosterTask(
        study.frame,
        study.labels,
        study.split,
        horizon_hours=settings.target.horizons_hours[-1],
        cap_hours=settings.target.cap_hours,
        seed=settings.retraining.seed,
    )
    return fit(task), study.frame.features


@dataclass(frozen=True, eq=False)
class _Speakers:
    """What a fold was learned into: our version, a peer and its features, and what is normal."""

    champion: Champion
    peer: Booster
    features: tuple[str, ...]
    normal: NormalChampion | None


def _predict(plant: PlantView, speakers: _Speakers, fold: Fold) -> FoldPredictions:
    """What all of them say at every cutoff in the span."""
    pane_ns, champion = plant.history.pane_ns, speakers.champion
    span = PaneSpan(fold.origin // pane_ns, fold.end // pane_ns - 1)
    spans = dict.fromkeys(first_seen_ns(plant.ledger), span)
    specs = champion.specs + ((speakers.normal.card.spec,) if speakers.normal else ())
    names: list[str] = []
    nothing = np.empty(0, np.int32), np.empty(0, np.int64), np.empty((4, 0)), np.empty((2, 0))
    rows: list[tuple[Int32, Int64, Float64, Float64, Float64]] = [(*nothing, np.empty(0))]
    for built in frames_of(plant, specs, spans):
        frame = built[0]
        ours = _ours(select_features(champion.read(built), champion.card.features), champion)
        answered = speakers.peer.answer(select_features(frame, speakers.features).values)
        theirs = np.stack(answered)
        theirs[:, np.isnan(ours[0])] = np.nan
        deviation = np.full(len(frame.cutoff), np.nan)
        if speakers.normal is not None:
            deviation = row_deviations(built[-1], speakers.normal).deviation
        rows.append((frame.asset + np.int32(len(names)), frame.cutoff, ours, theirs, deviation))
        names += frame.assets
    columns = (np.concatenate(parts, axis=-1) for parts in zip(*rows, strict=True))
    return FoldPredictions(speakers.peer.name, tuple(names), *columns)


def _ours(frame: Frame, champion: Champion) -> Float64:
    """Risk of the longest horizon, hours left and their bounds, (4, n_rows); NaN: abstains."""
    result = np.full((4, len(frame.cutoff)), np.nan)
    answers = answer_frame(frame, champion.card, champion.predictor)
    scores = answers.scores
    result[:, answers.rows] = scores.risk[:, -1], scores.rul, scores.low, scores.high
    return result
