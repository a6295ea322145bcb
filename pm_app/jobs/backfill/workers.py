"""Backfill on workers: assets in partitions, each scored by a worker into a file.

A worker reads the state folder, opens no database, and writes into the scratch folder of the run
alone.
"""

import socket
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from pm_app.durable import remove_file, remove_folder
from pm_app.errors import BadVersion
from pm_app.jobs.plant import PlantView
from pm_app.jobs.score.champion import Champion, verified
from pm_app.jobs.score.frames import PaneSpan, spans_with_readings
from pm_app.jobs.score.normal_champion import NormalChampion, verified_normal
from pm_app.jobs.score.predict import predict_spans
from pm_app.jobs.workers.dispatch import Tasks
from pm_app.jobs.workers.files import scratch_folder
from pm_app.jobs.workers.protocol import TaskInput, answers, perform, write_request
from pm_app.jobs.workers.snapshot import (
    LedgerSnapshot,
    open_settings,
    open_worker_plant,
    take_snapshot,
)
from pm_app.ports import Engine
from pm_app.state.memory import Memories
from pm_app.state.registry import Registry
from pm_app.store import require_whole, write_staged
from pm_app.threads import one_thread

JOB: Final = "backfill"
# Panes a partition has at most where its assets allow: what comes back shares a transaction.
MOST_PANES: Final = 50_000
# Partitions a worker gets in all: few enough to start, so many that none is waited for long.
A_WORKER: Final = 4
_NAMED: Final = 5


@dataclass(frozen=True)
class BackfillRequest:
    """What partitions of assets are scored by.

    settings: the tables of plant.toml that scoring reads, without an address; folder: where it
    lies. failure, normal: number and digest of the versions that speak, None without one.
    ledger: of every asset, for a segment may hold others beside those scored.
    """

    settings: dict[str, Any]
    folder: str
    failure: tuple[int, str] | None
    normal: tuple[int, str] | None
    ledger: LedgerSnapshot
    partitions: tuple[dict[str, PaneSpan], ...]


Digests = tuple[tuple[int, str] | None, tuple[int, str] | None]


def version_digests(
    registry: Registry, champion: Champion | None, normal: NormalChampion | None
) -> Digests:
    """Number and digest of the versions that speak of failures and of deviations."""
    failure, watch = (
        None if each is None else (each.number, registry.digest(each.number))
        for each in (champion, normal)
    )
    return failure, watch


def predict_on_workers(
    plant: PlantView,
    versions: Digests,
    spans: Mapping[str, PaneSpan],
    engine: Engine,
) -> Iterator[tuple[Collection[str], Path | None]]:
    """As `predict_spans`, to the bit: assets, and a file of `write_staged` with their predictions.

    It is gone once the next is asked for, and None where there is nothing to predict.
    Memory is that of a chunk in every worker. Raises MissingSegment for what has to be rebuilt,
    what a worker met on purpose, and as `dispatch`.
    """
    wanted = spans_with_readings(plant, spans)
    if silent_assets := [name for name in spans if name not in wanted]:
        yield silent_assets, None
    partitions = split_spans(wanted, workers=engine.lanes * engine.width)
    if not partitions:
        return
    with scratch_folder(plant.settings.state, JOB) as folder:
        request = BackfillRequest(
            plant.settings.model_dump(mode="json", exclude={"store", "readings", "events"}),
            str(plant.settings.folder.absolute()),
            *versions,
            take_snapshot(plant.ledger),
            tuple(partitions),
        )
        write_request(folder, request)
        tasks = Tasks(
            score_partition,
            folder,
            range(len(partitions)),
            lambda number: _assets_in_words(partitions[number]),
        )
        for answer in answers(engine, tasks, beat=plant.beat, ahead=1):
            file = folder / answer.file
            require_whole(file, answer.read(str))
            yield partitions[answer.number], file
            remove_file(file)


def split_spans(spans: Mapping[str, PaneSpan], *, workers: int) -> list[dict[str, PaneSpan]]:
    """Spans in partitions of whole assets, in order of name, of about as many panes each."""
    names = sorted(spans)
    until = list(accumulate(spans[name].last - spans[name].first + 1 for name in names))
    if not until:
        return []
    size = max(1, min(MOST_PANES, -(-until[-1] // (A_WORKER * workers))))
    parts: dict[int, dict[str, PaneSpan]] = {}
    for name, end in zip(names, until, strict=True):
        parts.setdefault((end - 1) // size, {})[name] = spans[name]
    return list(parts.values())


def _assets_in_words(assets: Collection[str]) -> str:
    more = f" and {len(assets) - _NAMED} more" if len(assets) > _NAMED else ""
    return f"scoring {', '.join(sorted(assets)[:_NAMED])}{more}"


def score_partition(folder: str, number: int) -> str:
    """Task of a worker: predictions for a partition in a file, and its SHA-256."""
    return perform(_score, BackfillRequest, folder, number)


def _score(task: TaskInput[BackfillRequest]) -> str:
    request = task.request
    settings = open_settings(request.settings, request.folder)
    registry = Registry(settings.state / "versions")
    champion = normal = None
    if request.failure is not None:
        champion = verified(registry.load(_require_same(registry, *request.failure)))
    if request.normal is not None:
        normal = verified_normal(registry.load_normal(_require_same(registry, *request.normal)))
    memory = task.file.with_name(f"{task.file.name}-memory")
    # Other processors have partitions of their own.
    with one_thread():
        try:
            memories = Memories(memory, below=settings.state / "memory")
            plant = open_worker_plant(settings, request.ledger, memories)
            spans = request.partitions[task.number]
            chunks = predict_spans(plant, champion, spans, normal=normal)
            return write_staged(task.file, chunks)
        finally:
            remove_folder(memory)


def _require_same(registry: Registry, number: int, digest: str) -> int:
    found = registry.digest(number)
    if found != digest:
        raise BadVersion(
            f"{registry.path(number)} on {socket.gethostname()}: another version than "
            f"the plant's: SHA-256 {digest} of its manifest was expected, {found} found"
        )
    return number
