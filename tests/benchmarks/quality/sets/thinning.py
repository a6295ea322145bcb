"""Folds with fewer rows to learn from, for measurements of many networks."""

from dataclasses import replace

import numpy as np
from benchmarks.quality.sets.folds import BETWEEN, PART_NAMES, Fold, take_labels


def thin(fold: Fold, *, every: int) -> Fold:
    """The fold with every so many-th cutoff of each asset to learn from, its first not among them.

    Neighbouring cutoffs of a machine repeat each other, so little is lost; first cutoffs, whose
    windows are short, stay as rare as they were. All judged rows stay;
    rows that are in no part go.
    """
    _, first, owner = np.unique(fold.frame.asset, return_index=True, return_inverse=True)
    chosen = (np.arange(len(fold.frame.asset)) - first[owner]) % every == every - 1
    kept = {name: getattr(fold.split, name) for name in (*PART_NAMES, BETWEEN)}
    kept = {name: part[chosen[part]] for name, part in kept.items()}
    rows = np.sort(np.concatenate([*kept.values(), fold.split.test]))
    places = {name: np.searchsorted(rows, part) for name, part in kept.items()}
    split = replace(
        fold.split,
        **places,
        test=np.searchsorted(rows, fold.split.test),
        group=fold.split.group[rows],
    )
    labels, known = take_labels(fold.labels, rows), fold.known_labels
    known = known and take_labels(known, rows)
    return replace(
        fold, frame=fold.frame.take(rows), labels=labels, split=split, known_labels=known
    )
