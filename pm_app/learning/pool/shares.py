"""Shares of a pool: how much of the answer is whose, by losses on rows that none has seen."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from pm_app.learning.evaluation.metrics import worse_beyond_noise
from pm_app.records.learning import Pool, PoolMember, QualityReport
from pm_app.records.readings import Float64, Int32

NETWORK, FOREST, BOOSTED = "network", "forest", "boosted trees"
# Reports of what is no network; the network's bears the name of its strategy.
POOL_REPORT, FOREST_REPORT, BOOSTED_REPORT = "pool", "random forest", BOOSTED
# Shares of the network that are tried. Few: finer ones differ by less than noise.
TRIED: Final = (1.0, 0.75, 0.5, 0.25, 0.0)
EQUAL: Final = 0.5
# Shares at which boosted trees may join network and forest, whose shares shrink alike.
JOINING: Final = (0.25, 0.5, 0.75)
# How many standard errors of the paired difference make a difference.
NOISE: Final = 1.0
# With fewer lives or spells nothing is known of noise.
FEWEST_GROUPS: Final = 4
# A member that spares less than this share of every loss, beyond noise, earns nothing.
NEGLIGIBLE: Final = 0.01
_NOTHING: Final = 1e-12

# By the name of a member.
Shares = Mapping[str, float]


def weigh_members(lose: Callable[[Shares], Float64], group: Int32, *, boosted: bool) -> Pool:
    """The pool whose shares these losses ask for.

    lose: losses (n_rows, n_figures) at shares by member, of the same rows for all; group:
    (n_rows,). Network and forest have equal shares unless others are better beyond noise, for what
    is best for few failures is mostly their noise. Where both together are surely no better than
    one alone, that one answers; of both the network. boosted: whether there are boosted trees,
    which join only where the pool is better for it beyond noise.
    """
    losses = {share: lose(_of_two(share)) for share in TRIED}
    share, reason = _weigh(losses, group)
    shares, lost, alone = _of_two(share), losses[share], {NETWORK: losses[1.0], FOREST: losses[0.0]}
    if boosted:
        alone[BOOSTED] = lose({BOOSTED: 1.0})
        shares, lost, joins = _join(lose, shares, lost, group)
        reason = f"{reason}; {joins}"
    members = tuple(
        PoolMember(name, shares.get(name, 0.0), _means(each)) for name, each in alone.items()
    )
    return Pool(members, _means(lost), len(np.unique(group)), reason)


def _joined(shares: Shares, joining: float) -> Shares:
    others = {name: (1.0 - joining) * share for name, share in shares.items()}
    return {**others, BOOSTED: joining}


def _of_two(share: float) -> Shares:
    return {NETWORK: share, FOREST: 1.0 - share}


def _join(
    lose: Callable[[Shares], Float64], shares: Shares, losses: Float64, group: Int32
) -> tuple[Shares, Float64, str]:
    """Shares with boosted trees among them where that is better beyond noise, and what is lost."""
    if len(np.unique(group)) < FEWEST_GROUPS:
        return shares, losses, "boosted trees do not join: too few to tell whether they add"
    best = shares, losses
    for joining in JOINING:
        tried = _joined(shares, joining)
        lost = lose(tried)
        if _is_better(lost, losses, group) and _level(lost) < _level(best[1]):
            best = tried, lost
    joins = "boosted trees " + ("add beyond noise" if BOOSTED in best[0] else "add nothing")
    return *best, joins


def pool_text(pool: Pool, reports: Sequence[QualityReport]) -> str:
    """In words: "network 0.5, forest 0.5: average precision 0.830, network alone 0.790, …".

    reports: of the version first, its members alone among the others.
    """
    # That boosted trees have none the reason says.
    named = [each for each in pool.members if each.share or each.name != BOOSTED]
    shares = ", ".join(f"{each.name} {each.share:g}" for each in named)
    if 1.0 in (each.share for each in pool.members):
        return f"{shares} ({pool.reason})"
    names = list(reports[0].metrics)
    # As the promotion test has it: at the longest horizon, which comes last.
    own = next((name for name in names[::-1] if name.startswith("average_precision")), names[0])
    alone = {each.model: each.metrics[own] for each in reports[1:]}
    figures = [f"{reports[0].metrics[own]:.3f}", f"network alone {alone[reports[1].model]:.3f}"]
    figures += [
        f"{name} {alone[report]:.3f}"
        for name, report in ((FOREST, FOREST_REPORT), (BOOSTED, BOOSTED_REPORT))
        if report in alone
    ]
    return f"{shares}: {own.replace('_', ' ')} {', '.join(figures)} ({pool.reason})"


def _weigh(losses: dict[float, Float64], group: Int32) -> tuple[float, str]:
    """The network's share, and why it has that."""
    if len(np.unique(group)) < FEWEST_GROUPS:
        return EQUAL, "equal: too few failures and survivors to weigh them"
    better = [share for share in TRIED if _is_better(losses[share], losses[EQUAL], group)]
    share = min(better, key=lambda each: _level(losses[each]), default=EQUAL)
    for alone in (1.0, 0.0):
        if 0.0 < share < 1.0 and _spares_nothing(losses[share], losses[alone], group):
            return alone, "together they are no better"
    return share, "better than equal shares beyond noise" if better else "equal within noise"


def _is_better(losses: Float64, others: Float64, group: Int32) -> bool:
    """Whether some loss is less beyond noise, and none is more."""
    gains = worse_beyond_noise(others, losses, group, noise=NOISE)
    return gains and not worse_beyond_noise(losses, others, group, noise=NOISE)


def _spares_nothing(pool: Float64, alone: Float64, group: Int32) -> bool:
    least = alone * (1.0 - NEGLIGIBLE)
    return all(
        worse_beyond_noise(pool[:, [at]], least[:, [at]], group, noise=NOISE)
        for at in range(pool.shape[1])
    )


def _level(losses: Float64) -> float:
    return float(np.log(losses.mean(axis=0) + _NOTHING).sum())


def _means(losses: Float64) -> tuple[float, ...]:
    return tuple(losses.mean(axis=0).tolist())
