import numpy as np
import pytest

from pm_app.learning.pool.shares import FEWEST_GROUPS, pool_text, weigh_members
from pm_app.records.learning import QualityReport

GROUPS = 40
GROUP = np.repeat(np.arange(GROUPS, dtype=np.int32), 5)


def losses_of(best, *, noise, depth=0.2, groups=GROUPS, seed=0):
    """Losses by the network's share, least at `best`, whose differences vary by `noise` among
    groups."""
    own = np.random.default_rng(seed).normal(0, noise, groups)

    def lose(shares):
        share = shares["network"]
        mean = 0.3 + depth * (share - best) ** 2
        return np.repeat(mean + own * (share - 0.5), 5)[:, None] * np.ones((1, 2))

    return lose


def shares(pool):
    return tuple(member.share for member in pool.members)


@pytest.mark.parametrize("best", [0.0, 0.25, 0.75, 1.0])
def test_shares_leave_equality_where_losses_ask_for_it_beyond_noise(best):
    pool = weigh_members(losses_of(best, noise=0.001), GROUP, boosted=False)

    assert shares(pool) == (best, 1.0 - best)
    assert pool.groups == GROUPS


@pytest.mark.parametrize("seed", range(5))
def test_what_is_best_within_noise_leaves_members_equal(seed):
    """Control: by the mean loss alone shares would have moved."""
    lose = losses_of(0.4, noise=0.2, groups=12, seed=seed)
    means = {share: lose({"network": share}).mean() for share in (1.0, 0.75, 0.5, 0.25, 0.0)}
    pool = weigh_members(lose, GROUP[: 5 * 12], boosted=False)
    own = np.random.default_rng(seed).normal(0, 0.2, 12)
    is_noise = abs(own.sum()) < np.std(own, ddof=1) * np.sqrt(12) * 0.7

    assert min(means, key=means.get) != 0.5 or is_noise
    assert shares(pool) == (0.5, 0.5) or not is_noise


def test_a_forest_that_adds_nothing_is_left_out():
    lose = losses_of(0.5, noise=1e-6, depth=0.001)
    pool = weigh_members(lose, GROUP, boosted=False)

    assert shares(pool) == (1.0, 0.0)
    assert pool.reason == "together they are no better"


def test_too_few_lives_leave_members_equal():
    few = FEWEST_GROUPS - 1
    pool = weigh_members(losses_of(1.0, noise=0.0, groups=few), GROUP[: 5 * few], boosted=False)

    assert shares(pool) == (0.5, 0.5)


def losses_with(boosted, *, gain, noise, seed=0):
    """Losses that are `gain` less the nearer the share of boosted trees is to this one."""
    own = np.random.default_rng(seed).normal(0, noise, GROUPS)
    two = losses_of(0.5, noise=0.01)

    def lose(shares):
        joined = shares.get("boosted trees", 0.0)
        if joined == 1.0:
            return np.ones((len(GROUP), 2))
        spared = gain * (1.0 - abs(joined - boosted) / boosted) + joined * own
        network = shares["network"] / (1.0 - joined)
        return two({"network": network}) - np.repeat(spared, 5)[:, None]

    return lose


@pytest.mark.parametrize("best", [0.25, 0.5, 0.75])
def test_boosted_trees_join_where_they_add_beyond_noise(best):
    pool = weigh_members(losses_with(best, gain=0.1, noise=0.01), GROUP, boosted=True)

    assert shares(pool) == (0.5 * (1 - best), 0.5 * (1 - best), best)
    assert "boosted trees add beyond noise" in pool.reason


@pytest.mark.parametrize("seed", range(3))
def test_boosted_trees_that_add_no_more_than_noise_stay_out(seed):
    lose = losses_with(0.5, gain=0.001, noise=0.1, seed=seed)
    pool = weigh_members(lose, GROUP, boosted=True)

    assert shares(pool) == (0.5, 0.5, 0.0)
    assert pool.members[2].losses == (1.0, 1.0)
    assert pool.reason.endswith("boosted trees add nothing")


def test_boosted_trees_stay_out_where_too_few_lives_tell():
    few = FEWEST_GROUPS - 1
    lose = losses_with(0.5, gain=0.1, noise=0.0)
    pool = weigh_members(lambda of: lose(of)[: 5 * few], GROUP[: 5 * few], boosted=True)

    assert shares(pool) == (0.5, 0.5, 0.0)


def test_the_words_say_shares_and_what_pooling_gained():
    pool = weigh_members(losses_of(0.5, noise=0.01), GROUP, boosted=False)
    reports = [
        QualityReport(name, None, {"average_precision_24h": 0.5, "average_precision_72h": figure})
        for name, figure in (("pool", 0.83), ("tiers", 0.79), ("random forest", 0.81))
    ]

    text = pool_text(pool, reports)

    assert text.startswith(
        "network 0.5, forest 0.5: average precision 72h 0.830, network alone 0.790, forest 0.810"
    )


def test_boosted_trees_without_a_share_are_not_named_among_shares():
    pool = weigh_members(losses_with(0.5, gain=0.001, noise=0.1), GROUP, boosted=True)
    reports = [
        QualityReport(name, None, {"average_precision_24h": 0.8})
        for name in ("pool", "tiers", "random forest")
    ]

    text = pool_text(pool, reports)

    assert text.startswith("network 0.5, forest 0.5: average precision 24h 0.800")
    assert text.endswith("boosted trees add nothing)")
