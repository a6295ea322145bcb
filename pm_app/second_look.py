"""The second look at importance, inside training, in a sentence."""

from collections.abc import Mapping
from typing import Any

# Weighted tau at which two rankings are the same where it counts, and at which they have
# something in common; a word for a reader, nothing is decided by it.
AGREES = 0.7
PARTLY_AGREES = 0.3
# A smaller share of units is none: what changed then is penalties.
NO_UNITS = 0.001


def tell_revision(revision: Mapping[str, Any]) -> str:
    """What a version's `Revision`, as its summary has it, comes to."""
    agreement = f"the network {_agreement(revision['tau'])} the forest (tau {revision['tau']:.2f})"
    if not revision["epochs"]:
        return f"asked again in training, {agreement}; the plan stays as it was"
    return f"asked again after {revision['epochs']} epochs, {agreement}; {_outcome(revision)}"


def _agreement(tau: float) -> str:
    if tau >= AGREES:
        return "agrees with"
    return "partly agrees with" if tau >= PARTLY_AGREES else "does not agree with"


def _outcome(revision: Mapping[str, Any]) -> str:
    before, after = revision["loss_before"], revision["loss_after"]
    if revision["kept"]:
        verdict, fate = "helped", "was kept"
    elif after < before:
        verdict, fate = "helped by no more than noise", "was not kept"
    else:
        verdict, fate = "did not help", "was not kept"
    losses = f"validation loss {after:.3f} against {before:.3f}"
    return f"{_dealt(revision['moved_units'])} {verdict} ({losses}) and {fate}"


def _dealt(moved: float) -> str:
    if moved < NO_UNITS:
        return "weighing penalties anew"
    share = "less than 1" if moved < 0.01 else f"{100 * moved:.0f}"
    return f"dealing {share} % of the units anew"
