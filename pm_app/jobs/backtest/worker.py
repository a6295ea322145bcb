"""One fold of a backtest, by whoever is told its folder and number.

Runs in processes and on machines of their own: it reads the state folder, opens no database,
learns in a trainer process of its own, and writes into the scratch folder of the run alone.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from pm_app.errors import PmAppError
from pm_app.jobs.backtest.fold import FoldPredictions, speak_of
from pm_app.jobs.backtest.folds import Fold
from pm_app.jobs.plant import LedgerSnapshot, WorkerPlant
from pm_app.jobs.retrain.messages import TrainingRequest
from pm_app.jobs.retrain.process import run_trainer
from pm_app.jobs.workers.files import read_arrays, read_told, require_program, write_arrays
from pm_app.learning.evaluation.boosters import fit_booster
from pm_app.progress import silent
from pm_app.settings.plant import Settings, parse_settings
from pm_app.state.events import EventHistory
from pm_app.state.memory import Memories
from pm_app.state.panes import History
from pm_app.state.segments import MissingSegment
from pm_app.store import BatchRow
from pm_app.times import NS, parse_duration

ORDER_FILE: Final = "order.json"
_ARRAYS: Final = ("asset", "cutoff", "ours", "theirs")
_TOKEN_BYTES: Final = 8


@dataclass(frozen=True)
class FoldsOrder:
    """What every fold needs to know: how it is learned, and the ledger it is spoken of by.

    program: the version of this program. readings, events: the ledger's ingested files.
    """

    program: str
    training: TrainingRequest
    now: datetime
    folds: tuple[Fold, ...]
    readings: tuple[BatchRow, ...]
    events: tuple[BatchRow, ...]
    first_seen: dict[str, datetime]
    last_seen: dict[str, datetime]


@dataclass(frozen=True)
class Spoken:
    """What came of a fold: arrays in the file of this name, or a reason why there are none.

    missing: the file name of a segment that is gone. kind, error: of what ended it on purpose.
    """

    name: str = ""
    peer: str = ""
    assets: tuple[str, ...] = ()
    reason: str = ""
    missing: str = ""
    kind: str = ""
    error: str = ""


FOLDS = TypeAdapter(FoldsOrder)
SPOKEN = TypeAdapter(Spoken)


def speak_of_fold(scratch: str, number: int) -> str:
    """Learn and speak of fold `number` of the run in this folder; a `Spoken` as JSON."""
    try:
        spoken = _speak(Path(scratch), number)
    except MissingSegment as error:
        spoken = Spoken(missing=error.name, kind=type(error).__name__, error=str(error))
    except PmAppError as error:
        spoken = Spoken(kind=type(error).__name__, error=str(error))
    return SPOKEN.dump_json(spoken).decode()


def read_said(scratch: Path, number: int, spoken: Spoken) -> FoldPredictions | str:
    """What a worker said of a fold. Raises TransientError where it cannot be read."""
    if spoken.reason:
        return spoken.reason
    arrays = read_arrays(scratch / spoken.name)
    return FoldPredictions(number, spoken.peer, spoken.assets, *(arrays[name] for name in _ARRAYS))


def _speak(scratch: Path, number: int) -> Spoken:
    order: FoldsOrder = read_told(scratch / ORDER_FILE, FOLDS)
    require_program(order.program)
    told = order.training
    settings = parse_settings(told.settings, folder=Path(told.folder), origin="plant.toml")
    timeout = parse_duration(settings.retraining.timeout) / NS
    said = speak_of(
        _ground(settings, order),
        told,
        order.folds[number],
        number,
        now=order.now,
        trainer=partial(run_trainer, timeout_seconds=timeout),
        fit=fit_booster,
        progress=silent,
    )
    if isinstance(said, str):
        return Spoken(reason=said)
    name = f"{number:04d}-{secrets.token_hex(_TOKEN_BYTES)}.npz"
    write_arrays(scratch / name, {column: getattr(said, column) for column in _ARRAYS})
    return Spoken(name=name, peer=said.peer, assets=said.names)


def _ground(settings: Settings, order: FoldsOrder) -> WorkerPlant:
    state = settings.state
    return WorkerPlant(
        settings=settings,
        history=History(state / "panes", pane_ns=settings.features.pane_ns),
        event_history=EventHistory(state / "events"),
        memories=Memories(state / "memory"),
        ledger=LedgerSnapshot(order.readings, order.events, order.first_seen, order.last_seen),
    )
