"""Search for operating regimes in panes of the past: settings, regimes, what sensors do there.

A setting is commanded: it holds a few levels, leaves them and comes back, on most assets, and
other sensors follow it. What creeps (wear), what most assets never do, and what nothing
follows is no setting. A named column is taken at its word and only has to have levels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pm_app.features.panes.panes import pane_mean, pane_second_moment
from pm_app.features.regimes.levels import (
    LEAST_IN_LEVELS,
    LEAST_PANES,
    MOST_LEVELS,
    Label,
    Levels,
    find_levels,
    keep_frequent,
)
from pm_app.features.regimes.statistics import creep, explained, usual
from pm_app.records.features import Panes, Regimes
from pm_app.records.readings import Float64, Index

Rows = tuple[tuple[float, ...], ...]

# One way of running nearly always, the other while it stands or starts: no regimes.
MOST_IN_ONE = 0.9
MOST_ASSETS = 0.5
# Of the variance of a column over all panes: what may lie between stretches of time.
MOST_CREEP = 0.4
# Of the variance of some sensor: what regimes have to explain to be worth taking out.
LEAST_EXPLAINED = 0.3
LEAST_EXPLAINED_NAMED = 0.05
# And what a further column has to explain beyond the columns before it.
LEAST_GAIN = 0.05
# Of the variance of a sensor's readings: what regimes explain of one that follows them.
LEAST_FOLLOWED = 0.05
# Deviations of a setting that centres may move by and still be the same regimes.
SAME_CENTRE = 1.0


@dataclass(frozen=True)
class RegimeSearch:
    """Regimes found, or None, and in words what was found or why nothing."""

    regimes: Regimes | None
    reason: str


@dataclass(frozen=True, eq=False)
class _Sample:
    """Mean and deviation of each sensor in each pane, (n_panes, n_sensors)."""

    panes: Panes
    mean: Float64
    deviation: Float64

    def levels(self, column: int) -> Levels | str:
        """See `find_levels`."""
        ends = np.column_stack([self.panes.first[:, column], self.panes.last[:, column]])
        return find_levels(self.mean[:, column], self.deviation[:, column], ends)


def find_regimes(
    panes: Panes, *, columns: Sequence[str] | None, stretch_panes: int, rather: Sequence[str] = ()
) -> RegimeSearch:
    """Operating regimes of these panes by the named columns, None to find the columns too.

    stretch_panes: how many panes a stretch of time holds, in which settings come back and
    wear does not. rather: of columns that would do, those to take first. The same arguments
    give the same regimes.
    """
    if columns is not None and not columns:
        return RegimeSearch(None, "switched off")
    if len(panes.pane) < 2 * LEAST_PANES:
        return RegimeSearch(None, f"{len(panes.pane):,} panes are too few to tell")
    moment = pane_second_moment(panes) / np.maximum(panes.count, 1)
    sample = _Sample(panes, pane_mean(panes), np.sqrt(moment))
    if columns is None:
        return _search(sample, stretch_panes, rather)
    return _take_at_their_word(sample, columns)


def settle_regimes(found: Regimes | None, before: Regimes | None) -> Regimes | None:
    """The regimes to use: those before where they are found again, so that features keep
    their meaning; of sensors that are new what was found."""
    if found is None or before is None or not _same_regimes(found, before):
        return found
    new = [n for n, sensor in enumerate(found.sensors) if sensor not in before.sensors]

    def extended(old: Rows, now: Rows) -> Rows:
        return tuple((*had, *(row[n] for n in new)) for had, row in zip(old, now, strict=True))

    return replace(
        before,
        sensors=(*before.sensors, *(found.sensors[n] for n in new)),
        levels=extended(before.levels, found.levels),
        spreads=extended(before.spreads, found.spreads),
    )


def followers(regimes: Regimes) -> tuple[str, ...]:
    """Sensors that follow the settings: what the regimes tell of others is nothing new."""
    share, level = np.array(regimes.shares)[:, None], np.array(regimes.levels)
    between = (share * (level - (share * level).sum(axis=0)) ** 2).sum(axis=0)
    within = (share * np.array(regimes.spreads) ** 2).sum(axis=0)
    follows = between >= LEAST_FOLLOWED * (between + within)
    return tuple(name for name, does in zip(regimes.sensors, follows, strict=True) if does)


def describe_regimes(regimes: Regimes) -> str:
    """Such as "3 regimes by load: 70 (20 %), 85 (35 %), 100 (45 %)"."""
    names = " and ".join(regimes.columns)
    places = (
        f"{' and '.join(f'{value:.4g}' for value in centre)} ({share:.0%})"
        for centre, share in zip(regimes.centres, regimes.shares, strict=True)
    )
    return f"{len(regimes.centres)} regimes by {names}: {', '.join(places)}"


def _same_regimes(found: Regimes, before: Regimes) -> bool:
    if found.columns != before.columns or len(found.centres) != len(before.centres):
        return False
    scale = np.maximum(found.scale, before.scale)
    moved = np.abs(np.array(found.centres) - np.array(before.centres)) / scale
    return bool((moved <= SAME_CENTRE).all())


def _search(sample: _Sample, stretch_panes: int, rather: Sequence[str]) -> RegimeSearch:
    """Regimes of the tightest setting, and of those that tell more beside it."""
    candidates: dict[int, Levels] = {}
    for column in range(len(sample.panes.sensors)):
        levels = sample.levels(column)
        if isinstance(levels, Levels) and _is_setting(sample, column, levels, stretch_panes):
            candidates[column] = levels
    chosen: list[int] = []
    label, regimes = np.zeros(len(sample.mean), dtype=np.intp), 1
    # The tightest is the commanded one; others only follow it. Ties go to the earlier column.
    for column in sorted(
        candidates, key=lambda c: (sample.panes.sensors[c] not in rather, -candidates[c].apart)
    ):
        both, count = _combine([candidates[c] for c in (*chosen, column)])
        covered = (both >= 0).sum() / (candidates[column].label >= 0).sum()
        if not regimes < count <= MOST_LEVELS or covered < LEAST_IN_LEVELS:
            continue
        gain = _gain(sample, label, both, count, without=[*chosen, column])
        if gain >= (LEAST_GAIN if chosen else LEAST_EXPLAINED):
            chosen, label, regimes = [*chosen, column], both, count
    if not chosen:
        return RegimeSearch(None, "no setting puts most assets into distinct regimes")
    return _found(sample, sorted(chosen), candidates, label)


def _take_at_their_word(sample: _Sample, columns: Sequence[str]) -> RegimeSearch:
    """Regimes by the columns named that have levels; the reason says which have not."""
    levels: dict[int, Levels] = {}
    without: list[str] = []
    for name in columns:
        if name not in sample.panes.sensors:
            without.append(f"{name} is not there")
            continue
        column = sample.panes.sensors.index(name)
        found = sample.levels(column)
        if isinstance(found, str):
            without.append(f"{name} {found}")
        elif (most := found.shares(sample.mean[:, column]).max()) > MOST_IN_ONE:
            without.append(f"{name} is at one level {most:.0%} of the time")
        else:
            levels[column] = found
    aside = "; ".join(without)
    if not levels:
        return RegimeSearch(None, f"no regimes: {aside}")
    chosen = sorted(levels)
    label, count = _combine([levels[column] for column in chosen])
    names = " and ".join(sample.panes.sensors[column] for column in chosen)
    if not 2 <= count <= MOST_LEVELS:
        text = f"{names} make {count} regimes, from 2 to {MOST_LEVELS} can be told apart"
        return RegimeSearch(None, "; ".join(["no regimes: " + text, *without]))
    share = explained(sample.mean, label, count)
    share[chosen] = 0.0
    if share.max() < LEAST_EXPLAINED_NAMED:
        text = f"no regimes: no sensor follows {names} (at most {share.max():.0%} of its variance)"
        return RegimeSearch(None, "; ".join([text, *without]))
    search = _found(sample, chosen, levels, label)
    return replace(search, reason="; ".join([search.reason, *without]))


def _is_setting(sample: _Sample, column: int, levels: Levels, stretch_panes: int) -> bool:
    """Whether a column with levels behaves as if commanded, on most assets."""
    label, panes = levels.label, sample.panes
    if levels.shares(sample.mean[:, column]).max() > MOST_IN_ONE:
        return False
    visits = np.zeros((len(panes.assets), levels.count), dtype=np.bool_)
    visits[panes.asset[label >= 0], label[label >= 0]] = True
    seen = np.bincount(panes.asset, minlength=len(panes.assets)) >= LEAST_PANES
    if not seen.any() or visits[seen].mean(axis=0).min() < MOST_ASSETS:
        return False
    changes = _changes(panes, label)[seen]
    if np.median(changes) < 2 * levels.count:
        return False
    return creep(panes, sample.mean[:, column], stretch_panes) <= MOST_CREEP


def _changes(panes: Panes, label: Label) -> Index:
    """How often each asset goes from one level to another, shape (n_assets,)."""
    rows = np.flatnonzero(label >= 0)
    asset, at = panes.asset[rows], label[rows]
    change = (asset[1:] == asset[:-1]) & (at[1:] != at[:-1])
    return np.bincount(asset[1:][change], minlength=len(panes.assets))


def _combine(levels: Sequence[Levels]) -> tuple[Label, int]:
    """Panes by what all these columns are at, and how many regimes enough panes have."""
    label = levels[0].label
    for one in levels[1:]:
        both = (label >= 0) & (one.label >= 0)
        label = np.where(both, label * one.count + one.label, -1)
        present, place = np.unique(label, return_inverse=True)
        label = place - int(present[0] < 0)
    return keep_frequent(label, int((label >= 0).sum()))


def _gain(
    sample: _Sample, before: Label, label: Label, count: int, *, without: Sequence[int]
) -> float:
    """How much more of some sensor's variance these labels explain than those before."""
    before = np.where(label >= 0, before, -1)
    more = explained(sample.mean, label, count) - explained(sample.mean, before, count)
    more[list(without)] = 0.0
    return float(more.max())


def _found(
    sample: _Sample, chosen: list[int], levels: Mapping[int, Levels], label: Label
) -> RegimeSearch:
    """The regimes of these columns, in order of their centres."""
    count = int(label.max()) + 1
    centres = np.array(
        [np.median(sample.mean[label == number][:, chosen], axis=0) for number in range(count)]
    )
    order = np.lexsort(centres.T[::-1])
    rank = np.empty(count, dtype=np.intp)
    rank[order] = np.arange(count)
    label = np.append(rank, -1)[label]
    others = [n for n in range(len(sample.panes.sensors)) if n not in chosen]
    level, spread = usual(sample.mean[:, others], sample.deviation[:, others], label, count)
    shares = np.bincount(label[label >= 0], minlength=count) / (label >= 0).sum()
    regimes = Regimes(
        columns=tuple(sample.panes.sensors[column] for column in chosen),
        centres=_rows(centres[order]),
        scale=tuple(levels[column].scale for column in chosen),
        shares=tuple(shares.tolist()),
        sensors=tuple(sample.panes.sensors[column] for column in others),
        levels=_rows(level),
        spreads=_rows(spread),
    )
    return RegimeSearch(regimes, describe_regimes(regimes))


def _rows(values: Float64) -> Rows:
    return tuple(tuple(row) for row in values.tolist())
