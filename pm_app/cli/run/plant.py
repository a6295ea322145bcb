"""Commands that lay a plant out, look it over and keep it running."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_rows, say, start_log
from pm_app.errors import BadSettings
from pm_app.settings.plant import read_settings
from pm_app.settings.reference import example_toml

DEMO = Path("pm-app-demo")


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to lay the plant out.")] = DEMO,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Another plant.")] = 0,
    pages: Annotated[
        bool, typer.Option("--serve", help="Then serve its pages, until Ctrl+C.")
    ] = False,
) -> None:
    """A simulated plant, trained, scored, shown, drifting: the whole product in one command."""
    from pm_app.cli.demo.run import run_demo, serve_demo
    from pm_app.cli.run.serve import require_web

    if pages:
        require_web()
    settings = run_demo(folder, seed=seed)
    if pages:
        serve_demo(settings, seed=seed)


def init(folder: Annotated[Path, typer.Argument(help="A new folder.")]) -> None:
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
    say(f"{target} written. Next: put Parquet files into {folder / 'readings'} and")
    say(f"{folder / 'events'}, then: pm-app check -c {target}")


def check(config: PlantOption = PLANT, as_json: Json = False) -> None:
    """Settings, sources, store, data quality: what would go wrong."""
    from pm_app.cli.look.check import run_checks

    findings = run_checks(read_settings(config))
    rows = [{"": f.verdict, "what": f.subject, "finding": f.text} for f in findings]
    print_rows(rows, ("", "what", "finding"), as_json=as_json)
    if any(finding.verdict == "fails" for finding in findings):
        raise typer.Exit(1)


def run(config: PlantOption = PLANT) -> None:
    """The daemon: scores what comes in, learns again on schedule, stops on SIGTERM."""
    from pm_app.cli.run.daemon import run_plant

    settings = read_settings(config)
    start_log()
    code = run_plant(settings)
    if code:
        # A job that hangs would keep the process from ending, and so from a new start.
        sys.stderr.flush()
        os._exit(code)


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
