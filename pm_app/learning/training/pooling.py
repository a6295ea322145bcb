"""Pooling of a version's members: trees are fitted beside the network, and shares are weighed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pm_app.learning.data.targets import Rows
from pm_app.learning.dataset import LearningTask
from pm_app.learning.pool.boosted import Boosted, fit_boosted
from pm_app.learning.pool.boosting import can_boost
from pm_app.learning.pool.forest import Forest, fit_forest
from pm_app.learning.pool.graph import mix_answers, mix_mode_shares
from pm_app.learning.pool.shares import (
    BOOSTED,
    BOOSTED_REPORT,
    FOREST,
    FOREST_REPORT,
    NETWORK,
    POOL_REPORT,
    Shares,
    weigh_members,
)
from pm_app.learning.training.crossfit import Folds
from pm_app.learning.training.losses import corrected_losses
from pm_app.learning.training.members import Answers, FoldAnswers, Member, ask_folds
from pm_app.records.learning import Pool
from pm_app.records.readings import Float32, Float64


@dataclass(frozen=True, eq=False)
class Pooled:
    """Who answers in a version: `speaker` is the pool or the member that answers alone.

    forest, boosted: the published ones, None where they have no share. beside: the members that
    are reported beside the speaker.
    """

    speaker: Member
    beside: tuple[Member, ...]
    pool: Pool | None
    forest: Forest | None = None
    boosted: Boosted | None = None

    @property
    def shares(self) -> Shares:
        """Who answers with what share, nobody with none."""
        members = self.pool.members if self.pool else ()
        return {each.name: each.share for each in members if each.share} or {NETWORK: 1.0}


def grow_forest(task: LearningTask, folds: Folds, *, seed: int) -> tuple[Forest, Member]:
    """The forest of all rows that teach, and as a member: grown on those of each fold as well."""
    judged = fit_forest(task, task.split.train, seed=seed)
    every, taught = task.of_all_rows, folds.taught if folds.crossed else ()
    whole = fit_forest(every, task.split.learned, seed=seed)
    crossed = [fit_forest(every, rows, seed=seed) for rows in taught] or [judged]
    asked, modes = ask_folds(task, folds, crossed), whole.mode_shares if whole.modes else None
    return whole, Member(FOREST_REPORT, judged, whole, asked, mode_shares=modes)


def boost_trees(task: LearningTask, folds: Folds, *, seed: int) -> tuple[Boosted, Member]:
    """Boosted trees of all rows that teach, and as a member: of those of each fold as well.

    Validation stops the first; all others are boosted as often.
    """
    every, taught = task.of_all_rows, folds.taught if folds.crossed else ()
    judged = fit_boosted(task, task.split.train, seed=seed)
    whole, *crossed = (
        fit_boosted(every, rows, seed=seed, rounds=judged.rounds)
        for rows in (task.split.learned, *taught)
    )
    asked = ask_folds(task, folds, crossed or [judged])
    return whole, Member(BOOSTED_REPORT, judged, whole, asked)


def pool_members(
    task: LearningTask,
    network: Member,
    folds: Folds,
    *,
    pooling: bool,
    seed: int,
    boosting: tuple[bool, str] | None = None,
) -> Pooled:
    """The network and trees pooled as rows that none has seen ask for.

    pooling: whether anything but the network may answer; a forest is measured beside it anyway.
    boosting: whether boosted trees may, and why not if anybody should know (`can_boost`).
    """
    grown, forest = grow_forest(task, folds, seed=seed)
    if not pooling:
        return Pooled(network, (forest,), None)
    boosted, members = None, {NETWORK: network, FOREST: forest}
    boosts, hindrance = boosting or can_boost()
    if boosts:
        boosted, members[BOOSTED] = boost_trees(task, folds, seed=seed)
    pool = _weigh(task, members, folds)
    if hindrance:
        pool = replace(pool, reason=f"{pool.reason}; {hindrance}")
    shares = {each.name: each.share for each in pool.members if each.share > 0.0}
    speaker = members[next(iter(shares))]
    if len(shares) > 1:
        speaker = _mix(task, [members[name] for name in shares], list(shares.values()))
    # Boosted trees without a share are not told of: what they would answer is of no more use.
    shown = [members[name] for name in members if name != BOOSTED or name in shares]
    return Pooled(
        speaker,
        tuple(member for member in shown if member is not speaker),
        pool,
        grown if FOREST in shares else None,
        boosted if BOOSTED in shares else None,
    )


def _weigh(task: LearningTask, members: Mapping[str, Member], folds: Folds) -> Pool:
    rows = np.concatenate([folds.stopped, folds.rows])
    stopped = task.frame.values[folds.stopped]
    seen = {
        name: np.concatenate([member.judged(stopped), member.held_out])
        for name, member in members.items()
    }
    lose = _loser(task, seen, rows, folds)
    return weigh_members(lose, task.split.group[rows], boosted=BOOSTED in members)


def _loser(
    task: LearningTask, seen: Mapping[str, Float32], rows: Rows, folds: Folds
) -> Callable[[Shares], Float64]:
    """What answers to these rows lose, corrected, when they are mixed in some shares."""
    group, kind, labels = task.split.group[rows], task.head.kind, folds.labels_of(task)

    def lose(shares: Shares) -> Float64:
        asked = [name for name, share in shares.items() if share > 0.0]
        mixed = seen[asked[0]]
        if len(asked) > 1:
            mixed = mix_answers([seen[name] for name in asked], [shares[n] for n in asked], kind)
        return corrected_losses(mixed, labels, rows, task.head, group=group)

    return lose


def _mix(task: LearningTask, members: Sequence[Member], shares: Sequence[float]) -> Member:
    def mix(answers: Sequence[Float32]) -> Float32:
        return mix_answers(answers, shares, task.head.kind)

    def mixed(models: Sequence[Answers], values: Float32) -> Float32:
        return mix([answer(values) for answer in models])

    folds = tuple(
        FoldAnswers(mix([each.held_out for each in fold]), mix([each.compared for each in fold]))
        for fold in zip(*(member.folds for member in members), strict=True)
    )
    judged = partial(mixed, [member.judged for member in members])
    whole = partial(mixed, [member.whole for member in members])
    telling = [
        (member.mode_shares, share)
        for member, share in zip(members, shares, strict=True)
        if member.mode_shares is not None
    ]

    def mixed_modes(values: Float32) -> Float32:
        return mix_mode_shares([tell(values) for tell, _ in telling], [each for _, each in telling])

    parameters = next((member.parameters for member in members if member.parameters), None)
    return Member(POOL_REPORT, judged, whole, folds, parameters, mixed_modes if telling else None)
