"""What grows with what: seconds at 1, 4, 16 and 64 times the size, and the exponent of a power."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from benchmarks.speed import panes as folding
from benchmarks.speed import windows as rolling
from benchmarks.speed.rows import Row
from factories import (
    HOUR,
    NOW,
    START,
    drop,
    make_card,
    make_plant,
    make_spec,
    opened,
    promote_handmade,
    readings_table,
    task_of,
)

from pm_app.jobs.score.run import score
from pm_app.learning.data.labels import column_labels
from pm_app.learning.data.splits import split_rows
from pm_app.learning.importance.permutation import measure_importance
from pm_app.records.features import Frame
from pm_app.records.labels import Labels

FACTORS = (1, 4, 16, 64)
BASE_SECONDS, BASE_ROWS = 2_700, 1_000
TIMES, LOOKS = 3, 10
MEGABYTES = 60.0
# What a child used by its own account: resource usage begins with that of who started it.
PEAK = """\
import sys
from pathlib import Path
from benchmarks.speed.panes import ours
ours(Path(sys.argv[1]), keep=False)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def measure(folder: Path) -> list[Row]:
    """Panes by readings, windows by panes, scoring by readings and by length of history."""
    return [
        *_panes(folder),
        _exponent("windows by panes", _windows()),
        _exponent("importance by rows learned from", _ranked()),
        _exponent("a file scored, by its readings", _scored(folder)),
        _by_history(folder),
    ]


def _exponent(work: str, seconds: list[float]) -> Row:
    exponent = float(np.polyfit(np.log(FACTORS), np.log(seconds), 1)[0])
    told = _told(FACTORS, seconds, " ×", " s")
    return _row(f"{work}, exponent of time", exponent, "", "at most 1.05", exponent <= 1.05, told)


def _row(
    work: str, figure: float, unit: str, goal: str, kept: bool, told: str, why: str = ""
) -> Row:
    return Row("Growth", work, figure, unit, (figure,) * 2, goal, kept, remark=told, reason=why)


def _told(sizes: Sequence[int], figures: list[float], unit: str, of: str) -> str:
    pairs = zip(sizes, figures, strict=True)
    return ", ".join(f"{size}{unit}: {figure:.3g}{of}" for size, figure in pairs)


def _least(call: Callable[[], object]) -> float:
    taken = []
    for _ in range(TIMES):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return min(taken)


def _panes(folder: Path) -> list[Row]:
    seconds, peaks = [], []
    for factor in FACTORS:
        path = folder / f"{factor}"
        path.mkdir()
        table = folding.readings(seconds=BASE_SECONDS * factor)
        pq.write_table(table, path / "all.parquet", row_group_size=250_000)
        seconds.append(_least(lambda path=path: folding.ours(path, keep=False)))
        peaks.append(_peak(path))
    grown, times = peaks[-1] - peaks[1], FACTORS[-1] // FACTORS[1]
    flat = f"flat: under {MEGABYTES:.0f} MB"
    told = "peak of the process: " + _told(FACTORS, peaks, " ×", " MB")
    return [
        _exponent("panes by readings", seconds),
        _row(f"a file {times} times as large", grown, "MB more", flat, grown < MEGABYTES, told),
    ]


def _peak(path: Path) -> float:
    ran = subprocess.run(
        [sys.executable, "-c", PEAK, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(ran.stdout) / 1024


def _windows() -> list[float]:
    panes = rolling.panes_of(FACTORS[-1])
    parts = [panes.take(panes.asset < factor) for factor in FACTORS]
    return [_least(lambda part=part: rolling.ours(part)) for part in parts]


def _ranked() -> list[float]:
    """Eight sensors of six features, two of them telling a class."""
    parts = [_told_rows(BASE_ROWS * factor) for factor in FACTORS]
    return [_least(lambda part=part: _rank(*part)) for part in parts]


def _told_rows(rows: int) -> tuple[Frame, Labels]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(rows, 8 * 6)).astype(np.float32)
    value = (2 * values[:, 0] + values[:, 6] + rng.normal(size=rows) > 2).astype(float)
    names = [f"sensor_{number}" for number in range(8)]
    frame = Frame(
        assets=("line",),
        asset=np.zeros(rows, dtype=np.int32),
        cutoff=np.zeros(rows, dtype=np.int64),
        features=tuple(f"{name}.{kind}" for name in names for kind in range(6)),
        sensor_of=tuple(name for name in names for _ in range(6)),
        values=values,
    )
    return frame, column_labels(frame, value, column="failed", task="classification")


def _rank(frame: Frame, labels: Labels) -> None:
    split = split_rows(frame, labels, horizon_hours=0, seed=0)
    measure_importance(task_of(frame, labels, split, "classification"), seed=0)


def _scored(folder: Path) -> list[float]:
    """Days of more and more assets, each scored by a plant of its own."""
    return [
        _turn(folder / f"scored-{factor}", assets=4 * factor, hours=48, before=0)
        for factor in FACTORS
    ]


def _by_history(folder: Path) -> Row:
    """The same new hour of four assets after a short and a long past."""
    hours = [400 * factor for factor in FACTORS]
    seconds = [
        _turn(folder / f"history-{each}", assets=4, hours=1, before=each, times=LOOKS)
        for each in hours
    ]
    ratio, times = seconds[-1] / seconds[0], hours[-1] // hours[0]
    return _row(
        f"an hour scored after {times} times the history",
        ratio,
        "×",
        "independent: at most 1.3 ×",
        ratio <= 1.3,
        _told(hours, seconds, " h", " s"),
        "what is read is whole row groups: more until a segment fills them, the same however long "
        "history is then",
    )


def _turn(folder: Path, *, assets: int, hours: int, before: int, times: int = TIMES) -> float:
    """The least seconds of scoring so many hours of each asset, that follow on others."""
    config = make_plant(folder)
    table = readings_table(
        assets=assets, hours=before + times * hours, a_pane=6, missing=0.0, first_hour=-before
    )
    part = (table["timestamp"].cast("int64").to_numpy() - START) // (hours * HOUR)
    with opened(config) as plant:
        promote_handmade(plant, card=make_card(make_spec(plant.settings)))
        if before:
            drop(config, "before.parquet", table.filter(part < 0))
            score(plant, now=NOW)
    taken = []
    for number in range(times):
        drop(config, f"{number}.parquet", table.filter(part == number))
        # Opened anew: a short past would still be at hand.
        with opened(config) as plant:
            began = time.process_time()
            done = score(plant, now=NOW)
            taken.append(time.process_time() - began)
        assert done.committed.new
    return min(taken)
