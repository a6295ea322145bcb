"""Frames of wanted cutoffs: panes from history, features by one specification or by several."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pm_app.features.frame import build_frame
from pm_app.features.limits import limit_features
from pm_app.features.panes.panes import merge_panes
from pm_app.features.sharing import shared_groups
from pm_app.jobs.plant import PlantView, Seen, seen_ns
from pm_app.jobs.score.champion import Champion
from pm_app.jobs.score.memory import boundary_before, restore_memory
from pm_app.records.features import FeatureSpec, Frame, Panes
from pm_app.records.readings import Events, Flags, Index, Int64
from pm_app.store import segments_of
from pm_app.times import to_moment

# Panes times sensors held at once: some 40 MB with all their statistics and features. One that is
# only looked back on has no features, nor what is said of it: it takes a third.
GROUP_CELLS = 50_000
LOOKED_BACK_ON = 3
Specs = Sequence[FeatureSpec]


@dataclass(frozen=True)
class PaneSpan:
    """Panes of one asset that want a prediction, first and last included."""

    first: int
    last: int


def frames(plant: PlantView, champion: Champion, spans: Mapping[str, PaneSpan]) -> Iterator[Frame]:
    """The features of every pane in the spans, as the champion reads them."""
    for built in frames_of(plant, champion.specs, spans):
        yield champion.read(built)


def frames_of(
    plant: PlantView, specs: Specs, spans: Mapping[str, PaneSpan]
) -> Iterator[tuple[Frame, ...]]:
    """The features of every pane in the spans, a frame a spec, all with the same rows.

    What one frame holds with the values of all is built once.
    """
    rows = plant.ledger.ingested_batches("events")
    seen = seen_ns(plant.ledger)
    given = _FeatureSources(plant, plant.event_history.read(segments_of(rows)), seen[0])
    shared = shared_groups(specs)
    for group, panes, wanted in wanted_panes(plant, specs, spans, seen=seen):
        built: dict[int, Frame] = {}
        for number, (wide, places) in enumerate(shared):
            whole = _build(given, group, panes, wanted, (number, wide))
            built |= {place: limit_features(whole, specs[place].limits) for place in places}
        yield tuple(built[place] for place in range(len(specs)))
    plant.memories.flush()
    if len(shared) > 1:
        plant.memories.beside().flush()


@dataclass(frozen=True, eq=False)
class _FeatureSources:
    """What features are made of besides panes."""

    plant: PlantView
    events: Events
    first_seen: Mapping[str, int]


def _build(
    given: _FeatureSources,
    group: Mapping[str, PaneSpan],
    panes: Panes,
    wanted: Index,
    numbered: tuple[int, FeatureSpec],
) -> Frame:
    """The frame of a group by the spec of this number."""
    (number, spec), first_seen, memory = numbered, given.first_seen, None
    if spec.remembers:
        boundaries = {name: boundary_before(span.first) for name, span in group.items()}
        # What another spec remembers has a place of its own, or each would delete the other's.
        memories = given.plant.memories.beside() if number else given.plant.memories
        plant = replace(given.plant, memories=memories)
        memory = restore_memory(
            plant, spec, given.events, first_seen=first_seen, boundaries=boundaries
        )
    return build_frame(
        panes, given.events, spec, first_seen=first_seen, memory=memory, wanted=wanted
    )


def wanted_panes(
    plant: PlantView, specs: Specs, spans: Mapping[str, PaneSpan], *, seen: Seen | None = None
) -> Iterator[tuple[dict[str, PaneSpan], Panes, Index]]:
    """Some assets at a time: their spans, panes as far back as these specs look, wanted rows."""
    seen = seen or seen_ns(plant.ledger)
    spans = spans_with_readings(plant, spans, seen=seen)
    for group in _groups(plant, specs, spans, seen[0]):
        plant.beat()
        panes = _load(plant, specs, group)
        wanted = np.flatnonzero(_wanted(panes, *_bounds(group)))
        if len(wanted):
            yield group, panes, wanted


def spans_with_readings(
    plant: PlantView, spans: Mapping[str, PaneSpan], *, seen: Seen | None = None
) -> dict[str, PaneSpan]:
    """The spans, none longer than its asset's readings."""
    pane_ns = plant.history.pane_ns
    first_seen, last_seen = seen or seen_ns(plant.ledger)
    shorter = {
        name: PaneSpan(
            max(span.first, first_seen[name] // pane_ns), min(span.last, last_seen[name] // pane_ns)
        )
        for name, span in spans.items()
        if name in first_seen
    }
    return {name: span for name, span in shorter.items() if span.first <= span.last}


def _groups(
    plant: PlantView, specs: Specs, spans: Mapping[str, PaneSpan], first_seen: Mapping[str, int]
) -> Iterator[dict[str, PaneSpan]]:
    """Assets in order, as many at a time as memory should hold; long spans in pieces."""
    sensors = max((len(spec.seen) for spec in specs), default=1)
    pane_ns = plant.history.pane_ns
    look_back = _look_back(specs, pane_ns)
    most = max(GROUP_CELLS // max(sensors, 1), 1)
    group: dict[str, PaneSpan] = {}
    panes = 0.0
    for name, span in sorted(spans.items()):
        for first in range(span.first, span.last + 1, most):
            piece = PaneSpan(first, min(first + most - 1, span.last))
            # Where an asset is new, little lies before.
            since = max(look_back.since(first), first_seen[name] // pane_ns)
            size = piece.last + 1 - first + max(first - since, 0) / LOOKED_BACK_ON
            if group and (panes + size > most or name in group):
                yield group
                group, panes = {}, 0
            group[name] = piece
            panes += size
    if group:
        yield group


@dataclass(frozen=True)
class _LookBack:
    """How far features look back: over panes of windows, and to where memory goes on from."""

    panes: int
    to_boundary: bool

    def since(self, pane: int) -> int:
        """The first pane that features at the end of this one look at."""
        since = pane - self.panes
        return min(since, boundary_before(pane)) if self.to_boundary else since


def _look_back(specs: Specs, pane_ns: int) -> _LookBack:
    timed = [spec for spec in specs if spec.windows_ns]
    longest = max((spec.windows_ns[-1] for spec in timed), default=0)
    return _LookBack(longest // pane_ns, any(spec.remembers for spec in timed))


def _load(plant: PlantView, specs: Specs, spans: Mapping[str, PaneSpan]) -> Panes:
    """The panes of the spans, and those before them that features look back on."""
    pane_ns = plant.history.pane_ns
    look_back = _look_back(specs, pane_ns)
    since, lasts = _bounds(
        {n: PaneSpan(look_back.since(span.first), span.last) for n, span in spans.items()}
    )
    first, last = int(since.min()), int(lasts.max())
    behind = plant.ledger.batches_overlapping(
        "readings", to_moment(first * pane_ns), to_moment((last + 1) * pane_ns)
    )
    parts = plant.history.read(
        segments_of(behind),
        assets=spans,
        since_pane=first,
        until_pane=last,
        times=any(spec.regimes is not None for spec in specs),
    )
    # Assets of one group may lie years apart.
    near = [(part, _wanted(part, since, lasts)) for part in parts]
    return merge_panes(
        [part if inside.all() else part.take(inside) for part, inside in near], pane_ns=pane_ns
    )


def _bounds(spans: Mapping[str, PaneSpan]) -> tuple[Int64, Int64]:
    """First and last pane of each asset, as they are numbered where these are asked for."""
    both = [(span.first, span.last) for _, span in sorted(spans.items())]
    first, last = np.array(both, dtype=np.int64).reshape(-1, 2).T
    return first, last


def _wanted(panes: Panes, first: Int64, last: Int64) -> Flags:
    """Which panes lie in the span of their asset, shape (n_panes,)."""
    if not panes.assets:
        return np.zeros(0, dtype=bool)
    return np.asarray((panes.pane >= first[panes.asset]) & (panes.pane <= last[panes.asset]))
