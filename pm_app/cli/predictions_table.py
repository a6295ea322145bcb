"""Predictions for an operator's eye: one line an asset, riskiest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from pm_app.times import format_duration

# A life this near the cap cannot be told from a longer one.
BEYOND = 0.98
STATUS_WORDS = {
    "scored": "",
    "machine_off": "machine off",
    "stale_input": "readings stand still",
    "sensor_missing": "key sensors missing",
    "out_of_distribution": "unlike anything learned",
    "not_enough_history": "too new to say",
    "no_model": "no model yet",
}


def latest_rows(table: pa.Table, *, now: datetime, cap_hours: float) -> list[dict[str, Any]]:
    """One row an asset from `latest_predictions`, the riskiest at the longest horizon first."""
    by_asset: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        by_asset.setdefault(row["asset_id"], []).append(row)
    rows = [_asset_row(rows, now, cap_hours) for rows in by_asset.values()]
    return sorted(rows, key=lambda row: (-row["order"], row["asset"]))


def latest_columns(table: pa.Table) -> list[str]:
    """Column names of `latest_rows` in their order."""
    horizons = sorted(set(table.column("horizon_hours").to_pylist()))
    if horizons == [0.0]:
        return ["asset", "risk", "value", "driven by", "attention", "note"]
    risks = [_risk_name(hours) for hours in horizons]
    return ["asset", *risks, "life left", "driven by", "attention", "data age", "note"]


def _asset_row(rows: Sequence[dict[str, Any]], now: datetime, cap: float) -> dict[str, Any]:
    rows = sorted(rows, key=lambda row: row["horizon_hours"])
    longest = rows[-1]
    shown: dict[str, Any] = {
        "asset": longest["asset_id"],
        "order": longest["risk"] if longest["risk"] is not None else -1.0,
        "life left": _life_text(longest, cap),
        "value": "" if longest["value"] is None else f"{longest['value']:.4g}",
        "driven by": longest["top_sensors"],
        "attention": longest["attention"],
        "data age": _age((now - longest["cutoff"]).total_seconds()),
        "note": STATUS_WORDS[longest["status"]],
    }
    for row in rows:
        shown[_risk_name(row["horizon_hours"])] = _percent(row["risk"])
    return shown


def _risk_name(hours: float) -> str:
    return "risk" if hours == 0 else f"risk {hours:g} h"


def _percent(risk: float | None) -> str:
    """A risk as people say it; never a certainty the model cannot have."""
    if risk is None:
        return "-"
    if risk < 0.01:
        return "<1 %"
    return f"{risk:.0%}".replace("%", " %") if risk < 0.995 else ">99 %"


def _life_text(row: dict[str, Any], cap: float) -> str:
    if row["rul_hours"] is None:
        return "-"
    most = f"> {format_duration(cap * 3600)}"
    low, high = row["rul_low_hours"], row["rul_high_hours"]
    if low >= BEYOND * cap:
        return most
    upper = most if high >= BEYOND * cap else _hours(high)
    return f"{_hours(row['rul_hours'])} ({_hours(low)} to {upper})"


def _age(seconds: float) -> str:
    return "now" if seconds < 60 else format_duration(seconds)


def _hours(hours: float) -> str:
    return "<1 h" if hours < 1 else format_duration(hours * 3600)
