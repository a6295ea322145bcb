"""`pm-app check`: findings on settings, sources, store and data quality."""

from typing import TYPE_CHECKING

import typer

from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_rows
from pm_app.settings.plant import read_settings

if TYPE_CHECKING:
    from pm_app.cli.look.checks.finding import Finding


def check(config: PlantOption = PLANT, as_json: Json = False) -> None:
    """Settings, clock, disks, store, sources, data quality: what would go wrong, what to do."""
    from pm_app.cli.look.checks.findings import run_checks

    findings = run_checks(read_settings(config))
    rows = [
        {"": f.verdict, "what": f.subject, "finding": f.text, "do": f.advice}
        if as_json
        else {"": f.verdict, "what": f.subject, "finding": _with_advice(f)}
        for f in findings
    ]
    print_rows(rows, as_json=as_json)
    if any(finding.verdict == "fails" for finding in findings):
        raise typer.Exit(1)


def _with_advice(finding: "Finding") -> str:
    return f"{finding.text} → {finding.advice}" if finding.advice else finding.text
