"""Labels of the rows of a frame: time to the next failure, or the value of a column.

A failure stops the asset until its repair (`features.lives`). Rows with failure <= cutoff <= repair
are unusable: a pane that ends at the failure is the failed pane (zero hours are no warning), one
that ends at the repair lies in the downtime. Example: a failure at 10:00, repaired at 12:00, hourly
cutoffs. 09:00 has one hour left, 10:00 to 12:00 are unusable, 13:00 starts the next life.
A failure that is reported again before the asset has run adds no row, and so no failure.

Of a failure that happened at some time between `since` and `time`, rows in between are unusable,
and so is a margin before: rows for which it depends on when it was whether it came within one of
the horizons. Rows nearer than that have the hours to the middle; rows further away as well where
the span is at most the shortest horizon, else they are censored at its beginning, up to which the
asset is known to have run.

A renewal, of the asset or of one of its modes, censors the rows before it: nobody knows how long
they would have had. Rows from the
earliest moment that it may have been until it was done are unusable.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pm_app.errors import BadSettings, NotEnoughData
from pm_app.features.lives import NEVER, EventTimes, count_until, life_ends, next_renewals
from pm_app.records.features import Frame
from pm_app.records.labels import Labels
from pm_app.records.learning import RenewedLives
from pm_app.records.readings import Events, Flags, Float64, Int32, Int64, Text
from pm_app.times import HOUR_NS

# A failure is known to the nanosecond, time left to the rounding of hours.
ROUNDING_NS = 1_000_000
# More distinct values than these are measured, not classes.
MOST_CLASSES = 50


def life_labels(
    frame: Frame,
    events: Events,
    *,
    known_until: int | None,
    horizons_hours: Sequence[float] = (),
    newest: Mapping[str, int] | None = None,
    renewals: Sequence[str] = (),
) -> Labels:
    """Hours from each cutoff to the asset's next failure, censored where none is known.

    Only events up to `known_until` (nanoseconds UTC, None for no bound) exist. An asset is
    known to run until its newest cutoff, but not beyond `known_until`; rows after that moment
    are unusable, and have NaN durations. The record ends with the newest cutoff of all.
    newest: each asset's newest cutoff, nanoseconds UTC, where the frame may not hold it.
    renewals: patterns of the codes of maintenance that ends a life without a failure.
    """
    asset = asset_numbers(frame, events)
    ends = life_ends(asset, events, known_until=known_until, renewals=renewals)
    failures = ends.failures
    passed = count_until((failures.asset, failures.time), frame.asset, frame.cutoff)
    # A sentinel behind the last failure keeps `passed` a valid index.
    owner = np.append(failures.asset, -1)
    renewals_before, renewal = next_renewals(ends.renewals, frame.asset, frame.cutoff)
    failed = owner[passed] == frame.asset
    failed &= np.append(failures.since, NEVER)[passed] <= renewal
    ahead = _ahead(failures, passed, frame, horizons_hours)
    down = _in_downtime(owner, ends.repaired, passed, frame)
    runs_until = _known_to_run(frame, known_until, newest)
    end = np.where(failed, ahead.end, np.minimum(runs_until[frame.asset], renewal))
    usable = ~down & (end >= frame.cutoff) & ~(failed & ahead.unclear) & (renewal > frame.cutoff)
    return Labels(
        duration_hours=np.where(usable, (end - frame.cutoff) / HOUR_NS, np.nan),
        failed=failed & usable & ~ahead.far,
        value=np.full(len(frame.cutoff), np.nan),
        usable=usable,
        life=number_distinct(frame.asset, passed + renewals_before),
        followed_hours=(runs_until.max(initial=-NEVER) - frame.cutoff) / HOUR_NS,
        renewed=usable & ~failed & (renewal < NEVER),
    )


def column_labels(frame: Frame, values: NDArray[np.generic], *, column: str, task: str) -> Labels:
    """The values of a label column, one per row of the frame; rows without one are unusable.

    task "classification" takes some distinct values and calls the first in order 0, for it means
    that nothing happened, and every other 1 (which of them: `classes_ahead`); "regression" takes
    finite numbers. All rows of an asset are one life.

    Raises BadSettings when the column does not suit the task, NotEnoughData when it holds
    no label, or the same one everywhere.
    """
    missing = np.asarray(pd.isna(values), dtype=np.bool_)
    labelled = values[~missing]
    if not len(labelled):
        raise NotEnoughData(f"not enough data: column {column!r} holds no label")
    encode = _encode_classes if task == "classification" else _encode_numbers
    value = np.full(len(values), np.nan)
    value[~missing] = encode(labelled, column)
    return Labels(
        duration_hours=np.full(len(values), np.nan),
        failed=np.zeros(len(values), dtype=np.bool_),
        value=value,
        usable=~missing,
        life=frame.asset.astype(np.int32),
    )


def while_running(frame: Frame, labels: Labels) -> Labels:
    """The same labels without rows at which the machine is off: those get no prediction."""
    if frame.off is None:
        return labels
    usable = labels.usable & ~frame.off
    return replace(
        labels,
        usable=usable,
        failed=labels.failed & usable,
        renewed=labels.renewed & usable,
        duration_hours=np.where(usable, labels.duration_hours, np.nan),
    )


def count_failures(labels: Labels) -> int:
    """Lives that end in a failure some usable row comes before; for a column, the rows of
    the rarer class, or all labelled rows where it is no class."""
    labelled = labels.value[labels.usable & np.isfinite(labels.value)]
    if not len(labelled):
        return len(np.unique(labels.life[labels.failed & labels.usable]))
    classes, counts = np.unique(labelled, return_counts=True)
    return int(counts.min()) if set(classes) == {0.0, 1.0} else len(labelled)


def renewed_lives(labels: Labels, horizons_hours: Sequence[float]) -> RenewedLives | None:
    """How many lives renewals ended, and the bounds of what would have failed; None without any."""
    if not labels.renewed.any():
        return None
    failing, least, most = [], [], []
    for horizon in horizons_hours:
        truth = labels.fails_within(horizon)
        # Rows that the end of the record leaves out stay out.
        open_ = labels.renewed & (labels.duration_hours <= horizon)
        open_ &= labels.followed_hours > horizon
        failed, asked = np.nansum(truth), np.isfinite(truth).sum()
        rows = max(asked + open_.sum(), 1)
        failing.append(float(failed / max(asked, 1)))
        least.append(float(failed / rows))
        most.append(float((failed + open_.sum()) / rows))
    return RenewedLives(
        lives=len(np.unique(labels.life[labels.usable])),
        renewed=len(np.unique(labels.life[labels.renewed])),
        horizons_hours=tuple(horizons_hours),
        failing=tuple(failing),
        least=tuple(least),
        most=tuple(most),
    )


def failure_times(frame: Frame, labels: Labels, rows: NDArray[np.intp]) -> Int64:
    """When the life of each of these rows ended, nanoseconds UTC; all must end in a failure."""
    end: Int64 = frame.cutoff[rows] + np.round(labels.duration_hours[rows] * HOUR_NS).astype(
        np.int64
    )
    return end


@dataclass(frozen=True, eq=False)
class FailuresAhead:
    """Failures that rows come before: codes of each, in order, for one may be booked under several;
    and the number of each row's, -1 without one, (n_rows,)."""

    codes: tuple[tuple[str, ...], ...]
    number: Int32

    @property
    def first_codes(self) -> Text:
        """The first code of the failure each row comes before, "" without one, (n_rows,)."""
        first = [codes[0] for codes in self.codes]
        return np.array([*first, ""], dtype=object)[self.number]


def failures_ahead(frame: Frame, labels: Labels, events: Events) -> FailuresAhead:
    """The failure that each row comes before, and the codes that were booked for its moment."""
    rows, failed = np.flatnonzero(labels.failed), np.flatnonzero(events.kind == "failure")
    asset = asset_numbers(frame, events)[failed]
    order = np.lexsort([events.time[failed], asset])
    failed, asset = failed[order], asset[order]
    time = events.time[failed]
    # Hours are rounded, and a failure of uncertain time ends a life in the middle of it.
    end = failure_times(frame, labels, rows) - ROUNDING_NS
    at = count_until((asset, time), frame.asset[rows], end)
    found = np.append(asset, -1)[at] == frame.asset[rows]
    first, place = np.unique(at[found], return_inverse=True)
    number = np.full(len(frame.cutoff), -1, dtype=np.int32)
    number[rows[found]] = place
    past = count_until((asset, time), asset[first], time[first])
    codes = zip(first.tolist(), past.tolist(), strict=True)
    booked = tuple(tuple(events.code[failed[begin:end]].tolist()) for begin, end in codes)
    return FailuresAhead(booked, number)


def classes_ahead(values: NDArray[np.generic], labels: Labels) -> FailuresAhead:
    """The classes of a label column, as failures ahead with the class as their code.

    The first class in order is none: it means that nothing happened. So there is no code where a
    column has two classes, which the risk alone tells apart.
    """
    rows = np.flatnonzero(labels.value == 1.0)
    number = np.full(len(labels.value), -1, dtype=np.int32)
    names = [f"{one:g}" if isinstance(one, float) else str(one) for one in values[rows].tolist()]
    if len(set(names)) < 2:
        return FailuresAhead((), number)
    number[rows] = np.arange(len(rows))
    return FailuresAhead(tuple((name,) for name in names), number)


def failures_learned(
    frame: Frame, labels: Labels, events: Events, chosen: Flags, *, known_until: int | None
) -> int:
    """How many of the chosen events are failures that some usable row comes before."""
    asset = asset_numbers(frame, events)
    failures = life_ends(asset, events, known_until=known_until).failures
    passed = count_until((failures.asset, failures.time), frame.asset, frame.cutoff)
    met = np.unique(passed[labels.failed & labels.usable])
    learned = set(zip(failures.asset[met].tolist(), failures.time[met].tolist(), strict=True))
    return len(
        learned & set(zip(asset[chosen].tolist(), events.time[chosen].tolist(), strict=True))
    )


@dataclass(frozen=True, eq=False)
class _Ahead:
    """The next failure of each row: where its label ends, whether that is only until when the
    asset is known to have run, and whether the label depends on when it was."""

    end: Int64
    far: Flags
    unclear: Flags


def _ahead(
    failures: EventTimes, passed: NDArray[np.intp], frame: Frame, horizons_hours: Sequence[float]
) -> _Ahead:
    first = np.append(failures.since, NEVER)[passed]
    last = np.append(failures.time, NEVER)[passed]
    reach = np.array([round(hours * HOUR_NS) for hours in horizons_hours], dtype=np.int64)
    soonest, latest = (first - frame.cutoff)[:, None], (last - frame.cutoff)[:, None]
    spread = first < last
    unclear = ((soonest <= reach) & (reach < latest)).any(axis=1) | (first <= frame.cutoff)
    wide = last - first > reach.min(initial=NEVER)
    far = spread & wide & (soonest > reach).all(axis=1)
    middle = first + (last - first) // 2
    return _Ahead(np.where(far, first, middle), far, spread & unclear)


def _in_downtime(owner: Int64, repairs: Int64, passed: NDArray[np.intp], frame: Frame) -> Flags:
    latest = passed - 1
    has_failed = (latest >= 0) & (owner[latest] == frame.asset)
    repair = np.append(repairs, NEVER)[latest]
    return np.asarray(has_failed & (frame.cutoff <= repair))


def _known_to_run(frame: Frame, known_until: int | None, newest: Mapping[str, int] | None) -> Int64:
    """Until when each asset is known to have run if it did not fail, (n_assets,)."""
    end = np.full(len(frame.assets), -NEVER)
    if newest is None:
        np.maximum.at(end, frame.asset, frame.cutoff)
    else:
        end = np.array([newest[name] for name in frame.assets], dtype=np.int64)
    return end if known_until is None else np.minimum(end, known_until)


def number_distinct(*columns: NDArray[np.integer]) -> Int32:
    """A number for each distinct row of these columns, in their order; (n_rows,)."""
    keys = np.column_stack(columns).astype(np.int64)
    _, number = np.unique(keys, axis=0, return_inverse=True)
    return number.reshape(-1).astype(np.int32)


def asset_numbers(frame: Frame, events: Events) -> Int64:
    """The number of each event's asset in the frame, -1 for one without rows; (n_events,)."""
    number = {name: index for index, name in enumerate(frame.assets)}
    return np.array([number.get(name, -1) for name in events.asset], dtype=np.int64)


def _encode_classes(labelled: NDArray[np.generic], column: str) -> Float64:
    try:
        classes, codes = np.unique(labelled, return_inverse=True)
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in labelled.tolist()})
        raise BadSettings(
            f"target.column {column!r} must hold values of one kind, got {kinds}"
        ) from error
    names = classes.tolist()
    if len(names) == 1:
        raise NotEnoughData(
            f"not enough data: column {column!r} is {names[0]!r} in every row, "
            "both classes are needed"
        )
    if len(names) > MOST_CLASSES:
        raise BadSettings(
            f"target.column {column!r} must hold at most {MOST_CLASSES} distinct values for "
            f"classification, got {len(names)}: {_shorten(names)}; numbers are learned with "
            'target.task = "regression"'
        )
    return np.asarray(codes > 0, dtype=np.float64)


def _encode_numbers(labelled: NDArray[np.generic], column: str) -> Float64:
    try:
        numbers = labelled.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise BadSettings(
            f"target.column {column!r} must hold numbers for regression, "
            f"got {_shorten(dict.fromkeys(labelled.tolist()))}"
        ) from error
    if not np.isfinite(numbers).all():
        raise BadSettings(f"target.column {column!r} must hold finite numbers, got infinity")
    if numbers.min() == numbers.max():
        raise NotEnoughData(f"not enough data: column {column!r} is {numbers[0]} in every row")
    return numbers


def _shorten(values: Iterable[object]) -> str:
    shown = list(values)
    return repr(shown[:5])[:-1] + (", …]" if len(shown) > 5 else "]")
