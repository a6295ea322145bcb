"""`pm-app init` and `pm-app import cmapss`: a new plant's folder, empty or of NASA's engines."""

from pathlib import Path
from typing import Annotated

import typer

from pm_app.cli.output import say
from pm_app.errors import BadSettings
from pm_app.settings.reference import example_toml


def init(folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")]) -> None:
    """A plant.toml with its folders."""
    target = folder / "plant.toml"
    if target.exists():
        raise BadSettings(f"{target} is there already; it was left as it is")
    try:
        for source in ("readings", "events"):
            (folder / source).mkdir(parents=True, exist_ok=True)
        target.write_text(example_toml(folder.resolve().name or "plant"), encoding="utf-8")
    except OSError as error:
        raise BadSettings(f"{folder} cannot be made a plant's folder: {error.strerror}") from error
    say(f"{target} written. Next: put files of readings (Parquet, CSV) into")
    say(f"{folder / 'readings'}, of failures and repairs (also Excel) into {folder / 'events'},")
    say(f"then: pm-app check -c {target}")


def cmapss(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Folder with NASA's text files.")
    ],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    subset: Annotated[
        str, typer.Option(metavar="SUBSET", help="FD001, FD002, FD003 or FD004.")
    ] = "FD001",
) -> None:
    """NASA's turbofan engines: a cycle is an hour."""
    from pm_app.wiring import import_engines

    done = import_engines(source, folder, subset=subset)
    say(
        f"{done.train_engines} engines run to failure ({done.train_rows:,} cycles) in "
        f"{folder / 'readings'},\n{done.test_engines} engines still running "
        f"({done.test_rows:,} cycles) in {folder / 'later' / 'readings'}"
    )
    say(f"Next: pm-app retrain -c {folder / 'plant.toml'}")
