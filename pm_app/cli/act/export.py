"""`pm-app export`: new predictions appended to a Delta table."""

from dataclasses import asdict
from typing import Annotated

import typer

from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_json, say
from pm_app.settings.plant import read_settings


def export(
    delta: Annotated[
        str,
        typer.Option(
            "--delta",
            metavar="FOLDER|ADDRESS",
            help="A Delta table: a folder, or s3://bucket/table.",
        ),
    ],
    config: PlantOption = PLANT,
    as_json: Json = False,
) -> None:
    """Append predictions since the last export to a Delta table, every revision once."""
    from pm_app.jobs.operations.lake import export_to_lake
    from pm_app.wiring import open_lake, open_views

    with open_views(read_settings(config)) as store:
        done = export_to_lake(store, open_lake(delta))
    if as_json:
        print_json(asdict(done))
    else:
        say(f"{done.rows:,} rows appended, up to commit {done.commit}")
