"""Revision of a plan: importance measured again on a network in training.

The forest ranks sensors before there is a network; what the network itself leans on may
differ. After a few epochs the same question is put to it, and its answer, averaged with the
forest's, deals units and penalties anew. Tiers keep their sensors, so that the network can
go on in the new shape without losing what it has learned.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from pm_app.learning.allocation.planner import Planner
from pm_app.learning.allocation.sizing import reallocate_units
from pm_app.learning.allocation.strategies import moved_units, weigh_penalties
from pm_app.learning.dataset import LearningTask
from pm_app.learning.importance.clusters import weighted_tau
from pm_app.learning.importance.permutation import to_shares
from pm_app.learning.network import answers
from pm_app.learning.training.fit import mean_strength
from pm_app.learning.training.losses import row_losses
from pm_app.records.learning import Allocation, Importance, Revision
from pm_app.records.readings import Float32
from pm_app.settings.strategies import strategy_named

_ASKED_ROWS = 2_000


class Reviser:
    """The `revise` of a training: a better plan on the way; remembers the network's importance."""

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
        self, loss_before: float, loss_after: float, *, kept: bool, epochs: int = 0
    ) -> Revision | None:
        """The revision and whether it was kept; None when training ended before it was asked."""
        if self._network is None:
            return None
        forest = self._planner.importance
        return Revision(
            sensors=self._network.sensors,
            shares=self._network.shares,
            tau=weighted_tau(np.array(self._network.shares), np.array(forest.shares)),
            moved_units=self._moved,
            loss_before=loss_before,
            loss_after=loss_after,
            kept=kept,
            epochs=epochs,
        )


def network_importance(
    task: LearningTask, network: Any, forest: Importance, *, seed: int
) -> Importance:
    """Importance as the network has it: loss added when a sensor's features are permuted.

    On validation rows, all features of a sensor (or of a cluster of twins) permuted together
    by the same permutation; the loss is that of the risk. Losses that shrink count as 0.
    """
    rows = task.split.validation[:: max(1, len(task.split.validation) // _ASKED_ROWS)]
    order = np.random.default_rng(seed).permutation(len(rows))
    several = [cluster for cluster in forest.clusters if len(cluster) > 1]
    sets = [(sensor,) for sensor in forest.sensors] + several
    values, owner = task.frame.values[rows], np.array(task.frame.sensor_of)

    def mean_loss(features: Float32) -> float:
        lost = row_losses(answers(network, features), task.labels, rows, task.head)
        return float(lost[:, 0].mean())

    base, added = mean_loss(values), {}
    for sensors in sets:
        columns = np.flatnonzero(np.isin(owner, sensors))
        mixed = values.copy()
        mixed[:, columns] = values[order[:, None], columns]
        added[sensors] = mean_loss(mixed) - base
    alone = np.array([added[(sensor,)] for sensor in forest.sensors])
    shares = tuple(to_shares(alone).tolist())
    whole = np.array([added[cluster] for cluster in forest.clusters])
    return replace(
        forest,
        shares=shares,
        spread=(0.0,) * len(alone),
        replicates=(shares,),
        cluster_shares=tuple(to_shares(whole).tolist()),
        score_name="loss added",
        score=float(alone.sum()),
    )


def average_importance(first: Importance, second: Importance) -> Importance:
    """The mean of both shares, for the sensors and clusters of the first."""
    pairs = (first.shares, second.shares), (first.cluster_shares, second.cluster_shares)
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
