import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import weightedtau

from pm_app.learning.importance.attribution import Attributions
from pm_app.learning.importance.clusters import weighted_tau
from pm_app.learning.importance.drift import (
    DriftContext,
    RankingChange,
    change_of_failures,
    change_of_rankings,
    decide,
    first_drift,
)
from pm_app.records.learning import Drift, Importance

LIKE_ENGINES = np.array([25, 12, 11, 9, 7, 6, 6, 5, 5, 4, 3, 2, 2, 1.5, 0.5, 0, 0, 0]) / 100
ALL_ALIKE = np.full(12, 1 / 12)


def draw_importance(
    truth: np.ndarray,
    rng: np.random.Generator,
    *,
    noise: float = 0.1,
    names: tuple[str, ...] | None = None,
    clusters: tuple[tuple[str, ...], ...] | None = None,
) -> Importance:
    """One measurement: a ranking off the truth, and its replicates farther off the ranking
    (the variance between rankings of unlike engines is about half of two replicates')."""
    scale = noise * truth + 0.002
    centre = np.clip(truth + 0.7 * rng.normal(size=len(truth)) * scale, 0, None)
    replicates = np.clip(centre + rng.normal(size=(8, len(truth))) * scale, 0, None)
    replicates /= replicates.sum(axis=1, keepdims=True)
    shares = tuple(replicates.mean(axis=0).tolist())
    sensors = names or tuple(f"s{number}" for number in range(len(truth)))
    return Importance(
        sensors=sensors,
        shares=shares,
        spread=tuple(replicates.std(axis=0).tolist()),
        replicates=tuple(tuple(row) for row in replicates.tolist()),
        clusters=clusters or tuple((sensor,) for sensor in sensors),
        cluster_shares=shares if clusters is None else (1 / len(clusters),) * len(clusters),
        interactions=(),
        score_name="average_precision",
        score=0.9,
    )


def compare(
    champion: Importance | None,
    now: Importance,
    *,
    in_a_row_before: int = 0,
    has_new_failures: bool = True,
    has_new_evidence: bool = True,
    too_few: str = "",
    forced: bool = False,
) -> Drift:
    if champion is None:
        return first_drift()
    standing = DriftContext(
        p_value=0.01,
        in_a_row_needed=2,
        in_a_row_before=in_a_row_before,
        has_new_failures=has_new_failures,
        has_new_evidence=has_new_evidence,
        too_few=too_few,
        forced=forced,
    )
    find = partial(change_of_rankings, champion, now)
    return decide(find, standing, before=champion.sensors, now=now.sensors)


def swap(truth: np.ndarray, first: int, second: int) -> np.ndarray:
    changed = truth.copy()
    changed[[first, second]] = truth[[second, first]]
    return changed


@pytest.mark.parametrize("noise", [0.1, 0.3])
@pytest.mark.parametrize("truth", [LIKE_ENGINES, ALL_ALIKE], ids=["like engines", "all alike"])
def test_measuring_again_is_rarely_called_a_change(truth, noise):
    rng = np.random.default_rng(7)

    alarms = [
        compare(
            draw_importance(truth, rng, noise=noise), draw_importance(truth, rng, noise=noise)
        ).in_a_row
        for _ in range(200)
    ]

    assert np.mean(alarms) <= 0.02


@pytest.mark.parametrize(("noise", "found"), [(0.1, 0.98), (0.3, 0.6)])
def test_a_swap_of_the_first_and_the_tenth_is_found(noise, found):
    rng = np.random.default_rng(8)

    drifts = [
        compare(
            draw_importance(LIKE_ENGINES, rng, noise=noise),
            draw_importance(swap(LIKE_ENGINES, 0, 9), rng, noise=noise),
        )
        for _ in range(60)
    ]

    assert np.mean([drift.in_a_row for drift in drifts]) >= found


def test_a_change_rebuilds_only_when_it_lasts():
    rng = np.random.default_rng(1)
    champion = draw_importance(LIKE_ENGINES, rng)
    now = draw_importance(swap(LIKE_ENGINES, 0, 9), rng)

    once = compare(champion, now)
    twice = compare(champion, now, in_a_row_before=once.in_a_row)

    assert (once.verdict, once.in_a_row) == ("refit", 1)
    assert (twice.verdict, twice.in_a_row) == ("rebuild", 2)
    assert re.fullmatch(
        r"s9 rose from rank 10 to 1 \([345] % to 2\d % of what tells failures\), "
        r"beyond what chance gives \(p = 0\.000\d+\), in two retrainings in a row: rebuild",
        twice.reason,
    )
    assert twice.tau is not None
    assert twice.tau < 0.9


def test_the_same_failures_asked_again_are_no_second_sign():
    rng = np.random.default_rng(1)
    champion = draw_importance(LIKE_ENGINES, rng)
    now = draw_importance(swap(LIKE_ENGINES, 0, 9), rng)

    again = compare(champion, now, in_a_row_before=1, has_new_evidence=False)
    still = compare(champion, now, in_a_row_before=2, has_new_evidence=False)

    assert (again.verdict, again.in_a_row) == ("keep", 1)
    assert (still.verdict, still.in_a_row) == ("keep", 2)
    assert again.reason.endswith("but no failure is new since the last retraining: keep")


def test_a_change_that_waits_without_new_failures_trains_nothing():
    rng = np.random.default_rng(1)
    champion = draw_importance(LIKE_ENGINES, rng)
    now = draw_importance(swap(LIKE_ENGINES, 0, 9), rng)

    drift = compare(champion, now, has_new_failures=False, has_new_evidence=False)

    assert (drift.verdict, drift.in_a_row) == ("keep", 1)
    assert drift.reason.endswith("not yet in two retrainings in a row, and no failure is new: keep")


def test_too_few_failures_decide_nothing_and_forget_nothing():
    rng = np.random.default_rng(1)
    champion = draw_importance(LIKE_ENGINES, rng)
    now = draw_importance(swap(LIKE_ENGINES, 0, 9), rng)
    few = "7 failures to rank sensors by, 10 needed"

    drift = compare(champion, now, in_a_row_before=1, too_few=few)

    assert (drift.verdict, drift.in_a_row, drift.p_value) == ("not_enough_data", 1, None)
    assert drift.reason == f"not enough data to compare rankings: {few}; the champion stays"
    assert compare(champion, now, too_few=few, forced=True).verdict == "rebuild"


def test_the_overlap_of_leaders_counts_twins_once():
    rng = np.random.default_rng(2)
    truth = np.array([0.3, 0.25, 0.2, 0.15, 0.06, 0.04])
    twins = (("s3", "s5"), ("s0",), ("s1",), ("s2",), ("s4",))
    before, after = (draw_importance(each, rng, noise=0.01) for each in (truth, swap(truth, 3, 5)))
    same, other = (
        draw_importance(each, rng, noise=0.01, clusters=twins)
        for each in (truth, swap(truth, 3, 5))
    )

    assert compare(before, after).top_overlap == pytest.approx(4 / 5)
    assert compare(same, other).top_overlap == 1.0


def test_a_ranking_that_holds_again_starts_the_count_anew():
    rng = np.random.default_rng(2)
    champion = draw_importance(LIKE_ENGINES, rng)

    drift = compare(champion, draw_importance(LIKE_ENGINES, rng), in_a_row_before=1)

    assert drift.in_a_row == 0
    assert drift.verdict == "refit"


def test_nothing_new_keeps_the_champion():
    rng = np.random.default_rng(3)
    champion = draw_importance(LIKE_ENGINES, rng)

    drift = compare(champion, champion, has_new_failures=False)

    assert (drift.verdict, drift.p_value) == ("keep", 1.0)
    assert drift.tau == pytest.approx(1.0)


def test_the_first_ranking_has_nothing_to_compare_with():
    drift = compare(None, draw_importance(LIKE_ENGINES, np.random.default_rng(4)))

    assert drift.verdict == "first"
    assert (drift.tau, drift.p_value, drift.moved_units) == (None, None, None)


def test_force_rebuilds_whatever_the_ranking_says():
    one = draw_importance(LIKE_ENGINES, np.random.default_rng(5))

    drift = compare(one, one, forced=True)

    assert (drift.verdict, drift.reason) == ("rebuild", "rebuild was asked for")


def test_sensors_that_come_or_go_rebuild_by_name():
    rng = np.random.default_rng(6)
    truth = np.array([0.5, 0.3, 0.2])
    champion = draw_importance(truth, rng, names=("load", "speed", "oil"))
    now = draw_importance(truth, rng, names=("load", "speed", "noise"))

    drift = compare(champion, now)

    assert drift.verdict == "rebuild"
    assert drift.reason == "noise appeared and oil vanished: rebuild"


def test_twins_trading_places_is_no_change():
    rng = np.random.default_rng(9)
    truth = np.array([0.4, 0.02, 0.3, 0.18, 0.1])
    clusters = (("s0", "s1"), ("s2",), ("s3",), ("s4",))

    twins = compare(
        draw_importance(truth, rng, clusters=clusters),
        draw_importance(swap(truth, 0, 1), rng, clusters=clusters),
    )
    strangers = compare(draw_importance(truth, rng), draw_importance(swap(truth, 0, 1), rng))

    assert twins.in_a_row == 0
    assert strangers.in_a_row == 1


def test_too_few_replicates_leave_nothing_beyond_chance():
    rng = np.random.default_rng(10)
    single = [
        Importance(
            one.sensors,
            one.shares,
            one.spread,
            one.replicates[:1],
            one.clusters,
            one.cluster_shares,
            (),
            one.score_name,
            one.score,
        )
        for one in (
            draw_importance(LIKE_ENGINES, rng),
            draw_importance(swap(LIKE_ENGINES, 0, 9), rng),
        )
    ]

    assert compare(*single).p_value == 1.0


def test_the_same_rankings_give_the_same_verdict():
    rng = np.random.default_rng(11)
    champion, now = (draw_importance(LIKE_ENGINES, rng) for _ in range(2))

    assert compare(champion, now) == compare(champion, now)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12))
def test_weighted_tau_agrees_with_scipy_ties_and_all(rows):
    first, second = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert weighted_tau(first, second) == 1.0
        return

    mine = weighted_tau(first, second)

    assert mine == pytest.approx(weightedtau(first, second).statistic, abs=1e-9)
    assert mine == pytest.approx(weighted_tau(second, first))


# Failures, each with what told it.

NAMES = ("vibration", "flow", "seal", "noise")
BEARING, IMPELLER, SEAL = (0.4, 0.0, 0.0), (0.0, 0.3, 0.0), (0.0, 0.0, 0.2)


def draw_failures(kinds: dict[tuple[float, ...], int], seed: int) -> Attributions:
    """So many failures of each kind, in random order; each sensor tells it more or less."""
    rng = np.random.default_rng(seed)
    means = np.repeat(np.array([(*kind, 0.0) for kind in kinds]), list(kinds.values()), axis=0)
    lost = means * rng.uniform(0.3, 1.5, means.shape) + rng.normal(0, 0.02, means.shape)
    return Attributions(NAMES, np.arange(len(lost)), lost[rng.permutation(len(lost))])


def change(before: Attributions, after: Attributions, *twins: tuple[str, ...]) -> RankingChange:
    clusters = (*twins, *((name,) for name in NAMES if not any(name in each for each in twins)))
    return change_of_failures(before, after, clusters)


def test_failures_of_the_same_kinds_are_rarely_called_changed():
    mixed = {BEARING: 20, IMPELLER: 4, SEAL: 3}

    found = [
        change(draw_failures(mixed, 2 * trial), draw_failures(mixed, 2 * trial + 1)).p
        for trial in range(40)
    ]

    assert np.mean(np.array(found) <= 0.05) <= 0.15
    assert np.mean(np.array(found) <= 0.01) <= 0.05


def test_half_of_twenty_failures_of_a_new_kind_are_a_change():
    before = draw_failures({BEARING: 22, SEAL: 3}, 0)
    after = draw_failures({BEARING: 8, SEAL: 2, IMPELLER: 10}, 1)

    found = change(before, after)

    assert found.p <= 0.001
    assert found.sensor in ("flow", "vibration")
    assert found.tau < 1.0
    assert sum(found.shares) > 0.3


def test_more_of_the_same_leader_is_no_other_ranking():
    before = draw_failures({BEARING: 30, SEAL: 12}, 0)
    after = draw_failures({BEARING: 30, SEAL: 3}, 1)

    assert change(before, after).p == 1.0


def test_what_tells_next_to_nothing_is_no_change_however_sure():
    """A sensor that rises from nothing to 3 % of what tells failures."""
    rng = np.random.default_rng(0)

    def faint(risen: float) -> Attributions:
        lost = np.column_stack([np.full(60, 0.4), np.full(60, 0.006), np.full(60, risen)])
        return Attributions(NAMES[:3], np.arange(60), lost + rng.normal(0, 0.001, lost.shape))

    found = change_of_failures(faint(0.0), faint(0.012), [(name,) for name in NAMES[:3]])

    assert found.p == 1.0


def test_twins_that_tell_in_turn_are_no_change():
    before, after = draw_failures({BEARING: 20}, 0), draw_failures({IMPELLER: 20}, 1)

    assert change(before, after).p <= 0.001
    assert change(before, after, ("vibration", "flow")).p == 1.0


def test_a_handful_of_failures_is_never_beyond_chance():
    before, after = draw_failures({BEARING: 3}, 0), draw_failures({IMPELLER: 3}, 1)

    assert change(before, after).p > 0.01


def test_one_loud_failure_is_no_change():
    before, after = draw_failures({BEARING: 20}, 0), draw_failures({BEARING: 19}, 1)
    loud = np.vstack([after.lost, [0.0, 5.0, 0.0, 0.0]])

    assert change(before, Attributions(NAMES, np.arange(20), loud)).p > 0.05


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999))
def test_there_and_back_is_the_same_change(seed):
    sides = [draw_failures({BEARING: 9 - 3 * at, IMPELLER: 5 + 3 * at}, seed + at) for at in (0, 1)]
    there, back = change(*sides), change(*sides[::-1])

    assert back.p == pytest.approx(there.p, abs=0.05)
    if there.p < 1.0:
        assert (back.sensor, back.ranks) == (there.sensor, there.ranks[::-1])
        assert back.shares == pytest.approx(there.shares[::-1])
