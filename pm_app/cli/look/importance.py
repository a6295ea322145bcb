"""`pm-app importance`: importance of sensors, and the allocation of a version."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from pm_app.cli.look.models import suspected_sensors
from pm_app.cli.options import PLANT, Json, PlantOption, check_place
from pm_app.cli.output import print_json, print_rows, say
from pm_app.errors import BadSettings, TerminalError
from pm_app.settings.plant import read_settings
from pm_app.store.lineage import Lineage, scored_before
from pm_app.wording import announces_texts, revision_text

if TYPE_CHECKING:
    from pm_app.jobs.plant import Plant
    from pm_app.learning.allocation.change import AllocatedSensor, AllocationChange, Gain
    from pm_app.records.learning import VersionCard

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
    """Importance of each sensor to a version, and its units in the network."""
    if plot is not None and plot.suffix.lower() != ".svg":
        raise BadSettings(f"--plot takes a file that ends in .svg, got {str(plot)!r}")
    check_place(plot, "--plot")
    if against is None and plot is None:
        _print_one(config, version, as_json=as_json)
    else:
        _compare(config, version, against, plot, as_json=as_json)


def _print_one(config: Path, version: int | None, *, as_json: bool) -> None:
    from pm_app.wiring import open_views

    with open_views(read_settings(config)) as store:
        number = version or store.lineage.champion()
        rows = importance_rows(store.lineage, number)
        remarks = (selection_remark(store.lineage, number), second_look(store.lineage, number))
    print_rows(rows, as_json=as_json, title=f"version {number}", right=_NUMBERS)
    for remark in remarks:
        if remark and not as_json:
            say(remark)


def _compare(
    config: Path, version: int | None, against: int | None, plot: Path | None, *, as_json: bool
) -> None:
    from pm_app.cli.output import export_text
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
    from pm_app.jobs.score.champion import load_recorded

    number = version or plant.store.lineage.champion()
    if number is None:
        raise TerminalError("no model yet: pm-app retrain makes the first")
    return number, load_recorded(plant.store.lineage, plant.registry, number).card


def _before(
    plant: "Plant", against: int | None, after: tuple[int, "VersionCard"]
) -> tuple[int, "VersionCard"] | None:
    """The version to compare with: the one named, else the one that scored before, if any."""
    if against is not None:
        return _card(plant, against)
    earlier = scored_before(after[0], plant.store.lineage.promotions())
    return None if earlier is None else _card(plant, earlier)


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
    figures = ("importance", "tier", "L1")
    columns = ["sensor"]
    columns += [f"{name}, v{before[0]}" for name in figures] if before else []
    columns += [f"{name}, v{after[0]}" for name in figures]
    rows = []
    for change in changes:
        cells = _cells(change.before) if before else ()
        values = (change.sensor, *cells, *_cells(change.after))
        rows.append(dict(zip(columns, values, strict=True)))
    right = [name for name in columns if not name.startswith(("sensor", "tier"))]
    title = f"version {after[0]}" + (f" against version {before[0]}" if before else "")
    print_rows(rows, title=title, right=right)
    held_out = [
        {
            "held-out figure": gain.figure.replace("_", " "),
            "guided": f"{gain.guided:.3f}",
            "without guidance": f"{gain.uniform:.3f}",
        }
        for gain in gains
    ]
    if held_out:
        print_rows(held_out, right=("guided", "without guidance"))
    else:
        say("guidance was not used: the network is the uniform one")


def _cells(standing: "AllocatedSensor | None") -> tuple[str, str, str]:
    if standing is None:
        return "", "", ""
    share = f"{standing.share:.1%} ({100 * standing.low:.1f}-{100 * standing.high:.1f})"
    if not standing.units:
        return share, standing.tier, ""
    embedding = f", embedding {standing.embedding}" if standing.embedding else ""
    return (
        share,
        f"{standing.tier}, {standing.units} units{embedding}",
        f"{standing.l1:.1e}",
    )


def importance_rows(lineage: Lineage, version: int | None) -> list[dict[str, Any]]:
    """One row a sensor of a version, most important first."""
    rows = [] if version is None else lineage.importances(version)
    if not rows:
        raise TerminalError(
            "no model yet: pm-app retrain makes the first"
            if version is None
            else f"there is no version {version}; pm-app models lists them"
        )
    stored = lineage.version(rows[0].version)
    summary = stored.summary if stored else {}
    suspected, again = suspected_sensors(summary), _asked_again(summary)
    announces = announces_texts(summary.get("announces"))
    return [
        {
            "rank": row.rank,
            "sensor": row.sensor,
            "share": f"{row.share:.1%}",
            "+/-": f"{row.spread:.1%}",
            "asked again": again.get(row.sensor, ""),
            "tier": row.tier,
            "units": row.units,
            "l1": f"{row.l1:.1e}",
            **({"announces": announces.get(row.sensor, "")} if announces else {}),
            "question": "knows the outcome?" if row.sensor in suspected else "",
        }
        for row in rows
    ]


def selection_remark(lineage: Lineage, version: int | None) -> str:
    """How many features the network reads, in words; "" where it reads all."""
    stored = lineage.version(version) if version else None
    return str(stored.summary.get("selection") or "") if stored else ""


def second_look(lineage: Lineage, version: int | None) -> str:
    """What came of asking the network itself for importance, in a sentence; "" if it was not."""
    stored = lineage.version(version) if version else None
    revision = stored.summary.get("revision") if stored else None
    return revision_text(revision) if isinstance(revision, dict) else ""


def _asked_again(summary: Any) -> dict[str, str]:
    """Importance as the network told it in training, by sensor; empty where it was not asked."""
    revision = summary.get("revision")
    if not revision:
        return {}
    pairs = zip(revision["sensors"], revision["shares"], strict=True)
    return {sensor: f"{share:.1%}" for sensor, share in pairs}
