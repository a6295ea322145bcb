"""Options that several commands share, and how their values are read."""

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from pm_app.errors import BadSettings
from pm_app.wording import nearest_names

if TYPE_CHECKING:
    from pm_app.store import Actor, Store

# What cannot be read is told with whose it is, which typer does not.
PlantOption = Annotated[
    Path,
    typer.Option("-c", "--config", metavar="FILE", help="The plant's settings.", readable=False),
]
GroupConfig = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--config",
        metavar="FILE",
        help="The plant's settings.",
        readable=False,
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
PLANT = Path("plant.toml")
Version = Annotated[int, typer.Argument(min=1, max=2**31 - 1)]
# Nanoseconds since 1970 in 64 bits end in 2262.
_FIRST_YEAR, _LAST_YEAR = 1970, 2261


def parse_time(text: str | None, option: str, *, zone: str) -> datetime | None:
    """An ISO time, in the plant's zone where it carries none. Raises BadSettings naming the
    option."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadSettings(
            f'{option} takes a time like "2026-01-31" or "2026-01-31T14:00+01:00", got {text!r}'
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise BadSettings(f"{option} takes a time from {_FIRST_YEAR} to {_LAST_YEAR}, got {text!r}")
    return moment


def parse_span(
    start: str | None, end: str | None, *, zone: str
) -> tuple[datetime | None, datetime | None]:
    """`parse_time` of --from and --to."""
    return parse_time(start, "--from", zone=zone), parse_time(end, "--to", zone=zone)


def check_place(file: Path | None, option: str) -> None:
    """Raises BadSettings where a file to write is a folder, or its folder is not there."""
    if file is not None and (not file.parent.is_dir() or file.is_dir()):
        raise BadSettings(f"{option} needs a file in a folder that is there, got {str(file)!r}")


def require_asset(store: "Store", asset: str) -> None:
    """Raises BadSettings with the nearest names where no file has named this asset."""
    assets = store.ledger.first_seen()
    if assets and asset not in assets:
        raise BadSettings(f"there is no asset {asset!r}; {nearest_names(asset, assets)}")


def plant_of(context: typer.Context, config: Path | None) -> Path:
    """The settings that a command of a group takes: named behind it, or before it."""
    return config or context.obj or PLANT


def now() -> datetime:
    """The time of this call."""
    return datetime.now(tz=UTC)


def actor(by: str | None = None) -> "Actor":
    """Who does it, by what they say or as whom they work. Raises BadSettings for nobody."""
    from pm_app.store import Actor

    if by is not None:
        return Actor(by)
    try:
        return Actor(getpass.getuser())
    except (OSError, KeyError) as error:
        raise BadSettings("--by has to say who does it: this user has no name") from error
