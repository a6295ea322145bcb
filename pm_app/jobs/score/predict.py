"""Predictions for wanted cutoffs: features, scores, texts; flat in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pm_app.features.frame import select_features
from pm_app.jobs.plant import PlantView
from pm_app.jobs.score.champion import Champion
from pm_app.jobs.score.frames import PaneSpan, frames, frames_of, wanted_panes
from pm_app.jobs.score.normal_champion import NormalChampion, row_deviations
from pm_app.records.features import Frame, Panes
from pm_app.records.predictions import Predictions
from pm_app.records.readings import Float64, Index, Text
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


def predict_spans(
    plant: PlantView,
    champion: Champion | None,
    spans: Mapping[str, PaneSpan],
    *,
    normal: NormalChampion | None = None,
) -> Iterator[Predictions]:
    """Predictions at the end of every pane in the spans, some assets at a time.

    Without a champion rows are watched by what is normal; without that too they say no_model.
    """
    if normal is not None:
        yield from _predict_with_deviations(plant, champion, normal, spans)
        return
    if champion is not None:
        for frame in frames(plant, champion, spans):
            yield predict_frame(frame, champion)
        return
    for _, panes, wanted in wanted_panes(plant, (), spans):
        yield _no_model(panes.take(wanted), plant.settings.target.horizons_hours)


def _predict_with_deviations(
    plant: PlantView,
    champion: Champion | None,
    normal: NormalChampion,
    spans: Mapping[str, PaneSpan],
) -> Iterator[Predictions]:
    specs = () if champion is None else champion.specs
    horizons = plant.settings.target.horizons_hours
    for built in frames_of(plant, (*specs, normal.card.spec), spans):
        found = row_deviations(built[-1], normal)
        if champion is None:
            rows = _without_risk(built[-1], found.status, horizons)
        else:
            rows = predict_frame(champion.read(built), champion)
        each = len(rows.cutoff) // max(len(found.deviation), 1)
        yield replace(
            rows,
            deviation=np.repeat(found.deviation, each),
            deviation_sensors=np.repeat(found.sensors, each),
            normal_version=normal.number,
        )


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
    return _without_risk(frame, np.full(size, "no_model", dtype=object), horizons)


def _without_risk(frame: Frame, status: Text, horizons: Sequence[float]) -> Predictions:
    """Rows of which no failure model speaks."""
    size, nothing = len(status), np.full(len(status), np.nan)
    scores = Scores(np.full((size, len(horizons)), np.nan), *[nothing] * 4)
    empty = np.full(size, "", dtype=object)
    answers = _RowAnswers(status, scores, empty, empty, nothing)
    return _predictions(frame, answers, horizons=horizons, version=0)
