"""The commands of `pm-app`."""

import json
import os
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from pm_app import __version__
from pm_app.cli.output import out, print_json, print_rows, progress_bar, say, start_log, talk
from pm_app.cli.predictions_table import latest_columns, latest_rows
from pm_app.cli.reports import print_reports
from pm_app.errors import BadSettings
from pm_app.settings import read_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which asset fails next, why, and how long it has left.",
)
import_app = typer.Typer(no_args_is_help=True, help="Public data sets into the input contract.")
app.add_typer(import_app, name="import")

Plant = Annotated[Path, typer.Option("-c", "--config", help="The plant's settings.")]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
PLANT = Path("plant.toml")
DEMO = Path("pm-app-demo")


class Format(StrEnum):
    """How predictions are written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def parse_time(text: str | None, option: str) -> datetime | None:
    """An ISO time, UTC where it carries no zone. Raises BadSettings naming the option."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadSettings(
            f'{option} takes a time like "2026-01-31" or "2026-01-31T14:00+01:00", got {text!r}'
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def now() -> datetime:
    """The time of this call."""
    return datetime.now(tz=UTC)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Common options."""
    if version:
        out.print(__version__)
        raise typer.Exit


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to lay the plant out.")] = DEMO,
    seed: Annotated[int, typer.Option(help="Another plant.")] = 0,
) -> None:
    """A simulated plant, trained, scored, shown, drifting: the whole product in one command."""
    from pm_app.cli.demo import run_demo

    run_demo(folder, seed=seed)


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="A new folder.")]) -> None:
    """A plant.toml with its folders."""
    from pm_app.cli.templates import PLANT_TOML

    target = folder / "plant.toml"
    if target.exists():
        raise BadSettings(f"{target} is there already; it was left as it is")
    # A TOML string takes what a JSON string does.
    name = json.dumps(folder.resolve().name or "plant", ensure_ascii=False)[1:-1]
    try:
        for source in ("readings", "events"):
            (folder / source).mkdir(parents=True, exist_ok=True)
        target.write_text(PLANT_TOML.format(name=name), encoding="utf-8")
    except OSError as error:
        raise BadSettings(f"{folder} cannot be made a plant's folder: {error.strerror}") from error
    say(f"{target} written. Next: put Parquet files into {folder / 'readings'} and")
    say(f"{folder / 'events'}, then: pm-app check -c {target}")


@app.command()
def check(config: Plant = PLANT, as_json: Json = False) -> None:
    """Settings, sources, store, data quality: what would go wrong."""
    from pm_app.cli.check import run_checks

    findings = run_checks(read_settings(config))
    rows = [{"": f.verdict, "what": f.subject, "finding": f.text} for f in findings]
    print_rows(rows, ("", "what", "finding"), as_json=as_json)
    if any(finding.verdict == "fails" for finding in findings):
        raise typer.Exit(1)


@app.command()
def run(config: Plant = PLANT) -> None:
    """The daemon: scores what comes in, learns again on schedule, stops on SIGTERM."""
    from pm_app.cli.daemon import run_plant

    settings = read_settings(config)
    start_log()
    code = run_plant(settings)
    if code:
        # A job that hangs would keep the process from ending, and so from a new start.
        sys.stderr.flush()
        os._exit(code)


@app.command()
def score(config: Plant = PLANT, as_json: Json = False) -> None:
    """Ingest and score what is new, once."""
    from pm_app.jobs.score import score as run_score
    from pm_app.wiring import open_site

    with open_site(read_settings(config)) as site, progress_bar("score") as progress:
        done = run_score(site, now=now(), progress=progress)
    fields = {
        "batches_read": done.ingested.batches,
        "readings_used": done.ingested.rows,
        "readings_rejected": done.ingested.rejected,
        "batches_quarantined": done.ingested.quarantined,
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
    if fields["model_version"] is None:
        return f"{text}; no model yet: pm-app retrain makes the first"
    return f"{text}; version {fields['model_version']}"


@app.command()
def retrain(
    config: Plant = PLANT,
    as_of: Annotated[str | None, typer.Option(help="Learn only what was known then.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Rebuild whatever drift says.")] = False,
    as_json: Json = False,
) -> None:
    """Learn from history: keep, refit or rebuild the network, and say why."""
    from functools import partial

    from pm_app.jobs.retrain import retrain as run_retrain
    from pm_app.jobs.trainer_process import run_trainer
    from pm_app.times import NS, parse_duration
    from pm_app.wiring import open_site

    settings = read_settings(config)
    moment = parse_time(as_of, "--as-of")
    timeout = parse_duration(settings.retraining.timeout) / NS
    with open_site(settings) as site, progress_bar("retrain") as progress:
        trainer = partial(run_trainer, timeout_seconds=timeout)
        done = run_retrain(
            site, now=now(), as_of=moment, force=force, trainer=trainer, progress=progress
        )
        version = None if done.version is None else site.store.lineage.version(done.version)
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


@app.command()
def predictions(
    config: Plant = PLANT,
    latest: Annotated[bool, typer.Option("--latest", help="One line an asset.")] = False,
    asset: Annotated[str | None, typer.Option(help="Only this asset.")] = None,
    since: Annotated[str | None, typer.Option(help="Only cutoffs from then on.")] = None,
    format: Annotated[Format, typer.Option(help="How to write them.")] = Format.table,
    file: Annotated[Path | None, typer.Option("--out", help="Into this file.")] = None,
    as_json: Json = False,
) -> None:
    """What was said: every prediction, or the newest one of each asset, riskiest first."""
    from pm_app.cli.export import export_predictions
    from pm_app.wiring import open_views

    settings = read_settings(config)
    kind = Format.json if as_json else format
    start = parse_time(since, "--since")
    if latest and start is not None:
        raise BadSettings("--since goes with all predictions, --latest shows the newest only")
    with open_views(settings) as store:
        if latest and kind is Format.table and file is None:
            table = store.views.latest_predictions(asset=asset)
            if not table.num_rows:
                talk.print("no predictions yet: pm-app score makes them")
                return
            rows = latest_rows(table, now=now(), cap_hours=settings.target.cap_hours)
            print_rows(rows, latest_columns(table), as_json=False)
            return
        tables = (
            iter([store.views.latest_predictions(asset=asset)])
            if latest
            else store.views.predictions(asset=asset, since=start)
        )
        export_predictions(tables, kind.value, file)


@app.command()
def batches(
    config: Plant = PLANT,
    quarantined: Annotated[bool, typer.Option("--quarantined", help="Only those.")] = False,
    limit: Annotated[int, typer.Option(help="How many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """The ledger: every file that came, and what became of it."""
    from dataclasses import asdict

    from pm_app.wiring import open_views

    with open_views(read_settings(config)) as store:
        found = store.ledger.batches(status="quarantined" if quarantined else None, limit=limit)
    rows = [asdict(row) for row in found]
    columns = ("sequence", "source", "name", "status", "rows", "rejected", "reason")
    print_rows(rows, columns, as_json=as_json, right=("sequence", "rows", "rejected"))


@app.command()
def models(config: Plant = PLANT, as_json: Json = False) -> None:
    """Versions, which one scores, and every retraining with its reason."""
    from pm_app.cli.lineage_tables import model_rows, retraining_rows
    from pm_app.wiring import open_views

    with open_views(read_settings(config)) as store:
        versions = model_rows(store.lineage)
        retrainings = retraining_rows(store.lineage)
    if as_json:
        print_json({"versions": versions, "retrainings": retrainings})
        return
    print_rows(versions, list(versions[0]) if versions else ["version"], as_json=False)
    print_rows(
        retrainings, ("at", "decision", "version", "reason"), as_json=False, title="retrainings"
    )


@app.command()
def importance(
    config: Plant = PLANT,
    version: Annotated[int | None, typer.Option(help="Default: the champion.")] = None,
    as_json: Json = False,
) -> None:
    """What each sensor is worth to a version, and what the network gave it."""
    from pm_app.cli.lineage_tables import importance_rows
    from pm_app.wiring import open_views

    with open_views(read_settings(config)) as store:
        number = version or store.lineage.champion()
        rows = importance_rows(store.lineage, number)
    columns = ("rank", "sensor", "share", "+/-", "tier", "units", "l1")
    print_rows(
        rows,
        columns,
        as_json=as_json,
        title=f"version {number}",
        right=("rank", "share", "+/-", "units", "l1"),
    )


@app.command()
def promote(version: int, config: Plant = PLANT) -> None:
    """Let a version score from now on."""
    from pm_app.jobs.champion import promote as promote_version
    from pm_app.wiring import open_beside

    with open_beside(read_settings(config)) as site:
        promote_version(site, version, at=now(), reason="promoted by hand")
    say(f"version {version} scores from now on")


@app.command()
def rollback(config: Plant = PLANT) -> None:
    """Let the version before the champion score again."""
    from pm_app.jobs.champion import roll_back
    from pm_app.wiring import open_beside

    with open_beside(read_settings(config)) as site:
        version = roll_back(site, at=now(), reason="rolled back by hand")
    say(f"version {version} scores from now on")


@app.command()
def backfill(
    start: Annotated[str, typer.Option("--from", help="First cutoff.")],
    end: Annotated[str, typer.Option("--to", help="Cutoffs before this.")],
    config: Plant = PLANT,
    as_json: Json = False,
) -> None:
    """Score the past again with the champion; what was said before moves to the history."""
    from pm_app.jobs.backfill import backfill as run_backfill
    from pm_app.wiring import open_site

    first, last = parse_time(start, "--from"), parse_time(end, "--to")
    with open_site(read_settings(config)) as site, progress_bar("backfill"):
        done = run_backfill(site, first=first or now(), last=last or now(), now=now())
    fields = {"new": done.new, "revised": done.revised, "unchanged": done.unchanged}
    if as_json:
        print_json(fields)
    else:
        say(", ".join(f"{count:,} {name}" for name, count in fields.items()))


@import_app.command()
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
