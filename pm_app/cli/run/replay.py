"""`pm-app replay`: predictions computed again, and what differs."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pm_app.cli.options import PLANT, Json, PlantOption, now, parse_span
from pm_app.cli.output import print_json, print_rows, progress_bar, say
from pm_app.settings.plant import read_settings

if TYPE_CHECKING:
    from pm_app.jobs.score.replay import Difference

_DIFFERENCES_SHOWN: Final = 20


def replay(
    start: Annotated[
        str, typer.Option("--from", metavar="TIME", help="First cutoff, e.g. 2026-01-31T14:00.")
    ],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="Cutoffs before this.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="This version instead of the one that scored.")
    ] = None,
    config: PlantOption = PLANT,
    as_json: Json = False,
) -> None:
    """Recompute predictions from files and versions, and list those that differ."""
    from pm_app.jobs.score.replay import replay as run_replay
    from pm_app.wiring import open_plant_shared

    settings = read_settings(config)
    first, last = parse_span(start, end, zone=settings.plant.timezone)
    with open_plant_shared(settings) as plant, progress_bar("replay") as progress:
        done = run_replay(
            plant, first=first or now(), last=last or now(), version=version, progress=progress
        )
    fields = {"rows": done.rows, "differing": done.differing}
    if as_json:
        print_json({**fields, "differences": [_difference(one) for one in done.differences]})
    else:
        say(f"{done.rows:,} rows replayed, {done.differing:,} differ")
        if done.differences:
            print_rows([_difference(one) for one in done.differences[:_DIFFERENCES_SHOWN]])
    if done.differing:
        raise typer.Exit(1)


def _difference(one: "Difference") -> dict[str, Any]:
    """As it is printed: what the table has is `said`."""
    return {"said" if name == "recorded" else name: v for name, v in asdict(one).items()}
