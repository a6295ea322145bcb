"""`pm-app batches`: the ledger of files, and quarantined ones read again."""

from dataclasses import asdict
from typing import Annotated

import typer

from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_rows, say
from pm_app.errors import BadSettings
from pm_app.settings.plant import Settings, read_settings


def batches(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="With --retry: only these files.")
    ] = None,
    config: PlantOption = PLANT,
    retry: Annotated[bool, typer.Option("--retry", help="Read quarantined files again.")] = False,
    events_again: Annotated[
        bool,
        typer.Option("--events-again", help="Read all events by the settings of now."),
    ] = False,
    quarantined: Annotated[bool, typer.Option("--quarantined", help="Only those.")] = False,
    limit: Annotated[int, typer.Option(min=0, max=10**9, help="How many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Ledger of files: every one that came, and what became of it."""
    from pm_app.wiring import open_plant_shared, open_views

    if events_again:
        _read_events_again(read_settings(config))
        return
    if names and not retry:
        raise BadSettings(f"names go with --retry, got {', '.join(names)}")
    if retry:
        with open_plant_shared(read_settings(config)) as plant:
            freed = plant.store.ledger.release(names=names or ())
        unknown = sorted(set(names or ()) - {row.name for row in freed})
        if unknown:
            raise BadSettings(f"no quarantined file of that name: {', '.join(unknown)}")
        say(f"{len(freed)} files are read again at the next look of pm-app run or pm-app score")
        return
    with open_views(read_settings(config)) as store:
        found = store.ledger.batches(status="quarantined" if quarantined else None, limit=limit)
    rows = [asdict(row) | {"left_columns": ", ".join(row.left_columns)} for row in found]
    left = ["left_columns"] if any(row.left_columns for row in found) else []
    columns = ("sequence", "source", "name", "status", "rows", "rejected", "reason", *left)
    print_rows(rows, columns, as_json=as_json, right=("sequence", "rows", "rejected"))


def _read_events_again(settings: Settings) -> None:
    from pm_app.jobs.ingest.repair import reread_events
    from pm_app.wiring import open_plant

    with open_plant(settings) as plant:
        count, left = reread_events(plant)
    for why in left:
        say(f"as it was: {why}")
    say(f"{count} files of events read again; retrain learns by them, backfill says the past anew")
