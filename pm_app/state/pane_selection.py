"""Selection of panes by asset and time: what a look at history wants of a segment."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pm_app.records.features import Panes, pane_arrays
from pm_app.state.pane_tables import Description, RowGroup


@dataclass(frozen=True, eq=False)
class PaneSelection:
    """The panes that are asked for, bounds included; None where there is no bound.

    assets: sorted; numbers: the place of each among them. times: whether theirs are wanted.
    """

    assets: tuple[str, ...] | None
    numbers: Mapping[str, int]
    since_pane: int | None
    until_pane: int | None
    times: bool

    def groups_of(self, description: Description) -> list[int]:
        """The row groups whose bounds leave room for some."""
        return [n for n, group in enumerate(description.groups) if self._may_be_in(group)]

    def _may_be_in(self, group: RowGroup) -> bool:
        if self.since_pane is not None and group.last_pane < self.since_pane:
            return False
        if self.until_pane is not None and group.first_pane > self.until_pane:
            return False
        if self.assets is None:
            return True
        at = bisect_left(self.assets, group.first_asset)
        return at < len(self.assets) and self.assets[at] <= group.last_asset

    def goes_on_after(self, group: RowGroup) -> bool:
        """Whether later assets than those asked for are in the row group."""
        return not self.assets or self.assets[-1] < group.last_asset

    def of(self, panes: Panes) -> Panes:
        """Those among these; where assets are asked for, numbered as they are."""
        panes = self._of_assets(panes)
        stays = panes.asset >= 0
        if self.since_pane is not None:
            stays &= panes.pane >= self.since_pane
        if self.until_pane is not None:
            stays &= panes.pane <= self.until_pane
        return panes if stays.all() else panes.take(stays)

    def _of_assets(self, panes: Panes) -> Panes:
        """Panes from the first to the last asset asked for; -1 is one that was not."""
        if self.assets is None:
            return panes
        low = high = 0
        if self.assets:
            low = bisect_left(panes.assets, self.assets[0])
            high = bisect_right(panes.assets, self.assets[-1], lo=low)
        rows = slice(*np.searchsorted(panes.asset, [low, high]).tolist())
        columns: dict[str, Any] = {name: array[rows] for name, array in pane_arrays(panes).items()}
        columns["asset"] = columns["asset"] - np.int32(low)
        here = panes.assets[low:high]
        first = self.numbers.get(here[0], -1) if here else 0
        if first >= 0 and here == self.assets[first : first + len(here)]:
            columns["asset"] += np.int32(first)
        else:
            place = [self.numbers.get(name, -1) for name in here]
            columns["asset"] = np.array(place, dtype=np.int32)[columns["asset"]]
        return replace(panes, assets=self.assets, **columns)


def selection(
    assets: Collection[str] | None,
    since_pane: int | None,
    until_pane: int | None,
    *,
    times: bool,
) -> PaneSelection:
    """The panes of these assets in a span."""
    names = None if assets is None else tuple(sorted(assets))
    numbers = {name: number for number, name in enumerate(names or ())}
    return PaneSelection(names, numbers, since_pane, until_pane, times)


def concat_panes(parts: Sequence[Panes]) -> Panes:
    """Row groups of one segment that follow each other, of the same assets and sensors."""
    arrays = [pane_arrays(part) for part in parts]
    columns: dict[str, Any] = {
        name: np.concatenate([each[name] for each in arrays]) for name in arrays[0]
    }
    return replace(parts[0], **columns)
