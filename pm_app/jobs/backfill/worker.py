"""One partition of the past, scored by whoever is told its folder and number.

Runs in processes and on machines of their own: it reads the state folder, opens no database, and
writes into the scratch folder of the run alone.
"""

import secrets
import socket
from pathlib import Path
from typing import Final

from pm_app.durable import remove_folder
from pm_app.errors import BadVersion, PmAppError
from pm_app.jobs.backfill.partitions import (
    ANSWER,
    ORDER,
    ORDER_FILE,
    PARTITION,
    Order,
    PartitionAnswer,
    partition_file,
)
from pm_app.jobs.plant import LedgerSnapshot, WorkerPlant
from pm_app.jobs.score.champion import Champion, verified
from pm_app.jobs.score.predict import predict_spans
from pm_app.jobs.workers.files import read_told, require_program
from pm_app.settings.plant import Settings, parse_settings
from pm_app.state.events import EventHistory
from pm_app.state.memory import Memories
from pm_app.state.panes import History
from pm_app.state.registry import Registry
from pm_app.state.segments import MissingSegment
from pm_app.store import write_staged
from pm_app.threads import one_thread

_TOKEN_BYTES: Final = 8


def score_partition(scratch: str, number: int) -> str:
    """Score partition `number` of the run in this folder; an `PartitionAnswer` as JSON.

    What goes wrong on purpose is in the answer; each attempt writes files of its own names, so
    that two at the same partition do not meet.
    """
    try:
        # Other processors have partitions of their own.
        with one_thread():
            answer = _score(Path(scratch), number)
    except MissingSegment as error:
        answer = PartitionAnswer(missing=error.name, kind=type(error).__name__, error=str(error))
    except PmAppError as error:
        answer = PartitionAnswer(kind=type(error).__name__, error=str(error))
    return ANSWER.dump_json(answer).decode()


def _score(scratch: Path, number: int) -> PartitionAnswer:
    order: Order = read_told(scratch / ORDER_FILE, ORDER)
    require_program(order.program)
    spans = read_told(scratch / partition_file(number), PARTITION)
    settings = parse_settings(order.settings, folder=Path(order.folder), origin="plant.toml")
    champion = _champion(settings, order)
    token = secrets.token_hex(_TOKEN_BYTES)
    own = scratch / f"memory-{token}"
    try:
        ground = _ground(settings, order, own)
        file = scratch / f"{number:06d}-{token}.sqlite"
        digest = write_staged(file, predict_spans(ground, champion, spans))
    finally:
        remove_folder(own)
    return PartitionAnswer(file=file.name, digest=digest)


def _champion(settings: Settings, order: Order) -> Champion:
    registry = Registry(settings.state / "versions")
    found = registry.digest(order.version)
    if found != order.digest:
        raise BadVersion(
            f"{registry.path(order.version)} on {socket.gethostname()}: another version than the "
            f"plant's: SHA-256 {order.digest} of its manifest was expected, {found} found"
        )
    return verified(registry.load(order.version))


def _ground(settings: Settings, order: Order, own: Path) -> WorkerPlant:
    state = settings.state
    return WorkerPlant(
        settings=settings,
        history=History(state / "panes", pane_ns=settings.features.pane_ns),
        event_history=EventHistory(state / "events"),
        memories=Memories(own, below=state / "memory"),
        ledger=LedgerSnapshot(order.readings, order.events, order.first_seen, order.last_seen),
    )
