"""The trainer process: reads a request, learns, fills the staging folder, responds, exits.

It runs apart because TensorFlow holds 750 MB and keeps some of it at every training.
Started as `python -m pm_app.jobs.retrain.trainer REQUEST RESPONSE`.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pm_app.durable import write_bytes
from pm_app.errors import NotEnoughData, TerminalError, TransientError
from pm_app.jobs.retrain.dataset import gather_dataset
from pm_app.jobs.retrain.messages import (
    REFUSED,
    REQUEST,
    RESPONSE,
    TrainingRequest,
    TrainingResponse,
)
from pm_app.jobs.retrain.normal import offer_deviation
from pm_app.jobs.retrain.process import (
    end_with_parent,
    give_way,
    release_memory,
    tell_parent,
)
from pm_app.jobs.retrain.renewals import renewal_evidence
from pm_app.jobs.retrain.request import read_source
from pm_app.jobs.score.champion import Champion
from pm_app.learning.dataset import Dataset, Evidence
from pm_app.learning.evaluation.renewal_evidence import RenewalEvidence
from pm_app.learning.ranking import ChampionVersion
from pm_app.ports import Engine
from pm_app.progress import Progress, silent
from pm_app.records.normality import FrozenNormal
from pm_app.scoring.deviation import DeviationPredictor
from pm_app.scoring.predictor import Predictor
from pm_app.settings.plant import Settings, parse_settings
from pm_app.state.registry import Golden, Registry, write_version
from pm_app.state.segments import MissingSegment

if TYPE_CHECKING:
    from pm_app.learning.pipeline import Learned, UnpublishedVersion
    from pm_app.learning.training.executor import TrainAll

OpenEngine = Callable[[str | None], AbstractContextManager[Engine | None]]


def main(
    request_path: Path,
    response_path: Path,
    progress: Progress,
    open_engine: OpenEngine = lambda name: nullcontext(),
) -> None:
    """Learn as requested and write the response; what goes wrong on purpose ends it as REFUSED.

    open_engine: opens the engine that the request names, or None.
    """
    give_way()
    request: TrainingRequest = REQUEST.validate_json(request_path.read_bytes())
    settings = parse_settings(request.settings, folder=Path(request.folder), origin="plant.toml")
    try:
        with open_engine(request.engine) as engine:
            workers = _on_workers(engine, request_path.parent)
            response = train(request, settings, workers, progress=_giving_back(progress))
    except NotEnoughData as error:
        response = TrainingResponse("not_enough_data", str(error), in_a_row=request.in_a_row_before)
    except MissingSegment as error:
        response = TrainingResponse("missing_segment", str(error), missing=error.name)
    except (TerminalError, TransientError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}")
        sys.exit(REFUSED)
    write_bytes(response_path, RESPONSE.dump_json(response))


def _on_workers(engine: Engine | None, folder: Path) -> "TrainAll | None":
    if engine is None:
        return None
    from pm_app.jobs.retrain.workers import TrainOnWorkers

    return TrainOnWorkers(engine, folder)


def train(
    request: TrainingRequest,
    settings: Settings,
    trainers: "TrainAll | None" = None,
    *,
    progress: Progress = silent,
) -> TrainingResponse:
    """Learn what history holds; trainers: who tries networks, by default this process.

    Raises NotEnoughData.
    """
    champion = _champion(request, settings)
    progress(0.0, "building features")
    source = read_source(request, settings)
    dataset = gather_dataset(
        source,
        settings,
        as_of_ns=request.as_of_ns,
        champion=champion.card.spec if champion is not None else None,
    )
    progress(0.04, dataset.regimes)
    dataset, normal = offer_deviation(dataset, source, settings, request)
    evidence = Evidence(
        request.now,
        request.in_a_row_before,
        request.failures_before,
        request.failures_last,
        request.force,
    )
    learned = _learn(dataset, settings, evidence, champion, trainers, progress)
    if learned.version is not None:
        _stage(Path(request.staging), learned.version, normal)
    speaking = _speaking(request, champion)
    return _response(
        learned, renewal_evidence(source, settings, as_of_ns=request.as_of_ns, champion=speaking)
    )


def _learn(
    dataset: Dataset,
    settings: Settings,
    evidence: Evidence,
    champion: ChampionVersion | None,
    trainers: "TrainAll | None",
    progress: Progress,
) -> "Learned":
    # They load TensorFlow, which takes seconds: what is refused before does without.
    from pm_app.learning.pipeline import learn
    from pm_app.learning.training.executor import train_here

    train = trainers or train_here
    return learn(dataset, settings, evidence, champion, progress=progress, train=train)


def _stage(folder: Path, version: "UnpublishedVersion", normal: FrozenNormal | None) -> None:
    """Write a version, with the normal behaviour whose deviation it reads."""
    card, candidate = version.card, version.candidate
    write_version(
        folder,
        card=card,
        keras=candidate.keras,
        onnx=candidate.onnx,
        golden=Golden(candidate.golden_values, candidate.golden_outputs),
        normal=normal if card.normal_version else None,
    )


def _champion(request: TrainingRequest, settings: Settings) -> ChampionVersion | None:
    """The champion, to be compared with and continued from."""
    if request.champion is None:
        return None
    registry = Registry(settings.state / "versions")
    version = registry.load(request.champion)
    keras = registry.keras_bytes(request.champion)
    return ChampionVersion(version.card, version.onnx, keras, version.normal)


def _speaking(request: TrainingRequest, champion: ChampionVersion | None) -> Champion | None:
    """The champion, ready to score."""
    if champion is None or request.champion is None:
        return None
    card = champion.card
    predictor = Predictor(
        champion.onnx, head=card.head, calibration=card.calibration, features=card.features
    )
    kept = champion.normal
    normal = None if kept is None else DeviationPredictor(kept.onnx, kept.card)
    return Champion(request.champion, card, predictor, normal=normal)


def _response(learned: "Learned", renewals: Sequence[RenewalEvidence]) -> TrainingResponse:
    drift, version = learned.drift, learned.version
    metrics: dict[str, Any] = {
        "tau": drift.tau,
        "p_value": drift.p_value,
        "top_overlap": drift.top_overlap,
        "moved_units": drift.moved_units,
        "renewals": [asdict(each) for each in renewals],
    }
    if version is not None:
        metrics |= {report.model: dict(report.metrics) for report in version.card.reports}
    return TrainingResponse(
        decision=drift.verdict,
        reason=learned.reason,
        has_version=version is not None,
        promote=learned.promote,
        in_a_row=drift.in_a_row,
        failures=learned.failures,
        failures_from_verdicts=learned.failures_from_verdicts,
        metrics=metrics,
    )


def _giving_back(progress: Progress) -> Progress:
    """The same, giving freed memory back between one stage and the next."""

    def tell(done: float, text: str) -> None:
        release_memory()
        progress(done, text)

    return tell


if __name__ == "__main__":
    end_with_parent()
    main(Path(sys.argv[1]), Path(sys.argv[2]), tell_parent())
