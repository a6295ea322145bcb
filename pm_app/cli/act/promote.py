"""`pm-app promote` and `pm-app rollback`: which version scores."""

from typing import Annotated

import typer

from pm_app.cli.options import PLANT, PlantOption, Version, actor, now
from pm_app.cli.output import say
from pm_app.settings.plant import read_settings

Normal = Annotated[
    bool, typer.Option("--normal", help="What is normal, not the model of failures.")
]


def promote(version: Version, config: PlantOption = PLANT) -> None:
    """Promote a version: it scores from now on."""
    from pm_app.jobs.score.promotion import promote as promote_version
    from pm_app.wiring import open_plant_shared

    with open_plant_shared(read_settings(config)) as plant:
        promote_version(plant, version, at=now(), reason="promoted by hand", actor=actor())
    say(f"version {version} scores from now on")


def rollback(config: PlantOption = PLANT, normal: Normal = False) -> None:
    """Roll back to the version that scored before the champion."""
    from pm_app.jobs.score.promotion import roll_back
    from pm_app.wiring import open_plant_shared

    with open_plant_shared(read_settings(config)) as plant:
        version = roll_back(
            plant,
            at=now(),
            reason="rolled back by hand",
            actor=actor(),
            kind="normal" if normal else "failure",
        )
    say(f"version {version} scores from now on")
