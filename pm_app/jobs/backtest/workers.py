"""Folds of a backtest on an engine: each learned and spoken of by a worker."""

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from pm_app import __version__
from pm_app.durable import make_folder, remove_folder, write_bytes
from pm_app.errors import error_named
from pm_app.jobs.backtest.fold import FoldPredictions
from pm_app.jobs.backtest.folds import Fold
from pm_app.jobs.backtest.worker import (
    FOLDS,
    ORDER_FILE,
    SPOKEN,
    FoldsOrder,
    Spoken,
    read_said,
    speak_of_fold,
)
from pm_app.jobs.plant import Plant
from pm_app.jobs.retrain.messages import TrainingRequest
from pm_app.jobs.workers.dispatch import spread
from pm_app.ports import Engine
from pm_app.progress import Progress
from pm_app.state.segments import MissingSegment

# The daemon may join segments while a fold is learned: then it is learned again.
MOST_TRIES: Final = 3
# Folders of the state in which folds are told and brought back; what a run that was killed left
# is removed once nobody has written into it for so long.
SCRATCH: Final = ".backtest-"
LEFT_SECONDS: Final = 7 * 86_400.0


def speak_elsewhere(
    plant: Plant,
    order: TrainingRequest,
    folds: Sequence[Fold],
    renew: Callable[[], TrainingRequest],
    now: datetime,
    engine: Engine,
    progress: Progress,
) -> list[FoldPredictions | str]:
    """As one fold after the other, to the bit, where workers are machines of this kind.

    renew: the order as of this moment, for folds that met a segment that is gone. Raises as
    `spread`, what a fold met on purpose, and MissingSegment after MOST_TRIES.
    """
    _clear_left(plant.settings.state, now)
    found: dict[int, FoldPredictions | str] = {}
    for tries in range(1, MOST_TRIES + 1):
        # Its own, for others may backtest at the same time.
        scratch = plant.settings.state / f"{SCRATCH}{secrets.token_hex(8)}"
        make_folder(scratch)
        try:
            left = [number for number in range(len(folds)) if number not in found]
            _tell(scratch, plant, order, folds, now)
            gone = _gather(scratch, engine, left, len(folds), found, progress)
        finally:
            remove_folder(scratch)
        if gone is None:
            break
        if tries == MOST_TRIES:
            raise gone
        order = renew()
    return [found[number] for number in range(len(folds))]


def _clear_left(state: Path, now: datetime) -> None:
    for left in state.glob(f"{SCRATCH}*"):
        # Another run may just remove its own.
        with suppress(FileNotFoundError):
            if now.timestamp() - left.stat().st_mtime > LEFT_SECONDS:
                remove_folder(left)


def _gather(
    scratch: Path,
    engine: Engine,
    left: Sequence[int],
    folds: int,
    found: dict[int, FoldPredictions | str],
    progress: Progress,
) -> MissingSegment | None:
    """Put into `found` what workers say; the last segment that was gone, if one was."""
    gone = None
    for number, text in spread(
        engine,
        speak_of_fold,
        str(scratch.absolute()),
        left,
        describe=lambda number: f"fold {number + 1} of {folds}",
        beat=lambda: progress(len(found) / folds, f"{len(found)} of {folds} folds spoken of"),
    ):
        spoken: Spoken = SPOKEN.validate_json(text)
        if spoken.missing:
            gone = MissingSegment(Path(spoken.missing), spoken.error)
        elif spoken.kind:
            raise error_named(spoken.kind, f"fold {number + 1} of {folds}: {spoken.error}")
        else:
            found[number] = read_said(scratch, number, spoken)
    return gone


def _tell(
    scratch: Path, plant: Plant, order: TrainingRequest, folds: Sequence[Fold], now: datetime
) -> None:
    ledger = plant.store.ledger
    told = FoldsOrder(
        program=__version__,
        training=order,
        now=now,
        folds=tuple(folds),
        readings=tuple(ledger.ingested_batches("readings")),
        events=tuple(ledger.ingested_batches("events")),
        first_seen=ledger.first_seen(),
        last_seen=ledger.last_seen(),
    )
    write_bytes(scratch / ORDER_FILE, FOLDS.dump_json(told))
