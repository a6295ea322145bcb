"""`pm-app backtest`: alarms, warning hours and cost on history, beside peers."""

from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pm_app.cli.options import PLANT, Json, PlantOption, check_place, now, parse_span
from pm_app.cli.output import export_text, print_json, print_rows, progress_bar, say
from pm_app.errors import Busy
from pm_app.settings.plant import read_settings
from pm_app.wording import time_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pm_app.jobs.backtest.fold import FoldTrainers
    from pm_app.jobs.backtest.report import BacktestReport
    from pm_app.jobs.plant import Plant
    from pm_app.settings.plant import Settings


Start = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="TIME",
        help="The first model learns from all before, e.g. 2026-01-31T14:00.",
    ),
]
End = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Cutoffs up to then.")]
Engine = Annotated[
    str | None,
    typer.Option(
        metavar="WORKERS", help="Workers with a fold each: local, local:4, or dask://host:8786."
    ),
]
SetThreshold = Annotated[
    bool, typer.Option("--set-threshold", help="Raise alarms from the best threshold on.")
]


def backtest(
    config: PlantOption = PLANT,
    folds: Annotated[int, typer.Option(min=1, max=100, help="How often it learns.")] = 4,
    start: Start = None,
    end: End = None,
    html: Annotated[Path | None, typer.Option(help="A page with charts, into this file.")] = None,
    engine: Engine = None,
    set_threshold: SetThreshold = False,
    as_json: Json = False,
) -> None:
    """Failures that alarms would have caught, hours of warning and costs, beside other models."""
    from pm_app.jobs.retrain.process import require_training

    require_training()
    from pm_app.jobs.backtest.folds import BacktestOptions
    from pm_app.jobs.backtest.report import report_on
    from pm_app.jobs.backtest.run import backtest as run_backtest
    from pm_app.wiring import open_engine

    check_place(html, "--html")
    settings = read_settings(config)
    first, last = parse_span(start, end, zone=settings.plant.timezone)
    with open_engine(engine) as workers, _open(settings) as plant, progress_bar("backtest") as bar:
        result = run_backtest(
            plant,
            BacktestOptions(folds, first, last),
            now=now(),
            trainers=_trainers(settings),
            engine=workers,
            progress=bar,
        )
        report = report_on(result, settings)
        if set_threshold:
            _set_threshold(plant, report)
    _write_page(report, settings, html)
    _print(report, settings.plant.timezone, as_json=as_json)
    if set_threshold:
        say(f"alarms are raised at {report.threshold:g} from now on")


def _trainers(settings: "Settings") -> "FoldTrainers":
    from pm_app.jobs.backtest.fold import FoldTrainers
    from pm_app.jobs.retrain.process import run_trainer
    from pm_app.times import NS, parse_duration

    timeout = parse_duration(settings.retraining.timeout) / NS
    return FoldTrainers(partial(run_trainer, timeout_seconds=timeout))


def _set_threshold(plant: "Plant", report: "BacktestReport") -> None:
    plant.store.alarms.set_threshold(
        report.threshold,
        horizon_hours=report.horizon_hours,
        reason=f"backtest: {report.reason}",
        at=now(),
    )


def _write_page(report: "BacktestReport", settings: "Settings", file: Path | None) -> None:
    if file is None:
        return
    from pm_app.cli.run.backtest_page import backtest_page

    dated = f"Made {now():%Y-%m-%d %H:%M} UTC"
    export_text(backtest_page(report, plant=settings.plant.name, dated=dated), file)


@contextmanager
def _open(settings: "Settings") -> "Iterator[Plant]":
    """The plant, new files taken in; beside the daemon where that runs, which takes them in."""
    from pm_app.jobs.ingest.run import ingest
    from pm_app.wiring import open_plant, open_plant_shared

    try:
        with open_plant(settings) as plant:
            ingest(plant, now=now())
            yield plant
    except Busy:
        with open_plant_shared(settings) as plant:
            yield plant


def _fields(report: "BacktestReport") -> dict[str, Any]:
    fields = asdict(report)
    fields |= {"threshold": report.threshold, "reason": report.reason}
    for fold in fields["folds"]:
        fold["known"] = fold.pop("past_failures")
    return _plain(fields)  # type: ignore[no-any-return]  # a dict stays one


def _plain(value: Any) -> Any:
    """The same without numbers that JSON does not know."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _print(report: "BacktestReport", zone: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_fields(report))
        return
    from pm_app.cli.run.backtest_page import paired_words, side_rows
    from pm_app.jobs.backtest.report import deviation_text

    names = (report.ours.name, report.peer.name)
    rows = [dict(zip(("figure", *names), row, strict=True)) for row in side_rows(report)]
    title = f"risk of a failure within {report.horizon_hours:g} h, all folds"
    print_rows(rows, ("figure", *names), title=title, right=names)
    folds = [
        {
            "learned until": time_text(fold.origin, zone),
            "spoke until": time_text(fold.end, zone),
            "failures": fold.failures,
            "caught": fold.caught,
            "false alarms": fold.false_alarms,
            "AP": f"{fold.average_precision:.3f}" if isfinite(fold.average_precision) else "",
            "note": fold.note,
        }
        for fold in report.folds
    ]
    numbers = ("failures", "caught", "false alarms", "AP")
    print_rows(folds, ("learned until", "spoke until", *numbers, "note"), right=numbers)
    say(paired_words(report))
    say(report.reason[0].upper() + report.reason[1:] + ".")
    if words := deviation_text(report):
        say(words)
