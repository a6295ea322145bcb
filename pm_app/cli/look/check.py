"""`pm-app check`: findings on settings, sources, store and data quality."""

import typer

from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_rows
from pm_app.settings.plant import read_settings


def check(config: PlantOption = PLANT, as_json: Json = False) -> None:
    """Settings, clock, disks, store, sources, data quality: what would go wrong, what to do."""
    from pm_app.cli.look.checks.findings import run_checks

    findings = run_checks(read_settings(config))
    rows = [{"": f.verdict, "what": f.subject, "finding": f.text, "do": f.advice} for f in findings]
    print_rows(rows, as_json=as_json)
    if any(finding.verdict == "fails" for finding in findings):
        raise typer.Exit(1)
