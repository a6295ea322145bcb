"""Training targets of the network: the spans of life of its head, and each row's answer."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pm_app.errors import NotEnoughData
from pm_app.records.labels import Labels
from pm_app.records.learning import Head
from pm_app.records.readings import Flags, Float32, Float64, Int32

Rows = NDArray[np.intp]

# About as many spans as the literature's 10-20; horizons come on top of the even ones.
SPANS = 16
# A span narrower than this share of an even one holds too few failures to learn from.
_NARROWEST = 0.4


@dataclass(frozen=True, eq=False)
class Targets:
    """The loss of a row is Σ happened * -log p + survived * -log(1 - p) over its outputs.

    Both (n, outputs) float32. For regression `happened` is the value less `zero`, in units
    of `unit`, and `survived` is 0.
    """

    happened: Float32
    survived: Float32
    zero: float = 0.0
    unit: float = 1.0


def choose_head(
    labels: Labels,
    rows: Rows,
    *,
    task: str,
    horizons_hours: tuple[float, ...],
    cap_hours: float,
    modes: tuple[str, ...] = (),
) -> Head:
    """The head of a task: "life", "classification" or "regression".

    For life the edges are the horizons, the cap, and quantiles of the lives left below the
    cap among `rows`, so that each span holds about as many failures.
    Raises NotEnoughData when no row fails before the cap.
    """
    if task != "life":
        return Head(task, (), (0.0,), modes)
    left = labels.duration_hours[rows][labels.failed[rows]]
    left = left[left < cap_hours]
    if not len(left):
        raise NotEnoughData(f"no training row fails within {cap_hours:g} h, the cap of life left")
    even = np.quantile(left, np.linspace(0, 1, SPANS + 1)[1:-1])
    fixed = sorted({*horizons_hours, cap_hours})
    narrowest = _NARROWEST / SPANS
    shares = np.searchsorted(np.sort(left), fixed) / len(left)
    own = np.searchsorted(np.sort(left), even) / len(left)
    free = np.abs(own[:, None] - shares).min(axis=1) > narrowest
    edges = sorted({*fixed, *np.unique(even[free & (even > 0)]).tolist()})
    return Head("hazard", tuple(map(float, edges)), tuple(sorted(horizons_hours)), modes)


def weigh_targets(targets: Targets, weights: Float64 | None) -> Targets:
    """The same targets, the loss of each row so many times as heavy; weights: (n_rows,)."""
    if weights is None:
        return targets
    heavy = weights.astype(np.float32)[:, None]
    return replace(targets, happened=targets.happened * heavy, survived=targets.survived * heavy)


def encode_targets(
    labels: Labels, rows: Rows, head: Head, *, zero: float | None = None, unit: float | None = None
) -> Targets:
    """The answers of these rows, in their order; unusable rows must not be among them.

    zero, unit: where a regressed value is to be 0 and 1; by default its median and standard
    deviation among the rows.
    """
    if head.kind == "hazard":
        return encode_lives(labels.duration_hours[rows], labels.failed[rows], head.edges_hours)
    value = labels.value[rows]
    if head.kind == "classification":
        return Targets(_column(value), _column(1.0 - value))
    zero = float(np.median(value)) if zero is None else zero
    unit = (float(np.std(value)) or 1.0) if unit is None else unit
    return Targets(_column((value - zero) / unit), _column(np.zeros(len(value))), zero, unit)


def tell_modes_apart(happened: Float32, mode: Int32, modes: int) -> Float32:
    """What happened, (n, outputs), by the modes it may have been of, (n, outputs, modes).

    mode: (n,), -1 where it is unknown: then it may have been any.
    """
    possible = (mode[:, None] == np.arange(modes)) | (mode < 0)[:, None]
    return np.asarray(happened[:, :, None] * possible[:, None, :].astype(np.float32))


def encode_lives(duration: Float64, failed: NDArray[np.bool_], edges: tuple[float, ...]) -> Targets:
    """Spans each life failed in and lived through (Gensheimer & Narasimhan 2019, eq. 2).

    A failure at exactly an edge belongs to the span that ends there. A censored life counts
    as survived for the share of its last span that it was seen to run.
    """
    upper = np.array(edges)
    lower = np.array((0.0, *edges[:-1]))
    time = duration[:, None]
    inside = (time <= upper) & (time > lower)
    inside[:, 0] |= duration <= 0.0
    happened = inside & failed[:, None]
    seen = np.clip((time - lower) / (upper - lower), 0.0, 1.0)
    survived = np.where(failed[:, None], time > upper, seen)
    return Targets(happened.astype(np.float32), survived.astype(np.float32))


def known_lives(labels: Labels, rows: Rows, cap_hours: float) -> tuple[Float64, Rows]:
    """Lives left, capped, where they are known, and at which places of `rows` that is.

    Near the end of a record those of failures are known and those of survivors are not, and
    lives would seem short: rows followed no longer than some survivor left out for that are left
    out as well, unless no failure would stay.
    """
    duration = labels.duration_hours[rows]
    whole, honest = _followed_up(labels, rows, cap_hours)
    places = np.flatnonzero(honest if (honest & labels.failed[rows]).any() else whole)
    return np.minimum(duration[places], cap_hours), places


def survivors_are_known(labels: Labels, rows: Rows, cap_hours: float) -> bool:
    """Whether `known_lives` are those of all rows followed long enough, and not of failures alone:
    where nothing is followed as long as the first failure takes, only what fails is known."""
    whole, honest = _followed_up(labels, rows, cap_hours)
    return bool(whole.all() or (honest & labels.failed[rows]).any())


def _followed_up(labels: Labels, rows: Rows, cap_hours: float) -> tuple[Flags, Flags]:
    """Rows whose life is known up to the cap, and those of them that were followed longer than
    every row whose life is not; (n_rows,) each."""
    duration, followed = labels.duration_hours[rows], labels.followed_hours[rows]
    whole = labels.failed[rows] | (duration >= cap_hours)
    survivors = followed[~whole & (followed < cap_hours)]
    return whole, whole & (followed > survivors.max(initial=-np.inf))


def _column(values: Float64) -> Float32:
    return values.astype(np.float32)[:, None]
