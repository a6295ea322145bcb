"""History that normal behaviour is learned from: which healthy rows are compared with what.

While the beginning of a life goes on, the level an asset is compared with still follows it, and
changes look smaller than they will. Such rows teach only where there are no others, and are then
compared with how the life began at the very first: what is unusual is learned too wide, not too
narrow.
"""

from dataclasses import dataclass

import numpy as np

from pm_app.errors import NotEnoughData
from pm_app.learning.normality.inputs import NormalInputs, SensorLevels, sensor_levels, stopped
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.normality import Teaching
from pm_app.records.readings import Flags, Float32, Float64, Index, Int32, Int64
from pm_app.settings.deviation import DeviationSettings
from pm_app.times import HOUR_NS, format_duration, utc_text

# Fewer rows tell nothing of how sensors move together.
LEAST_ROWS = 60
# What is further apart than so many usual steps, nothing was read in between.
_OUTAGE_GAPS = 3.0
NOT_HEALTHY = "not healthy as far as anybody knows"


@dataclass(frozen=True, eq=False)
class TaughtRows:
    """Rows that teach: which of the frame, asset, cutoff and values of each, (n, n_features).

    row_hours: what a row stands for. apart_ns: rows closer than this know of each other.
    early: whether beginnings of lives had to teach. left_out: why healthy rows did not, and how
    many.
    """

    rows: Index
    asset: Int32
    cutoff: Int64
    values: Float32
    row_hours: float
    apart_ns: int
    early: bool
    left_out: tuple[tuple[str, int], ...]

    def levels(self, rows: Index, inputs: NormalInputs) -> SensorLevels:
        """Levels of some of these rows."""
        return sensor_levels(self.values[rows], inputs)


def choose_history(
    frame: Frame,
    healthy: Flags,
    spec: FeatureSpec,
    inputs: NormalInputs,
    settings: DeviationSettings,
) -> TaughtRows:
    """The rows of a frame, with the features of the inputs, that teach. Raises NotEnoughData."""
    off = np.zeros(len(healthy), dtype=np.bool_) if frame.off is None else frame.off
    still = stopped(frame.values, inputs).any(axis=0) & ~off
    lived = _lived_hours(frame)
    filled = lived >= spec.windows_ns[-1] / HOUR_NS
    usable = healthy & ~off & ~still & filled
    hours = hours_of_a_row(frame, spec)
    begun = _beginning_hours(spec)
    settled = usable & (lived >= begun)
    early = _longest(frame, settled) * hours < settings.minimum_history_ns / HOUR_NS
    rows = np.flatnonzero(usable if early else settled)
    longest = _longest(frame, usable) * hours
    _require_history(len(rows), longest, settings)
    values = frame.values[rows]
    if early and inputs.change:
        _compare_with_first(values, _life_of(frame, lived)[rows], inputs)
    reasons = (
        (NOT_HEALTHY, ~healthy),
        ("machine off", healthy & off),
        ("a stop within the longest window", healthy & still),
        ("the longest window not filled yet", healthy & ~off & ~still & ~filled),
        ("beginning of a life", usable & ~settled & (not early)),
    )
    left_out = tuple((why, int(which.sum())) for why, which in reasons if which.any())
    apart = spec.windows_ns[-1]
    return TaughtRows(
        rows, frame.asset[rows], frame.cutoff[rows], values, hours, apart, early, left_out
    )


def hours_of_a_row(frame: Frame, spec: FeatureSpec) -> float:
    """What a row stands for: a pane, or more where rows were thinned, or are further apart.

    Readings every 15 minutes fill panes of 10 minutes 10 and 20 minutes apart: on the whole 15.
    """
    gaps = np.diff(frame.cutoff)[np.diff(frame.asset) == 0]
    near = gaps[gaps <= _OUTAGE_GAPS * np.median(gaps)] if len(gaps) else gaps
    usual = float(near.mean()) if len(near) else 0.0
    return max(usual, float(spec.pane_ns)) / HOUR_NS


def describe_history(taught: TaughtRows) -> Teaching:
    """What taught, for the card."""
    return Teaching(
        rows=len(taught.rows),
        assets=len(np.unique(taught.asset)),
        trained_from=utc_text(int(taught.cutoff.min())),
        trained_until=utc_text(int(taught.cutoff.max())),
        left_out=taught.left_out,
    )


def _lived_hours(frame: Frame) -> Float64:
    """Hours since each row's life began; since the asset's first row where nobody knows."""
    if frame.lived is not None:
        return frame.lived
    first = np.searchsorted(frame.asset, frame.asset)
    return np.asarray((frame.cutoff - frame.cutoff[first]) / HOUR_NS)


def _life_of(frame: Frame, lived: Float64) -> Index:
    """Number of each row's life: rows of one asset that count from the same beginning."""
    begun = frame.cutoff - np.round(lived * HOUR_NS).astype(np.int64)
    # Hours as floating-point numbers are off by less than a second.
    new = np.diff(frame.asset) != 0
    new |= np.abs(np.diff(begun)) > HOUR_NS // 60
    return np.concatenate([[0], np.cumsum(new)])


def _beginning_hours(spec: FeatureSpec) -> float:
    if spec.beginning_ns is None:
        return 0.0
    return (spec.beginning_ns + spec.windows_ns[0]) / HOUR_NS


def _longest(frame: Frame, chosen: Flags) -> int:
    """The most rows an asset has of these."""
    counts = np.bincount(frame.asset[chosen], minlength=1)
    return int(counts.max())


def _require_history(rows: int, hours: float, settings: DeviationSettings) -> None:
    wanted = settings.minimum_history_ns / HOUR_NS
    if hours < wanted or rows < LEAST_ROWS:
        have = format_duration(3600 * hours) if rows else "none"
        raise NotEnoughData(
            f"not enough history: normal behaviour needs {settings.minimum_history} of healthy "
            f"readings of a machine at work and {LEAST_ROWS} rows, there are {have} and {rows}"
        )


def _compare_with_first(values: Float32, life: Index, inputs: NormalInputs) -> None:
    """Changes against the level at the first row of each life, in place."""
    recent, change = list(inputs.recent), list(inputs.change)
    own = values[:, recent] - values[:, change]
    first = np.searchsorted(life, life)
    values[:, change] = values[:, recent] - own[first]
