"""`pm-app users`: accounts, roles, passwords, tokens, audit log."""

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pm_app.cli.options import PLANT, GroupConfig, Json, now, plant_of
from pm_app.cli.output import print_rows, say
from pm_app.errors import BadSettings
from pm_app.settings.plant import read_settings
from pm_app.wording import time_text

if TYPE_CHECKING:
    from pm_app.store import Store, TokenRow, UserRow

Name = Annotated[str, typer.Argument(metavar="NAME", help="As they sign in.")]
Role = Annotated[
    str, typer.Option(metavar="ROLE", help="viewer looks, operator answers alarms, engineer all.")
]

users_app = typer.Typer(invoke_without_command=True)


@users_app.callback()
def users(context: typer.Context, config: GroupConfig = None, as_json: Json = False) -> None:
    """Who may sign in, and how to change that: add, passwd, role, disable, enable, tokens."""
    context.obj = config
    if context.invoked_subcommand is not None:
        return
    from pm_app.wiring import open_views

    with open_views(read_settings(config or PLANT)) as store:
        found = store.users.users()
    rows = [_account(row, "disabled" if row.disabled_at else "") for row in found]
    print_rows(rows, as_json=as_json, title="users")


@users_app.command()
def add(
    context: typer.Context, name: Name, role: Role = "operator", config: GroupConfig = None
) -> None:
    """Add a user; the password is asked for, or read from standard input."""
    with _writing(context, config) as store:
        store.users.add(name, _password(), role=role, at=now(), actor=_actor())
    say(f"{name} may sign in as {role}")


@users_app.command()
def passwd(context: typer.Context, name: Name, config: GroupConfig = None) -> None:
    """Set a new password; whoever is signed in with the old one is signed out."""
    with _writing(context, config) as store:
        store.users.set_password(name, _password(), at=now(), actor=_actor())
    say(f"{name} has a new password and is signed out everywhere")


@users_app.command()
def role(
    context: typer.Context,
    name: Name,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="viewer, operator or engineer.")],
    config: GroupConfig = None,
) -> None:
    """Change a user's role; it holds at once."""
    with _writing(context, config) as store:
        store.users.set_role(name, role, at=now(), actor=_actor())
    say(f"{name} is {role}")


@users_app.command()
def disable(context: typer.Context, name: Name, config: GroupConfig = None) -> None:
    """Disable a user, and sign them out."""
    with _writing(context, config) as store:
        store.users.set_disabled(name, True, at=now(), actor=_actor())
    say(f"{name} may not sign in any more")


@users_app.command()
def enable(context: typer.Context, name: Name, config: GroupConfig = None) -> None:
    """Enable a user again."""
    with _writing(context, config) as store:
        store.users.set_disabled(name, False, at=now(), actor=_actor())
    say(f"{name} may sign in again")


@users_app.command()
def tokens(
    context: typer.Context,
    add_token: Annotated[
        str | None, typer.Option("--add", metavar="NAME", help="A new one, shown once.")
    ] = None,
    revoke: Annotated[
        str | None, typer.Option("--revoke", metavar="NAME", help="It lets no one in more.")
    ] = None,
    role: Role = "viewer",
    config: GroupConfig = None,
    as_json: Json = False,
) -> None:
    """Tokens that let programs in through the API."""
    if add_token and revoke:
        raise BadSettings("--add and --revoke go one at a time")
    with _writing(context, config) as store:
        if add_token:
            say(store.users.add_token(add_token, role=role, at=now(), actor=_actor()))
            return
        if revoke:
            store.users.revoke_token(revoke, at=now(), actor=_actor())
        found = store.users.tokens()
    rows = [_account(row, "revoked" if row.revoked_at else "") for row in found]
    print_rows(rows, as_json=as_json, title="tokens")


@users_app.command()
def audit(
    context: typer.Context,
    config: GroupConfig = None,
    limit: Annotated[int, typer.Option(min=1, max=10**6, help="How many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Audit log: who changed what, and from where."""
    from pm_app.wiring import open_views

    settings = read_settings(plant_of(context, config))
    with open_views(settings) as store:
        found = store.users.audit(limit=limit)
    rows = [
        {
            "at": time_text(row.at, settings.plant.timezone, seconds=True),
            "by": row.actor,
            "action": row.action,
            "what": row.target,
            "details": row.details,
            "from": row.address,
        }
        for row in found
    ]
    print_rows(rows, as_json=as_json, title="audit")


def _account(row: "UserRow | TokenRow", state: str) -> dict[str, str]:
    since = f"{row.created_at:%Y-%m-%d}"
    return {"name": row.name, "role": row.role, "since": since, "state": state}


def _writing(context: typer.Context, config: Path | None) -> "Store":
    """The store of the plant; a new one where there is none yet."""
    from pm_app.wiring import open_users

    return open_users(read_settings(plant_of(context, config)))


def _password() -> str:
    """Asked for twice at a terminal; else the first line of standard input."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("password: ")
    if first != getpass.getpass("once more: "):
        raise BadSettings("the two passwords differ")
    return first


def _actor() -> str:
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"
