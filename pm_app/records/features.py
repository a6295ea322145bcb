"""Records of features: panes they are made of, their specification, and frames of them."""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pm_app.records.readings import Flags, Float32, Float64, Index, Int32, Int64


@dataclass(frozen=True, eq=False)
class Panes:
    """Aggregates of each asset's readings over fixed intervals, sorted by asset, then pane.

    Pane p of length `pane_ns` covers [p * pane_ns, (p + 1) * pane_ns) nanoseconds since 1970
    UTC. Only panes with at least one reading exist. assets: distinct names, sorted.

    asset, pane, rows, first_row_time, last_row_time: shape (n_panes,); rows counts readings.
    All others: shape (n_panes, n_sensors), over the readings that hold a value:
    count; first, last, minimum, maximum (NaN where count is 0); total and squares, the sum
    and the sum of squares of (value - first), from which mean and second moment follow
    without cancellation ("shifted data", Chan, Golub & LeVeque 1983); first_time and
    last_time in nanoseconds (0 where count is 0).

    total and squares are strict left folds in time order, so that continuing a stored pane
    with later readings gives the same bits as folding all of them at once.

    Panes that were read without their times have no columns of `PANE_TIMES`, (n_panes, 0).
    """

    pane_ns: int
    assets: tuple[str, ...]
    asset: Int32
    pane: Int64
    rows: Int64
    first_row_time: Int64
    last_row_time: Int64
    sensors: tuple[str, ...]
    count: Int64
    first: Float64
    total: Float64
    squares: Float64
    minimum: Float64
    maximum: Float64
    last: Float64
    first_time: Int64
    last_time: Int64

    def take(self, rows: Index | Flags | slice) -> "Panes":
        """The same panes with only these rows; the list of assets stays."""
        arrays = pane_arrays(self).items()
        if isinstance(rows, slice):
            columns: dict[str, Any] = {name: array[rows] for name, array in arrays}
        else:
            # Several times as fast as an index in brackets.
            numbers = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
            columns = {name: array.take(numbers, axis=0) for name, array in arrays}
        return replace(self, **columns)


PANE_KEYS = ("asset", "pane", "rows", "first_row_time", "last_row_time")
PANE_STATISTICS = (
    "count",
    "first",
    "total",
    "squares",
    "minimum",
    "maximum",
    "last",
    "first_time",
    "last_time",
)
# When readings came: what tells the order of panes' readings, and of settings within a pane.
PANE_TIMES = ("first_row_time", "last_row_time", "first_time", "last_time")
_PANE_ARRAYS = PANE_KEYS + PANE_STATISTICS


@dataclass(frozen=True, eq=False)
class Frame:
    """Features at cutoffs, sorted by asset, then cutoff.

    asset: shape (n_rows,), index into `assets`. cutoff: shape (n_rows,), nanoseconds UTC.
    values: float32, shape (n_rows, n_features); NaN is missing. sensor_of[j] is the sensor
    (or the group: "age", "events", "clock") that feature j belongs to. off: shape (n_rows,),
    where the machine did not run; None where nothing tells.

    waited: (n_rows, n_feeds) in order of `FEEDS`, hours in which no event of the feed was told
    of any asset, counted from the asset's first reading at the earliest. lived: (n_rows,), hours
    since the asset's life began by past events; None where no feature looks back on it.
    withheld: (n_rows, n_bases) in order of `BASES`, features that are missing by the limits of
    a specification; None where it has none.
    """

    assets: tuple[str, ...]
    asset: Int32
    cutoff: Int64
    features: tuple[str, ...]
    sensor_of: tuple[str, ...]
    values: Float32
    off: Flags | None = None
    waited: Float64 | None = None
    lived: Float64 | None = None
    withheld: Flags | None = None

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensors and groups in order of first appearance."""
        return tuple(dict.fromkeys(self.sensor_of))

    def take(self, rows: Index) -> "Frame":
        """The same frame with only these rows, in the order given."""
        return Frame(
            self.assets,
            self.asset[rows],
            self.cutoff[rows],
            self.features,
            self.sensor_of,
            self.values[rows],
            *(None if each is None else each[rows] for each in self.row_facts()),
        )

    def row_facts(self) -> tuple[Any, ...]:
        """What is known of rows besides values, in the order of the fields."""
        return self.off, self.waited, self.lived, self.withheld


def pane_arrays(panes: Panes) -> dict[str, NDArray[Any]]:
    """The arrays of panes by name, keys first."""
    return {name: getattr(panes, name) for name in _PANE_ARRAYS}


@dataclass(frozen=True)
class Regimes:
    """Ways of running that settings (load, speed, altitude) put an asset into; plain values.

    columns: the setting columns. centres: where each regime lies, (k, n_columns), ascending;
    scale: how far readings of a setting stray from its centre, (n_columns,), positive.
    shares: how much of the time each regime had, (k,), summing to 1. levels and spreads: mean
    and deviation of every other sensor in each regime, (k, n_sensors), in order of `sensors`;
    spreads are positive.
    """

    columns: tuple[str, ...]
    centres: tuple[tuple[float, ...], ...]
    scale: tuple[float, ...]
    shares: tuple[float, ...]
    sensors: tuple[str, ...]
    levels: tuple[tuple[float, ...], ...]
    spreads: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class RunningRule:
    """What tells that a machine runs: its sensor reads above this, in the sensor's unit."""

    sensor: str
    above: float


# Ends the names of what is measured within regimes, where it stands beside what is not.
IN_REGIME: Final = ".in_regime"
# Events of one kind come together or not at all.
FEEDS: Final = ("failure", "maintenance", "error", "inspection")
# What features rest on that readings do not tell by themselves: time since the first reading,
# the feeds, and lives, which events end. Cards count on the order: what is new comes last.
BASES: Final = ("age", *FEEDS[:3], "life", *FEEDS[3:])


@dataclass(frozen=True)
class FeedPace:
    """How often a feed of events speaks: hours between two, and after how many it is silent."""

    feed: str
    usual_hours: float
    silent_hours: float


@dataclass(frozen=True)
class FeatureLimits:
    """How far features that go on without readings are known; beyond, they are missing.

    highest: the greatest value that training saw of a feature of age or events, by name.
    lived_hours: the longest life so far that it saw; None where lives never end. feeds: the
    paces of feeds that were told of often enough. renews: whether maintenance begins ages and
    lives anew, so that nobody knows them where it is silent.
    """

    highest: tuple[tuple[str, float], ...] = ()
    lived_hours: float | None = None
    feeds: tuple[FeedPace, ...] = ()
    renews: bool = False


@dataclass(frozen=True)
class FeatureSpec:
    """All that decides which features a cutoff gets: names and their order follow from it.

    windows_ns ascending; empty for tables without a time axis. clock: the time zone of the
    clock features, None where they are off. regimes: what sensors are normalised within,
    None where the plant has one way of running. beside: sensors that are there twice, as they
    are and normalised; in versions of before, that have regimes and name none, all sensors are
    normalised and none is there as it is.

    life: whether there are statistics of the whole life so far; change, scaled_change: whether
    there is the change since its beginning, as it is and in deviations of the beginning, which
    is beginning_ns long (None where nothing is measured against it). smooth_ns: the half-lives
    of exponentially weighted means, ascending. running: None where machines always run.
    limits: None in versions of before there were any. inspections: whether the time since the
    last one counts, whatever its code; of these codes it does by itself. renewals: patterns of the
    codes of maintenance that makes an asset as good as new; mode_renewals: by name of a failure
    mode those of maintenance that makes it alone as good as new. own_minima: whether a window's
    minimum is its own; in versions of before, every window of a sensor has the minimum of the
    longest.
    """

    sensors: tuple[str, ...]
    pane_ns: int
    windows_ns: tuple[int, ...]
    maintenance_codes: tuple[str, ...]
    error_codes: tuple[str, ...]
    clock: str | None
    regimes: Regimes | None = None
    # Cards written before there was long memory do not name these.
    life: bool = False
    change: bool = False
    scaled_change: bool = False
    beginning_ns: int | None = None
    smooth_ns: tuple[int, ...] = ()
    running: RunningRule | None = None
    limits: FeatureLimits | None = None
    beside: tuple[str, ...] = ()
    inspections: bool = False
    inspection_codes: tuple[str, ...] = ()
    renewals: tuple[str, ...] = ()
    own_minima: bool = False
    mode_renewals: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def seen(self) -> tuple[str, ...]:
        """What windows and memory look at, by name: sensors, and those within regimes beside."""
        return (*self.sensors, *(f"{sensor}{IN_REGIME}" for sensor in self.beside))

    @property
    def remembers(self) -> bool:
        """Whether some feature looks back on the whole life."""
        return self.life or self.beginning_ns is not None or bool(self.smooth_ns)
