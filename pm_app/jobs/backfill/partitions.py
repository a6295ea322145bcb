"""The past in partitions by asset: what a worker is told, as files of JSON, and what it answers.

A run has a scratch folder in the state folder: one order that says what holds for all partitions,
a file a partition, and beside them what workers bring back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from pm_app import __version__
from pm_app.durable import write_bytes
from pm_app.jobs.plant import Plant
from pm_app.jobs.score.champion import Champion
from pm_app.jobs.score.predict import PaneSpan
from pm_app.store import BatchRow

ORDER_FILE: Final = "order.json"
# Panes a partition has at most where its assets allow: what comes back shares a transaction.
MOST_PANES: Final = 50_000
# Partitions a worker gets in all: few enough to start, so many that none is waited for long.
A_WORKER: Final = 4


@dataclass(frozen=True)
class Order:
    """What every partition needs to know.

    program: the version of this program, for workers elsewhere may have another. settings are
    the tables of plant.toml that scoring reads, without an address; folder is where it lies.
    version, digest: the model that scores. readings, events: the ledger's ingested files.
    first_seen, last_seen: of every asset, for a segment may hold others beside those scored.
    """

    program: str
    settings: dict[str, Any]
    folder: str
    version: int
    digest: str
    readings: tuple[BatchRow, ...]
    events: tuple[BatchRow, ...]
    first_seen: dict[str, datetime]
    last_seen: dict[str, datetime]


@dataclass(frozen=True)
class PartitionAnswer:
    """What came of a partition: a file of predictions, or why there is none.

    file, digest: its name in the scratch folder, and what `write_staged` says of it. missing: the
    file name of a segment that has to be rebuilt first. kind, error: the error that ended it and
    its text, "" where all went well.
    """

    file: str = ""
    digest: str = ""
    missing: str = ""
    kind: str = ""
    error: str = ""


ORDER = TypeAdapter(Order)
PARTITION = TypeAdapter(dict[str, PaneSpan])
ANSWER = TypeAdapter(PartitionAnswer)


def partition_file(number: int) -> str:
    """The name of a partition's file in the scratch folder."""
    return f"{number:06d}.json"


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


def write_orders(
    plant: Plant, champion: Champion, scratch: Path, partitions: Sequence[Mapping[str, PaneSpan]]
) -> None:
    """Lay down what workers need to know, durable when this returns."""
    ledger = plant.store.ledger
    order = Order(
        program=__version__,
        settings=plant.settings.model_dump(mode="json", exclude={"store", "readings", "events"}),
        folder=str(plant.settings.folder.absolute()),
        version=champion.number,
        digest=plant.registry.digest(champion.number),
        readings=tuple(ledger.ingested_batches("readings")),
        events=tuple(ledger.ingested_batches("events")),
        first_seen=ledger.first_seen(),
        last_seen=ledger.last_seen(),
    )
    write_bytes(scratch / ORDER_FILE, ORDER.dump_json(order))
    for number, spans in enumerate(partitions):
        write_bytes(scratch / partition_file(number), PARTITION.dump_json(dict(spans)))
