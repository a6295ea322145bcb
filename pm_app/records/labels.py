"""Labels of the rows of a frame, and their split into train, validation and test rows."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pm_app.records.readings import Flags, Float64, Int32


@dataclass(frozen=True, eq=False)
class Labels:
    """The target at each row of a frame; every array has shape (n_rows,).

    Life targets: duration_hours runs from the cutoff to the asset's next failure where
    `failed`, else to the last moment the asset is known to have run (right-censored).
    Column targets: `value` is the label (classes as 0.0 and 1.0), durations are NaN.
    usable is False where a row belongs to no one (between failure and repair, no label).
    life numbers the asset's lives from repair or renewal to failure; rows of one life hang
    together. followed_hours: from the cutoff to the end of the record, whatever happens; without
    end by default. renewed: whose life a renewal ended, none by default. mode: the place among
    `Head.modes` of the failure the row comes before (or of its class), -1 without one or where
    it is unknown; none by default.
    weights: (n_rows, n_horizons), for how many rows each stands whose outcome within each of
    `weighed_hours` is known, as others were renewed before, 0 where nobody can stand for those;
    empty where no renewal ended a life.
    """

    duration_hours: Float64
    failed: Flags
    value: Float64
    usable: Flags
    life: Int32
    followed_hours: Float64 = field(default_factory=lambda: np.empty(0))
    renewed: Flags = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    mode: Int32 = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    weights: Float64 = field(default_factory=lambda: np.empty((0, 0)))
    weighed_hours: Float64 = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if not len(self.followed_hours):
            endless = np.full(len(self.duration_hours), np.inf)
            object.__setattr__(self, "followed_hours", endless)
        if not len(self.renewed):
            never = np.zeros(len(self.duration_hours), dtype=np.bool_)
            object.__setattr__(self, "renewed", never)
        happens = self.failed | (self.value > 0)
        mode = np.where(happens, self.mode, -1) if len(self.mode) else np.full(len(happens), -1)
        object.__setattr__(self, "mode", mode.astype(np.int32))

    def fails_within(self, horizon_hours: float) -> Float64:
        """1.0 where it fails within the horizon, 0.0 where it is known not to, else NaN.

        Where the record ends within the horizon, whether it fails is known of failures alone:
        where that leaves survivors out, failures of that time are left out as well.
        """
        within = self.duration_hours <= horizon_hours
        unknown = within & ~self.failed
        early = self.usable & (self.followed_hours <= horizon_hours)
        if (unknown & early).any():
            unknown |= early
        if horizon_hours in self.weighed_hours:
            unknown |= self.weights_within(horizon_hours) == 0.0
        result = np.where(unknown, np.nan, within.astype(float))
        return np.where(self.usable & np.isfinite(self.duration_hours), result, np.nan)

    def weights_within(self, horizon_hours: float) -> Float64 | None:
        """What each row weighs whose outcome within the horizon is known; None where all alike."""
        if not len(self.weighed_hours):
            return None
        return np.asarray(self.weights[:, self.weighed_hours.tolist().index(horizon_hours)])


@dataclass(frozen=True)
class FailureModes:
    """Modes by name, "other" last where it exists; () where there are none.

    of_failure: the place among them of each failure. failures: how many of each. text: in words,
    with what was too rare; "" where no failure has a code.
    """

    names: tuple[str, ...] = ()
    of_failure: tuple[int, ...] = ()
    failures: tuple[int, ...] = ()
    text: str = ""

    def of_rows(self, number: Int32) -> Int32:
        """The mode of each row by the number of its failure, -1 without one; (n_rows,)."""
        if not self.names:
            return np.full(len(number), -1, dtype=np.int32)
        return np.array([*self.of_failure, -1], dtype=np.int32)[number]


NO_MODES: Final = FailureModes()


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of a frame by their use; disjoint, and none of them leaks into another.

    group: shape (n_rows,), the unit that is resampled together (an asset, or a block of
    time); `how` says in words how the split was made. test is the newest part. by_asset: a part
    holds assets whole, with all that became of them. between: rows whose labels reach into a later
    part, but not into the test: they judge nothing, and teach what learns from all rows.
    """

    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    calibration: NDArray[np.intp]
    test: NDArray[np.intp]
    group: Int32
    how: str
    by_asset: bool = False
    between: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp))

    @property
    def learned(self) -> NDArray[np.intp]:
        """All rows that a version may learn from: every part but the test."""
        parts = (self.train, self.validation, self.calibration, self.between)
        return np.sort(np.concatenate(parts))
