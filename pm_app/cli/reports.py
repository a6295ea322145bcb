"""Held-out figures of a version beside its peers."""

from collections.abc import Sequence
from typing import Any

from pm_app.cli.output import print_rows

# What a reader asks first; all others are in `pm-app models --json`.
_SHOWN = (
    "average_precision",
    "brier",
    "calibration_error",
    "rul_rmse",
    "rul_coverage",
    "f1",
    "r2",
    "rmse",
    "mae",
)


def print_reports(reports: Sequence[dict[str, Any]]) -> None:
    """One row a figure, one column a model."""
    names = list(dict.fromkeys(name for report in reports for name in report["metrics"]))
    rows = [
        {"held-out figure": name.replace("_", " "), **_by_model(reports, name)}
        for name in names
        if name.startswith(_SHOWN)
    ]
    sizes = {r["model"]: f"{r['parameters']:,}" for r in reports if r["parameters"]}
    rows.append({"held-out figure": "parameters", **sizes})
    models = [report["model"] for report in reports]
    print_rows(rows, ("held-out figure", *models), as_json=False, right=models)


def _by_model(reports: Sequence[dict[str, Any]], name: str) -> dict[str, str]:
    return {report["model"]: _figure(report["metrics"].get(name)) for report in reports}


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
