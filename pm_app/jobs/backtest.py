"""History as it would have happened: learn from the past, speak of the next span, and so on.

Each fold is learned by the trainer process that the product learns with, and spoken of by the
functions that it scores with; nothing of the store, its versions or its champion changes. A
reading and an event are taken to have been known from their own time stamps on: when a file of
history really came, nobody knows any more.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np

from pm_app.errors import BadSettings, NotEnoughData
from pm_app.features.frame import select_features
from pm_app.jobs.backtest_folds import Fold, bare_frame, plan_folds
from pm_app.jobs.champion import Champion, ready
from pm_app.jobs.known import all_failures, gather_known
from pm_app.jobs.predict import Span, frames
from pm_app.jobs.retrain import Trainer, make_order
from pm_app.jobs.site import Progress, Site, first_seen_ns, silent, to_moment, to_nanoseconds
from pm_app.jobs.study import make_study
from pm_app.jobs.training_order import ANSWER, ORDER, TrainingAnswer, TrainingOrder
from pm_app.learning.labels import life_labels, while_running
from pm_app.learning.peers import Lesson, Peer, fit_peer
from pm_app.memories import Memories
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.readings import Events, Float64, Int32, Int64
from pm_app.registry import read_version
from pm_app.scoring.abstention import statuses
from pm_app.segments import MissingSegment

# The daemon may join segments while a fold is learned: then it is learned again.
_MOST_TRIES = 3
# A version that is published nowhere.
_NUMBER = 0
FitPeer = Callable[[Lesson], Peer]


@dataclass(frozen=True, eq=False)
class Account:
    """What was said of every cutoff after the first origin, and what came.

    decisions: why a fold could not be learned, "" where it was. Rows by asset, then cutoff, every
    array (n_rows,). fold: index into `folds`. risk: of horizon_hours, NaN where nothing is said.
    rul, low, high: hours. peer_risk, peer_rul: what the peer says of the rows that we speak of.
    """

    folds: tuple[Fold, ...]
    decisions: tuple[str, ...]
    peer: str
    horizon_hours: float
    cap_hours: float
    assets: tuple[str, ...]
    asset: Int32
    cutoff: Int64
    fold: Int32
    risk: Float64
    rul: Float64
    low: Float64
    high: Float64
    peer_risk: Float64
    peer_rul: Float64
    labels: Labels


def backtest(
    site: Site,
    *,
    now: datetime,
    folds: int,
    first: datetime | None,
    last: datetime | None,
    trainer: Trainer,
    fit: FitPeer = fit_peer,
    progress: Progress = silent,
) -> Account:
    """Learn and speak fold by fold; writes nothing.

    Raises BadSettings for a column target, NotEnoughData where no fold can be learned,
    TransientError where a trainer died, and MissingSegment.
    """
    if site.settings.target.kind == "column":
        raise BadSettings('backtest replays lives, target.kind is "column"')
    order = _order(site, now)
    # What came is judged by all that is known today, verdicts included.
    everything = site.event_history.read(order.event_segments)
    events = all_failures(
        everything, order.told, site.settings, known_until=to_nanoseconds(now)
    ).events
    planned = plan_folds(site, events, folds=folds, first=first, last=last)
    parts: list[_Said] = []
    decisions: list[str] = []
    for number, fold in enumerate(planned):
        begun = number / len(planned)
        where = f"fold {number + 1} of {len(planned)}, up to {to_moment(fold.origin):%Y-%m-%d}"
        told = _told(progress, begun, 1 / len(planned), where)
        said = _one_fold(site, order, fold, number, now, trainer, fit, told)
        decisions.append(said if isinstance(said, str) else "")
        if not isinstance(said, str):
            parts.append(said)
    if not parts:
        raise NotEnoughData(f"not enough data: no fold could be learned: {decisions[-1]}")
    return _account(site, events, planned, decisions, parts)


@dataclass(frozen=True, eq=False)
class _Said:
    """What one fold said, rows as they came.

    ours: risk, hours left and their bounds, (4, n_rows); theirs: risk and hours, (2, n_rows).
    """

    fold: int
    peer: str
    names: tuple[str, ...]
    asset: Int32
    cutoff: Int64
    ours: Float64
    theirs: Float64


def _order(site: Site, now: datetime) -> TrainingOrder:
    """As a first retraining is told."""
    order = make_order(site, now, now, force=False, staging=Path())
    return replace(order, champion=None, in_a_row_before=0, failures_before=0, failures_last=0)


def _told(progress: Progress, begun: float, share: float, where: str) -> Progress:
    return lambda done, text: progress(begun + share * done, f"{where}: {text}")


def _one_fold(
    site: Site,
    order: TrainingOrder,
    fold: Fold,
    number: int,
    now: datetime,
    trainer: Trainer,
    fit: FitPeer,
    progress: Progress,
) -> "_Said | str":
    """What was said in the span of a fold, or in words why nothing could be learned."""
    with tempfile.TemporaryDirectory(prefix="pm-app-backtest-") as folder:
        staged = Path(folder, "version")
        staged.mkdir()
        mine = replace(order, as_of_ns=fold.origin, now=now.isoformat(), staging=str(staged))
        answer = _learn(site, mine, Path(folder), trainer, progress)
        if not answer.made:
            return answer.reason
        champion = ready(read_version(staged, number=_NUMBER))
        progress(0.9, "fitting what people use today")
        peer, features = _fit_peer(site, mine, fit)
        progress(0.95, "speaking of the next span")
        beside = replace(site, memories=Memories(Path(folder, "memory")))
        return _speak(beside, champion, peer, features, fold, number)


def _learn(
    site: Site, order: TrainingOrder, folder: Path, trainer: Trainer, progress: Progress
) -> TrainingAnswer:
    order_path, answer_path = folder / "order.json", folder / "answer.json"
    for _ in range(_MOST_TRIES):
        order_path.write_bytes(ORDER.dump_json(order))
        trainer(order_path, answer_path, lambda done, text: progress(0.9 * done, text))
        answer: TrainingAnswer = ANSWER.validate_json(answer_path.read_bytes())
        if not answer.missing:
            return answer
        again = _order(site, to_moment(order.as_of_ns))
        order = replace(order, segments=again.segments, event_segments=again.event_segments)
    raise MissingSegment(Path(answer.missing), answer.reason)


def _fit_peer(site: Site, order: TrainingOrder, fit: FitPeer) -> tuple[Peer, tuple[str, ...]]:
    """A peer that knows what the trainer knew, and the features that it reads."""
    known = gather_known(
        site.history,
        order.segments,
        site.event_history.read(order.event_segments),
        site.settings,
        first_seen=order.first_seen,
        as_of_ns=order.as_of_ns,
        told=order.told,
    )
    study, target = make_study(known, site.settings), site.settings.target
    lesson = Lesson(
        study.frame,
        study.labels,
        study.split,
        horizon_hours=target.horizons_hours[-1],
        cap_hours=target.cap_hours,
        seed=site.settings.retraining.seed,
    )
    return fit(lesson), study.frame.features


def _speak(
    site: Site, champion: Champion, peer: Peer, features: tuple[str, ...], fold: Fold, number: int
) -> "_Said":
    """What both sides say of every cutoff in the span."""
    pane_ns = site.history.pane_ns
    span = Span(fold.origin // pane_ns, fold.end // pane_ns - 1)
    names: list[str] = []
    rows: list[tuple[Int32, Int64, Float64, Float64]] = []
    for frame in frames(site, champion, dict.fromkeys(first_seen_ns(site), span)):
        ours = _ours(select_features(frame, champion.card.features), champion)
        theirs = np.stack(peer.answer(select_features(frame, features).values))
        theirs[:, np.isnan(ours[0])] = np.nan
        rows.append((frame.asset + np.int32(len(names)), frame.cutoff, ours, theirs))
        names += frame.assets
    asset, cutoff, ours, theirs = (
        (np.concatenate(columns, axis=-1) for columns in zip(*rows, strict=True))
        if rows
        else _nothing()
    )
    return _Said(number, peer.name, tuple(names), asset, cutoff, ours, theirs)


def _ours(frame: Frame, champion: Champion) -> Float64:
    """Risk of the longest horizon, hours left and their bounds, (4, n_rows); NaN: abstains."""
    result = np.full((4, len(frame.cutoff)), np.nan)
    rows = np.flatnonzero(statuses(frame, champion.card) == "scored")
    scores = champion.predictor.predict(frame.values[rows])
    result[:, rows] = scores.risk[:, -1], scores.rul, scores.low, scores.high
    return result


def _nothing() -> tuple[Int32, Int64, Float64, Float64]:
    return np.empty(0, np.int32), np.empty(0, np.int64), np.empty((4, 0)), np.empty((2, 0))


def _account(
    site: Site,
    events: Events,
    folds: Sequence[Fold],
    decisions: Sequence[str],
    parts: Sequence[_Said],
) -> Account:
    """All that was said in one order, with what came."""
    assets = tuple(sorted({name for part in parts for name in part.names}))
    place = {name: number for number, name in enumerate(assets)}
    asset = np.concatenate(
        [
            np.array([place[name] for name in part.names], dtype=np.int32)[part.asset]
            for part in parts
        ]
    )
    cutoff = np.concatenate([part.cutoff for part in parts])
    fold = np.repeat(
        np.array([part.fold for part in parts], dtype=np.int32), [len(p.cutoff) for p in parts]
    )
    order = np.lexsort((cutoff, asset))
    ours = np.concatenate([part.ours for part in parts], axis=1)[:, order]
    theirs = np.concatenate([part.theirs for part in parts], axis=1)[:, order]
    frame = bare_frame(assets, asset[order], cutoff[order])
    target = site.settings.target
    return Account(
        tuple(folds),
        tuple(decisions),
        parts[0].peer,
        target.horizons_hours[-1],
        target.cap_hours,
        assets,
        frame.asset,
        frame.cutoff,
        fold[order],
        ours[0],
        ours[1],
        ours[2],
        ours[3],
        theirs[0],
        theirs[1],
        while_running(frame, life_labels(frame, events, known_until=folds[-1].end)),
    )
