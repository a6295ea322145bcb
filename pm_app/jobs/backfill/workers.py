"""Predictions made on an engine: orders laid down, partitions spread, what comes back read."""

import logging
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pm_app.durable import make_folder, remove_file, remove_folder
from pm_app.errors import TransientError, error_named
from pm_app.jobs.backfill.partitions import ANSWER, PartitionAnswer, split_spans, write_orders
from pm_app.jobs.backfill.worker import score_partition
from pm_app.jobs.plant import Plant
from pm_app.jobs.score.champion import Champion
from pm_app.jobs.score.predict import PaneSpan, spans_with_readings
from pm_app.jobs.workers.dispatch import spread
from pm_app.ports import Engine
from pm_app.state.segments import MissingSegment
from pm_app.store import require_whole

_NAMED: Final = 5
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class PartialPredictions:
    """What was said of some assets: a file of `write_staged`, gone once the next is asked for.

    None where there is nothing to say.
    """

    assets: tuple[str, ...]
    file: Path | None


def scratch_of(plant: Plant) -> Path:
    """Where runs have folders in which partitions are told and brought back."""
    return plant.settings.state / "backfill"


def clear_scratch(plant: Plant) -> None:
    """Remove what runs have left; what a worker still writes into waits for the next time."""
    if not scratch_of(plant).exists():
        return
    try:
        remove_folder(scratch_of(plant))
    except TransientError as error:
        log.info("left for the next backfill: %s", error)


def predict_elsewhere(
    plant: Plant, champion: Champion, spans: Mapping[str, PaneSpan], engine: Engine
) -> Iterator[PartialPredictions]:
    """As `predict_spans`, to the bit, in partitions of whole assets as workers bring them.

    Memory is that of a chunk in every worker.
    Raises MissingSegment for what has to be rebuilt, what a worker met on purpose, and as
    `spread` where one cannot be had.
    """
    wanted = spans_with_readings(plant, spans)
    silent_assets = tuple(name for name in spans if name not in wanted)
    if silent_assets:
        yield PartialPredictions(silent_assets, None)
    partitions = split_spans(wanted, workers=engine.lanes * engine.width)
    if not partitions:
        return
    # Its own, for a worker of a run that ended may still be writing into that one's.
    scratch = scratch_of(plant) / secrets.token_hex(8)
    make_folder(scratch)
    try:
        write_orders(plant, champion, scratch, partitions)
        answers = spread(
            engine,
            score_partition,
            str(scratch.absolute()),
            range(len(partitions)),
            describe=lambda number: _assets_in_words(partitions[number]),
            beat=plant.beat,
            ahead=1,
        )
        for number, text in answers:
            answer: PartitionAnswer = ANSWER.validate_json(text)
            _raise_what_went_wrong(answer, partitions[number])
            file = scratch / answer.file
            require_whole(file, answer.digest)
            yield PartialPredictions(tuple(partitions[number]), file)
            remove_file(file)
    finally:
        clear_scratch(plant)


def _raise_what_went_wrong(answer: PartitionAnswer, assets: Mapping[str, PaneSpan]) -> None:
    if answer.missing:
        raise MissingSegment(Path(answer.missing), answer.error)
    if answer.kind:
        raise error_named(answer.kind, f"{_assets_in_words(assets)}: {answer.error}")


def _assets_in_words(assets: Mapping[str, PaneSpan]) -> str:
    names = sorted(assets)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"scoring {', '.join(names[:_NAMED])}{more}"
