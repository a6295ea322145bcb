"""Predictions: risk, remaining useful life and status by asset, cutoff and horizon."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pm_app.records.readings import Float64, Int32, Int64, Text

STATUSES = (
    "scored",
    "watched",
    "machine_off",
    "stale_input",
    "sensor_missing",
    "out_of_distribution",
    "not_enough_history",
    "no_model",
)


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row per asset, cutoff and horizon, sorted in that order.

    asset: index into assets, shape (n,). cutoff: nanoseconds UTC, shape (n,).
    risk, rul_hours, rul_low_hours, rul_high_hours, value: float64, NaN where the status
    abstains or the target has none. value is the estimate for a regressed column.
    top_sensors: text like "vibration 62 %, load 21 %", "" where nothing is said.
    attention: where the network itself looked, text like top_sensors: shares of all its
    attention, "" where the model has no gate over sensors or nothing is said.
    extrapolated: share of importance that lies beyond what was learned, from 0 to 1; NaN where
    nothing is said of the readings, or the version cannot tell.
    model_version is 0 where no model spoke.
    mode: the failure mode likeliest within the horizon; mode_risks: JSON, mode to risk, adding up
    to `risk`; mode_sensors: JSON, mode to text like top_sensors. None where there is no risk, and
    as a whole where the version has no modes.
    deviation: how unusual the asset behaves, 1.0 the level of alarms, NaN where nothing is said;
    deviation_sensors: text like "bearing_temp +9.1 (71 %)", "" where nothing is said. Both alike at
    every horizon of a cutoff. None where no normal behaviour was learned; normal_version is 0 then.
    A row that is `watched` has a deviation and no risk: no failure model was there yet.
    """

    assets: tuple[str, ...]
    asset: Int32
    cutoff: Int64
    horizon_hours: Float64
    status: Text
    risk: Float64
    rul_hours: Float64
    rul_low_hours: Float64
    rul_high_hours: Float64
    value: Float64
    top_sensors: Text
    attention: Text
    extrapolated: Float64
    model_version: int
    mode: Text | None = None
    mode_risks: Text | None = None
    mode_sensors: Text | None = None
    deviation: Float64 | None = None
    deviation_sensors: Text | None = None
    normal_version: int = 0


Rows = NDArray[np.intp]
