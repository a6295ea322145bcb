"""`pm-app demo`: the whole product on a simulated plant."""

from pathlib import Path
from typing import Annotated

import typer

DEMO = Path("pm-app-demo")


def demo(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where to lay the plant out.")
    ] = DEMO,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Another plant.")] = 0,
    pages: Annotated[
        bool, typer.Option("--serve", help="Then serve its pages, until Ctrl+C.")
    ] = False,
) -> None:
    """A simulated plant, trained, scored, shown, drifting: the whole product in one command."""
    from pm_app.cli.demo.run import run_demo, serve_demo
    from pm_app.cli.run.serve import require_web
    from pm_app.jobs.retrain.process import require_training

    require_training()
    if pages:
        require_web()
    settings = run_demo(folder, seed=seed)
    if pages:
        serve_demo(settings, seed=seed)
