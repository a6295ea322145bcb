"""The ingredients of the network by name, how each is taken away, and where it comes from."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from benchmarks.quality.ablation.networks import (
    Bench,
    Outcome,
    as_it_is,
    at_last_epoch,
    with_averaged_weights,
    with_plain_heads,
    with_plain_scaling,
    with_plan,
    without_calibration,
    without_refit,
)

from pm_app.learning.allocation.planner import CONTROL

FULL = "full network"


@dataclass(frozen=True)
class Variant:
    """The network without one ingredient. None where a fold has nothing to take away."""

    paper: str
    measure: Callable[[Bench], Outcome | None]


def _without_embedding(bench: Bench) -> Outcome | None:
    if not any(tier.embedding for tier in bench.plan().tiers):
        return None
    return with_plan(bench, bench.plan(embedding=0))


def _without_indicators(bench: Bench) -> Outcome | None:
    if not bench.planner.indicators:
        return None
    return with_plan(bench, bench.plan(indicators=False))


def _without_ensemble(bench: Bench) -> Outcome:
    return with_plan(bench, bench.plan(members=1))


def _without_l1(bench: Bench) -> Outcome:
    plan = bench.plan()
    return with_plan(bench, replace(plan, l1=(0.0,) * len(plan.l1)))


def _with_flat_l1(bench: Bench) -> Outcome:
    return with_plan(bench, bench.plan(strategy=CONTROL))


def _without_dropout(bench: Bench) -> Outcome:
    plan = bench.plan()
    tiers = tuple(replace(tier, dropout=0.0) for tier in plan.tiers)
    return with_plan(bench, replace(plan, tiers=tiers))


def _with_constant_rate(bench: Bench) -> Outcome:
    return with_plan(bench, bench.plan(), falling=False)


VARIANTS: dict[str, Variant] = {
    FULL: Variant("", as_it_is),
    "without periodic embeddings": Variant("Gorishniy et al. 2022", _without_embedding),
    "without missing indicators": Variant("Van Ness et al. 2023", _without_indicators),
    "one member, no ensemble": Variant("Wen et al. 2020; Gorishniy et al. 2025", _without_ensemble),
    "without L1": Variant("Tibshirani 1996", _without_l1),
    "flat L1, not by importance": Variant("Zou 2006", _with_flat_l1),
    "without dropout": Variant("Srivastava et al. 2014", _without_dropout),
    "constant learning rate": Variant("Loshchilov & Hutter 2017", _with_constant_rate),
    "last epoch, no early stopping": Variant("Prechelt 1998", at_last_epoch),
    "standardised, no smooth clip": Variant("Holzmüller et al. 2024", with_plain_scaling),
    "plain heads, no hazard": Variant("Gensheimer & Narasimhan 2019", with_plain_heads),
    "no refit on all rows": Variant("Goodfellow et al. 2016, alg. 7.2", without_refit),
    "without calibration": Variant("Platt 1999", without_calibration),
    "added: averaged weights": Variant("Izmailov et al. 2018", with_averaged_weights),
}
