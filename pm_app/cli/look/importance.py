"""`pm-app importance`: what sensors are worth, and what the network gave them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_json, print_rows, say
from pm_app.errors import BadSettings
from pm_app.settings.plant import read_settings

if TYPE_CHECKING:
    from pm_app.jobs.plant import Plant
    from pm_app.learning.allocation.change import AllocatedSensor, AllocationChange, Gain
    from pm_app.records.learning import VersionCard

_COLUMNS: Final = (
    "rank",
    "sensor",
    "share",
    "+/-",
    "asked again",
    "tier",
    "units",
    "l1",
    "question",
)
_NUMBERS: Final = ("rank", "share", "+/-", "asked again", "units", "l1")


def importance(
    config: PlantOption = PLANT,
    version: Annotated[
        int | None, typer.Option(min=1, max=2**31 - 1, help="Default: the champion.")
    ] = None,
    against: Annotated[
        int | None, typer.Option(min=1, max=2**31 - 1, help="What changed since that version.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="A picture of where the units went, into this SVG file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What each sensor is worth to a version, and what the network gave it."""
    if plot is not None and plot.suffix.lower() != ".svg":
        raise BadSettings(f"--plot takes a file that ends in .svg, got {str(plot)!r}")
    if plot is not None and (not plot.parent.is_dir() or plot.is_dir()):
        raise BadSettings(f"--plot needs a file in a folder that is there, got {str(plot)!r}")
    if against is None and plot is None:
        _print_one(config, version, as_json=as_json)
    else:
        _compare(config, version, against, plot, as_json=as_json)


def _print_one(config: Path, version: int | None, *, as_json: bool) -> None:
    from pm_app.cli.look.lineage_tables import importance_rows, second_look
    from pm_app.wiring import open_views

    with open_views(read_settings(config)) as store:
        number = version or store.lineage.champion()
        rows = importance_rows(store.lineage, number)
        again = second_look(store.lineage, number) if number else ""
    print_rows(rows, _COLUMNS, as_json=as_json, title=f"version {number}", right=_NUMBERS)
    if again and not as_json:
        say(again)


def _compare(
    config: Path, version: int | None, against: int | None, plot: Path | None, *, as_json: bool
) -> None:
    from pm_app.cli.act.export import export_text
    from pm_app.learning.allocation.change import compare_allocations, gains_over_uniform
    from pm_app.pictures.allocation import draw_allocation
    from pm_app.wiring import open_plant_shared

    with open_plant_shared(read_settings(config)) as plant:
        after = _card(plant, version)
        before = _before(plant, against, after)
    changes = compare_allocations(before[1] if before else None, after[1])
    gains = gains_over_uniform(after[1])
    if plot is not None:
        names = {"before": f"version {before[0]}" if before else "", "after": f"version {after[0]}"}
        picture = draw_allocation(changes, gains, **names)
        export_text(picture, plot)
    if as_json:
        print_json(_fields(before, after, changes, gains))
    else:
        _print_changes(before, after, changes, gains)


def _card(plant: "Plant", version: int | None) -> tuple[int, "VersionCard"]:
    from pm_app.errors import TerminalError
    from pm_app.jobs.score.champion import load_recorded

    number = version or plant.store.lineage.champion()
    if number is None:
        raise TerminalError("no model yet: pm-app retrain makes the first")
    return number, load_recorded(plant, number).card


def _before(
    plant: "Plant", against: int | None, after: tuple[int, "VersionCard"]
) -> tuple[int, "VersionCard"] | None:
    """The version to compare with: the one named, else the one that scored before, if any."""
    if against is not None:
        return _card(plant, against)
    moves = plant.store.lineage.promotions()
    first = next((at for at, move in enumerate(moves) if move.version == after[0]), len(moves))
    earlier = [move.version for move in moves[:first] if move.version != after[0]]
    return _card(plant, earlier[-1]) if earlier else None


def _fields(
    before: tuple[int, "VersionCard"] | None,
    after: tuple[int, "VersionCard"],
    changes: Sequence["AllocationChange"],
    gains: Sequence["Gain"],
) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "version": after[0],
        "against": before[0] if before else None,
        "sensors": [asdict(change) for change in changes],
        "gains over uniform": [asdict(gain) for gain in gains],
    }


def _print_changes(
    before: tuple[int, "VersionCard"] | None,
    after: tuple[int, "VersionCard"],
    changes: Sequence["AllocationChange"],
    gains: Sequence["Gain"],
) -> None:
    told = ("importance", "tier", "L1")
    columns = ["sensor"]
    columns += [f"{name}, v{before[0]}" for name in told] if before else []
    columns += [f"{name}, v{after[0]}" for name in told]
    rows = []
    for change in changes:
        cells = _cells(change.before) if before else ()
        values = (change.sensor, *cells, *_cells(change.after))
        rows.append(dict(zip(columns, values, strict=True)))
    right = [name for name in columns if not name.startswith(("sensor", "tier"))]
    title = f"version {after[0]}" + (f" against version {before[0]}" if before else "")
    print_rows(rows, columns, as_json=False, title=title, right=right)
    figures = [
        {
            "held-out figure": gain.figure.replace("_", " "),
            "guided": f"{gain.guided:.3f}",
            "without guidance": f"{gain.uniform:.3f}",
        }
        for gain in gains
    ]
    if figures:
        columns = ["held-out figure", "guided", "without guidance"]
        print_rows(figures, columns, as_json=False, right=columns[1:])
    else:
        say("guidance was not used: the network is the uniform one")


def _cells(standing: "AllocatedSensor | None") -> tuple[str, str, str]:
    if standing is None:
        return "", "", ""
    embedding = f", embedding {standing.embedding}" if standing.embedding else ""
    return (
        f"{standing.share:.1%} ({100 * standing.low:.1f}-{100 * standing.high:.1f})",
        f"{standing.tier}, {standing.units} units{embedding}",
        f"{standing.l1:.1e}",
    )
