"""Shares of a pool: how much of the answer is the network's, by losses on rows neither has seen."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from pm_app.learning.evaluation.metrics import worse_beyond_noise
from pm_app.records.learning import Pool, PoolMember, QualityReport
from pm_app.records.readings import Float64, Int32

NETWORK, FOREST = "network", "forest"
# Reports of what is no network; the network's bears the name of its strategy.
POOL_REPORT, FOREST_REPORT = "pool", "random forest"
# Shares of the network that are tried. Few: finer ones differ by less than noise.
TRIED: Final = (1.0, 0.75, 0.5, 0.25, 0.0)
EQUAL: Final = 0.5
# How many standard errors of the paired difference make a difference.
NOISE: Final = 1.0
# With fewer lives or spells nothing is known of noise.
FEWEST_GROUPS: Final = 4
# A member that spares less than this share of every loss, beyond noise, earns nothing.
NEGLIGIBLE: Final = 0.01
_NOTHING: Final = 1e-12


def weigh_members(lose: Callable[[float], Float64], group: Int32) -> Pool:
    """The pool whose shares these losses ask for.

    lose: losses (n_rows, n_figures) at a share of the network, of the same rows for all; group:
    (n_rows,). Members have equal shares unless others are better beyond noise, for what is best
    for few failures is mostly their noise. Where both together are surely no better than one
    alone, that one answers; of both the network.
    """
    losses = {share: lose(share) for share in TRIED}
    share, reason = _weigh(losses, group)
    members = (
        PoolMember(NETWORK, share, _means(losses[1.0])),
        PoolMember(FOREST, 1.0 - share, _means(losses[0.0])),
    )
    return Pool(members, _means(losses[share]), len(np.unique(group)), reason)


def pool_text(pool: Pool, reports: Sequence[QualityReport]) -> str:
    """In words: "network 0.5, forest 0.5: average precision 0.830, network alone 0.790, …".

    reports: of the version first, its members alone among the others.
    """
    shares = ", ".join(f"{each.name} {each.share:g}" for each in pool.members)
    if 1.0 in (each.share for each in pool.members):
        return f"{shares} ({pool.reason})"
    names = list(reports[0].metrics)
    # As the promotion test has it: at the longest horizon, which comes last.
    own = next((name for name in names[::-1] if name.startswith("average_precision")), names[0])
    network, forest = (
        each.metrics[own]
        for each in (reports[1], next(each for each in reports if each.model == FOREST_REPORT))
    )
    figures = f"{reports[0].metrics[own]:.3f}, network alone {network:.3f}, forest {forest:.3f}"
    return f"{shares}: {own.replace('_', ' ')} {figures} ({pool.reason})"


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
