"""`pm-app init` and `pm-app import cmapss`: a new plant's folder, empty or of NASA's engines."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pm_app.cli.output import say
from pm_app.errors import BadSettings
from pm_app.settings.plant import parse_settings
from pm_app.settings.reference import example_toml
from pm_app.store import Source


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    readings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file of readings whose columns settings are to name."),
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The same of failures or work orders."),
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
    text, remarks = _settings_text(folder, {"readings": readings, "events": events}, timezone)
    try:
        for source in ("readings", "events"):
            (folder / source).mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadSettings(f"{folder} cannot be made a plant's folder: {error.strerror}") from error
    for remark in remarks:
        say(remark)
    say(f"{target} written. Next: put files of readings (Parquet, CSV) into")
    say(f"{folder / 'readings'}, of failures and repairs (also Excel) into {folder / 'events'},")
    say(f"then: pm-app check -c {target}")


def _settings_text(
    folder: Path, files: Mapping[Source, Path | None], timezone: str | None
) -> tuple[str, list[str]]:
    """plant.toml, and what a person has to hear of it."""
    from pm_app.wiring import propose_settings

    given: dict[str, dict[str, Any]] = {"plant": {"name": folder.resolve().name or "plant"}}
    if timezone is not None:
        given["plant"]["timezone"] = timezone
    units: dict[str, str] = {}
    remarks: list[str] = []
    for source, path in files.items():
        if path is None:
            continue
        found = propose_settings(path, source)
        given[source] = dict(found.keys)
        units |= found.units
        if not found.zoned:
            if timezone is None:
                raise BadSettings(
                    f"{path.name}: its times carry no zone; needed --timezone, where their clock "
                    'stood: "Europe/Berlin", "UTC" or the like'
                )
            given[source]["timezone"] = timezone
        keys = ", ".join(f"{key} = {value!r}" for key, value in given[source].items())
        remarks.append(f"[{source}] by {path.name}: {keys}")
        remarks += [f"  {remark}" for remark in found.remarks]
    if units:
        remarks.append(f"units of {len(units)} sensors taken over")
    text = example_toml(given, units=units)
    # What was asked for may be no zone.
    parse_settings(tomllib.loads(text), folder=folder, origin="plant.toml")
    return text, remarks


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
