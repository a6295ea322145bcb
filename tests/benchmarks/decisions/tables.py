"""The counts in words: a page beside the results, and the rows of promises.md."""

import re
from collections.abc import Sequence

from benchmarks.decisions.results import Outcome
from benchmarks.decisions.summary import (
    CHANGE,
    ENOUGH,
    FIRST,
    GATE,
    NEW_KIND,
    PLANNED,
    STATIONARY,
    WITHIN,
    Count,
    counts,
)

COMMAND = "`pytest -m benchmark tests/benchmarks/decisions -s`"
SAMPLES = 3
_KEPT = {True: "yes", False: "**no**", None: "–"}
_PREFACE = f"""\
# Decisions, counted

Simulated plants of thirty pumps, each with a seed of its own, learned again every week with the
defaults of `[drift]` and `[retraining]`. Intervals are exact for independent draws (Clopper &
Pearson 1934, 95 %); retrainings of one plant share history, so theirs are rather wider. Where
the product would train a network, its version is taken to pass the gate.

A change: until day 40 mostly bearings fail, then mostly {NEW_KIND}s. It can be noticed once
{ENOUGH} (`retraining.minimum_failures`) of the newest failures that drift is asked of (20, twice
that number, among training and validation rows) are of the new kind; "within {WITHIN}" counts the
retrainings after the one that first saw so many.

First versions: plants of six to thirteen pumps are learned on the first day on which they can be,
with as many failures as their seed says. A booster predicts a plant whose average precision on what
came later, which nobody had seen, is three times the share of failures there. A version is the
forest member alone, judged over origins as the product does, or the whole product's for the
first of the same plants. Shuffled labels: each asset has another's failures and repairs, moved in
time.
"""


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Everything: the counts, then some of what was said."""
    lines = ["| | counted | share | 95 % interval | promised | kept |", "| --- " * 6 + "|"]
    lines += [_line(count) for count in counts(outcomes)]
    return "\n".join(
        [_PREFACE, *lines, "", _progress(outcomes), "", *_samples(outcomes), _cost(outcomes), ""]
    )


def _progress(outcomes: Sequence[Outcome]) -> str:
    """How many plants of each part have been measured: a run may have been cut short."""
    measured = {name: sum(one.part == name for one in outcomes) for name in PLANNED}
    told = "; ".join(f"{name}: {measured[name]} of {PLANNED[name]}" for name in PLANNED)
    return f"Plants measured: {told}. The same command measures the others."


def promise_rows(outcomes: Sequence[Outcome]) -> list[str]:
    """The rows of the tables of promises.md, one a promise that has been measured."""
    found = {count.what: count for count in counts(outcomes)}
    rows = []
    for promise, whats in PROMISES.items():
        told = [_told(found[what]) for what in whats if what in found]
        if told:
            rows.append(f"| {promise} | {'; '.join(told)} | {COMMAND} |")
    return rows


PROMISES = {
    "a plant that does not change is not rebuilt": (
        "retrainings of a plant that does not change: rebuilds",
    ),
    "a plant whose failures change is rebuilt within two retrainings of seeing enough of them": (
        f"plants whose failures change: rebuilt within {WITHIN} retrainings",
    ),
    "what learned from shuffled labels is not promoted": (
        "forest challengers on shuffled labels: promoted though nothing was asked for",
    ),
    "what is as good as the champion is not promoted by luck": (
        "forest challengers on the champion's data: promoted though nothing was asked for",
    ),
    "a small plant that a booster predicts gets a first version at its first retraining (asked: "
    "95 %)": (
        "plants of 10 to 30 failures, forest member alone: a first version where a booster "
        "predicts them",
    ),
    "a small plant whose labels are shuffled gets none": (
        "plants of 10 to 30 failures, forest member alone: a first version of shuffled labels",
    ),
}


def quote_in(text: str, outcomes: Sequence[Outcome]) -> str:
    """The document with its rows made anew from these outcomes."""
    for row in promise_rows(outcomes):
        promise = row.split(" | ")[0]
        text = re.sub(rf"^{re.escape(promise)} \|.*$", lambda _: row, text, flags=re.MULTILINE)  # noqa: B023 - called at once
    return text


def _told(count: Count) -> str:
    low, high = count.interval
    return f"{count.hits} of {count.of} (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"


def _line(count: Count) -> str:
    low, high = count.interval
    cells = (
        count.what,
        f"{count.hits} of {count.of}",
        f"{count.hits / count.of:.1%}",
        f"{low:.1%} to {high:.1%}",
        _promise(count),
        _KEPT[count.kept],
    )
    return f"| {' | '.join(cells)} |"


def _promise(count: Count) -> str:
    if count.most is not None:
        return f"at most {count.most:.0%}"
    return "–" if count.least is None else f"at least {count.least:.0%}"


def _samples(outcomes: Sequence[Outcome]) -> list[str]:
    """What an operator read, of a few plants."""
    said = [
        f"- {row['reason']}"
        for one in outcomes
        if one.part == CHANGE
        for row in one.rows
        if row["verdict"] == "rebuild"
    ]
    return ["What was said, for instance:", "", *said[:SAMPLES], ""] if said else []


def _cost(outcomes: Sequence[Outcome]) -> str:
    seconds = {
        part: [row["seconds"] for one in outcomes if one.part == part for row in one.rows]
        for part in (STATIONARY, CHANGE, GATE, FIRST)
    }
    told = [
        f"{name}: {len(each)} rows, {sum(each):.0f} s" for name, each in seconds.items() if each
    ]
    return f"Seconds of one processor: {'; '.join(told)}." if told else ""
