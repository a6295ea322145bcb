"""Commands that read, learn and decide: each job once, and every step back."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pm_app.cli.look.lineage_tables import print_reports
from pm_app.cli.options import PLANT, Json, PlantOption, Version, actor, now, parse_time
from pm_app.cli.output import print_json, print_rows, progress_bar, say
from pm_app.settings.plant import read_settings

if TYPE_CHECKING:
    from pm_app.jobs.score.replay import Difference

_DIFFERENCES_SHOWN: Final = 20


def score(config: PlantOption = PLANT, as_json: Json = False) -> None:
    """Ingest and score what is new, once."""
    from pm_app.jobs.score.run import score as run_score
    from pm_app.wiring import open_plant

    with open_plant(read_settings(config)) as plant, progress_bar("score") as progress:
        done = run_score(plant, now=now(), progress=progress)
    fields = {
        "batches_read": done.ingested.batches,
        "readings_used": done.ingested.rows,
        "readings_rejected": done.ingested.rejected,
        "batches_quarantined": done.ingested.quarantined,
        "batches_arriving": done.ingested.arriving,
        "batches_scored": done.batches,
        "predictions_new": done.committed.new,
        "predictions_revised": done.committed.revised,
        "predictions_unchanged": done.committed.unchanged,
        "model_version": done.version,
    }
    if as_json:
        print_json(fields)
    else:
        say(score_words(fields))


def score_words(fields: dict[str, Any]) -> str:
    """One line on what scoring did."""
    text = (
        f"{fields['batches_read']} batches read ({fields['readings_used']:,} readings used, "
        f"{fields['readings_rejected']:,} rejected, {fields['batches_quarantined']} batches "
        f"quarantined); {fields['predictions_new']:,} predictions new, "
        f"{fields['predictions_revised']:,} revised, {fields['predictions_unchanged']:,} unchanged"
    )
    if fields["batches_arriving"]:
        text += f"; {fields['batches_arriving']} still being written"
    if fields["model_version"] is None:
        return f"{text}; no model yet: pm-app retrain makes the first"
    return f"{text}; version {fields['model_version']}"


def retrain(
    config: PlantOption = PLANT,
    as_of: Annotated[str | None, typer.Option(help="Learn only what was known then.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Rebuild whatever drift says.")] = False,
    engine: Annotated[
        str | None,
        typer.Option(help="Who tries networks: local, local:4, or dask://host:8786."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Learn from history: keep, refit or rebuild the network, and say why."""
    from functools import partial

    from pm_app.jobs.retrain.process import ALONE, WITH_ENGINE, run_trainer
    from pm_app.jobs.retrain.run import retrain as run_retrain
    from pm_app.times import NS, parse_duration
    from pm_app.wiring import open_engine, open_plant

    settings = read_settings(config)
    moment = parse_time(as_of, "--as-of")
    timeout = parse_duration(settings.retraining.timeout) / NS
    # The trainer opens it for itself; what cannot be reached is told before anything is read.
    with open_engine(engine):
        program = WITH_ENGINE if engine else ALONE
    with open_plant(settings) as plant, progress_bar("retrain") as progress:
        trainer = partial(run_trainer, timeout_seconds=timeout, program=program)
        done = run_retrain(
            plant,
            now=now(),
            as_of=moment,
            force=force,
            trainer=trainer,
            engine=engine,
            progress=progress,
        )
        version = None if done.version is None else plant.store.lineage.version(done.version)
    reports = list(version.summary["reports"]) if version else []  # type: ignore[call-overload]
    if as_json:
        fields = {"decision": done.decision, "reason": done.reason, "version": done.version}
        print_json({**fields, "promoted": done.promoted, "reports": reports})
    else:
        say(f"{done.decision}: {done.reason}")
        if done.version is not None:
            made = "now scores" if done.promoted else "was not promoted"
            say(f"version {done.version} {made}")
            print_reports(reports)
    if done.decision == "not_enough_data":
        raise typer.Exit(1)


def promote(version: Version, config: PlantOption = PLANT) -> None:
    """Let a version score from now on."""
    from pm_app.jobs.score.champion import promote as promote_version
    from pm_app.wiring import open_plant_shared

    with open_plant_shared(read_settings(config)) as plant:
        promote_version(plant, version, at=now(), reason="promoted by hand", actor=actor())
    say(f"version {version} scores from now on")


def rollback(config: PlantOption = PLANT) -> None:
    """Let the version before the champion score again."""
    from pm_app.jobs.score.champion import roll_back
    from pm_app.wiring import open_plant_shared

    with open_plant_shared(read_settings(config)) as plant:
        version = roll_back(plant, at=now(), reason="rolled back by hand", actor=actor())
    say(f"version {version} scores from now on")


def backfill(
    start: Annotated[str, typer.Option("--from", help="First cutoff.")],
    end: Annotated[str, typer.Option("--to", help="Cutoffs before this.")],
    engine: Annotated[
        str | None,
        typer.Option(help="Beside this process: local, local:4, or dask://host:8786."),
    ] = None,
    config: PlantOption = PLANT,
    as_json: Json = False,
) -> None:
    """Score the past again with the champion; what was said before moves to the history."""
    from pm_app.jobs.backfill.run import backfill as run_backfill
    from pm_app.wiring import open_engine, open_plant

    first, last = parse_time(start, "--from"), parse_time(end, "--to")
    with (
        open_plant(read_settings(config)) as plant,
        open_engine(engine) as workers,
        progress_bar("backfill") as progress,
    ):
        done = run_backfill(
            plant,
            first=first or now(),
            last=last or now(),
            now=now(),
            engine=workers,
            progress=progress,
        )
    fields = {"new": done.new, "revised": done.revised, "unchanged": done.unchanged}
    if as_json:
        print_json(fields)
    else:
        say(", ".join(f"{count:,} {name}" for name, count in fields.items()))


def replay(
    start: Annotated[str, typer.Option("--from", help="First cutoff.")],
    end: Annotated[str, typer.Option("--to", help="Cutoffs before this.")],
    version: Annotated[
        int | None, typer.Option(min=1, help="This version instead of the one that spoke.")
    ] = None,
    config: PlantOption = PLANT,
    as_json: Json = False,
) -> None:
    """What was said, computed again from files and versions, and what comes out otherwise."""
    from pm_app.jobs.score.replay import replay as run_replay
    from pm_app.wiring import open_plant_shared

    first, last = parse_time(start, "--from"), parse_time(end, "--to")
    with open_plant_shared(read_settings(config)) as plant, progress_bar("replay") as progress:
        done = run_replay(
            plant, first=first or now(), last=last or now(), version=version, progress=progress
        )
    fields = {"rows": done.rows, "differing": done.differing}
    if as_json:
        print_json({**fields, "differences": [_difference(one) for one in done.differences]})
    else:
        say(f"{done.rows:,} rows replayed, {done.differing:,} differ")
        columns = ("asset_id", "cutoff", "horizon_hours", "column", "said", "replayed")
        if done.differences:
            rows = [_difference(one) for one in done.differences[:_DIFFERENCES_SHOWN]]
            print_rows(rows, columns, as_json=False)
    if done.differing:
        raise typer.Exit(1)


def _difference(one: "Difference") -> dict[str, Any]:
    """As it is printed: what the table has is `said`."""
    return {"said" if name == "recorded" else name: v for name, v in asdict(one).items()}
