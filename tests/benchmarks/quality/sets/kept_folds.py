"""Folds kept between runs, so that a run in pieces does not ingest the same plants again.

    PM_APP_QUALITY_CACHE    a folder for folds as they were made (default: none are kept)

A kept fold serves only where all that makes one is as it was: this package's sets and every line
of the product's way from files to labels.
"""

import hashlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

from benchmarks.quality.options import folder
from benchmarks.quality.results import digest_of_files
from benchmarks.quality.sets.folds import Fold, QualitySet

_ROOT = Path(__file__).parents[4]
_MAKE = ("features", "jobs", "learning/data", "records", "settings", "simulator", "state")
_ASKED = ("PM_APP_QUALITY_FRESH", "PM_APP_QUALITY_FOLDS")


def keep_folds(quality: QualitySet, open_data: Path, work: Path) -> Iterator[Fold]:
    """The folds of a set, from the cache where they are there; laid out below `work` otherwise."""
    cache = folder("PM_APP_QUALITY_CACHE", Path())
    if cache == Path():
        yield from _made(quality, open_data, work)
        return
    asked = hashlib.sha256(repr([os.environ.get(name) for name in _ASKED]).encode())
    code = digest_of_files(
        [
            *Path(__file__).parent.glob("*.py"),
            *(_ROOT / "connectors").rglob("*.py"),
            *(path for part in _MAKE for path in (_ROOT / "pm_app" / part).rglob("*.py")),
        ]
    )
    path = cache / f"{quality.name}.{code}.{asked.hexdigest()[:8]}.pickle"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_bytes(pickle.dumps(list(_made(quality, open_data, work))))
        os.replace(beside, path)
    # Written by this benchmark, for itself.
    yield from pickle.loads(path.read_bytes())


def _made(quality: QualitySet, open_data: Path, work: Path) -> Iterator[Fold]:
    (work / quality.name).mkdir(parents=True)
    return quality.folds(open_data, work / quality.name)
