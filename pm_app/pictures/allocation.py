"""Allocation picture (SVG): where a network's hidden units went, before and after."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

from pm_app.learning.allocation.change import AllocatedSensor, AllocationChange, Gain
from pm_app.pictures.marks import line, text

_WIDTH: Final = 1180
_ROW, _TOP, _BAR = 26, 96, 7
# From left to right: tiers before, names, importance, penalties, tiers now.
_BEFORE, _NAMES, _BARS, _BARS_END, _PENALTY, _NOW = 190, 480, 492, 682, 810, 970
_RIBBON_START, _BLOCK = 240, 150
_GAP, _FIGURES_A_ROW = 8, 3
_TEXT: Final = 12
_LONGEST_NAME: Final = 28
# From what matters most to what matters least; the network that is not guided has one tier.
_ORDER: Final = ("all", "high", "middle", "low", "rest")
_STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #1c2730 }
.title { font-size: 18px; font-weight: 600 } .faint { fill: #5b6a75 }
.paper { fill: #ffffff } .was { fill: #a7b3bb } .line { stroke: #1c2730 } .axis { stroke: #d5dde2 }
.onblock { fill: #ffffff; font-weight: 600 } .now { fill: #0b6e99 } .ribbon { fill-opacity: 0.28 }
.tier-all, .tier-high { fill: #0b6e99 } .tier-middle { fill: #3f7f9c } .tier-low { fill: #5f7784 }
.tier-rest { fill: #7d6b52 } .tier-other { fill: #6a5a8c }
@media (prefers-color-scheme: dark) {
 text { fill: #e6edf1 } .faint { fill: #9fb0ba } .paper { fill: #141b20 } .was { fill: #5b6a75 }
 .line { stroke: #e6edf1 } .axis { stroke: #33424c } .onblock { fill: #ffffff }
}
"""


@dataclass(frozen=True)
class _TierBlock:
    """A tier as a block: its place from top to bottom, and that of each of its sensors."""

    standing: AllocatedSensor
    sensors: tuple[str, ...]
    top: float
    height: float

    def part(self, sensor: str) -> tuple[float, float]:
        """Where the sensor's part of the block begins and ends."""
        each = self.height / len(self.sensors)
        start = self.top + each * self.sensors.index(sensor)
        return start, start + each


def draw_allocation(
    changes: Sequence[AllocationChange], gains: Sequence[Gain], *, before: str, after: str
) -> str:
    """An SVG document: tiers before, each sensor's importance in both versions, tiers now.

    A tier's height is its share of all units. before and after name the versions; before is
    "" where there is none.
    """
    height = _height(changes) + 36 + 18 * -(-len(gains) // _FIGURES_A_ROW)
    body = [
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>',
        text(20, 32, _title(before, after), "title"),
        *_body(changes, before, after),
        *_footer(gains, top=_height(changes) + 12),
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}"><style>{_STYLE}</style>{"".join(body)}</svg>\n'
    )


def allocation_figure(changes: Sequence[AllocationChange], *, before: str, after: str) -> str:
    """The same as part of a page, whose own style colours it."""
    leading = ", ".join(f"{c.sensor} {c.after.share:.0%}" for c in changes[:5] if c.after)
    parts = [
        f"<title>{escape(_title(before, after))}</title><desc>{escape(leading)}</desc>",
        *_body(changes, before, after),
    ]
    top = _TOP - 46
    box = f"0 {top} {_WIDTH} {_height(changes) - top}"
    return f'<svg class="allocation" role="img" viewBox="{box}">{"".join(parts)}</svg>'


def _height(changes: Sequence[AllocationChange]) -> int:
    return _TOP + _ROW * len(changes) + 24


def _body(changes: Sequence[AllocationChange], before: str, after: str) -> Iterator[str]:
    yield from _headings(before, after)
    yield from _bars(changes)
    if before:
        yield from _side(changes, left=True)
    yield from _side(changes, left=False)


def _title(before: str, after: str) -> str:
    return f"Hidden units: {before} to {after}" if before else f"Hidden units of {after}"


def _headings(before: str, after: str) -> Iterator[str]:
    if before:
        yield text(20, 66, before, "faint")
        yield text(_BARS, 66, "importance, before in grey", "faint")
    else:
        yield text(_BARS, 66, "importance, 5 % to 95 %", "faint")
    yield text(_PENALTY, 66, "penalty (L1)", "faint", anchor="end")
    yield text(_NOW, 66, after, "faint")


def _bars(changes: Sequence[AllocationChange]) -> Iterator[str]:
    standings = [s for change in changes for s in (change.before, change.after) if s is not None]
    greatest = max([s.high for s in standings] + [s.share for s in standings] + [0.01])
    yield line(_BARS, _TOP - 8, _BARS, _TOP + _ROW * len(changes), "axis")
    for row, change in enumerate(changes):
        middle = _TOP + _ROW * row + _ROW / 2
        name = change.sensor
        shown = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
        yield text(_NAMES, middle + 4, shown, anchor="end", hint=name)
        if change.before is not None:
            yield from _bar(change.before, greatest, middle - _BAR - 1, "was")
        if change.after is not None:
            yield from _bar(change.after, greatest, middle + 1, "now")
        yield text(_PENALTY, middle + 4, _penalties(change), "faint", anchor="end")


def _bar(standing: AllocatedSensor, greatest: float, top: float, kind: str) -> Iterator[str]:
    def at(share: float) -> float:
        return _BARS + (_BARS_END - _BARS) * max(share, 0.0) / greatest

    width = at(standing.share) - _BARS
    yield f'<rect x="{_BARS}" y="{top:.1f}" width="{width:.1f}" height="{_BAR}" class="{kind}"/>'
    if at(standing.high) - at(standing.low) >= 1:
        middle = top + _BAR / 2
        yield line(at(standing.low), middle, at(standing.high), middle, "line")


def _penalties(change: AllocationChange) -> str:
    standings = [s for s in (change.before, change.after) if s is not None]
    penalties = [f"{s.l1:.1e}" if s.units else s.tier for s in standings]
    return " → ".join(dict.fromkeys(penalties))


def _side(changes: Sequence[AllocationChange], *, left: bool) -> Iterator[str]:
    """The tiers of one version, with a ribbon from each to its sensors."""
    rows = {
        change.sensor: (row, standing)
        for row, change in enumerate(changes)
        if (standing := change.before if left else change.after) is not None
    }
    # A sensor that the network does not read has no units, and so no place in a block.
    for tier in _tiers({sensor: s for sensor, (_, s) in rows.items() if s.units}):
        name = tier.standing.tier
        kind = f"tier-{name if name in _ORDER else 'other'}"
        block = _BEFORE - _BLOCK - 20 if left else _NOW
        for sensor in tier.sensors:
            middle = _TOP + _ROW * rows[sensor][0] + _ROW / 2
            thick = min(tier.height / len(tier.sensors), _ROW - 8) / 2
            ends = (_BEFORE - 20, _RIBBON_START + 40) if left else (_NOW, _PENALTY + 12)
            yield _ribbon(ends, tier.part(sensor), (middle - thick, middle + thick), kind)
        yield (
            f'<rect x="{block}" y="{tier.top:.1f}" width="{_BLOCK}" height="{tier.height:.1f}" '
            f'rx="3" class="{kind}"/>'
        )
        yield from _label(tier, block + 10)


def _tiers(standings: dict[str, AllocatedSensor]) -> list[_TierBlock]:
    order = [*_ORDER]
    names = sorted(
        {standing.tier for standing in standings.values()},
        key=lambda tier: (order.index(tier) if tier in order else len(order), tier),
    )
    members = {
        tier: tuple(sensor for sensor, s in standings.items() if s.tier == tier) for tier in names
    }
    units = {tier: standings[sensors[0]].units for tier, sensors in members.items()}
    whole = _ROW * len(standings) - _GAP * (len(names) - 1)
    ends = [0.0]
    for tier in names:
        ends.append(ends[-1] + whole * units[tier] / max(sum(units.values()), 1))
    return [
        _TierBlock(standings[sensors[0]], sensors, _TOP + start + _GAP * number, end - start)
        for number, (sensors, (start, end)) in enumerate(
            zip(members.values(), pairwise(ends), strict=True)
        )
    ]


def _label(tier: _TierBlock, x: float) -> Iterator[str]:
    standing = tier.standing
    labels = [f"{standing.tier}: {standing.units} units"]
    labels += [f"embedding {standing.embedding}"] if standing.embedding else []
    labels += [f"{len(tier.sensors)} sensor{'' if len(tier.sensors) == 1 else 's'}"]
    fitting = labels[: max(int(tier.height // (_TEXT + 4)), 1)]
    start = tier.top + tier.height / 2 - (len(fitting) - 1) * (_TEXT + 4) / 2 + 4
    for number, label in enumerate(fitting):
        yield text(x, start + number * (_TEXT + 4), label, "onblock")


def _ribbon(
    x: tuple[float, float], there: tuple[float, float], here: tuple[float, float], kind: str
) -> str:
    middle = (x[0] + x[1]) / 2
    return (
        f'<path d="M{x[0]} {there[0]:.1f} C{middle} {there[0]:.1f} {middle} {here[0]:.1f} '
        f"{x[1]} {here[0]:.1f} L{x[1]} {here[1]:.1f} C{middle} {here[1]:.1f} {middle} "
        f'{there[1]:.1f} {x[0]} {there[1]:.1f} Z" class="ribbon {kind}"/>'
    )


def _footer(gains: Sequence[Gain], *, top: float) -> Iterator[str]:
    if not gains:
        return
    yield text(20, top, "Held out, guided and the same network without guidance:", "faint")
    for number, gain in enumerate(gains):
        figure = gain.figure.replace("_", " ")
        label = f"{figure}: {gain.guided:.3f}, without {gain.uniform:.3f}"
        row, column = divmod(number, _FIGURES_A_ROW)
        yield text(20 + 380 * column, top + 18 * (row + 1), label)
