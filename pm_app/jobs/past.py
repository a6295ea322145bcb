"""What of history there was up to a moment: segments, keys of panes, sensors, assets."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pm_app.features.panes import merge_panes, take_panes
from pm_app.records.features import Panes
from pm_app.state.panes import History

# Panes times sensors held at once while features are built.
GROUP_CELLS = 2_000_000


@dataclass(frozen=True, eq=False)
class Past:
    """Segments that hold panes up to a moment, which of them hold later ones too, and keys."""

    segments: tuple[str, ...]
    reach_beyond: tuple[bool, ...]
    keys: Panes


def past_until(history: History, segments: Sequence[str], last_pane: int) -> Past:
    """What of history there was up to this pane: what came later tells nothing."""
    held: dict[str, bool] = {}
    parts: list[Panes] = []
    for name, keys in zip(segments, history.keys(segments), strict=True):
        early = keys.pane <= last_pane
        if early.any():
            held[name] = not early.all()
            parts.append(_only_present(take_panes(keys, early)))
    keys = merge_panes(parts, pane_ns=history.pane_ns)
    return Past(tuple(held), tuple(held.values()), keys)


def _only_present(keys: Panes) -> Panes:
    """The same panes under a list of only the assets that have some."""
    present, asset = np.unique(keys.asset, return_inverse=True)
    assets = tuple(keys.assets[number] for number in present)
    return replace(keys, assets=assets, asset=asset.astype(np.int32))


def sensors_of(history: History, past: Past, last_pane: int) -> list[str]:
    """The sensors there were up to this pane, by name."""
    seen: set[str] = set()
    for segment, reaches_beyond in zip(past.segments, past.reach_beyond, strict=True):
        if not reaches_beyond:
            seen.update(history.sensors(segment))
            continue
        # What this file brings of a sensor may all come later.
        for panes in history.read([segment], until_pane=last_pane):
            spoke = np.flatnonzero((panes.count > 0).any(axis=0))
            seen.update(panes.sensors[number] for number in spoke.tolist())
    return sorted(seen)


def asset_groups(keys: Panes, sensors: int) -> Iterator[tuple[str, ...]]:
    """Names of assets, so many at a time as `GROUP_CELLS` allows."""
    cells = np.bincount(keys.asset, minlength=len(keys.assets)) * max(sensors, 1)
    group = np.cumsum(cells) // GROUP_CELLS
    for number in np.unique(group):
        yield tuple(keys.assets[at] for at in np.flatnonzero(group == number))
