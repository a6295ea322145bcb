"""`pm-app init` and `pm-app import cmapss`: a new plant's folder, empty or of NASA's engines."""

import gzip
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pm_app.cli.look.checks.events_findings import survey_events
from pm_app.cli.look.checks.readings_findings import (
    FILES_LOOKED_AT,
    ReadingsSurvey,
    survey_readings,
)
from pm_app.cli.output import say
from pm_app.errors import BadSettings, PmAppError
from pm_app.features.spans import Keys, suitable_spans, usual_life
from pm_app.records.readings import Batch
from pm_app.settings.plant import Settings, parse_settings
from pm_app.settings.reference import example_toml, named_table
from pm_app.store import Source
from pm_app.wiring import events_source, propose_settings, readings_source

# Of a file of texts so much is read to see how often readings come.
_MOST_BYTES: Final = 20_000_000
# Formats of a file alone; a folder tells its own.
_FORMATS: Final = {"parquet": (".parquet", ".parq", ".pq"), "excel": (".xlsx", ".xlsm")}


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    readings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file of readings whose columns settings are to name."),
    ] = None,
    events: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="The same of failures or work orders; may be repeated, a file of each kind.",
        ),
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(metavar="ZONE", help="Where the plant's clock stands, as Europe/Berlin."),
    ] = None,
) -> None:
    """A plant.toml with its folders, by the columns of files where some are named."""
    target = folder / "plant.toml"
    if target.exists():
        raise BadSettings(f"{target} is there already; it was left as it is")
    files: dict[Source, list[Path]] = {
        "readings": [readings] if readings else [],
        "events": events or [],
    }
    text, remarks = _settings_text(folder, files, timezone)
    try:
        for source in ("readings", "events"):
            (folder / source).mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadSettings(f"{folder} cannot be made a plant's folder: {error.strerror}") from error
    for remark in remarks:
        say(remark)
    say(f"{target} written. Next: put files (Parquet, CSV, Excel) of readings into")
    say(f"{folder / 'readings'}, of failures and repairs into {folder / 'events'},")
    say(f"then: pm-app check -c {target}")


def _settings_text(
    folder: Path, files: Mapping[Source, Sequence[Path]], timezone: str | None
) -> tuple[str, list[str]]:
    """plant.toml, and what a person has to hear of it."""
    given: dict[str, dict[str, Any]] = {"plant": {"name": folder.resolve().name or "plant"}}
    if timezone is not None:
        given["plant"]["timezone"] = timezone
    named: dict[str, dict[str, Any]] = {}
    remarks: list[str] = []
    for source, paths in files.items():
        keys = {path: _proposed_keys(path, source, timezone, named, remarks) for path in paths}
        given[source] = _common(list(keys.values()))
        # Of two patterns that fit a file the longer is meant.
        for path in sorted(paths, key=lambda each: -len(_name_pattern(each))):
            others = {key: value for key, value in keys[path].items() if key not in given[source]}
            if len(paths) > 1 and others:
                named[named_table(f"{source}.files", _name_pattern(path))] = others
    # What was asked for may be no zone.
    settings = _parsed(example_toml(given, named=named), folder)
    for section, spans in _spans(settings, files).items():
        given.setdefault(section, {}).update(spans)
        shown = ", ".join(f"{key} = {value!r}" for key, value in spans.items())
        remarks.append(f"[{section}] by how often readings come and machines fail: {shown}")
    text = example_toml(given, named=named)
    _parsed(text, folder)
    return text, remarks


def _parsed(text: str, folder: Path) -> Settings:
    return parse_settings(tomllib.loads(text), folder=folder, origin="plant.toml")


def _spans(settings: Settings, files: Mapping[Source, Sequence[Path]]) -> Keys:
    """Panes, windows and horizons that suit these files, so far as they can be read."""
    interval = next((_interval(settings, path) for path in files["readings"]), None)
    if interval is None:
        return {}
    failures: dict[str, list[int]] = {}
    for path in files["events"]:
        source = events_source(_reading_one(settings, path))
        with suppress(PmAppError):
            for asset, times in survey_events(source, [_batch(path)]).failures.items():
                failures.setdefault(asset, []).extend(times)
    life = usual_life(failures, interval_ns=interval)
    return suitable_spans(interval, life)


def _interval(settings: Settings, path: Path) -> int | None:
    """The time between readings of an asset: by this file, or by those beside it."""
    with _beginning(path) as short:
        interval = _interval_of(settings, [short])
    beside = (each for each in path.parent.iterdir() if _but_numbers(each) == _but_numbers(path))
    return interval or _interval_of(settings, sorted(beside)[:FILES_LOOKED_AT])


def _interval_of(settings: Settings, paths: Sequence[Path]) -> int | None:
    survey = ReadingsSurvey()
    source = readings_source(_reading_one(settings, paths[0]))
    with suppress(PmAppError):
        survey_readings(source, survey, map(_batch, paths))
    return survey.interval_ns


@contextmanager
def _beginning(path: Path) -> Iterator[Path]:
    """The first lines of a large file of texts, as a file that is gone afterwards; others whole."""
    if path.stat().st_size <= _MOST_BYTES or path.name.lower().endswith(_FORMATS["parquet"]):
        yield path
        return
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        head = file.read(_MOST_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        short = Path(folder) / "beginning.csv"
        short.write_bytes(head[: head.rfind(b"\n") + 1])
        yield short


def _but_numbers(path: Path) -> str:
    return re.sub(r"\d+", "0", path.name)


def _batch(path: Path) -> Batch:
    about = path.stat()
    return Batch(path.name, about.st_size, about.st_mtime_ns)


def _reading_one(settings: Settings, path: Path) -> Settings:
    """The same for this file in its folder, of one machine where nobody has said yet which."""
    name = path.name.lower()
    kind = next((kind for kind, endings in _FORMATS.items() if name.endswith(endings)), "csv")
    place = {"uri": str(path.absolute().parent), "asset": "machine", "format": kind}
    sections = {"readings": settings.readings, "events": settings.events}
    return settings.model_copy(
        update={name: each.model_copy(update=place) for name, each in sections.items()}
    )


def _proposed_keys(
    path: Path,
    source: Source,
    timezone: str | None,
    named: dict[str, dict[str, Any]],
    remarks: list[str],
) -> dict[str, Any]:
    """Keys that read this file; tables of its sensors and what is to be said of it are added."""
    found = propose_settings(path, source)
    keys: dict[str, Any] = dict(found.keys)
    if not found.zoned:
        if timezone is None:
            raise BadSettings(
                f"{path.name}: its times carry no zone; needed --timezone, where their clock "
                'stood: "Europe/Berlin", "UTC" or the like'
            )
        keys["timezone"] = timezone
    shown = ", ".join(f"{key} = {value!r}" for key, value in keys.items())
    remarks.append(f"[{source}] by {path.name}: {shown}")
    remarks += [f"  {remark}" for remark in found.remarks]
    if found.units:
        remarks.append(f"units of {len(found.units)} sensors taken over")
    named.update(
        {named_table("sensors", name): {"unit": unit} for name, unit in found.units.items()}
    )
    return keys


def _common(files: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Keys that all of these files share, but for the kind, which each of several has to have."""
    first = files[0] if files else {}
    return {
        key: value
        for key, value in first.items()
        if all(each.get(key) == value for each in files)
        and (key != "default_kind" or len(files) == 1)
    }


def _name_pattern(path: Path) -> str:
    """A pattern for this file and those that follow it: without the numbers its name ends in."""
    stem = re.sub(r"[\W_]*\d[\d\W_]*$", "", path.stem)
    return f"{stem}*{path.suffix}"


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
