"""Predictions for wanted cutoffs: panes from history, features, scores; flat in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pm_app.features.frame import build_frame, select_features
from pm_app.features.memory import BLOCK_PANES
from pm_app.features.panes.panes import merge_panes
from pm_app.jobs.plant import PlantView, first_seen_ns, seen_ns
from pm_app.jobs.score.champion import Champion
from pm_app.jobs.score.memory import boundary_before, restore_memory
from pm_app.records.features import Frame, Panes
from pm_app.records.predictions import Predictions
from pm_app.records.readings import Flags, Float64, Index, Int64, Text
from pm_app.records.scores import Scores
from pm_app.scoring.abstention import RISK_DIGITS, Answers, answer_frame
from pm_app.scoring.contributions import (
    attention_text,
    contributions,
    stands_out,
    top_sensors_text,
)
from pm_app.scoring.modes import (
    SignalsByMode,
    likeliest,
    mode_risks_text,
    mode_sensors_text,
    risks_by_mode,
)
from pm_app.store import segments_of
from pm_app.times import to_moment

# Panes times sensors held at once: some 40 MB with all their statistics and features.
GROUP_CELLS = 50_000


@dataclass(frozen=True)
class PaneSpan:
    """Panes of one asset that want a prediction, first and last included."""

    first: int
    last: int


def predict_spans(
    plant: PlantView, champion: Champion | None, spans: Mapping[str, PaneSpan]
) -> Iterator[Predictions]:
    """Predictions at the end of every pane in the spans, some assets at a time.

    Without a champion every row says no_model.
    """
    if champion is not None:
        for frame in frames(plant, champion, spans):
            yield predict_frame(frame, champion)
        return
    spans = spans_with_readings(plant, spans)
    for group in _groups(plant, None, spans, first_seen_ns(plant.ledger)):
        plant.beat()
        panes = _load(plant, None, group)
        wanted = _wanted(panes, *_bounds(group))
        if wanted.any():
            yield _no_model(panes.take(wanted), plant.settings.target.horizons_hours)


def frames(plant: PlantView, champion: Champion, spans: Mapping[str, PaneSpan]) -> Iterator[Frame]:
    """The features of every pane in the spans, as the champion's spec has them."""
    rows = plant.ledger.ingested_batches("events")
    events = plant.event_history.read(segments_of(rows))
    first_seen = first_seen_ns(plant.ledger)
    spec = champion.card.spec
    for group in _groups(plant, champion, spans_with_readings(plant, spans), first_seen):
        plant.beat()
        panes = _load(plant, champion, group)
        wanted = np.flatnonzero(_wanted(panes, *_bounds(group)))
        if not len(wanted):
            continue
        memory = None
        if spec.remembers:
            boundaries = {name: boundary_before(span.first) for name, span in group.items()}
            memory = restore_memory(
                plant, spec, events, first_seen=first_seen, boundaries=boundaries
            )
        yield build_frame(panes, events, spec, first_seen=first_seen, memory=memory, wanted=wanted)
    plant.memories.flush()


def predict_frame(frame: Frame, champion: Champion) -> Predictions:
    """What the champion says of every row of a frame built by its own spec."""
    card = champion.card
    frame = select_features(frame, card.features)
    answers = answer_frame(frame, card, champion.predictor)
    rows, size = answers.rows, len(answers.status)
    text, attended = np.full((2, size), "", dtype=object)
    if answers.attention is not None:
        attended[rows] = attention_text(answers.attention, card.allocation.sensors)
    scores = _spread(answers.scores, rows, size)
    loud = rows[stands_out(scores.risk[rows, -1], card.usual_risk)]
    modes = card.head.modes
    model = SignalsByMode(champion.predictor) if modes else champion.predictor
    added = contributions(model, frame.values[loud], frame.sensor_of, card.reference)
    text[loud] = top_sensors_text(added[:, :, 0] if modes else added, frame.sensors)
    row_answers = _RowAnswers(
        answers.status, scores, text, attended, np.round(answers.extrapolated, 4)
    )
    if modes:
        by_mode = _modes(answers, scores, modes)
        shares = answers.scores.mode_shares[np.isin(rows, loud), -1]
        words = mode_sensors_text(added[:, :, 1:], shares, modes=modes, sensors=frame.sensors)
        by_mode.sensors[loud] = words
        row_answers = replace(row_answers, modes=by_mode)
    return _predictions(
        frame, row_answers, horizons=card.head.horizons_hours, version=champion.number
    )


def _modes(answers: Answers, scores: Scores, modes: tuple[str, ...]) -> "_ModeAnswers":
    """The likeliest mode of the rows that are scored, and the risk of each; nothing of sensors."""
    rows, shares = answers.rows, answers.scores.mode_shares
    size, horizons = scores.risk.shape
    names, risks = np.full((2, size, horizons), None)
    by_mode = _ModeAnswers(names, risks, np.full(size, None))
    by_mode.likeliest[rows] = np.array(modes, dtype=object)[likeliest(shares)]
    by_mode.risks[rows] = mode_risks_text(risks_by_mode(scores.risk[rows], shares), modes)
    return by_mode


def spans_with_readings(plant: PlantView, spans: Mapping[str, PaneSpan]) -> dict[str, PaneSpan]:
    """The spans, none longer than its asset's readings."""
    pane_ns = plant.history.pane_ns
    first_seen, last_seen = seen_ns(plant.ledger)
    shorter = {
        name: PaneSpan(
            max(span.first, first_seen[name] // pane_ns), min(span.last, last_seen[name] // pane_ns)
        )
        for name, span in spans.items()
        if name in first_seen
    }
    return {name: span for name, span in shorter.items() if span.first <= span.last}


def _groups(
    plant: PlantView,
    champion: Champion | None,
    spans: Mapping[str, PaneSpan],
    first_seen: Mapping[str, int],
) -> Iterator[dict[str, PaneSpan]]:
    """Assets in order, as many at a time as memory should hold; long spans in pieces."""
    sensors = len(champion.card.spec.seen) if champion else 1
    reach, pane_ns = _reach(plant, champion), plant.history.pane_ns
    most = max(GROUP_CELLS // sensors, 1)
    group: dict[str, PaneSpan] = {}
    panes = 0
    for name, span in sorted(spans.items()):
        for first in range(span.first, span.last + 1, most):
            piece = PaneSpan(first, min(first + most - 1, span.last))
            # Where an asset is new, little lies before.
            size = piece.last + 1 - max(piece.first - reach, first_seen[name] // pane_ns)
            if group and (panes + size > most or name in group):
                yield group
                group, panes = {}, 0
            group[name] = piece
            panes += size
    if group:
        yield group


def _reach(plant: PlantView, champion: Champion | None) -> int:
    """How many panes before a cutoff its windows reach, or the block that memory goes on in."""
    if champion is None or not champion.card.spec.windows_ns:
        return 0
    spec = champion.card.spec
    reach = spec.windows_ns[-1] // plant.history.pane_ns
    return max(reach, BLOCK_PANES - 1) if spec.remembers else reach


def _load(plant: PlantView, champion: Champion | None, spans: Mapping[str, PaneSpan]) -> Panes:
    """The panes of the spans, and those before them that their windows reach back to."""
    pane_ns, reach = plant.history.pane_ns, _reach(plant, champion)
    first = min(span.first for span in spans.values()) - reach
    last = max(span.last for span in spans.values())
    behind = plant.ledger.batches_overlapping(
        "readings", to_moment(first * pane_ns), to_moment((last + 1) * pane_ns)
    )
    parts = plant.history.read(segments_of(behind), assets=spans, since_pane=first, until_pane=last)
    # Assets of one group may lie years apart.
    firsts, lasts = _bounds(spans)
    near = [(part, _wanted(part, firsts - reach, lasts)) for part in parts]
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


def _spread(scores: Scores, rows: Index, size: int) -> Scores:
    """Scores of some rows laid out over all rows, NaN elsewhere, rounded to what is shown.

    A graph may sum in another order when it is given other rows beside; rounding to what has
    meaning keeps predictions the same however cutoffs are put together.
    """

    def place(values: Float64, digits: int) -> Float64:
        whole = np.full((size, *values.shape[1:]), np.nan)
        whole[rows] = np.round(values, digits)
        return whole

    return Scores(
        risk=place(scores.risk, RISK_DIGITS),
        rul=place(scores.rul, 2),
        low=place(scores.low, 2),
        high=place(scores.high, 2),
        value=place(scores.value, 4),
    )


@dataclass(frozen=True, eq=False)
class _ModeAnswers:
    """Texts by row and horizon, and of sensors by row; None where nothing is said."""

    likeliest: Text
    risks: Text
    sensors: Text


@dataclass(frozen=True, eq=False)
class _RowAnswers:
    """What becomes of each row, (n_rows,) or (n_rows, n_horizons), as `Predictions` has it."""

    status: Text
    scores: Scores
    top_sensors: Text
    attention: Text
    extrapolated: Float64
    modes: _ModeAnswers | None = None


def _predictions(
    frame: Frame, answers: _RowAnswers, *, horizons: Sequence[float], version: int
) -> Predictions:
    each, scores, modes = len(horizons), answers.scores, answers.modes
    return Predictions(
        assets=frame.assets,
        asset=np.repeat(frame.asset, each),
        cutoff=np.repeat(frame.cutoff, each),
        horizon_hours=np.tile(np.array(horizons), len(frame.cutoff)),
        status=np.repeat(answers.status, each),
        risk=scores.risk.ravel(),
        rul_hours=np.repeat(scores.rul, each),
        rul_low_hours=np.repeat(scores.low, each),
        rul_high_hours=np.repeat(scores.high, each),
        value=np.repeat(scores.value, each),
        top_sensors=np.repeat(answers.top_sensors, each),
        attention=np.repeat(answers.attention, each),
        extrapolated=np.repeat(answers.extrapolated, each),
        model_version=version,
        mode=None if modes is None else modes.likeliest.ravel(),
        mode_risks=None if modes is None else modes.risks.ravel(),
        mode_sensors=None if modes is None else np.repeat(modes.sensors, each),
    )


def _no_model(panes: Panes, horizons: Sequence[float]) -> Predictions:
    size = len(panes.pane)
    cutoff = (panes.pane + 1) * panes.pane_ns
    frame = Frame(panes.assets, panes.asset, cutoff, (), (), np.empty((size, 0), np.float32))
    status, nothing = np.full(size, "no_model", dtype=object), np.full(size, np.nan)
    scores = Scores(np.full((size, len(horizons)), np.nan), *[nothing] * 4)
    empty = np.full(size, "", dtype=object)
    answers = _RowAnswers(status, scores, empty, empty, nothing)
    return _predictions(frame, answers, horizons=horizons, version=0)
