"""Runs of rows, and steps along all of them at once: no loop over runs."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pm_app.records.readings import Flags, Float64, Index, Int64


def run_starts(*keys: NDArray[Any]) -> Flags:
    """Which rows differ from the row before in one of these keys, each of shape (n_rows,)."""
    starts = np.ones(len(keys[0]), dtype=bool)
    starts[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return starts


def run_ends(*keys: NDArray[Any]) -> Flags:
    """Which rows differ from the row after in one of these keys, each of shape (n_rows,)."""
    return np.append(run_starts(*keys), True)[1:]


def places_among(names: Sequence[str], others: Sequence[str]) -> Int64:
    """Where each name stands among others, -1 where it does not, shape (n_names,)."""
    if names == others:
        return np.arange(len(names), dtype=np.int64)
    if not names:
        return np.empty(0, dtype=np.int64)
    place = {name: number for number, name in enumerate(others)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int64)


def join_names(parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """All names of all parts, sorted, each once; parts are sorted and have each name once."""
    if all(part == parts[0] for part in parts):
        return parts[0] if parts else ()
    return tuple(sorted(set().union(*parts)))


def ranks(starts: Index, lengths: Index, *, backwards: bool) -> Iterator[Index]:
    """Rows that are second, third, ... from their segment's edge: no loop over segments."""
    edge = starts + lengths - 1 if backwards else starts
    order = np.argsort(-lengths, kind="stable")
    edge, sorted_lengths = edge[order], -lengths[order]
    for rank in range(1, int(lengths.max(initial=1))):
        longer = int(np.searchsorted(sorted_lengths, -rank, side="left"))
        yield edge[:longer] + (-rank if backwards else rank)


def first_values(values: Float64, starts: Index, lengths: Index, *, backwards: bool) -> Float64:
    """Per row, the value nearest its segment's edge that is not missing; 0 where none is."""
    number = np.arange(len(values))[:, None]
    missing = np.isnan(values)
    if backwards:
        nearest = np.maximum.reduceat(np.where(missing, -1, number), starts, axis=0)
    else:
        nearest = np.minimum.reduceat(np.where(missing, len(values), number), starts, axis=0)
    none = (nearest < 0) | (nearest >= len(values))
    found = np.take_along_axis(values, np.where(none, 0, nearest), axis=0)
    return np.repeat(np.where(none, 0.0, found), lengths, axis=0)
