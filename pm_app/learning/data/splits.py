"""Splits into train, validation, calibration and test rows that do not leak into each other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pm_app.learning.data.labels import failure_times, number_distinct
from pm_app.learning.data.targets import Rows
from pm_app.learning.data.time_splits import (
    LEAST_GROUPS,
    PARTS,
    SHARES,
    Classes,
    find_borders,
    lacking,
    make_split,
    split_by_time,
)
from pm_app.records.features import Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.readings import Flags, Float64, Int32, Int64
from pm_app.times import HOUR_NS

# With fewer assets a part would be one machine, and its quirks the verdict.
MINIMUM_ASSETS = 8
# Fewer would leave validation and calibration one machine each.
LEAST_DEALT_ASSETS = 16
# Below this spread of starts, as a share of the median life, the newest to end is merely
# the longest-lived, and a test on it would be a test on unusual machines.
SPREAD_OF_STARTS = 0.1
TIME_BLOCKS = 40


def split_rows(frame: Frame, labels: Labels, *, horizon_hours: float, seed: int) -> Split:
    """The split that suits the target: lives by `split_lives`, columns by `split_column`."""
    if np.isfinite(labels.value).any():
        return split_column(frame, labels, seed=seed)
    return split_lives(frame, labels, horizon_hours=horizon_hours, seed=seed)


def split_lives(frame: Frame, labels: Labels, *, horizon_hours: float, seed: int) -> Split:
    """Parts that each hold failures and rows known to outlive the horizon.

    By asset where a fleet runs to failure: most assets that failed are gone, and there are
    enough of them. The newest to end are the test, the others are dealt at random, spread
    evenly over life lengths; failed and running assets are dealt apart, so each part has its
    share of both.

    By time otherwise: the test is newest. What comes before is dealt by asset to train,
    validation and calibration where there are enough assets, so that all three reach up to
    the test and learning does not lag behind the plant; with few assets it is cut by time as
    well. Rows less than one horizon before a later part are left out, so no label window
    reaches into it; labels longer than the horizon still do until `censor_at_parts` cuts them.

    group is the asset, or one horizon of one life counted back from its end, so that the
    warning before a failure is one group; the latter also where the test holds too few assets
    for any resampling of them to tell skill from luck. Only usable rows are in a part.
    Raises NotEnoughData with figures when some part would be without failures.
    """
    positive = labels.fails_within(horizon_hours)
    classes = Classes(
        positive == 1.0,
        positive == 0.0,
        (f"that fail within {horizon_hours:g} h", f"known to outlive {horizon_hours:g} h"),
    )
    rng = np.random.default_rng(seed)
    group = _horizon_blocks(labels, horizon_hours)
    if _runs_to_failure(frame, labels):
        split = _by_asset(frame, labels.usable, _fates(frame, labels), classes, rng)
        return _group_finely(frame, split, group)
    purge = round(horizon_hours * HOUR_NS)
    part = _past_by_asset(frame, labels.usable, classes, purge, rng)
    if part is not None and not lacking(part, classes):
        how = f"test newest by time, {horizon_hours:g} h left out before it; the rest by asset"
        return make_split(part, group, classes, how)
    return split_by_time(frame.cutoff, labels.usable, classes, group, purge_ns=purge)


def split_column(frame: Frame, labels: Labels, *, seed: int) -> Split:
    """Parts for a given column, along the axis the table has.

    By asset where there are enough assets with several rows; by time, test newest, where rows
    differ in time (a run of equal labels is never cut: what lasts several rows would leak);
    else at random by row, spread evenly over the label. group is the asset (a block of its
    time where the test holds too few assets), a block of time, or the row.
    Raises NotEnoughData when some part would hold only one class.
    """
    rng = np.random.default_rng(seed)
    usable, value = labels.usable, labels.value
    classes = _column_classes(usable, value)
    assets = np.unique(frame.asset[usable])
    timed = len(np.unique(frame.cutoff[usable])) > 1
    lasting = usable & (value == 1.0) & (len(np.unique(value[usable])) == 2)
    group = _runs_in_blocks(frame.cutoff, lasting)
    if len(assets) >= MINIMUM_ASSETS and usable.sum() >= 2 * len(assets):
        split = _by_asset(frame, usable, _asset_levels(frame, labels), classes, rng)
        return _group_finely(frame, split, number_distinct(frame.asset, group))
    if timed and len(assets) < usable.sum():
        return split_by_time(frame.cutoff, usable, classes, group, purge_ns=0)
    part = np.full(len(usable), -1)
    rows = np.flatnonzero(usable)
    part[rows] = assign_parts(value[rows], np.zeros(len(rows)), SHARES, rng)
    number = np.arange(len(usable), dtype=np.int32)
    return make_split(part, number, classes, "by row: the table has no assets and no time")


def censor_at_parts(frame: Frame, labels: Labels, split: Split) -> Labels:
    """Life labels in which each row knows only what was known when its part ended.

    Where an asset has rows in a part that begins after this one ended, its lives are censored
    where that part begins. Windows up to the horizon of the split keep their label: the purge
    saw to that. Parts of different assets come back unchanged, and so do column labels.
    """
    parts = [getattr(split, name) for name in PARTS]
    return _censor(frame, labels, parts, parts)


def censor_at_test(frame: Frame, labels: Labels, split: Split) -> Labels:
    """Life labels in which rows that teach know all there was before the test."""
    return _censor(frame, labels, [split.learned], [split.test])


def _censor(frame: Frame, labels: Labels, parts: list[Rows], others: list[Rows]) -> Labels:
    duration, failed = labels.duration_hours.copy(), labels.failed.copy()
    followed = labels.followed_hours.copy()
    for rows in parts:
        later = [
            frame.cutoff[other].min()
            for other in others
            if frame.cutoff[other].min() > frame.cutoff[rows].max()
            and np.isin(frame.asset[other], frame.asset[rows]).any()
        ]
        if not later:
            continue
        hours_seen = (min(later) - frame.cutoff[rows]) / HOUR_NS
        beyond = labels.duration_hours[rows] > hours_seen
        duration[rows] = np.where(beyond, hours_seen, labels.duration_hours[rows])
        failed[rows] &= ~beyond
        followed[rows] = np.minimum(followed[rows], hours_seen)
    return replace(labels, duration_hours=duration, failed=failed, followed_hours=followed)


def newest_part(
    frame: Frame, labels: Labels, split: Split, *, since_ns: int, failures: int
) -> Split | None:
    """The split with train and validation cut to what came after `since_ns`.

    Reaches further back where that holds fewer than this many failures. None where all of
    history would be in it anyway, or where what is left could not rank sensors: both parts
    need rows that fail.
    """
    rows = np.concatenate([split.train, split.validation])
    rows = rows[labels.failed[rows]]
    end = failure_times(frame, labels, rows)
    ends = np.sort(end[np.unique(labels.life[rows], return_index=True)[1]])
    if len(ends) <= failures:
        return None
    since = min(since_ns, int(ends[-failures - 1]))
    parts = [part[frame.cutoff[part] > since] for part in (split.train, split.validation)]
    serve = all(labels.failed[part].any() for part in parts)
    return replace(split, train=parts[0], validation=parts[1]) if serve else None


def _column_classes(usable: Flags, value: Float64) -> Classes:
    labelled = value[usable]
    if set(np.unique(labelled)) <= {0.0, 1.0}:
        words = ("of the second class", "of the first class")
        return Classes(usable & (value == 1.0), usable & (value == 0.0), words)
    above = usable & (value > np.median(labelled))
    return Classes(above, usable & ~above, ("above the median", "up to the median"))


def _runs_to_failure(frame: Frame, labels: Labels) -> bool:
    """Whether most assets that failed never ran again, and enough did."""
    failing, ended = _fail_times(frame, labels)
    if len(failing) < MINIMUM_ASSETS:
        return False
    newest = np.full(len(frame.assets), np.iinfo(np.int64).min)
    np.maximum.at(newest, frame.asset[labels.usable], frame.cutoff[labels.usable])
    return bool(np.mean(newest[failing] < ended) > 0.5)


def _fail_times(frame: Frame, labels: Labels) -> tuple[Rows, Int64]:
    """Assets that failed, and when they first did."""
    rows = np.flatnonzero(labels.failed & labels.usable)
    end = failure_times(frame, labels, rows)
    first = np.full(len(frame.assets), np.iinfo(np.int64).max)
    np.minimum.at(first, frame.asset[rows], end)
    failing = np.unique(frame.asset[rows]).astype(np.intp)
    return failing, first[failing]


@dataclass(frozen=True, eq=False)
class _Fates:
    """Per asset that has rows: what it is dealt by (level), in which deck, and its age."""

    assets: Rows
    level: Float64
    deck: NDArray[np.int64]
    newness: Float64 | None


def _fates(frame: Frame, labels: Labels) -> _Fates:
    rows = np.flatnonzero(labels.usable)
    assets = np.unique(frame.asset[rows]).astype(np.intp)
    start = np.full(len(frame.assets), np.inf)
    end = np.full(len(frame.assets), -np.inf)
    np.minimum.at(start, frame.asset[rows], frame.cutoff[rows].astype(float))
    np.maximum.at(end, frame.asset[rows], frame.cutoff[rows].astype(float))
    failing, _ = _fail_times(frame, labels)
    life = (end - start)[assets]
    spread = np.subtract(*np.quantile(start[assets], [0.9, 0.1]))
    ages_differ = spread > SPREAD_OF_STARTS * np.median(life)
    deck = np.isin(assets, failing).astype(np.int64)
    return _Fates(assets, life, deck, end[assets] if ages_differ else None)


def _asset_levels(frame: Frame, labels: Labels) -> _Fates:
    rows = np.flatnonzero(labels.usable)
    total = np.bincount(frame.asset[rows], labels.value[rows], len(frame.assets))
    count = np.bincount(frame.asset[rows], minlength=len(frame.assets))
    assets = np.flatnonzero(count)
    level = total[assets] / count[assets]
    return _Fates(assets, level, np.zeros(len(assets), dtype=np.int64), None)


def _by_asset(
    frame: Frame, usable: Flags, fates: _Fates, classes: Classes, rng: np.random.Generator
) -> Split:
    dealt = np.full(len(fates.assets), -1)
    newness = np.zeros(len(fates.assets)) if fates.newness is None else fates.newness
    for deck in np.unique(fates.deck):
        mine = fates.deck == deck
        dealt[mine] = assign_parts(fates.level[mine], newness[mine], SHARES, rng)
    part_of_asset = np.full(len(frame.assets), -1)
    part_of_asset[fates.assets] = dealt
    part = np.where(usable, part_of_asset[frame.asset], -1)
    order = "dealt at random" if fates.newness is None else "the newest to end"
    counts = " / ".join(str(int(np.sum(dealt == number))) for number in range(len(PARTS)))
    how = f"by asset: {counts} assets ({' / '.join(PARTS)}), test {order}"
    return replace(make_split(part, frame.asset, classes, how), by_asset=True)


def _group_finely(frame: Frame, split: Split, group: Int32) -> Split:
    """A split by asset whose test holds too few of them to be resampled, by a finer group."""
    few = len(np.unique(frame.asset[split.test])) < LEAST_GROUPS
    return replace(split, group=group) if few else split


def _horizon_blocks(labels: Labels, horizon_hours: float) -> Int32:
    duration = np.where(labels.usable, labels.duration_hours, 0.0)
    block = np.maximum(np.ceil(duration / horizon_hours), 1).astype(np.int64)
    return number_distinct(labels.life, block)


def _runs_in_blocks(cutoff: Int64, lasting: Flags) -> Int32:
    """Blocks of consecutive rows, about `TIME_BLOCKS`, that cut no run of lasting rows."""
    rank = np.empty(len(cutoff), dtype=np.int64)
    order = np.argsort(cutoff, kind="stable")
    rank[order] = np.arange(len(cutoff)) * TIME_BLOCKS // len(cutoff)
    in_time = rank[order]
    runs_on = np.append(False, lasting[order][1:] & lasting[order][:-1])
    same_time = np.append(False, cutoff[order][1:] == cutoff[order][:-1])
    # A row that continues a run takes the block of the row where the run began.
    began = np.maximum.accumulate(np.where(runs_on | same_time, 0, np.arange(len(cutoff))))
    block = np.empty(len(cutoff), dtype=np.int64)
    block[order] = in_time[began]
    return number_distinct(block)


def _past_by_asset(
    frame: Frame, usable: Flags, classes: Classes, purge_ns: int, rng: np.random.Generator
) -> NDArray[np.int64] | None:
    """Part of each row: the newest are the test, those before dealt by asset; None for few."""
    borders = find_borders(frame.cutoff, usable, classes.positive, SHARES, 0.5)
    if not len(borders):
        return None
    past = usable & (frame.cutoff + purge_ns < borders[-1])
    assets = np.unique(frame.asset[past])
    if len(assets) < LEAST_DEALT_ASSETS:
        return None
    failing = np.bincount(frame.asset[past & classes.positive], minlength=len(frame.assets))
    dealt = np.full(len(frame.assets), -1)
    share = np.array(SHARES[:-1]) / sum(SHARES[:-1])
    dealt[assets] = assign_parts(
        failing[assets].astype(float), np.zeros(len(assets)), share.tolist(), rng
    )
    part = np.where(past, dealt[frame.asset], -1)
    return np.where(usable & (frame.cutoff >= borders[-1]), len(PARTS) - 1, part)


def assign_parts(
    level: Float64, newness: Float64, shares: Sequence[float], rng: np.random.Generator
) -> NDArray[np.int64]:
    """A part per item: the newest to the test, the others spread evenly over `level`.

    Where all are equally new, the test is dealt like the others.
    """
    count = len(level)
    # No part below one item where there are enough; the first takes the rest.
    least = 1 if count >= len(shares) else 0
    rest_sizes = [max(least, round(count * share)) for share in shares[1:]]
    sizes = [count - sum(rest_sizes), *rest_sizes]
    part = np.full(count, -1, dtype=np.int64)
    if count and newness.min() < newness.max():
        order = np.lexsort([rng.random(count), newness])
        part[order[count - sizes[-1] :]] = len(shares) - 1
        sizes[-1] = 0
    rest = np.flatnonzero(part < 0)
    order = rest[np.lexsort([rng.random(len(rest)), level[rest]])]
    part[order] = _spread_evenly(sizes, rng)
    return part


def _spread_evenly(sizes: Sequence[int], rng: np.random.Generator) -> NDArray[np.int64]:
    """Part numbers in a sequence where each part comes at even distances."""
    places = [(np.arange(size) + rng.random()) / size for size in sizes if size]
    numbers = [np.full(size, number) for number, size in enumerate(sizes) if size]
    if not places:
        return np.empty(0, dtype=np.int64)
    order = np.argsort(np.concatenate(places), kind="stable")
    return np.concatenate(numbers)[order].astype(np.int64)
