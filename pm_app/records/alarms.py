"""Alarm records: rules, states, histories, transitions, outages, verdicts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pm_app.records.readings import Flags, Float64, Int32, Int64, Text

RunSigns = NDArray[np.int8]

# The states of ISA-18.2 that a plant needs. An alarm is open until it is cleared, and stands
# while its condition does: in the first three.
UNACKNOWLEDGED: Final = "unacknowledged"
ACKNOWLEDGED: Final = "acknowledged"
SHELVED: Final = "shelved"
RETURNED: Final = "returned"
CLEARED: Final = "cleared"
NO_ALARM: Final = ""

RISK: Final = "risk"
DEVIATION: Final = "deviation"
# Kinds of alarms of an asset.
OF_ASSETS: Final = (RISK, DEVIATION)
DATA: Final = "data"
# What has stopped by the clock on the wall, as the daemon's freshness names it.
SILENCES: Final = ("readings", "assets", "events", "scores", "retraining")
# A version that waits for a person.
APPROVAL: Final = "approval"
# Alarms of other kinds are the plant's own: no asset has this name.
WHOLE_PLANT: Final = ""
# Statuses that say that readings do not come, not that the machine is new or off.
OUTAGES: Final = ("sensor_missing", "stale_input")
# Who acts where no person does.
SYSTEM: Final = "pm-app"
# The channel on which one document leaves for each alarm of an asset; others carry messages.
WORK_ORDER: Final = "work order"
VERDICTS: Final = ("confirmed", "not-confirmed", "unclear")


@dataclass(frozen=True)
class AlarmRule:
    """What raises an alarm, and what clears it.

    horizon_hours: of the rows that are watched. threshold: of a risk, in (0, 1), or of a deviation;
    clear: the share of it that this has to fall below. persistence: for how many cutoffs running
    that have one. why: where the threshold comes from, in words. kind: RISK or DEVIATION.
    """

    horizon_hours: float
    threshold: float
    clear: float
    persistence: int
    why: str
    kind: str = RISK


@dataclass(frozen=True, eq=False)
class AlarmHistory:
    """The risks or deviations of some assets, oldest first, and how their alarms stand.

    asset: shape (n_rows,), index into `assets`, ascending; cutoff: nanoseconds UTC, ascending
    within an asset; signal: (n_rows,), the risk or the deviation. judged_until: (n_assets,), the
    newest cutoff that was judged before, the least number where none was. run_before: (n_assets,),
    the newest run before the first row: 1 a high one, -1 a low one, 0 none; run_known:
    (n_assets,), whether that is known.
    state: (n_assets,), of the open alarm, "" without. shelf_over: (n_assets,), whether it is
    shelved and its time is over.
    """

    assets: tuple[str, ...]
    asset: Int32
    cutoff: Int64
    signal: Float64
    judged_until: Int64
    run_before: RunSigns
    run_known: Flags
    state: Text
    shelf_over: Flags

    def take(self, chosen: Flags) -> "AlarmHistory":
        """Only these assets, by (n_assets,)."""
        rows = chosen[self.asset]
        place = np.cumsum(chosen, dtype=np.int32) - np.int32(1)
        return AlarmHistory(
            tuple(self.assets[at] for at in np.flatnonzero(chosen).tolist()),
            place[self.asset[rows]],
            self.cutoff[rows],
            self.signal[rows],
            self.judged_until[chosen],
            self.run_before[chosen],
            self.run_known[chosen],
            self.state[chosen],
            self.shelf_over[chosen],
        )


@dataclass(frozen=True, eq=False)
class AlarmMarks:
    """What later looks may go on from, each array of shape (n_assets,).

    since: the cutoff from which rows are to be read then, nanoseconds UTC. run: the newest run
    up to the cutoff that was asked for, as AlarmHistory.run_before has it.
    """

    since: Int64
    run: RunSigns


@dataclass(frozen=True, eq=False)
class Transitions:
    """What becomes of alarms, in order within an asset; each array has shape (n,).

    asset: index into the history's assets. cutoff: nanoseconds UTC of the row that decided, signal
    its risk or deviation.
    from_state "" is no alarm: a new one begins. fresh: whether it is of the alarm that began
    here, not of the one that was open before. revised: whether what was said before decided,
    which late readings or another threshold have changed.
    """

    asset: Int32
    cutoff: Int64
    signal: Float64
    from_state: Text
    to_state: Text
    fresh: Flags
    revised: Flags


@dataclass(frozen=True)
class DataOutage:
    """Assets whose newest cutoffs all lack readings, by name, and of how many assets.

    before: the same as the open data alarm has it; state of that alarm, "" without; shelf_over as
    for AlarmHistory.
    """

    silent: tuple[str, ...]
    assets: int
    before: tuple[str, ...]
    state: str
    shelf_over: bool


@dataclass(frozen=True)
class PlantCondition:
    """What an alarm of the whole plant is about, as it is now.

    kind: DATA, APPROVAL or one of SILENCES. stands: whether it holds. note: in words. about: the
    assets, or the kinds of versions, that it is about, by name. cutoff: the newest moment of which
    something is there, None without any.
    """

    kind: str
    stands: bool
    note: str
    about: tuple[str, ...] = ()
    cutoff: datetime | None = None


@dataclass(frozen=True)
class PlantAlarm:
    """The open alarm of a kind of the plant: its state, "" without one, and what it is about.

    shelf_over as for AlarmHistory.
    """

    state: str = NO_ALARM
    about: tuple[str, ...] = ()
    shelf_over: bool = False


@dataclass(frozen=True)
class AlarmStep:
    """One alarm from one state to the next, and the words for it."""

    action: str
    to_state: str
    note: str
    shelved_until: datetime | None = None


@dataclass(frozen=True)
class Verdict:
    """What a person found behind an alarm.

    verdict: one of VERDICTS. failed_from and failed_until bound the failure's time, None where
    it was not told. code: of the failure, as events have it. mode: the failure mode that was
    found, "" where none was named.
    """

    verdict: str
    found: str = ""
    failed_from: datetime | None = None
    failed_until: datetime | None = None
    code: str = ""
    mode: str = ""
