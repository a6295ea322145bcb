"""NASA's C-MAPSS engines: five folds by engine, and the official test engines."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks.quality.sets.folds import OFFICIAL, Fold, QualitySet, Task, make_fold, part_by_group
from benchmarks.quality.sets.plants import gather

from connectors.cmapss import import_cmapss
from pm_app.features.frame import select_features
from pm_app.records.features import FeedPace, Frame
from pm_app.records.labels import Labels
from pm_app.times import HOUR_NS

FOLDS = 5
LIFE = Task("life", horizon_hours=31.0, cap_hours=126.0)


def engine_set(subset: str, *, kept_aside: bool) -> QualitySet:
    """A subset, "fails within 31 h" (30 cycles and the one it fails in), capped at 126 h."""

    def folds(open_data: Path, work: Path) -> Iterator[Fold]:
        import_cmapss(open_data / "cmapss", work / subset, subset=subset)
        frame, labels, paces = _gather(work / subset)
        train, test = _rows_of(frame, "train-"), _rows_of(frame, "test-")
        life = np.bincount(frame.asset[train], minlength=len(frame.assets))[frame.asset]
        engines = np.unique(frame.asset[train])
        dealt = np.random.default_rng(2024).permutation(engines).reshape(FOLDS, -1)
        for number, judged_engines in enumerate(dealt):
            judged = train[np.isin(frame.asset[train], judged_engines)]
            learn = np.setdiff1d(train, judged)
            split = part_by_group(frame.asset, learn, judged, "by engine", level=life, seed=number)
            yield make_fold(f"split {number + 1}", frame, labels, split, paces)
        split = part_by_group(frame.asset, train, test, "official", level=life, seed=FOLDS)
        yield make_fold(OFFICIAL, frame, labels, split, paces)

    return QualitySet(f"C-MAPSS {subset}", "turbofan engines, simulated", LIFE, folds, kept_aside)


def _gather(folder: Path) -> tuple[Frame, Labels, tuple[FeedPace, ...]]:
    """Training and test engines; which features are worth it is decided by the former alone."""
    informative = gather(folder).informative
    for path in (folder / "later" / "readings").iterdir():
        shutil.move(path, folder / "readings")
    known = gather(folder)
    truth = pq.read_table(folder / "later" / "truth.parquet")
    frame = select_features(known.frame, informative)
    return frame, _with_truth(frame, known.labels, truth), known.paces


def _with_truth(frame: Frame, labels: Labels, truth: pa.Table) -> Labels:
    """Labels in which the test engines fail when NASA says they did."""
    ends = truth["cutoff"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy()
    left = truth["rul_hours"].to_numpy()
    place = {name: at for at, name in enumerate(truth["asset_id"].to_pylist())}
    number = np.array([place.get(name, -1) for name in frame.assets])[frame.asset]
    duration = left[number] + (ends[number] - frame.cutoff) / HOUR_NS
    told = number >= 0
    return replace(
        labels,
        duration_hours=np.where(told, duration, labels.duration_hours),
        failed=labels.failed | told,
        usable=labels.usable | told,
    )


def _rows_of(frame: Frame, prefix: str) -> np.ndarray:
    mine = np.array([name.startswith(prefix) for name in frame.assets])
    return np.flatnonzero(mine[frame.asset])


ENGINES = (engine_set("FD001", kept_aside=False), engine_set("FD003", kept_aside=True))
