"""`pm-app models`: versions, retrainings, promotions, held-out figures."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import typer

from pm_app.cli.options import PLANT, Json, PlantOption, parse_time
from pm_app.cli.output import print_json, print_rows, say
from pm_app.settings.plant import read_settings
from pm_app.store.lineage import Lineage
from pm_app.store.rows import VersionKind
from pm_app.wording import time_text

# Of what a version knows: which failures come, or what is normal.
KINDS: Final[tuple[VersionKind, ...]] = ("failure", "normal")
# What a reader asks first; all others are in `pm-app models --json`.
_SHOWN = (
    "average_precision",
    "brier",
    "calibration_error",
    "seen_coming",
    "mode_",
    "rul_rmse",
    "rul_coverage",
    "f1",
    "r2",
    "rmse",
    "mae",
)


def models(
    config: PlantOption = PLANT,
    as_of: Annotated[
        str | None, typer.Option(metavar="TIME", help="As it was then, e.g. 2026-01-31T14:00.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Versions, which one scores, every retraining and every promotion with its reason."""
    from pm_app.jobs.retrain.first_version import first_version_text
    from pm_app.wiring import open_views

    settings = read_settings(config)
    zone = settings.plant.timezone
    then = parse_time(as_of, "--as-of", zone=zone)
    with open_views(settings) as store:
        versions = model_rows(store.lineage, then)
        retrainings = retraining_rows(store.lineage, then)
        promotions = promotion_rows(store.lineage, then)
        wait = first_version_text(store.lineage) if then is None else ""
        questions = renewal_questions(store.lineage) if then is None else []
    if as_json:
        print_json({"versions": versions, "retrainings": retrainings, "promotions": promotions})
        return
    print_rows([_in_words(_dated(row, "created", zone)) for row in versions], title="versions")
    retrainings = [_dated(row, "at", zone) for row in retrainings]
    promotions = [_dated(row, "at", zone) for row in promotions]
    print_rows(retrainings, ("at", "of", "decision", "version", "reason"), title="retrainings")
    print_rows(promotions, ("at", "kind", "of", "version", "reason"), title="who scored when")
    for words in (wait, *questions):
        if words:
            say(words)


def renewal_questions(lineage: Lineage) -> list[str]:
    """What the newest retraining asks about maintenance codes after which readings return."""
    last = next(iter(lineage.retrainings(limit=1)), None)
    rows: Any = last.metrics.get("renewals", ()) if last is not None else ()
    return [row["text"] for row in rows if row["returns"]]


def _dated(row: dict[str, Any], column: str, zone: str) -> dict[str, Any]:
    """A row for people: its ISO time as the plant's clock has it."""
    return row | {column: time_text(datetime.fromisoformat(row[column]), zone)}


def _in_words(row: dict[str, Any]) -> dict[str, Any]:
    """A version for people: in so few columns that words stay whole."""
    answers = [row["answers"], row["strategy"]]
    if row["parameters"]:
        answers.append(f"{row['parameters']:,} parameters")
    failures = [": ".join(filter(None, (str(row["failures"] or ""), row["failure modes"])))]
    if row["of these from verdicts"]:
        failures.append(f"{row['of these from verdicts']} of these from verdicts")
    failures += [row["ended by renewal"], row["fail within horizon"]]
    figures = [f"{name.replace('_', ' ')} {row[name]}" for name in row if name.startswith(_SHOWN)]
    if row["spread"] is not None:
        figures.append(f"spread {row['spread']}")
    return {name: row[name] for name in ("version", "of", "scores", "created")} | {
        "answers": "; ".join(filter(None, answers)),
        "failures": "; ".join(filter(None, failures)),
        "held-out figures": ", ".join(figures),
        "knows the outcome?": row["knows the outcome?"],
    }


def model_rows(lineage: Lineage, as_of: datetime | None = None) -> list[dict[str, Any]]:
    """One row a version, newest first; the one that scores (or did, then) is marked."""
    champions = {
        lineage.champion(kind) if as_of is None else lineage.champion_at(as_of, kind)
        for kind in KINDS
    }
    return [
        {
            "version": row.version,
            "of": row.kind,
            "scores": "yes" if row.version in champions else "",
            "created": row.created_at.isoformat(timespec="seconds"),
            "strategy": row.strategy,
            "parameters": row.parameters,
            "answers": "" if row.kind == "normal" else _answers(row.summary.get("pool")),
            "spread": _rounded(row.summary.get("spread")),
            "failures": row.summary.get("failures"),
            "of these from verdicts": row.summary.get("failures_from_verdicts") or None,
            "failure modes": _modes(row.summary.get("modes")),
            **renewal_figures(row.summary.get("renewed")),
            **_figures(row.summary.get("reports")),
            "knows the outcome?": ", ".join(suspected_sensors(row.summary)),
            "revision": row.summary.get("revision"),
        }
        for row in lineage.versions()
        if as_of is None or row.created_at <= as_of
    ]


def promotion_rows(lineage: Lineage, as_of: datetime | None = None) -> list[dict[str, Any]]:
    """One row a move of a champion pointer (until then), newest first."""
    moves = [(kind, row) for kind in KINDS for row in lineage.promotions(kind)]
    moves.sort(key=lambda move: move[1].id, reverse=True)
    return [
        {
            "at": row.at.isoformat(timespec="seconds"),
            "version": row.version,
            "of": kind,
            "kind": row.kind,
            "reason": row.reason,
        }
        for kind, row in moves
        if as_of is None or row.at <= as_of
    ]


def retraining_rows(lineage: Lineage, as_of: datetime | None = None) -> list[dict[str, Any]]:
    """One row a retraining, of either kind (begun until then), newest first."""
    rows = [row for kind in KINDS for row in lineage.retrainings(kind=kind)]
    rows.sort(key=lambda row: row.id, reverse=True)
    return [
        {
            "at": row.started_at.isoformat(timespec="seconds"),
            "as_of": row.as_of.isoformat(timespec="seconds"),
            "of": row.kind,
            "decision": row.decision,
            "version": row.version,
            "reason": row.reason,
            "metrics": dict(row.metrics),
        }
        for row in rows
        if as_of is None or row.started_at <= as_of
    ]


def suspected_sensors(summary: Any) -> list[str]:
    """Sensors that may know the outcome; versions from before this was asked have none."""
    return [suspicion["sensor"] for suspicion in summary.get("suspicions", ())]


def _answers(pool: Any) -> str:
    """Who answers with what share; versions from before there were pools have none."""
    return str(pool or "network").split(":")[0].split(" (")[0]


def _modes(modes: Any) -> str | None:
    """Failure modes with their failures; versions from before there were modes have none."""
    return ", ".join(f"{mode} {count}" for mode, count in (modes or {}).items()) or None


def _rounded(spread: Any) -> float | None:
    """Of an answer, in log-odds; versions from before it was measured have none."""
    return None if spread is None else round(spread, 3)


def renewal_figures(renewed: Any) -> dict[str, str | None]:
    """Share of lives that renewals ended, and the share of rows that fail within the longest
    horizon, with its bounds if none and if all of the lives renewed within it had failed."""
    if not renewed:
        return {"ended by renewal": None, "fail within horizon": None}
    failing, least, most = (renewed[name][-1] for name in ("failing", "least", "most"))
    lives, ended, hours = renewed["lives"], renewed["renewed"], renewed["horizons_hours"][-1]
    return {
        "ended by renewal": f"{ended} of {lives} lives ({ended / lives:.0%})",
        "fail within horizon": f"{failing:.2%} ({least:.2%} to {most:.2%}) in {hours:g} h",
    }


def _figures(reports: Any) -> dict[str, str]:
    """The first three held-out figures of the version itself."""
    metrics = reports[0]["metrics"] if reports else {}
    return {name: f"{value:.3f}" for name, value in list(metrics.items())[:3]}


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
    print_rows(rows, ("held-out figure", *models), right=models)


def _by_model(reports: Sequence[dict[str, Any]], name: str) -> dict[str, str]:
    values = {report["model"]: report["metrics"].get(name) for report in reports}
    return {model: f"{value:.3f}" for model, value in values.items() if value is not None}
