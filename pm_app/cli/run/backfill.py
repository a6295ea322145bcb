"""`pm-app backfill`: the past scored again."""

from typing import Annotated

import typer

from pm_app.cli.options import PLANT, Json, PlantOption, now, parse_span
from pm_app.cli.output import print_json, progress_bar, say
from pm_app.settings.plant import read_settings


def backfill(
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="First cutoff, e.g. 2026-01-31T14:00.")
    ],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Cutoffs before this.")],
    engine: Annotated[
        str | None,
        typer.Option(metavar="WORKERS", help="Workers: local, local:4, or dask://host:8786."),
    ] = None,
    config: PlantOption = PLANT,
    as_json: Json = False,
) -> None:
    """Score the past again with the champion; earlier revisions move to the history."""
    from pm_app.jobs.backfill.run import backfill as run_backfill
    from pm_app.wiring import open_engine, open_plant

    settings = read_settings(config)
    first, last = parse_span(start, end, zone=settings.plant.timezone)
    with (
        open_plant(settings) as plant,
        open_engine(engine) as workers,
        progress_bar("backfill") as progress,
    ):
        done = run_backfill(
            plant,
            first=first or now(),
            last=last or now(),
            now=now(),
            engine=workers,
            progress=progress,
        )
    fields = {"new": done.new, "revised": done.revised, "unchanged": done.unchanged}
    if as_json:
        print_json(fields)
    else:
        say(", ".join(f"{count:,} {name}" for name, count in fields.items()))
