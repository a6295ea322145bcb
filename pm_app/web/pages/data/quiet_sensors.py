"""Quiet sensors: their asset goes on delivering readings, they do not."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from pm_app.errors import PmAppError
from pm_app.records.readings import Int32, Int64
from pm_app.store import Store
from pm_app.times import to_moment, to_nanoseconds
from pm_app.web.context import StateFolder

# How far back from the newest reading to look, and how much of it at most.
LOOK_BACK: Final = timedelta(days=2)
MOST_CELLS: Final = 2_000_000
# A sensor is quiet that had no value for so many panes in which its asset had readings.
QUIET_PANES: Final = 6
_NEVER: Final = -1


@dataclass(frozen=True)
class QuietSensor:
    """A sensor of an asset without a value since then; since None: in all that was looked at."""

    asset_id: str
    sensor: str
    since: datetime | None


@dataclass(frozen=True)
class QuietSensors:
    """Sensors without values, longest quiet first, in readings since then.

    reason: why none were looked for, else "".
    """

    sensors: tuple[QuietSensor, ...]
    looked_since: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class _NewestReadings:
    """Of one segment: asset (n,) into assets, pane (n,), and time (n, n_sensors) of the newest
    value in each pane, _NEVER without."""

    assets: tuple[str, ...]
    asset: Int32
    pane: Int64
    sensors: tuple[str, ...]
    time: Int64


def find_quiet(folder: StateFolder, store: Store) -> QuietSensors:
    """Sensors of assets with readings whose own values have stopped.

    Looks at the panes of the newest LOOK_BACK, or of as few newest files as hold MOST_CELLS.
    A sensor that no asset told of in that time is not looked for: nothing says that it should.
    """
    if not folder.here:
        return QuietSensors((), reason="the state folder is not on this machine")
    newest = store.ledger_pages.newest()
    if newest is None or newest.last_time is None:
        return QuietSensors(())
    try:
        parts = _newest_panes(folder, store, newest.last_time)
    except PmAppError as error:
        return QuietSensors((), reason=str(error))
    if not parts:
        return QuietSensors((), reason="the newest file is too large to look for them")
    pane_ns = folder.history.pane_ns
    last = to_nanoseconds(newest.last_time) // pane_ns
    first = min(int(part.pane.min(initial=last)) for part in parts)
    since = max(to_moment(first * pane_ns), newest.last_time - LOOK_BACK)
    return QuietSensors(_quiet(parts, pane_ns), since)


def _newest_panes(folder: StateFolder, store: Store, until: datetime) -> list[_NewestReadings]:
    """What the newest files tell, those that came last leading."""
    history, since = folder.history, until - LOOK_BACK
    rows = store.ledger.batches_overlapping("readings", since, until)
    names = dict.fromkeys(name for row in rows[::-1] for name in row.segments[::-1])
    first = to_nanoseconds(since) // history.pane_ns
    parts: list[_NewestReadings] = []
    cells = 0
    for name in names:
        # What is read is read as a whole, and a day of a large plant fills the memory.
        cells += history.cells(name)
        if cells > MOST_CELLS:
            break
        (panes,) = history.read([name], since_pane=first)
        time = np.where(panes.count > 0, panes.last_time, _NEVER)
        parts.append(_NewestReadings(panes.assets, panes.asset, panes.pane, panes.sensors, time))
    return parts


def _quiet(parts: list[_NewestReadings], pane_ns: int) -> tuple[QuietSensor, ...]:
    assets = {name: at for at, name in enumerate(sorted({n for p in parts for n in p.assets}))}
    sensors = {name: at for at, name in enumerate(sorted({n for p in parts for n in p.sensors}))}
    if not assets or not sensors:
        return ()
    asset, pane, time = _put_together(parts, assets, sensors)
    newest = np.full((len(assets), len(sensors)), _NEVER, dtype=np.int64)
    np.maximum.at(newest, asset, time)
    silent = np.zeros_like(newest)
    np.add.at(silent, asset, ((pane * pane_ns)[:, None] > newest[asset]).astype(np.int64))
    delivered = newest.max(axis=0) > _NEVER
    rows, columns = np.nonzero((silent >= QUIET_PANES) & delivered)
    names, labels = [*assets], [*sensors]
    found = [
        QuietSensor(names[row], labels[column], _moment(int(newest[row, column])))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    return tuple(sorted(found, key=_longest_first))


def _put_together(
    parts: list[_NewestReadings], assets: Mapping[str, int], sensors: Mapping[str, int]
) -> tuple[Int64, Int64, Int64]:
    """Asset, pane (n,) and times (n, n_sensors); of the same pane that of the newest file."""
    asset = np.concatenate([np.array([assets[n] for n in p.assets])[p.asset] for p in parts])
    pane = np.concatenate([part.pane for part in parts])
    time = np.full((len(pane), len(sensors)), _NEVER, dtype=np.int64)
    start = 0
    for part in parts:
        columns = [sensors[name] for name in part.sensors]
        time[start : start + len(part.pane), columns] = part.time
        start += len(part.pane)
    width = int(pane.max(initial=0)) + 1
    _, rows = np.unique(asset * width + pane, return_index=True)
    return asset[rows], pane[rows], time[rows]


def _longest_first(quiet: QuietSensor) -> tuple[float, str, str]:
    return (quiet.since.timestamp() if quiet.since else 0.0, quiet.asset_id, quiet.sensor)


def _moment(nanoseconds: int) -> datetime | None:
    return None if nanoseconds == _NEVER else to_moment(nanoseconds)
