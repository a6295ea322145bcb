"""`pm-app retrain`: learn from history, once."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pm_app.cli.look.models import print_reports
from pm_app.cli.options import PLANT, Json, PlantOption, now, parse_time
from pm_app.cli.output import print_json, progress_bar, say
from pm_app.settings.plant import read_settings

if TYPE_CHECKING:
    from pm_app.jobs.retrain.run import Retrained


Engine = Annotated[
    str | None,
    typer.Option(
        metavar="WORKERS", help="Workers that try networks: local, local:4, or dask://host:8786."
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", help="Learn only from what was on record then, e.g. 2026-01-31T14:00."
    ),
]


def retrain(
    config: PlantOption = PLANT,
    as_of: AsOf = None,
    force: Annotated[bool, typer.Option("--force", help="Rebuild whatever drift says.")] = False,
    engine: Engine = None,
    as_json: Json = False,
) -> None:
    """Learn from history: keep, refit or rebuild the network, and say why."""
    from pm_app.jobs.retrain.first_version import first_version_text
    from pm_app.jobs.retrain.process import ALONE, WITH_ENGINE, run_trainer
    from pm_app.jobs.retrain.run import RetrainingOptions
    from pm_app.jobs.retrain.run import retrain as run_retrain
    from pm_app.times import NS, parse_duration
    from pm_app.wiring import open_engine, open_plant

    settings = read_settings(config)
    moment = parse_time(as_of, "--as-of", zone=settings.plant.timezone)
    timeout = parse_duration(settings.retraining.timeout) / NS
    # The trainer opens it for itself; what cannot be reached is told before anything is read.
    with open_engine(engine):
        program = WITH_ENGINE if engine else ALONE
    with open_plant(settings) as plant, progress_bar("retrain") as progress:
        trainer = partial(run_trainer, timeout_seconds=timeout, program=program)
        done = run_retrain(
            plant,
            now=now(),
            trainer=trainer,
            options=RetrainingOptions(as_of=moment, force=force, engine=engine),
            progress=progress,
        )
        version = None if done.version is None else plant.store.lineage.version(done.version)
        wait = first_version_text(plant.store.lineage)
    reports = list(version.summary["reports"]) if version else []  # type: ignore[call-overload]
    if as_json:
        fields = {"decision": done.decision, "reason": done.reason, "version": done.version}
        print_json({**fields, "promoted": done.promoted, "reports": reports})
    else:
        _print(done, reports, wait)
    if done.decision == "not_enough_data":
        raise typer.Exit(1)


def _print(done: "Retrained", reports: list[dict[str, Any]], wait: str) -> None:
    say(f"{done.decision}: {done.reason}")
    if done.version is not None:
        outcome = "now scores" if done.promoted else "was not promoted"
        say(f"version {done.version} {outcome}")
        print_reports(reports)
    if wait:
        say(wait)
