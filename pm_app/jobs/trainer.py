"""The trainer process: reads an order, learns, fills the staging folder, answers, exits.

It runs apart because TensorFlow holds 750 MB and keeps some of it at every training.
Started as `python -m pm_app.jobs.trainer ORDER ANSWER`; each line it prints is a share done
and what it is doing.
"""

import sys
from pathlib import Path

from pm_app.durable import write_bytes
from pm_app.errors import NotEnoughData, TerminalError
from pm_app.event_history import EventHistory
from pm_app.history import History
from pm_app.jobs.known import gather_known
from pm_app.jobs.recipe import Made, learn
from pm_app.jobs.rival import Rival
from pm_app.jobs.trainer_manners import end_with_parent, give_way
from pm_app.jobs.training_order import ANSWER, ORDER, REFUSED, TrainingAnswer, TrainingOrder
from pm_app.registry import Golden, Registry, write_version
from pm_app.segments import MissingSegment
from pm_app.settings import Settings, parse_settings


def main(order_path: Path, answer_path: Path) -> None:
    """Learn as ordered and write the answer; what a person must change ends it as REFUSED."""
    give_way()
    order: TrainingOrder = ORDER.validate_json(order_path.read_bytes())
    settings = parse_settings(order.settings, folder=Path(order.folder), origin="plant.toml")
    try:
        answer = train(order, settings)
    except NotEnoughData as error:
        answer = TrainingAnswer("not_enough_data", str(error), in_a_row=order.in_a_row_before)
    except MissingSegment as error:
        answer = TrainingAnswer("missing_segment", str(error), missing=error.name)
    except TerminalError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}")
        sys.exit(REFUSED)
    write_bytes(answer_path, ANSWER.dump_json(answer))


def train(order: TrainingOrder, settings: Settings) -> TrainingAnswer:
    """Learn what history holds. Raises NotEnoughData."""
    history = History(settings.state / "panes", pane_ns=settings.features.pane_ns)
    events = EventHistory(settings.state / "events").read(order.event_segments)
    rival = _rival(order, settings)
    _tell(0.0, "building features")
    known = gather_known(
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
    learned = learn(known, settings, order, rival=rival, progress=_tell)
    if learned.made is not None:
        _write(learned.made, Path(order.staging))
    return learned.answer


def _rival(order: TrainingOrder, settings: Settings) -> Rival | None:
    """The champion, to be compared with and continued from."""
    if order.champion is None:
        return None
    registry = Registry(settings.state / "versions")
    version = registry.load(order.champion)
    return Rival(version.card, version.onnx, registry.keras_bytes(order.champion))


def _write(made: Made, staging: Path) -> None:
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
