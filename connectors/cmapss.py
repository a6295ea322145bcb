"""NASA C-MAPSS turbofan engines as a plant: Saxena, Goebel, Simon & Eklund, PHM08, 2008.

The files have cycles, no times. Here a cycle is an hour: cycle k of an engine is one reading
at the start of its k-th hour, so its cutoff is the end of that hour. C-MAPSS says that 0
cycles remain after the last one of a run to failure; an event at that very cutoff would leave
its row no time at all, so the failure is stamped LIFE_OFFSET_HOURS later. Everywhere, then,
    hours from a cutoff to the failure = remaining cycles of C-MAPSS + LIFE_OFFSET_HOURS,
for labels and truth alike: an error in hours is the error in cycles, and a cap of 126 h is
the customary one of 125 cycles.
"""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pm_app.errors import BadSettings
from pm_app.records.readings import Float64, Int64
from pm_app.times import HOUR_NS

SUBSETS = ("FD001", "FD002", "FD003", "FD004")
LIFE_OFFSET_HOURS = 1
# Units as in Saxena et al. 2008, table 2; setting 1 is altitude, 2 Mach number, 3 throttle.
SENSORS = {
    "altitude": "kft", "mach": "1", "throttle": "deg",
    "T2": "degR", "T24": "degR", "T30": "degR", "T50": "degR",
    "P2": "psia", "P15": "psia", "P30": "psia",
    "Nf": "rpm", "Nc": "rpm", "epr": "1", "Ps30": "psia", "phi": "pps/psi",
    "NRf": "rpm", "NRc": "rpm", "BPR": "1", "farB": "1", "htBleed": "1",
    "Nf_dmd": "rpm", "PCNfR_dmd": "rpm", "W31": "lbm/s", "W32": "lbm/s",
}  # fmt: skip
_SEVERAL_REGIMES = ("FD002", "FD004")
_FIRST_START_NS = 1_577_836_800_000_000_000  # 2020-01-01, long enough ago for any engine
# Engines enter service one by one in the order of their number, which tells hardly anything
# of their life (correlation 0.16 in FD001, -0.19 in FD003, both within chance of 0).
_HOURS_BETWEEN_STARTS = 48
_WEEK_HOURS = 168


@dataclass(frozen=True)
class CmapssSummary:
    """What was laid out in `folder`."""

    folder: Path
    subset: str
    train_engines: int
    train_rows: int
    test_engines: int
    test_rows: int
    batches: int
    later_batches: int


@dataclass(frozen=True, eq=False)
class _EngineRuns:
    """Runs of engines, sorted by engine, then cycle.

    engine, start_hours, cycles: shape (n_engines,); row_engine (index into engine), hour:
    shape (n_rows,), hours since the first start of all; values: (n_sensors, n_rows).
    """

    names: tuple[str, ...]
    start_hours: Int64
    cycles: Int64
    row_engine: Int64
    hour: Int64
    values: Float64


def import_cmapss(source: Path, target: Path, *, subset: str) -> CmapssSummary:
    """Lay out a subset ("FD001" to "FD004") as a plant in the new or empty folder `target`.

    readings/ and events/ hold the engines run to failure, by week; later/readings/ the test
    engines, all in service after the last failure, to be moved into readings/ once a model
    is trained; later/truth.parquet the true life left at each one's last row; plant.toml
    settings that work.
    Raises BadSettings for a missing or malformed file and for a folder already in use.
    """
    if subset not in SUBSETS:
        raise BadSettings(f"subset must be one of {SUBSETS}, got {subset!r}")
    train = _fleet(_table(source, f"train_{subset}", 26), "train", 0)
    end = int((train.start_hours + train.cycles).max()) + LIFE_OFFSET_HOURS
    # A whole week of its own, so that no file holds both.
    test = _fleet(_table(source, f"test_{subset}", 26), "test", (end // _WEEK_HOURS + 1) * 168)
    remaining = _table(source, f"RUL_{subset}", 1)[:, 0]
    if len(remaining) != len(test.names):
        raise BadSettings(
            f"RUL_{subset}: needed one line for each of {len(test.names)} test engines, "
            f"got {len(remaining)}"
        )
    _claim(target)
    batches = _write_weeks(train, target / "readings")
    later = _write_weeks(test, target / "later" / "readings")
    _write(_failures(train), target / "events" / "failures.parquet")
    _write(_truth(test, remaining), target / "later" / "truth.parquet")
    (target / "plant.toml").write_text(_plant_toml(subset), encoding="utf-8")
    return CmapssSummary(
        folder=target,
        subset=subset,
        train_engines=len(train.names),
        train_rows=len(train.hour),
        test_engines=len(test.names),
        test_rows=len(test.hour),
        batches=batches,
        later_batches=later,
    )


def _table(folder: Path, stem: str, columns: int) -> Float64:
    path = next(
        (p for p in (folder / f"{stem}.txt", folder / f"{stem}.txt.gz") if p.is_file()), None
    )
    if path is None:
        raise BadSettings(f"{folder}: needed {stem}.txt or {stem}.txt.gz, got neither")
    try:
        table = pd.read_csv(path, sep=r"\s+", header=None, dtype=np.float64)
    except (OSError, EOFError, ValueError, gzip.BadGzipFile) as error:
        raise BadSettings(f"{path}: needed {columns} columns of numbers: {error}") from error
    if table.shape[1] != columns:
        raise BadSettings(f"{path}: needed {columns} columns of numbers, got {table.shape[1]}")
    if not np.isfinite(table.to_numpy()).all():
        raise BadSettings(f"{path}: needed a number in every column, got lines without")
    return table.to_numpy()


def _fleet(table: Float64, prefix: str, first_start: int) -> _EngineRuns:
    engine, cycle = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    units, first, counts = np.unique(engine, return_index=True, return_counts=True)
    if not np.array_equal(cycle, np.arange(len(cycle)) - np.repeat(first, counts) + 1):
        raise BadSettings(f"{prefix} engines: needed cycles 1, 2, 3, ... engine by engine")
    starts = first_start + _HOURS_BETWEEN_STARTS * np.arange(len(units), dtype=np.int64)
    row_engine = np.repeat(np.arange(len(units)), counts)
    return _EngineRuns(
        names=tuple(f"{prefix}-{unit:03d}" for unit in units.tolist()),
        start_hours=starts,
        cycles=counts.astype(np.int64),
        row_engine=row_engine,
        hour=starts[row_engine] + cycle - 1,
        values=np.ascontiguousarray(table[:, 2:].T),
    )


def _claim(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadSettings(f"{folder}: needed a new or empty folder, got one in use")
    for part in ("readings", "events", "later/readings"):
        (folder / part).mkdir(parents=True, exist_ok=True)


def _write_weeks(fleet: _EngineRuns, folder: Path) -> int:
    count = 0
    for day, table in _weeks(fleet):
        _write(table, folder / f"{day}.parquet")
        count += 1
    return count


def _weeks(fleet: _EngineRuns) -> Iterator[tuple[str, Any]]:
    """Readings of each week that has any, sorted by time, then engine, named by first day."""
    order = np.lexsort((fleet.row_engine, fleet.hour))
    week = fleet.hour[order] // _WEEK_HOURS
    for number in np.unique(week).tolist():
        rows = order[week == number]
        day = np.datetime64(_nanoseconds(np.array(number * _WEEK_HOURS)).item(), "ns")
        yield str(day.astype("M8[D]")), _readings(fleet, rows)


def _readings(fleet: _EngineRuns, rows: Int64) -> Any:
    fields = [pa.field("asset_id", pa.string()), pa.field("timestamp", pa.timestamp("ns", "UTC"))]
    fields += [
        pa.field(name, pa.float64(), metadata={"unit": unit}) for name, unit in SENSORS.items()
    ]
    columns = [
        pa.array(fleet.names, pa.string()).take(pa.array(fleet.row_engine[rows])),
        _stamps(fleet.hour[rows]),
        *(pa.array(values[rows]) for values in fleet.values),
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _failures(fleet: _EngineRuns) -> Any:
    return pa.table(
        {
            "asset_id": pa.array(fleet.names, pa.string()),
            "timestamp": _stamps(fleet.start_hours + fleet.cycles + LIFE_OFFSET_HOURS),
            "kind": ["failure"] * len(fleet.names),
            "code": ["end of life"] * len(fleet.names),
        }
    )


def _truth(fleet: _EngineRuns, remaining: Float64) -> Any:
    """remaining_cycles: as published; rul_hours: from the cutoff to the failure."""
    return pa.table(
        {
            "asset_id": pa.array(fleet.names, pa.string()),
            "cutoff": _stamps(fleet.start_hours + fleet.cycles),
            "rul_hours": pa.array(remaining + LIFE_OFFSET_HOURS),
            "remaining_cycles": pa.array(remaining),
        }
    )


def _nanoseconds(hours: Int64) -> Int64:
    result: Int64 = _FIRST_START_NS + hours.astype(np.int64) * HOUR_NS
    return result


def _stamps(hours: Int64) -> Any:
    return pa.array(_nanoseconds(hours), pa.timestamp("ns", "UTC"))


def _write(table: Any, path: Path) -> None:
    pq.write_table(table, path, write_page_checksum=True)


def _plant_toml(subset: str) -> str:
    regimes = '["altitude", "mach", "throttle"]' if subset in _SEVERAL_REGIMES else "[]"
    return f"""\
# NASA C-MAPSS {subset}: turbofan engines, simulated, one flight cycle an hour.
# Training engines are in readings/; move later/readings/* there once a model is trained.

[plant]
name = "C-MAPSS {subset}"

[features]
pane = "1h"                    # one cycle
windows = ["5h", "20h", "60h"]  # short, middle and long memory of the engine's health
memory = ["change"]            # and of its whole life: the change since it was new
beginning = "24h"              # the cycles in which it counts as new
regime_columns = {regimes}  # flight conditions that shift all sensors

[target]
kind = "life"
horizons = ["31h"]             # "at most 30 cycles remain", and the hour in which it fails
rul_cap = "126h"               # 125 cycles remaining and the hour in which it fails

[scoring]
backfill = "30d"
"""
