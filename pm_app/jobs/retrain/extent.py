"""Extent of what is recorded up to a moment, and the operating regimes an even sample shows."""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pm_app.errors import BadSettings
from pm_app.features.panes.panes import merge_panes, select_sensors
from pm_app.features.regimes.search import RegimeSearch, find_regimes
from pm_app.records.features import FeatureSpec, Panes, Regimes
from pm_app.settings.plant import Settings
from pm_app.state.panes import History

# Panes times sensors held at once while features are built.
GROUP_CELLS = 500_000


@dataclass(frozen=True, eq=False)
class Past:
    """History up to a pane: segments that hold panes of it, whether they hold later ones too,
    and the keys of all panes."""

    history: History
    last_pane: int
    segments: Mapping[str, bool]
    keys: Panes

    def read(self, assets: set[str]) -> Panes:
        """The panes of these assets."""
        parts = self.history.read(tuple(self.segments), assets=assets, until_pane=self.last_pane)
        return merge_panes(list(parts), pane_ns=self.history.pane_ns)


def past_until(history: History, segments: Sequence[str], last_pane: int) -> Past:
    """History up to this pane: what came later is no evidence."""
    held: dict[str, bool] = {}
    parts: list[Panes] = []
    for name, keys in zip(segments, history.keys(segments), strict=True):
        early = keys.pane <= last_pane
        if early.any():
            held[name] = not early.all()
            parts.append(_only_present(keys.take(early)))
    keys = merge_panes(parts, pane_ns=history.pane_ns)
    return Past(history, last_pane, held, keys)


def _only_present(keys: Panes) -> Panes:
    """The same panes under a list of only the assets that have some."""
    present, asset = np.unique(keys.asset, return_inverse=True)
    assets = tuple(keys.assets[number] for number in present)
    return replace(keys, assets=assets, asset=asset.astype(np.int32))


def sensors_of(past: Past) -> list[str]:
    """The sensors there were up to this pane, by name."""
    seen: set[str] = set()
    for segment, reaches_beyond in past.segments.items():
        if not reaches_beyond:
            seen.update(past.history.sensors(segment))
            continue
        # What this file brings of a sensor may all come later.
        for panes in past.history.read([segment], until_pane=past.last_pane):
            spoke = np.flatnonzero((panes.count > 0).any(axis=0))
            seen.update(panes.sensors[number] for number in spoke.tolist())
    return sorted(seen)


def asset_groups(keys: Panes, sensors: int) -> Iterator[tuple[str, ...]]:
    """Names of assets, so many at a time as `GROUP_CELLS` allows."""
    cells = np.bincount(keys.asset, minlength=len(keys.assets)) * max(sensors, 1)
    group = np.cumsum(cells) // GROUP_CELLS
    for number in np.unique(group):
        yield tuple(keys.assets[at] for at in np.flatnonzero(group == number))


# Panes times sensors in a sample; more tell regimes no surer.
SAMPLE_CELLS = 1_000_000
MOST_PANES = 40_000
# Long runs of a few assets show what comes back; snippets of thousands would not.
MOST_ASSETS = 40
# Panes that are taken or left together: some of the longest windows, so that settings come
# back within them, but neither a handful nor all of the sample.
STRETCH_WINDOWS = 4
STRETCH_PANES = (24, 576)


def search_plant_regimes(
    past: Past, settings: Settings, spec: FeatureSpec, *, before: Regimes | None = None
) -> RegimeSearch:
    """Regimes of the past by the settings' columns.

    before: regimes whose columns are taken again where they still would do.

    Reads history once where it has to look at all. Raises BadSettings where a column named
    is no sensor.
    """
    columns = settings.features.regime_columns
    for column in columns or ():
        if column not in spec.sensors:
            raise BadSettings(
                f"features.regime_columns: {column!r} is not among the sensors, "
                f"which are {', '.join(spec.sensors)}"
            )
    if columns == ():
        return RegimeSearch(None, "switched off")
    if columns is None and not spec.windows_ns:
        return RegimeSearch(None, "a table without a time axis has no regimes to find")
    longest = spec.windows_ns[-1] // spec.pane_ns if spec.windows_ns else 1
    stretch = int(np.clip(STRETCH_WINDOWS * longest, *STRETCH_PANES))
    panes = _sample(past, spec.sensors, stretch)
    rather = before.columns if before is not None else ()
    return find_regimes(panes, columns=columns, stretch_panes=stretch, rather=rather)


def _sample(past: Past, sensors: tuple[str, ...], stretch: int) -> Panes:
    """Whole stretches of some assets, spread over all of the past; one segment at a time."""
    keys = past.keys
    # By a hash of the name: assets in order of name may be alike.
    assets = sorted(keys.assets, key=lambda name: (hash_name(name), name))[:MOST_ASSETS]
    held = np.isin(keys.asset, [keys.assets.index(name) for name in assets]).sum()
    most = min(MOST_PANES, SAMPLE_CELLS // max(len(sensors), 1))
    share = most / max(int(held), 1)
    parts = []
    for panes in past.history.read(
        tuple(past.segments), assets=set(assets), until_pane=past.last_pane
    ):
        seeds = np.array([hash_name(name) for name in panes.assets], dtype=np.uint64)
        if len(panes.pane):
            drawn = _draw(seeds[panes.asset], panes.pane // stretch) < share
            parts.append(select_sensors(panes.take(drawn), sensors))
    return select_sensors(merge_panes(parts, pane_ns=past.history.pane_ns), sensors)


def hash_name(name: str) -> int:
    return zlib.crc32(name.encode())


def _draw(seed: NDArray[np.uint64], number: NDArray[np.int64]) -> NDArray[np.float64]:
    """A number in [0, 1) that depends on both alone: a multiply-and-shift hash."""
    mixed = (number.astype(np.uint64) + seed) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.asarray((mixed >> np.uint64(11)).astype(np.float64) / 2.0**53)
