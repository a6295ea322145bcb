"""Importance measured again on a network in training, and the plan it would now get.

The forest ranks sensors before there is a network; what the network itself leans on may
differ. After a few epochs the same question is put to it, and its answer, averaged with the
forest's, deals units and penalties anew. Tiers keep their sensors, so that the network can
go on in the new shape without losing what it has learned.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pm_app.learning.allocation.planner import Planner
from pm_app.learning.allocation.sizing import reallocate_units
from pm_app.learning.allocation.strategies import moved_units, weigh_penalties
from pm_app.learning.dataset import LearningTask
from pm_app.learning.importance.clusters import weighted_tau
from pm_app.learning.network import answers
from pm_app.learning.training.fit import mean_strength
from pm_app.learning.training.losses import row_losses
from pm_app.records.learning import Allocation, Importance, Revision
from pm_app.records.readings import Float64
from pm_app.settings.strategies import strategy_named

_ASKED_ROWS = 2_000


class Reviser:
    """What `train_network` asks for a better plan; remembers what the network answered."""

    def __init__(self, task: LearningTask, planner: Planner, *, seed: int) -> None:
        self._task, self._planner, self._seed = task, planner, seed
        self._network: Importance | None = None
        self._moved = 0.0

    def __call__(self, network: Any, plan: Allocation) -> Allocation | None:
        forest = self._planner.importance
        self._network = network_importance(self._task, network, forest, seed=self._seed)
        revised = revise_plan(plan, average_importance(forest, self._network), self._planner)
        self._moved = moved_units(plan, revised)
        return None if revised == plan else revised

    def revision(
        self, score_before: float, score_after: float, *, kept: bool, epochs: int = 0
    ) -> Revision | None:
        """What came of it; None when training ended before it was asked."""
        if self._network is None:
            return None
        pair = (self._network.shares, self._planner.importance.shares)
        tau = weighted_tau(*(np.array([shares]) for shares in pair))
        return Revision(
            sensors=self._network.sensors,
            shares=self._network.shares,
            tau=float(tau[0]),
            moved_units=self._moved,
            loss_before=-score_before,
            loss_after=-score_after,
            kept=kept,
            epochs=epochs,
        )


def network_importance(
    task: LearningTask, network: Any, forest: Importance, *, seed: int
) -> Importance:
    """Importance as the network has it: loss added when a sensor's features are permuted.

    On validation rows, all features of a sensor (or of a cluster of twins) permuted together
    by the same permutation; the loss is that of training. Losses that shrink count as 0.
    """
    rows = task.split.validation[:: max(1, len(task.split.validation) // _ASKED_ROWS)]
    order = np.random.default_rng(seed).permutation(len(rows))
    several = [cluster for cluster in forest.clusters if len(cluster) > 1]
    sets = [(sensor,) for sensor in forest.sensors] + several
    added = dict(zip(sets, _added_losses(task, network, rows, order, sets), strict=True))
    alone = np.array([added[(sensor,)] for sensor in forest.sensors])
    whole = np.array([added[cluster] for cluster in forest.clusters])
    return replace(
        forest,
        shares=_to_shares(alone),
        spread=(0.0,) * len(alone),
        replicates=(_to_shares(alone),),
        cluster_shares=_to_shares(whole),
        score_name="loss added",
        score=float(alone.sum()),
    )


def average_importance(first: Importance, second: Importance) -> Importance:
    """The mean of both shares, for the sensors and clusters of the first."""
    pairs = (
        (first.shares, second.shares),
        (first.cluster_shares, second.cluster_shares),
    )
    shares, whole = (tuple(0.5 * (a + b) for a, b in zip(*pair, strict=True)) for pair in pairs)
    return replace(first, shares=shares, cluster_shares=whole)


def revise_plan(plan: Allocation, importance: Importance, planner: Planner) -> Allocation:
    """The plan with units and penalties dealt anew; tiers, strength and parameters stay.

    Counts at most the parameters of the plan. A flat penalty stays flat.
    """
    tiers, count = reallocate_units(plan, importance, planner.inputs, outputs=planner.outputs)
    l1 = plan.l1
    if strategy_named(plan.strategy).weighted:
        owners = [sensor for sensor, each in planner.inputs.items() for _ in range(each)]
        strength, _ = mean_strength(plan, owners)
        l1 = weigh_penalties(importance, plan.sensors, planner.inputs, strength)
    return replace(plan, tiers=tiers, l1=l1, parameters=count)


def _added_losses(
    task: LearningTask,
    network: Any,
    rows: np.ndarray[tuple[int], np.dtype[np.intp]],
    order: np.ndarray[tuple[int], np.dtype[np.intp]],
    sets: Sequence[tuple[str, ...]],
) -> list[float]:
    values = task.frame.values[rows]
    owner = np.array(task.frame.sensor_of)
    base = _mean_loss(task, answers(network, values), rows)
    added = []
    for sensors in sets:
        columns = np.flatnonzero(np.isin(owner, sensors))
        mixed = values.copy()
        mixed[:, columns] = values[order[:, None], columns]
        added.append(_mean_loss(task, answers(network, mixed), rows) - base)
    return added


def _mean_loss(task: LearningTask, output: Any, rows: Any) -> float:
    return float(row_losses(output, task.labels, rows, task.head)[:, 0].mean())


def _to_shares(added: Float64) -> tuple[float, ...]:
    positive = np.maximum(added, 0.0)
    total = positive.sum()
    shares = positive / total if total > 0 else np.full(len(added), 1.0 / len(added))
    return tuple(float(share) for share in shares)
