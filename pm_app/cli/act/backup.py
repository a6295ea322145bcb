"""`pm-app backup` and `pm-app restore`: a plant in one file, and back."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_json, say
from pm_app.settings.plant import read_settings


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it; replaced if it is there.")],
    config: PlantOption = PLANT,
    as_json: Json = False,
) -> None:
    """Backup of a plant in one file, also beside a running daemon."""
    from pm_app.jobs.operations.backup import backup as write_backup
    from pm_app.wiring import open_views

    settings = read_settings(config)
    with open_views(settings) as store:
        done = write_backup(store, settings.state, file)
    _print_outcome(f"{file} written", done, as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="What pm-app backup wrote.")],
    config: PlantOption = PLANT,
    as_json: Json = False,
) -> None:
    """Restore a backup into an empty state folder and an empty database, whole or not at all."""
    from pm_app.jobs.operations.backup import restore as put_back
    from pm_app.state.lock import hold_state
    from pm_app.wiring import store_url

    settings = read_settings(config)
    with hold_state(settings.state):
        done = put_back(file, settings.state, store_url(settings), folder=settings.folder)
    _print_outcome(f"{file} restored into {settings.state}", done, as_json)


def _print_outcome(what: str, done: Any, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json(asdict(done))
    else:
        say(
            f"{what}: {done.files} files, {done.bytes:,} bytes, up to batch {done.sequence} "
            f"and version {done.version}"
        )
