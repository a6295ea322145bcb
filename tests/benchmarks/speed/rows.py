"""Lines of the table of speed, and calls timed in turn."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Row:
    """One line of the table: the same work by us, by peers and by the floor, in one run.

    ours, peers, floor: medians in `unit`; spread: the least and the most of ours. kept: whether
    the goal is, None where nothing was promised; reason: why, where it is not.
    """

    group: str
    work: str
    ours: float
    unit: str
    spread: tuple[float, float]
    goal: str
    kept: bool | None
    peers: Mapping[str, float] = field(default_factory=dict)
    floor: float | None = None
    remark: str = ""
    reason: str = ""


def interleaved(
    calls: Mapping[str, Callable[[], object]],
    *,
    times: int,
    before: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Seconds of each call, A B A B …, so that whatever else the machine does strikes all.

    before: what every round begins with, not timed.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(times):
        before()
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - began)
    return taken


def middle(taken: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of each."""
    return {name: median(seconds) for name, seconds in taken.items()}
