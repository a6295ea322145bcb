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
from pm_app.progress import Progress, part_of, silent
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


@dataclass(frozen=True, eq=False)
class TreeMembers:
    """Trees beside a network, as members by name, and what is published of them.

    boosted: None where none are. hindrance: why none can be, where anybody should know.
    """

    members: Mapping[str, Member]
    forest: Forest
    boosted: Boosted | None = None
    hindrance: str = ""


def grow_trees(
    task: LearningTask,
    folds: Folds,
    *,
    seed: int,
    boosting: tuple[bool, str] | None = None,
    progress: Progress = silent,
) -> TreeMembers:
    """A forest, and boosted trees where they may answer.

    boosting: whether they may, and why not if anybody should know; by default `can_boost`.
    """
    boosts, hindrance = boosting or can_boost()
    of_forest = part_of(progress, 0.0, 0.4 if boosts else 1.0)
    forest, member = grow_forest(task, folds, seed=seed, progress=of_forest)
    members = {FOREST: member}
    if not boosts:
        return TreeMembers(members, forest, hindrance=hindrance)
    later = part_of(progress, 0.4, 1.0)
    boosted, members[BOOSTED] = boost_trees(task, folds, seed=seed, progress=later)
    return TreeMembers(members, forest, boosted)


def grow_forest(
    task: LearningTask, folds: Folds, *, seed: int, progress: Progress = silent
) -> tuple[Forest, Member]:
    """The forest of all rows that teach, and as a member: grown on those of each fold as well."""
    every, taught = task.of_all_rows, folds.taught if folds.crossed else ()
    tell = _counted(progress, "growing a forest beside the network", 2 + len(taught))
    tell(1)
    judged = fit_forest(task, task.split.train, seed=seed)
    tell(2)
    whole = fit_forest(every, task.split.learned, seed=seed)
    crossed = []
    for number, rows in enumerate(taught, start=3):
        tell(number)
        crossed.append(fit_forest(every, rows, seed=seed))
    asked = ask_folds(task, folds, crossed or [judged])
    modes = whole.mode_shares if whole.modes else None
    return whole, Member(FOREST_REPORT, judged, whole, asked, mode_shares=modes)


def boost_trees(
    task: LearningTask, folds: Folds, *, seed: int, progress: Progress = silent
) -> tuple[Boosted, Member]:
    """Boosted trees of all rows that teach, and as a member: of those of each fold as well.

    Validation stops the first; all others are boosted as often.
    """
    every, taught = task.of_all_rows, folds.taught if folds.crossed else ()
    tell = _counted(progress, "boosting trees beside the network", 2 + len(taught))
    tell(1)
    judged = fit_boosted(task, task.split.train, seed=seed)
    others = []
    for number, rows in enumerate((task.split.learned, *taught), start=2):
        tell(number)
        others.append(fit_boosted(every, rows, seed=seed, rounds=judged.rounds))
    whole, *crossed = others
    asked = ask_folds(task, folds, crossed or [judged])
    return whole, Member(BOOSTED_REPORT, judged, whole, asked)


def _counted(progress: Progress, text: str, of: int) -> Callable[[int], None]:
    """Tells before each of so many fits which one it is."""
    return lambda number: progress((number - 1) / of, f"{text}: {number} of {of}")


def pool_members(
    task: LearningTask, network: Member, trees: TreeMembers, folds: Folds, *, pooling: bool
) -> Pooled:
    """The network and trees pooled as rows that none has seen ask for.

    pooling: whether anything but the network may answer; a forest is measured beside it anyway.
    """
    if not pooling:
        return Pooled(network, (trees.members[FOREST],), None)
    members = {NETWORK: network, **trees.members}
    pool = _weigh(task, members, folds)
    shares = {each.name: each.share for each in pool.members if each.share > 0.0}
    pool = replace(pool, reason=f"{pool.reason}{_remarks(trees, shares)}")
    speaker = members[next(iter(shares))]
    if len(shares) > 1:
        speaker = _mix(task, [members[name] for name in shares], list(shares.values()))
    # Boosted trees without a share are not told of: what they would answer is of no more use.
    shown = [members[name] for name in members if name != BOOSTED or name in shares]
    return Pooled(
        speaker,
        tuple(member for member in shown if member is not speaker),
        pool,
        trees.forest if FOREST in shares else None,
        trees.boosted if BOOSTED in shares else None,
    )


def _remarks(trees: TreeMembers, shares: Shares) -> str:
    """What a pool's reason says of its trees: how boosted ones are asked, or why there are none."""
    if trees.hindrance:
        return f"; {trees.hindrance}"
    if BOOSTED in shares and trees.boosted is not None and trees.boosted.direct is not None:
        return ", asked for each horizon by itself"
    return ""


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
