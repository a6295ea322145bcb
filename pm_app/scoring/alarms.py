"""Alarms raised, returned and cleared: a pure state machine over risks, or over deviations.

The condition of an asset is a function of what the predictions table says now of one horizon,
and of nothing else: `persistence` cutoffs running at or above the threshold are a high run, as
many below `clear` times it a low run, and the condition stands if the newest run of either kind
is a high one. Cutoffs that have no risk (or no deviation, where that is watched) are passed
over: they are in no run and break none. So however the same data came, in whatever order, late,
or twice, the same conditions stand in the end, for the table is the same.

Alarms follow the condition as it is said. A commit first asks it anew at the newest cutoff that
was judged before: where late readings (or a new threshold) have changed the past so that it
stands otherwise, the alarm follows now, and its event says so; an alarm that was raised is
history and stays, whatever is known later. Then it walks the cutoffs that are new. What came
and went between two cutoffs that were judged long ago is nobody's news and raises nothing. So
data in order gives the same alarms however it is cut into batches; data out of order the same
standing ones, beside a history of what was thought in between.

States are those of ISA-18.2: a condition raises an alarm as unacknowledged; gone, it leaves an
acknowledged one cleared and another one returned, which a person still has to acknowledge; come
again before that, the same alarm is unacknowledged again. A shelved alarm keeps still, whatever
the condition does, until its time is over; then it is unacknowledged where the condition
stands, else cleared. An asset has at most one open alarm of a kind: what is said of risks and what
is said of deviations are judged beside each other, by the same rules, and neither knows the other.

An outage of readings is one alarm of the plant, not one an asset: its condition is that some
asset abstained at its newest `persistence` cutoffs for lack of readings. An asset more than it
was acknowledged for raises it again. It is asked at commits alone: an outage that is over when
its readings come is no news. What has stopped by the clock on the wall (no readings at all, no
events, no scores) has alarms of the plant of its own, which the daemon follows between commits.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pm_app.records.alarms import (
    ACKNOWLEDGED,
    CLEARED,
    DATA,
    NO_ALARM,
    RETURNED,
    SHELVED,
    UNACKNOWLEDGED,
    AlarmHistory,
    AlarmMarks,
    AlarmRule,
    AlarmStep,
    DataOutage,
    PlantAlarm,
    PlantCondition,
    RunSigns,
    Transitions,
)
from pm_app.records.readings import Flags, Index, Int32, Int64

_NAMES_SHOWN = 20


@dataclass(frozen=True)
class RuleJudge:
    """One rule, applied; fulfils `pm_app.ports.AlarmJudge`.

    channels: those that are told of alarms. no_readings: newest cutoffs without readings that make
    an outage; 0 for as many as the rule's persistence.
    """

    rule: AlarmRule
    channels: tuple[str, ...] = ()
    no_readings: int = 0

    @property
    def outage_cutoffs(self) -> int:
        """At how many newest cutoffs readings lack before that is an outage."""
        return self.no_readings or self.rule.persistence

    def undecided(self, history: AlarmHistory) -> Flags:
        """Which assets' histories are too short to tell the condition up to `judged_until`."""
        nothing = _runs_before(history, _runs(history, self.rule)) == 0
        return np.asarray(nothing & ~history.run_known)

    def transitions(self, history: AlarmHistory) -> Transitions:
        """What becomes of each asset's alarm.

        Where a history is too short to tell, the condition is taken to stand as it stood.
        """
        runs = _runs(history, self.rule)
        stood = np.isin(history.state.astype(str), (UNACKNOWLEDGED, ACKNOWLEDGED))
        before = _runs_before(history, runs)
        stands = np.where(
            before == 0, (stood | history.shelf_over) & ~history.run_known, before > 0
        )
        steps = _Sequence.of(history, stands, np.where(runs == 0, stands[history.asset], runs > 0))
        follow = _unshelved if history.shelf_over.any() else _follow
        return follow(history, steps, stood)

    def marks(self, history: AlarmHistory, upto: Int64) -> AlarmMarks:
        """What a later look may go on from at these cutoffs, (n_assets,).

        It has to see as many rows before as make a run with the first one after. Where the
        history does not tell, what is known is how the alarm stood.
        """
        last = _last_rows(history, upto)
        first = np.searchsorted(history.asset, np.arange(len(history.assets)))
        begin = np.maximum(last - (self.rule.persistence - 2), first)
        since = np.where(last >= 0, np.append(history.cutoff, 0)[np.minimum(begin, last)], upto)
        run = _runs_until(history, _runs(history, self.rule), last)
        stood = np.isin(history.state.astype(str), (UNACKNOWLEDGED, ACKNOWLEDGED, SHELVED))
        guess = np.where(stood, 1, -1).astype(np.int8)
        return AlarmMarks(since, np.where((run == 0) & ~history.run_known, guess, run))

    def outage(self, outage: DataOutage) -> AlarmStep | None:
        """What becomes of the plant's data alarm; None where nothing does."""
        condition = PlantCondition(DATA, bool(outage.silent), outage_text(outage), outage.silent)
        return plant_step(condition, PlantAlarm(outage.state, outage.before, outage.shelf_over))


def plant_step(condition: PlantCondition, alarm: PlantAlarm) -> AlarmStep | None:
    """What becomes of an alarm of the plant; None where nothing does."""
    stands, state, note = condition.stands, alarm.state, condition.note
    if state == SHELVED:
        if not alarm.shelf_over:
            return None
        return AlarmStep("unshelved", UNACKNOWLEDGED if stands else CLEARED, note)
    if not stands:
        if state in (NO_ALARM, RETURNED):
            return None
        gone = CLEARED if state == ACKNOWLEDGED else RETURNED
        return AlarmStep(gone, gone, note)
    more = not set(condition.about) <= set(alarm.about)
    if state in (NO_ALARM, RETURNED) or (more and state == ACKNOWLEDGED):
        return AlarmStep("raised", UNACKNOWLEDGED, note)
    return None if condition.about == alarm.about else AlarmStep("changed", state, note)


def outage_text(outage: DataOutage) -> str:
    """How many assets are without usable readings, and which."""
    if not outage.silent:
        return "every asset has usable readings again"
    shown = ", ".join(outage.silent[:_NAMES_SHOWN])
    rest = len(outage.silent) - _NAMES_SHOWN
    more = f" and {rest} more" if rest > 0 else ""
    return f"{len(outage.silent)} of {outage.assets} assets without usable readings: {shown}{more}"


def _runs(history: AlarmHistory, rule: AlarmRule) -> RunSigns:
    """The newest run up to each row, (n_rows,): 1 a high one, -1 a low one, 0 none so far."""
    first = np.searchsorted(history.asset, history.asset).astype(np.int64)
    high = _ends_run(history.signal >= rule.threshold, first, rule.persistence)
    low = _ends_run(history.signal < rule.clear * rule.threshold, first, rule.persistence)
    kind = high.astype(np.int8) - low.astype(np.int8)
    row = np.arange(len(kind))
    newest = np.maximum.accumulate(np.where(kind != 0, row, -1)) if len(kind) else row
    return np.where(newest >= first, kind[newest], history.run_before[history.asset])


def _ends_run(inside: Flags, first: Int64, persistence: int) -> Flags:
    """Whether a row and those just before it, `persistence` together, are all inside."""
    row = np.arange(len(inside))
    broken = np.maximum.accumulate(np.where(inside, -1, row)) if len(inside) else row
    return np.asarray(row - np.maximum(broken, first - 1) >= persistence)


def _runs_before(history: AlarmHistory, runs: RunSigns) -> RunSigns:
    """The newest run up to `judged_until`, (n_assets,)."""
    return _runs_until(history, runs, _last_rows(history, history.judged_until))


def _runs_until(history: AlarmHistory, runs: RunSigns, last: Int64) -> RunSigns:
    """The newest run up to these rows, (n_assets,); -1 is before the first."""
    return np.where(last >= 0, np.append(runs, np.int8(0))[last], history.run_before)


def _last_rows(history: AlarmHistory, upto: Int64) -> Int64:
    """The newest row of each asset up to a cutoff of its own, (n_assets,); -1 without one."""
    inside = history.cutoff <= upto[history.asset]
    last = np.full(len(history.assets), -1, dtype=np.int64)
    # Rows ascend: of several for one asset the last one stays.
    last[history.asset[inside]] = np.flatnonzero(inside)
    return last


@dataclass(frozen=True, eq=False)
class _Sequence:
    """The condition asked again at what was judged before, then at each new row, by asset."""

    asset: Int32
    cutoff: Int64
    signal: NDArray[np.float64]
    stands: Flags
    revised: Flags

    @classmethod
    def of(cls, history: AlarmHistory, stands: Flags, row_stands: Flags) -> "_Sequence":
        """stands: at what was judged before, (n_assets,); row_stands: at each row."""
        last = _last_rows(history, history.judged_until)
        new = np.flatnonzero(history.cutoff > history.judged_until[history.asset])
        cutoff = np.where(last >= 0, np.append(history.cutoff, 0)[last], history.judged_until)
        signal = np.where(last >= 0, np.append(history.signal, np.nan)[last], np.nan)
        count = len(history.assets)
        asset = np.concatenate([np.arange(count, dtype=np.int32), history.asset[new]])
        order = np.argsort(asset, kind="stable")
        return cls(
            asset[order],
            np.concatenate([cutoff, history.cutoff[new]])[order],
            np.concatenate([signal, history.signal[new]])[order],
            np.concatenate([stands, row_stands[new]])[order],
            (np.arange(len(asset)) < count)[order],
        )

    def take(self, rows: Flags | Index) -> "_Sequence":
        """Only these."""
        return _Sequence(**{name: column[rows] for name, column in vars(self).items()})


def _follow(history: AlarmHistory, steps: _Sequence, stood: Flags) -> Transitions:
    """Where the condition changes, and what the alarm becomes there."""
    first = np.append(True, steps.asset[1:] != steps.asset[:-1])[: len(steps.asset)]
    previous = np.where(first, stood[steps.asset], np.roll(steps.stands, 1))
    shelved = history.state[steps.asset] == SHELVED
    changes = steps.take((steps.stands != previous) & ~shelved)
    asset, state = changes.asset, history.state[changes.asset]
    leads = np.append(True, asset[1:] != asset[:-1])[: len(asset)]
    acknowledged = state == ACKNOWLEDGED
    gone = np.where(leads & acknowledged, CLEARED, RETURNED)
    to_state = np.where(changes.stands, UNACKNOWLEDGED, gone).astype(object)
    from_state = np.where(leads, state, np.roll(to_state, 1))
    from_state[from_state == CLEARED] = NO_ALARM
    return Transitions(
        asset,
        changes.cutoff,
        changes.signal,
        from_state,
        to_state,
        np.asarray((state == NO_ALARM) | (acknowledged & ~leads), dtype=np.bool_),
        changes.revised,
    )


def _unshelved(history: AlarmHistory, steps: _Sequence, stood: Flags) -> Transitions:
    """As _follow, and shelved alarms whose time is over as their assets stand at the end."""
    followed = _follow(history, steps, stood)
    final = np.append(steps.asset[1:] != steps.asset[:-1], True)[: len(steps.asset)]
    ended = steps.take(final & history.shelf_over[steps.asset])
    count = len(ended.asset)
    added = Transitions(
        ended.asset,
        ended.cutoff,
        ended.signal,
        np.full(count, SHELVED, dtype=object),
        np.where(ended.stands, UNACKNOWLEDGED, CLEARED).astype(object),
        np.zeros(count, dtype=np.bool_),
        ended.revised,
    )
    order = np.argsort(np.concatenate([followed.asset, added.asset]), kind="stable")
    columns = vars(followed).items()
    return Transitions(
        **{name: np.concatenate([column, getattr(added, name)])[order] for name, column in columns}
    )
