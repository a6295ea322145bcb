"""`pm-app backup` and `pm-app restore`: a plant in one file, and back."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_json, say
from pm_app.durable import make_folder, remove_file, write_bytes
from pm_app.errors import BadSettings
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
        done = write_backup(store, settings.state, file, settings=config)
    _print_outcome(f"{file} written", done, as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="What pm-app backup wrote.")],
    config: PlantOption = PLANT,
    as_json: Json = False,
) -> None:
    """Restore a backup into an empty state folder and an empty database, whole or not at all.

    Where there is no plant.toml yet, the backup's is put there first.
    """
    from pm_app.jobs.operations.backup import archived_settings
    from pm_app.jobs.operations.backup import restore as put_back
    from pm_app.state.lock import hold_state
    from pm_app.wiring import store_url

    if not file.exists():
        raise BadSettings(f"{file}: no such file; pm-app backup FILE writes one")
    backed_up = archived_settings(file)
    with _settings_in_place(config, backed_up):
        settings = read_settings(config)
        with hold_state(settings.state):
            done = put_back(file, settings.state, store_url(settings), folder=settings.folder)
    _print_outcome(f"{file} restored into {settings.state}", done, as_json)
    if done.left_out:
        sys.stderr.write(f"not restored, for pm-app does not know it: {', '.join(done.left_out)}\n")
    if backed_up is not None and backed_up != config.read_bytes():
        beside = config.with_name(f"{config.name}.backup")
        write_bytes(beside, backed_up)
        sys.stderr.write(f"{config} stays; the backup's, which differs, lies in {beside}\n")


@contextmanager
def _settings_in_place(config: Path, backed_up: bytes | None) -> Iterator[None]:
    """plant.toml from the backup where there is none; gone again where nothing came of it."""
    if backed_up is None or config.exists():
        yield
        return
    make_folder(config.parent)
    write_bytes(config, backed_up)
    try:
        yield
    except BaseException:
        remove_file(config)
        raise


def _print_outcome(what: str, done: Any, as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json(asdict(done))
    else:
        say(
            f"{what}: {done.files} files, {done.bytes:,} bytes, up to batch {done.sequence} "
            f"and version {done.version}"
        )
