"""Failure modes of a plant: failures of one cause, told by the codes they were booked under.

Modes are those that settings name, or else the codes themselves. One with fewer failures than a
network can learn from is no mode: its failures are `OTHER`, beside those of codes that belong to
none. Of several codes booked for one failure the first mode in order counts: that of the settings,
or of the alphabet. A plant of one mode has none, for then nothing is told apart.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from pm_app.records.labels import FailureModes
from pm_app.settings.modes import OTHER, ModeSettings, mode_of_code

Codes = Sequence[tuple[str, ...]]


def choose_modes(
    codes: Codes, settings: Mapping[str, ModeSettings], *, minimum: int
) -> FailureModes:
    """The modes of a plant, from the codes of each of its failures and what settings name.

    minimum: with fewer failures a mode is none. Each failure belongs to the first mode that any of
    its codes belongs to; the rarest mode goes first where there are too few, for its failures may
    belong to another as well.
    """
    mode_of = {code: _mode_of(code, settings) for booked in codes for code in booked}
    order = list(settings) or sorted({mode for mode in mode_of.values() if mode is not None})
    several = [{mode_of[code] for code in booked} for booked in codes]
    few: dict[str, int] = {}
    while True:
        left = [name for name in order if name not in few]
        named = [next((name for name in left if name in modes), OTHER) for modes in several]
        counts = Counter(named)
        rarest = min(reversed(left), key=lambda name: counts[name], default=OTHER)
        if rarest == OTHER or counts[rarest] >= minimum:
            break
        few[rarest] = counts[rarest]
    names = (*left, OTHER) if counts[OTHER] else tuple(left)
    failures = tuple(counts[name] for name in names)
    text = _describe(names, failures, few, minimum) if order and codes else ""
    if sum(count >= minimum for count in failures) < 2:
        return FailureModes(text=f"one mode alone: {text}" if text else "")
    place = {name: number for number, name in enumerate(names)}
    return FailureModes(names, tuple(place[name] for name in named), failures, text)


def _mode_of(code: str, settings: Mapping[str, ModeSettings]) -> str | None:
    if settings:
        return mode_of_code(code, settings)
    return code if code not in ("", OTHER) else None


def _describe(
    names: Sequence[str], failures: Sequence[int], few: Mapping[str, int], minimum: int
) -> str:
    counts = [f"{name} {count}" for name, count in zip(names, failures, strict=True)]
    text = f"failures of {', '.join(counts)}"
    if not few:
        return text
    rare = ", ".join(f"{name} {count}" for name, count in sorted(few.items()))
    return f"{text}; too few to be a mode, {minimum} needed: {rare}"
