"""Times that are numbers: Unix time, whose size tells its unit, or steps counted from a start."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pm_app.records.readings import Flags, Float64, Int64

# A number above these is no longer in seconds, milliseconds, microseconds: year 5138 in each.
UNITS: Final = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3))
# Unix times below are of 1973 and before; numbers as small count something else.
LEAST: Final = 10**8
# Where counted steps begin: 2000-01-01 UTC.
START_NS: Final = 946_684_800 * 10**9
_LAST_NS: Final = 2**63 - 1
# A double has a quarter of a microsecond, no more: what it shows is what was meant.
_SHOWN_NS: Final = 1000


def times_of_numbers(
    numbers: NDArray[np.integer] | Float64, counts_ns: int | None
) -> tuple[Int64, Flags]:
    """Nanoseconds since 1970 UTC of each number, and which are none; those hold 0.

    counts_ns: how long a step is, of numbers that count from `START_NS` on; None for Unix times in
    s, ms, us or ns. Numbers that are not finite, negative, or beyond 64 bits are none.
    """
    values = np.asarray(numbers)
    finite = np.isfinite(values)
    size = np.where(finite, values, 0).astype(np.float64)
    if counts_ns is not None:
        good = finite & (size >= 0) & (size * counts_ns < float(_LAST_NS - START_NS))
        return START_NS + _scaled(np.where(good, values, 0), counts_ns) * good, ~good
    factor = np.ones(len(values), dtype=np.int64)
    for limit, each in reversed(UNITS):
        factor[size < limit] = each
    good = finite & (size >= LEAST) & (size * factor < float(_LAST_NS))
    return _scaled(np.where(good, values, 0), np.where(good, factor, 1)), ~good


def why_no_time(number: Any, section: str, counts_ns: int | None) -> str:
    """Why `times_of_numbers` has no time for a number. section: of plant.toml, of its settings."""
    if counts_ns is not None:
        return f"is {number}; needed a number from 0 on, counted from the start"
    return (
        f"is {number}; needed a time, or Unix time where it is a number; where it counts from a "
        f'start, {section}.counts = "1h" says how long one is'
    )


def _scaled(values: Any, factor: Any) -> Int64:
    if np.issubdtype(values.dtype, np.integer):
        return np.asarray(values.astype(np.int64) * factor, dtype=np.int64)
    exact = values * factor
    shown = np.round(exact / _SHOWN_NS) * _SHOWN_NS
    found: Int64 = np.where(np.asarray(factor) >= _SHOWN_NS, shown, exact).astype(np.int64)
    return found
