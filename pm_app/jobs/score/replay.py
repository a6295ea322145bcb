"""Replay of predictions: computed again from files and versions, and held against the table."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pm_app.errors import BadSettings
from pm_app.jobs.plant import Plant, PlantView
from pm_app.jobs.score.champion import Champion, load_recorded
from pm_app.jobs.score.frames import PaneSpan
from pm_app.jobs.score.normal_champion import NormalChampion, load_recorded_normal
from pm_app.jobs.score.predict import predict_spans
from pm_app.progress import Progress, silent
from pm_app.records.predictions import Predictions
from pm_app.state.memory import Memories
from pm_app.times import to_moment, to_nanoseconds

_NUMBERS: Final = (
    *("risk", "rul_hours", "rul_low_hours", "rul_high_hours", "value", "extrapolated"),
    "deviation",
)
_TEXTS: Final = (
    *("status", "top_sensors", "attention", "mode", "mode_risks", "mode_sensors"),
    "deviation_sensors",
)
MOST_SHOWN: Final = 1000

Key = tuple[str, datetime, float]
Row = dict[str, object]
_Speakers = tuple[Champion | None, NormalChampion | None]
_VERSIONS: Final = ["model_version", "normal_version"]


@dataclass(frozen=True)
class Difference:
    """One value that comes out otherwise than it was said; None where there is no such row."""

    asset_id: str
    cutoff: datetime
    horizon_hours: float
    column: str
    recorded: object
    replayed: object


@dataclass(frozen=True)
class Replayed:
    """Rows compared, how many of them differ, and the first differences."""

    rows: int
    differing: int
    differences: tuple[Difference, ...]


def replay(
    plant: Plant,
    *,
    first: datetime,
    last: datetime,
    version: int | None = None,
    progress: Progress = silent,
) -> Replayed:
    """Compute every prediction with cutoff in [first, last) anew, and write nothing.

    version: with this one instead of the one of its kind that each row names. What assets
    remember is computed anew too, in a folder that passes, for it is derived and might be wrong.
    Raises BadSettings where `last` is not after `first`, BadVersion, MissingSegment, and
    TerminalError where a version is not there any more.
    """
    if first >= last:
        raise BadSettings(
            f"replay needs a first cutoff before the last, got {first.isoformat()} "
            f"and {last.isoformat()}"
        )

    lineage, registry = plant.store.lineage, plant.registry
    row = None if version is None else lineage.version(version)

    def load(failure: int, normal: int) -> _Speakers:
        if version is not None and row is not None and row.kind == "normal":
            normal = version
        elif version is not None:
            failure = version
        return (
            load_recorded(lineage, registry, failure) if failure else None,
            load_recorded_normal(lineage, registry, normal) if normal else None,
        )

    with tempfile.TemporaryDirectory(prefix="pm-app-replay-") as folder:
        beside = replace(plant.view, memories=Memories(Path(folder)))
        tables = plant.store.tables.predictions(since=first, until=last)
        return _replay(beside, tables, load, progress)


def _replay(
    view: PlantView,
    tables: Iterator[pa.Table],
    load: Callable[[int, int], _Speakers],
    progress: Progress,
) -> Replayed:
    rows = differing = 0
    shown: list[Difference] = []
    for table in tables:
        progress(0.0, f"{rows:,} rows replayed")
        numbers = table.group_by(_VERSIONS).aggregate([]).select(_VERSIONS)
        for pair in zip(*(numbers[name].to_pylist() for name in _VERSIONS), strict=True):
            failure, normal = (pc.equal(table[name], pair[at]) for at, name in enumerate(_VERSIONS))
            found = _compare(view, load(*pair), table.filter(pc.and_(failure, normal)))
            differing += len({(d.asset_id, d.cutoff, d.horizon_hours) for d in found})
            shown += islice(found, MOST_SHOWN - len(shown))
        rows += len(table)
    progress(1.0, f"{rows:,} rows replayed")
    return Replayed(rows, differing, tuple(shown))


def _compare(view: PlantView, speakers: _Speakers, table: pa.Table) -> list[Difference]:
    again: dict[Key, Row] = {}
    champion, normal = speakers
    spans = _spans(table, view.history.pane_ns)
    for chunk in predict_spans(view, champion, spans, normal=normal):
        again.update(_rows(chunk))
    differences: list[Difference] = []
    for row in table.to_pylist():
        key = (row["asset_id"], row["cutoff"], row["horizon_hours"])
        differences += _differences(key, row, again.get(key))
    return differences


def _differences(key: Key, row: Mapping[str, object], anew: Row | None) -> Iterator[Difference]:
    if anew is None:
        yield Difference(*key, "status", row["status"], None)
        return
    for column, value in anew.items():
        if row[column] != value:
            yield Difference(*key, column, row[column], value)


def _spans(table: pa.Table, pane_ns: int) -> dict[str, PaneSpan]:
    """The panes that end at these cutoffs, from first to last of each asset."""
    groups = table.group_by("asset_id").aggregate([("cutoff", "min"), ("cutoff", "max")])
    return {
        row["asset_id"]: PaneSpan(
            to_nanoseconds(row["cutoff_min"]) // pane_ns - 1,
            to_nanoseconds(row["cutoff_max"]) // pane_ns - 1,
        )
        for row in groups.to_pylist()
    }


def _rows(chunk: Predictions) -> Iterator[tuple[Key, Row]]:
    nothing = np.full(len(chunk.asset), None)
    named = {name: getattr(chunk, name) for name in (*_NUMBERS, *_TEXTS)}
    columns = {name: nothing if values is None else values for name, values in named.items()}
    # The table has nothing where numbers are missing.
    numbers = {name for name in _NUMBERS if named[name] is not None}
    columns |= {name: np.where(np.isnan(named[name]), None, named[name]) for name in numbers}
    listed = {name: values.tolist() for name, values in columns.items()}
    for at, asset in enumerate(chunk.asset.tolist()):
        key = (
            chunk.assets[asset],
            to_moment(int(chunk.cutoff[at])),
            float(chunk.horizon_hours[at]),
        )
        yield key, {name: values[at] for name, values in listed.items()}
