"""Versions, retrainings and importance as rows for people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pm_app.cli.output import print_rows
from pm_app.errors import TerminalError
from pm_app.store.lineage import Lineage
from pm_app.wording import revision_text


def model_rows(lineage: Lineage, as_of: datetime | None = None) -> list[dict[str, Any]]:
    """One row a version, newest first; the one that scores (or did, then) is marked."""
    champion = lineage.champion() if as_of is None else lineage.champion_at(as_of)
    return [
        {
            "version": row.version,
            "scores": "yes" if row.version == champion else "",
            "created": row.created_at.isoformat(timespec="seconds"),
            "strategy": row.strategy,
            "parameters": row.parameters,
            "failures": row.summary.get("failures"),
            "of these from verdicts": row.summary.get("failures_from_verdicts") or None,
            **_figures(row.summary.get("reports")),
            "knows the outcome?": ", ".join(_suspected(row.summary)),
            "revision": row.summary.get("revision"),
        }
        for row in lineage.versions()
        if as_of is None or row.created_at <= as_of
    ]


def promotion_rows(lineage: Lineage, as_of: datetime | None = None) -> list[dict[str, Any]]:
    """One row a move of the champion pointer (until then), newest first."""
    return [
        {
            "at": row.at.isoformat(timespec="seconds"),
            "version": row.version,
            "kind": row.kind,
            "reason": row.reason,
        }
        for row in lineage.promotions()[::-1]
        if as_of is None or row.at <= as_of
    ]


def retraining_rows(lineage: Lineage, as_of: datetime | None = None) -> list[dict[str, Any]]:
    """One row a retraining (begun until then), newest first."""
    return [
        {
            "at": row.started_at.isoformat(timespec="seconds"),
            "as_of": row.as_of.isoformat(timespec="seconds"),
            "decision": row.decision,
            "version": row.version,
            "reason": row.reason,
            "metrics": dict(row.metrics),
        }
        for row in lineage.retrainings()
        if as_of is None or row.started_at <= as_of
    ]


def importance_rows(lineage: Lineage, version: int | None) -> list[dict[str, Any]]:
    """One row a sensor of a version, most important first."""
    rows = [] if version is None else lineage.importances(version)
    if not rows:
        raise TerminalError(
            "no model yet: pm-app retrain makes the first"
            if version is None
            else f"there is no version {version}; pm-app models lists them"
        )
    stored = lineage.version(rows[0].version)
    summary = stored.summary if stored else {}
    suspected, again = _suspected(summary), _asked_again(summary)
    return [
        {
            "rank": row.rank,
            "sensor": row.sensor,
            "share": f"{row.share:.1%}",
            "+/-": f"{row.spread:.1%}",
            "asked again": again.get(row.sensor, ""),
            "tier": row.tier,
            "units": row.units,
            "l1": f"{row.l1:.1e}",
            "question": "knows the outcome?" if row.sensor in suspected else "",
        }
        for row in rows
    ]


def second_look(lineage: Lineage, version: int) -> str:
    """What came of asking the network itself for importance, in a sentence; "" if it was not."""
    stored = lineage.version(version)
    revision = stored.summary.get("revision") if stored else None
    return revision_text(revision) if isinstance(revision, dict) else ""


def allocation_rows(lineage: Lineage, before: int, after: int) -> list[dict[str, Any]]:
    """One row a sensor: importance, tier and penalty in two versions, most important now first."""
    old = {row.sensor: row for row in lineage.importances(before)}
    rows = []
    for row in lineage.importances(after):
        was = old.get(row.sensor)
        rows.append(
            {
                "sensor": row.sensor,
                "importance": "" if was is None else f"{was.share:.1%}",
                "tier": "" if was is None else f"{was.tier}, {was.units} units",
                "L1": "" if was is None else f"{was.l1:.1e}",
                "importance now": f"{row.share:.1%}",
                "tier now": f"{row.tier}, {row.units} units",
                "L1 now": f"{row.l1:.1e}",
            }
        )
    return rows


def _suspected(summary: Any) -> list[str]:
    """Sensors that may know the outcome; versions from before this was asked have none."""
    return [suspicion["sensor"] for suspicion in summary.get("suspicions", ())]


def _asked_again(summary: Any) -> dict[str, str]:
    """Importance as the network told it in training, by sensor; empty where it was not asked."""
    revision = summary.get("revision")
    if not revision:
        return {}
    pairs = zip(revision["sensors"], revision["shares"], strict=True)
    return {sensor: f"{share:.1%}" for sensor, share in pairs}


def _figures(reports: Any) -> dict[str, str]:
    """The first three held-out figures of the version itself."""
    metrics = reports[0]["metrics"] if reports else {}
    return {name: f"{value:.3f}" for name, value in list(metrics.items())[:3]}


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
