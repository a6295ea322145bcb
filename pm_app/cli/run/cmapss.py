"""`pm-app import cmapss`: NASA turbofan engines as a plant."""

from pathlib import Path
from typing import Annotated

import typer

from pm_app.cli.output import say


def cmapss(
    source: Annotated[Path, typer.Argument(help="Folder with NASA's text files.")],
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    subset: Annotated[str, typer.Option(help="FD001, FD002, FD003 or FD004.")] = "FD001",
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
