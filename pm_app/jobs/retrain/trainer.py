"""The trainer process: reads an order, learns, fills the staging folder, answers, exits.

It runs apart because TensorFlow holds 750 MB and keeps some of it at every training.
Started as `python -m pm_app.jobs.retrain.trainer REQUEST RESPONSE`; each line it prints is a
share done and what it is doing.
"""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

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
from pm_app.jobs.retrain.process import end_with_parent, give_way
from pm_app.jobs.retrain.workers import TrainOnWorkers
from pm_app.learning.pipeline import UnpublishedVersion, learn
from pm_app.learning.ranking import ChampionVersion
from pm_app.learning.training.executor import TrainAll, train_here
from pm_app.ports import Engine
from pm_app.settings.plant import Settings, parse_settings
from pm_app.state.events import EventHistory
from pm_app.state.panes import History
from pm_app.state.registry import Golden, Registry, write_version
from pm_app.state.segments import MissingSegment

OpenEngine = Callable[[str | None], AbstractContextManager[Engine | None]]


def no_engine(name: str | None) -> AbstractContextManager[Engine | None]:
    """This process does all by itself."""
    return nullcontext()


def main(order_path: Path, answer_path: Path, open_engine: OpenEngine = no_engine) -> None:
    """Learn as ordered and write the answer; what goes wrong on purpose ends it as REFUSED.

    open_engine: opens the engine that the order names, or None.
    """
    give_way()
    order: TrainingRequest = REQUEST.validate_json(order_path.read_bytes())
    settings = parse_settings(order.settings, folder=Path(order.folder), origin="plant.toml")
    try:
        with open_engine(order.engine) as engine:
            hands = TrainOnWorkers(engine, order_path.parent) if engine else train_here
            answer = train(order, settings, hands)
    except NotEnoughData as error:
        answer = TrainingResponse("not_enough_data", str(error), in_a_row=order.in_a_row_before)
    except MissingSegment as error:
        answer = TrainingResponse("missing_segment", str(error), missing=error.name)
    except (TerminalError, TransientError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}")
        sys.exit(REFUSED)
    write_bytes(answer_path, RESPONSE.dump_json(answer))


def train(
    order: TrainingRequest, settings: Settings, hands: TrainAll = train_here
) -> TrainingResponse:
    """Learn what history holds; hands: who tries networks. Raises NotEnoughData."""
    history = History(settings.state / "panes", pane_ns=settings.features.pane_ns)
    events = EventHistory(settings.state / "events").read(order.event_segments)
    rival = _rival(order, settings)
    _tell(0.0, "building features")
    known = gather_dataset(
        history,
        order.segments,
        events,
        settings,
        first_seen=order.first_seen,
        as_of_ns=order.as_of_ns,
        champion=rival.card.spec if rival is not None else None,
        told=order.told,
    )
    _tell(0.04, known.regimes)
    learned = learn(known, settings, order, rival=rival, progress=_tell, train=hands)
    if learned.made is not None:
        _write(learned.made, Path(order.staging))
    return learned.answer


def _rival(order: TrainingRequest, settings: Settings) -> ChampionVersion | None:
    """The champion, to be compared with and continued from."""
    if order.champion is None:
        return None
    registry = Registry(settings.state / "versions")
    version = registry.load(order.champion)
    return ChampionVersion(version.card, version.onnx, registry.keras_bytes(order.champion))


def _write(made: UnpublishedVersion, staging: Path) -> None:
    candidate = made.candidate
    write_version(
        staging,
        card=made.card,
        keras=candidate.keras,
        onnx=candidate.onnx,
        golden=Golden(candidate.golden_values, candidate.golden_outputs),
    )


def _tell(done: float, text: str) -> None:
    sys.stdout.write(f"{done:.3f} {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    end_with_parent()
    main(Path(sys.argv[1]), Path(sys.argv[2]))
