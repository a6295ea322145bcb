"""Drift of the ranking of sensors: whether it still holds, and what follows when it does not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import hypergeom

from pm_app.learning.data.sufficiency import name_some
from pm_app.learning.importance.attribution import Attributions
from pm_app.learning.importance.clusters import weighted_tau
from pm_app.records.learning import Drift, Importance
from pm_app.records.readings import Float64

# Changes drawn from chance alone; p is never below 1 / (DRAWS + 1).
DRAWS = 4_000
# Chance is drawn with a fixed seed: the same rankings always give the same verdict.
SEED = 20_240_601
# A sensor's deviation is taken to be no smaller than this share: the replicates of sensors
# that tell nothing barely scatter, and any breath would be beyond chance.
SMALLEST_CHANGE = 0.01
# Variance of the difference of two rankings in units of a replicate's, before what few
# replicates leave open. On eight splits of the FD001 engines into disjoint halves it was 0.8
# (1.06 with that); retrainings of one plant share most of their data and differ less.
BETWEEN_RANKINGS = 1.0
# With fewer spare replicates their scatter is unknown, and nothing is beyond chance.
LEAST_FREEDOM = 4
# A sensor whose share moves by less is no reason to deal a plan anew; with 0.1, changes of half
# the failures were now and then overlooked.
SMALLEST_MOVE = 0.05
# A sensor's share is taken to deviate from failure to failure by no less: what announces next to
# nothing is not to outweigh what announces most.
SMALLEST_SPREAD = 0.1
# Risk: a failure that all sensors together announce by less was hardly announced at all.
SMALLEST_ATTRIBUTED = 0.1
ROUNDING = 1e-9
# A mode is called more frequent than before by chance no more often than this.
FREQUENT = 0.05
# Leading sensors that are compared by name.
LEADERS = 5
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class DriftContext:
    """Context of a verdict: what it weighs besides the change itself.

    has_new_failures: since the champion learned. has_new_evidence: since the last retraining;
    without, the same failures are asked again, and their answer is counted once. too_few:
    in words, why rankings cannot be compared, "" where they can.
    """

    p_value: float
    in_a_row_needed: int
    in_a_row_before: int
    has_new_failures: bool
    has_new_evidence: bool = True
    too_few: str = ""
    forced: bool = False


@dataclass(frozen=True)
class RankingChange:
    """How two rankings differ, and the sensor that moved most with its ranks and shares.

    tau, overlap and p are those of `Drift`.
    """

    tau: float
    overlap: float
    p: float
    sensor: str
    ranks: tuple[int, int]
    shares: tuple[float, float]


def first_drift() -> Drift:
    """The verdict without a champion."""
    return Drift("first", "first ranking: nothing to compare it with", None, None, None, 0)


def decide(
    find: Callable[[], RankingChange],
    context: DriftContext,
    *,
    before: Sequence[str],
    now: Sequence[str],
) -> Drift:
    """The verdict on the ranking, with hysteresis; before, now: the sensors then and now.

    "rebuild" when forced, when sensors came or went (the plan no longer fits them), or when the
    ranking differs beyond chance (p at most `p_value`) for the `in_a_row_needed`-th retraining
    in a row; "refit" when it differs but not yet that often, or holds, and there are new
    failures to learn from; else "keep". "not_enough_data" where too few failures could be
    compared. find is called where there are enough.
    """
    fitting = _sensors_text(before, now)
    why = "rebuild was asked for" if context.forced else f"{fitting}: rebuild"
    demanded = context.forced or bool(fitting)
    if context.too_few:
        if demanded:
            return Drift("rebuild", why, None, None, None, 0)
        reason = f"not enough data to compare rankings: {context.too_few}; the champion stays"
        return Drift("not_enough_data", reason, None, None, None, context.in_a_row_before)
    found = find()
    counts = context.has_new_evidence or not context.in_a_row_before
    in_a_row = context.in_a_row_before + counts if found.p <= context.p_value else 0
    if demanded:
        verdict, reason = "rebuild", why
    elif in_a_row:
        verdict, reason = _weigh(found, in_a_row, counts, context)
    else:
        verdict, reason = _stay(found, context.has_new_failures)
    return Drift(verdict, reason, found.tau, found.p, None, in_a_row, found.overlap)


def _weigh(
    found: RankingChange, in_a_row: int, counts: bool, context: DriftContext
) -> tuple[str, str]:
    needed = context.in_a_row_needed
    change = f"{_change_text(found)}, beyond what chance gives (p = {found.p:.2g})"
    if not counts:
        return "keep", f"{change}, but no failure is new since the last retraining: keep"
    if in_a_row >= needed:
        return "rebuild", f"{change}, {_times(in_a_row)}: rebuild"
    waits = f"{change}, but not yet {_times(needed)}"
    if context.has_new_failures:
        return "refit", f"{waits}: refit"
    return "keep", f"{waits}, and no failure is new: keep"


def _stay(found: RankingChange, has_new_failures: bool) -> tuple[str, str]:
    holds = f"the ranking holds (p = {found.p:.2g})"
    if has_new_failures:
        return "refit", f"{holds} and there are new failures to learn from: refit"
    return "keep", f"{holds} and no failure is new: keep"


def _sensors_text(before: Sequence[str], now: Sequence[str]) -> str:
    """Which sensors came or went, "" where none did."""
    changes = ((set(now) - set(before), "appeared"), (set(before) - set(now), "vanished"))
    return " and ".join(f"{name_some(sorted(names))} {word}" for names, word in changes if names)


def _change_text(found: RankingChange) -> str:
    verb = "rose" if found.ranks[1] < found.ranks[0] else "fell"
    ranks = f"from rank {found.ranks[0]} to {found.ranks[1]}"
    before, after = (f"{share:.0%}".replace("%", " %") for share in found.shares)
    return f"{found.sensor} {verb} {ranks} ({before} to {after} of what tells failures)"


def change_of_failures(
    before: Attributions, after: Attributions, clusters: Sequence[Sequence[str]]
) -> RankingChange:
    """The sensor whose share in attributions moved most of those whose rank did.

    clusters: twins, counted as one. Were nothing changed, the failures before and after could
    be dealt anew without a difference: they are, `DRAWS` times (a permutation test, Fisher
    1935), and the largest movement over all sensors is compared with the largest of each deal.
    So p is exact however few failures there are, whatever the shares scatter like. Movements
    are counted in deviations of their sensor from failure to failure. Below `SMALLEST_MOVE`
    nothing is called a change: given enough failures anything is beyond chance, and for that
    little no plan is worth dealing anew.
    """
    groups = _join_twins(before.sensors, clusters)
    attributed = np.vstack([_attributed_shares(side, groups) for side in (before, after)])
    is_after = np.arange(len(attributed)) >= len(before.time)
    rng = np.random.default_rng(SEED)
    dealt = np.vstack([is_after, rng.permuted(np.tile(is_after, (DRAWS, 1)), axis=1)])
    shares = [_shares(attributed, side) for side in (~dealt, dealt)]
    ranks = [_rank(each) for each in shares]
    apart = np.abs(shares[1] - shares[0])
    scale = np.maximum(attributed.std(axis=0), SMALLEST_SPREAD)
    counts = (ranks[0] != ranks[1]) & (apart >= SMALLEST_MOVE)
    moved = np.where(counts, apart / scale, 0.0)
    top = int(np.argmax(moved[0]))
    reached = moved[0, top]
    rare = (1 + np.sum(moved[1:].max(axis=1) >= reached - ROUNDING)) / (DRAWS + 1)
    p = float(rare) if reached > 0.0 else 1.0
    return _ranking_change(shares[0][0], shares[1][0], groups, top, p)


def change_by_mode(
    before: Attributions,
    after: Attributions,
    clusters: Sequence[Sequence[str]],
    modes: Sequence[str],
    *,
    least: int,
) -> RankingChange:
    """The likeliest change: of all failures together, or of those of one mode.

    Asked of each mode with `least` failures on both sides. Half of the p is for all together, half
    for the modes, each the same part of it (Bonferroni); without modes it is all of the former's.
    """
    whole = change_of_failures(before, after, clusters)
    sides = {name: (before.mode == n, after.mode == n) for n, name in enumerate(modes)}
    asked = {n: s for n, s in sides.items() if min(s[0].sum(), s[1].sum()) >= least}
    if not asked:
        return whole
    found = [replace(whole, p=min(2 * whole.p, 1.0))]
    for name, (old, new) in asked.items():
        one = change_of_failures(before.take(old), after.take(new), clusters)
        sensor = f"{one.sensor} before {name} failures"
        found.append(replace(one, sensor=sensor, p=min(2 * len(asked) * one.p, 1.0)))
    return min(found, key=lambda change: change.p)


def frequent_text(before: Attributions, after: Attributions, modes: Sequence[str]) -> str:
    """Modes that became frequent beyond chance, in words; "" for none.

    One-sided exact tests of counts before and after (Fisher 1935), Bonferroni over modes.
    """
    mode = np.concatenate([before.mode, after.mode])
    later = np.arange(len(mode)) >= len(before.mode)
    later, mode = later[mode >= 0], mode[mode >= 0]
    texts = []
    for number, name in enumerate(modes):
        own = mode == number
        counts = int(np.sum(own & ~later)), int(np.sum(own & later))
        p = hypergeom.sf(counts[1] - 1, len(mode), int(own.sum()), int(later.sum()))
        if p <= FREQUENT / len(modes):
            sides = f"{counts[0]} of {int(np.sum(~later))} failures, then {counts[1]}"
            texts.append(f"{name} became frequent: {sides} of {int(later.sum())}")
    return "; ".join(texts)


def _attributed_shares(side: Attributions, groups: Sequence[Sequence[str]]) -> Float64:
    """Shares of each failure's attribution, (n_failures, n_groups); all little where it is.

    Failures count alike: a loud one is not worth several quiet ones.
    """
    place = {sensor: at for at, sensor in enumerate(side.sensors)}
    columns = [[place[sensor] for sensor in group] for group in groups]
    lost = np.stack([side.lost[:, own].sum(axis=1) for own in columns], axis=1)
    lost = np.clip(lost, 0.0, None)
    attributed: Float64 = lost / np.maximum(lost.sum(axis=1, keepdims=True), SMALLEST_ATTRIBUTED)
    return attributed


def _shares(attributed: Float64, chosen: NDArray[np.bool_]) -> Float64:
    """Shares over the failures of each deal, (n_deals, n_groups)."""
    total = chosen @ attributed
    shares: Float64 = total / np.maximum(total.sum(axis=1, keepdims=True), ROUNDING)
    return shares


def change_of_rankings(champion: Importance, now: Importance) -> RankingChange:
    """The sensor whose share changed most among those whose rank did, against chance.

    A replicate scatters around its ranking as the ranking scatters around the truth (the
    bootstrap, Efron 1979), and by the forest's own chance besides, which the mean over
    replicates averages out. So if nothing changed, the difference of the two rankings is that
    of a few such deviations, whatever the truth: these are drawn as Gaussian mixtures of the
    replicates' own, with the fat tails of a variance known from few replicates. Changes are
    counted in deviations of their sensor, and the largest is compared with the largest that
    chance gives over all sensors.

    Weighted tau measures how far the rankings agree but does not decide: its own chance
    distribution needs to know how near to ties the true shares are, and guessing that from
    either ranking gave 10 % false alarms at p = 0.01 where all sensors matter alike.
    """
    sensors = tuple(dict.fromkeys((*champion.sensors, *now.sensors)))
    groups = _join_twins(sensors, (*champion.clusters, *now.clusters))
    old, new = _fold(champion, groups), _fold(now, groups)
    before, after = old.mean(axis=0), new.mean(axis=0)
    deviations = np.vstack([old - before, new - after])
    scale = np.maximum(deviations.std(axis=0), SMALLEST_CHANGE)
    change = np.where(_rank(before) != _rank(after), np.abs(after - before) / scale, 0.0)
    top = int(np.argmax(change))
    p = _chance(deviations, scale, len(old), len(new), reached=float(change[top]))
    return _ranking_change(before, after, groups, top, p)


def _ranking_change(
    before: Float64, after: Float64, groups: Sequence[Sequence[str]], top: int, p: float
) -> RankingChange:
    """The change between two rankings by shares, (n_groups,), of which group `top` moved most."""
    ranks = _rank(before), _rank(after)
    leaders = min(LEADERS, len(before))
    return RankingChange(
        tau=weighted_tau(before, after),
        overlap=float(np.sum((ranks[0] <= leaders) & (ranks[1] <= leaders)) / leaders),
        p=p,
        sensor=" with ".join(groups[top][:2]),
        ranks=(int(ranks[0][top]), int(ranks[1][top])),
        shares=(float(before[top]), float(after[top])),
    )


def _chance(deviations: Float64, scale: Float64, old: int, new: int, *, reached: float) -> float:
    freedom = old + new - 2
    if reached == 0.0 or freedom < LEAST_FREEDOM:
        return 1.0
    rng = np.random.default_rng(SEED)
    variance = BETWEEN_RANKINGS + 1.0 / old + 1.0 / new
    mix = rng.normal(size=(DRAWS, len(deviations))) * np.sqrt(variance / freedom)
    mix /= np.sqrt(rng.chisquare(freedom, size=(DRAWS, 1)) / freedom)
    largest = (np.abs(mix @ deviations) / scale).max(axis=1)
    return float((1 + np.sum(largest >= reached)) / (DRAWS + 1))


def _rank(shares: Float64) -> NDArray[np.intp]:
    """Ranks from 1 along the last axis, ties by column order."""
    return np.argsort(np.argsort(-shares, axis=-1, kind="stable"), axis=-1, kind="stable") + 1


def _join_twins(sensors: Sequence[str], clusters: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    """Sensors joined where any cluster calls them twins: twins trade places freely."""
    place = {sensor: at for at, sensor in enumerate(sensors)}
    links = [
        (place[cluster[0]], place[sensor])
        for cluster in clusters
        for sensor in cluster
        if cluster[0] in place and sensor in place
    ]
    start, end = np.array(links, dtype=np.intp).reshape(-1, 2).T
    graph = coo_array((np.ones(len(start)), (start, end)), shape=(len(sensors), len(sensors)))
    _, owner = connected_components(graph, directed=False)
    return [
        tuple(sensor for sensor, its in zip(sensors, owner, strict=True) if its == group)
        for group in dict.fromkeys(owner.tolist())
    ]


def _fold(importance: Importance, groups: list[tuple[str, ...]]) -> Float64:
    """Replicates of the groups' shares, shape (n_replicates, n_groups); absent counts 0."""
    place = {sensor: at for at, sensor in enumerate(importance.sensors)}
    shares = np.array(importance.replicates or (importance.shares,))
    columns = [[place[s] for s in group if s in place] for group in groups]
    return np.stack([shares[:, own].sum(axis=1) for own in columns], axis=1)


def _times(count: int) -> str:
    if count == 1:
        return "in one retraining"
    number = NUMBERS[count] if count < len(NUMBERS) else str(count)
    return f"in {number} retrainings in a row"
