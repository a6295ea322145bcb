"""Normal behaviour learned from a frame: model, alarm level, graph, and whether it may score.

The level comes from healthy time that the model which scored it had not seen: time is cut into
blocks, and each is scored by a model of the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pm_app.errors import NotEnoughData
from pm_app.features.frame import select_features
from pm_app.features.physical_limits import leave_out_beyond
from pm_app.learning.normality.admission import (
    NewNormal,
    RawAnswers,
    judge_newest,
)
from pm_app.learning.normality.comparison import NormalVerdict, compare_normals
from pm_app.learning.normality.graph import check_graph, normal_graph
from pm_app.learning.normality.history import (
    LEAST_ROWS,
    TaughtRows,
    choose_history,
    describe_history,
)
from pm_app.learning.normality.inputs import NormalInputs, choose_inputs
from pm_app.learning.normality.level import AlarmTerms, QuietScores, episode_starts, find_level
from pm_app.learning.normality.model import NormalModel, fit_model, moving_together
from pm_app.progress import Progress, part_of
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.normality import AlarmLevel, NormalCard, PhysicalLimits
from pm_app.records.readings import Flags, Float32, Float64, Index
from pm_app.settings.deviation import DeviationSettings
from pm_app.times import HOUR_NS

METHOD = "robust covariance of sensors at every scale of time"
# More rows of one fleet repeat each other: a cloud of 20,000 is known to a hundredth.
MOST_FITTED = 20_000
_BLOCKS = 5
_CHUNK_ROWS = 20_000
# Spread of a normal distribution whose absolute value has this median.
_SPREAD = 1.4826


@dataclass(frozen=True, eq=False)
class LearnedNormal:
    """A normal behaviour as it is learned; golden rows and what the graph said of them.

    golden_outputs: (n, 1 + n_sensors), score and residuals. publish: whether it may score without
    a person; reason: why, in words.
    """

    card: NormalCard
    onnx: bytes
    golden_rows: Float32
    golden_outputs: Float32
    publish: bool
    reason: str


@dataclass(frozen=True, eq=False)
class HealthyRows:
    """A frame with the features of a spec, by asset, then cutoff, those at least that may be
    looked at (see `readable_features`), and which rows of it are healthy as far as anybody can
    tell, (n_rows,). limits: beyond these a sensor is left out."""

    frame: Frame
    healthy: Flags
    spec: FeatureSpec
    limits: tuple[PhysicalLimits, ...] = ()


def learn_normal(
    rows: HealthyRows,
    *,
    settings: DeviationSettings,
    before: NormalCard | None,
    seed: int,
    progress: Progress,
    raw_before: RawAnswers | None = None,
) -> LearnedNormal:
    """Normal behaviour of healthy rows.

    before: the normal that scores now; raw_before: what it answers, where the new one has to show
    that it is no worse. The same arguments give the same result. Raises NotEnoughData.
    """
    progress(0.0, "choosing what teaches")
    spec, frame = rows.spec, leave_out_beyond(rows.frame, rows.spec, rows.limits)
    inputs = choose_inputs(frame, np.flatnonzero(rows.healthy), spec)
    chosen = select_features(frame, inputs.features)
    taught = choose_history(chosen, rows.healthy, spec, inputs, settings)
    held_out = _cross_fit(taught, inputs, part_of(progress, 0.1, 0.7))
    terms = _terms(settings, spec, taught)
    level = _find_level(held_out, terms, alarm_persistence(settings, spec), seed)
    progress(0.7, "learning what is normal")
    model = fit_rows(taught, np.arange(len(taught.values)), inputs)
    new = NewNormal(spec, taught, inputs, level, terms, fit_rows)
    verdict = compare_normals(model, _usual(held_out.residuals), before)
    verdict = judge_newest(verdict, new, frame, before, raw_before)
    progress(0.9, "writing the graph")
    onnx = normal_graph(model)
    parity, golden_rows, golden_outputs = check_graph(model, onnx, chosen.values, seed=seed)
    card = replace(
        _card(spec, model, taught, held_out, level, verdict),
        levels=tuple(_middle(chosen.values[taught.rows], inputs).tolist()),
        checks=_checks(held_out, level, terms) | verdict.checks,
        parity=parity,
        seed=seed,
        limits=rows.limits,
    )
    progress(1.0, "learned what is normal")
    return LearnedNormal(card, onnx, golden_rows, golden_outputs, verdict.publish, verdict.reason)


def _find_level(held_out: "_HeldOut", terms: AlarmTerms, persistence: int, seed: int) -> AlarmLevel:
    return replace(find_level(held_out.scores, terms, seed=seed), persistence=persistence)


def _card(
    spec: FeatureSpec,
    model: NormalModel,
    taught: TaughtRows,
    held_out: "_HeldOut",
    level: AlarmLevel,
    verdict: NormalVerdict,
) -> NormalCard:
    """The card of a model, but for figures of it."""
    return NormalCard(
        spec=spec,
        features=model.inputs.features,
        sensors=model.inputs.sensors,
        groups=moving_together(model),
        method=METHOD,
        level=level,
        usual=tuple(_usual(held_out.residuals).tolist()),
        levels=(),
        taught=describe_history(taught),
        moved=verdict.moved,
        reason=verdict.reason,
        centres=verdict.centres,
        anchor=verdict.anchor,
    )


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """What models said of healthy rows they had not seen."""

    scores: QuietScores
    residuals: Float64


def _cross_fit(taught: TaughtRows, inputs: NormalInputs, progress: Progress) -> _HeldOut:
    """Each block of time scored by a model of the others, those close by left out."""
    size = len(taught.values)
    scores, residuals = np.full(size, np.nan), np.full((size, len(inputs.sensors)), np.nan)
    order = np.argsort(taught.cutoff, kind="stable")
    for number, block in enumerate(np.array_split(order, _BLOCKS)):
        progress(number / _BLOCKS, "scoring time that did not teach")
        first, last = taught.cutoff[block[[0, -1]]]
        close = (taught.cutoff >= first - taught.apart_ns) & (
            taught.cutoff <= last + taught.apart_ns
        )
        others = np.flatnonzero(~close)
        if len(others) < LEAST_ROWS:
            # So short a history that blocks touch: still apart, if not by a window.
            others = np.setdiff1d(np.arange(size), block)
        model = fit_rows(taught, others, inputs)
        for part in chunks(block):
            scores[part], residuals[part] = model.answer(taught.values[part])
    there = np.flatnonzero(np.isfinite(scores))
    if not len(there) or not (scores[there] > 0).any():
        raise NotEnoughData("normal behaviour needs rows with half of their sensors, none has them")
    quiet = QuietScores(taught.asset[there], taught.cutoff[there], scores[there], taught.row_hours)
    return _HeldOut(quiet, residuals[there])


def chunks(rows: Index) -> Iterator[Index]:
    """As many rows at a time as are scored at once."""
    for start in range(0, len(rows), _CHUNK_ROWS):
        yield rows[start : start + _CHUNK_ROWS]


def fit_rows(taught: TaughtRows, rows: Index, inputs: NormalInputs) -> NormalModel:
    """The model of some of the rows that teach, evenly thinned where there are too many."""
    if len(rows) > MOST_FITTED:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_FITTED).round().astype(np.intp)]
    return fit_model(taught.levels(rows, inputs), inputs)


def alarm_persistence(settings: DeviationSettings, spec: FeatureSpec) -> int:
    """How many cutoffs running raise an alarm: no fewer than the shortest window has panes.

    What is wrong with a few readings alone, such as those after a sensor was stuck, is gone from
    it by then.
    """
    return max(settings.persistence, spec.windows_ns[0] // spec.pane_ns)


def _terms(settings: DeviationSettings, spec: FeatureSpec, taught: TaughtRows) -> AlarmTerms:
    """Alarm rules of held-out rows: where these are thinned, one is already worth an alarm."""
    thinned = taught.row_hours > 1.5 * spec.pane_ns / HOUR_NS
    assets = len(np.unique(taught.asset))
    persistence = 1 if thinned else alarm_persistence(settings, spec)
    return AlarmTerms(settings.budget.per_hour(assets), persistence, settings.clear)


def _usual(residuals: Float64) -> Float64:
    """Usual spread of each sensor's residual, (n_sensors,)."""
    with np.errstate(all="ignore"):
        there = np.where(np.isfinite(residuals).any(axis=0), np.abs(residuals), 0.0)
        spread = _SPREAD * np.nanmedian(there, axis=0)
    return np.asarray(np.where(spread > 0, spread, np.finfo(np.float32).eps))


def _middle(values: Float32, inputs: NormalInputs) -> Float64:
    """The usual value of each sensor over the shortest window, as features have it."""
    recent = values[:, list(inputs.levels[0])].astype(np.float64)
    return np.asarray(np.nanmedian(recent, axis=0))


def _checks(held_out: _HeldOut, level: AlarmLevel, terms: AlarmTerms) -> dict[str, float]:
    """Figures on healthy time that did not teach."""
    scores = held_out.scores
    return {
        "held_out_rows": float(len(scores.score)),
        "held_out_score": float(np.median(scores.score)),
        "held_out_score_99": float(np.quantile(scores.score, 0.99)),
        "episodes": float(len(episode_starts(scores, level.score, terms))),
        "episodes_allowed": terms.per_hour * scores.hours,
    }
