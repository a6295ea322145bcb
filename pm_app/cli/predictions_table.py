"""Predictions for an operator's eye: one line an asset, riskiest first."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from pm_app.wording import STATUS_WORDS, age_text, life_text, percent_text


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
        "data age": age_text((now - longest["cutoff"]).total_seconds()),
        "note": STATUS_WORDS[longest["status"]],
    }
    for row in rows:
        shown[_risk_name(row["horizon_hours"])] = percent_text(row["risk"])
    return shown


def _risk_name(hours: float) -> str:
    return "risk" if hours == 0 else f"risk {hours:g} h"


def _life_text(row: dict[str, Any], cap: float) -> str:
    bounds = row["rul_low_hours"], row["rul_high_hours"]
    return life_text(row["rul_hours"], *bounds, cap_hours=cap)
