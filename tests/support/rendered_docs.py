"""Documentation that is generated from the program: `python tests/support/rendered_docs.py`."""

from enum import Enum
from pathlib import Path
from typing import Any

import typer

from pm_app.cli.app import app
from pm_app.settings.reference import reference_markdown

DOCS = Path(__file__).parents[2] / "pm_app" / "docs"
_PREFACE = """\
# Commands

Generated from the program's own help: `pm-app COMMAND --help` shows the same in a terminal.

Results go to stdout, messages to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
A time is an ISO time, in the plant's zone (`plant.timezone`) where it carries none:
`2026-01-31`, `2026-01-31T14:00`, `2026-01-31T14:00+01:00`. Tables show times in the plant's zone,
with their offset; files and `--json` have them in UTC.
The option `--install-completion` lets the shell complete commands and options.
"""
_SETTINGS = """\
# Settings

Every key of plant.toml, generated from the program. Each key may be left out.

- `pm-app init` writes a plant.toml with every key and its default.
- Paths are relative to plant.toml. Durations are `30s`, `10min`, `4h` or `30d`.
- An unknown key is refused with the nearest known one. `pm-app check` checks the rest.
- Secrets come from the environment: `PM_APP_STORE_URL` (whole address of the database),
  `PM_APP_READINGS_URL` and `PM_APP_EVENTS_URL` (databases that are read from),
  `PM_APP_NOTIFY_URLS` (addresses separated by blanks), `PM_APP_OIDC_SECRET` (of single sign-on),
  and for object stores `AWS_...`.

"""
_KINDS = {int: "a whole number", float: "a number", str: "text", Path: "a path", bool: "a switch"}

_METAVARS = {"TIME": "a time", "TIME TIME": "two times"}


def commands_markdown() -> str:
    """Every command: what it does, its arguments and its options."""
    commands = list(typer.main.get_command(app).commands.items())
    panels = dict.fromkeys(command.rich_help_panel for _, command in commands)
    commands.sort(key=lambda named: list(panels).index(named[1].rich_help_panel))
    rows = [
        f"| {command.rich_help_panel} | [`{name}`](#pm-app-{name}) | {_cell(command.help)} |"
        for name, command in commands
    ]
    index = "\n".join(["| to | command | |", "| --- | --- | --- |", *rows])
    parts = [part for name, command in commands for part in _section(name, command, "##")]
    return "\n\n".join([_PREFACE + "\n" + index, *parts]) + "\n"


def settings_markdown() -> str:
    """Every key of plant.toml."""
    return _SETTINGS + reference_markdown().rstrip() + "\n"


def _section(name: str, command: Any, level: str) -> list[str]:
    parameters = [each for each in command.params if each.name != "help"]
    usage = " ".join(["pm-app", name, *map(_usage, parameters)])
    parts = [f"{level} pm-app {name}", _cell(command.help), f"```\n{usage}\n```"]
    if parameters:
        head = ["| argument or option | takes | |", "| --- | --- | --- |"]
        parts.append("\n".join([*head, *map(_row, parameters)]))
    for child, inner in getattr(command, "commands", {}).items():
        parts += _section(f"{name} {child}", inner, "###")
    return parts


def _usage(parameter: Any) -> str:
    text = _name(parameter)
    if text.startswith("-") and not parameter.is_flag:
        text += f" {parameter.metavar or parameter.name.upper()}"
    return text if parameter.required else f"[{text}]"


def _name(parameter: Any) -> str:
    """`--since`, or `ASSET` where it is an argument."""
    name = parameter.opts[0]
    return name if name.startswith("-") else name.upper()


def _row(parameter: Any) -> str:
    names = ", ".join(f"`{each}`" for each in parameter.opts)
    if not names.startswith("`-"):
        names = f"`{_name(parameter)}`"
    words = [_cell(parameter.help)] if parameter.help else []
    default = getattr(parameter.default, "value", parameter.default)
    if parameter.required:
        words.append("Required.")
    elif default not in (None, False, "") and not callable(default):
        words.append(f"Default: `{default}`.")
    return f"| {names} | {_takes(parameter)} | {' '.join(words)} |"


def _takes(parameter: Any) -> str:
    if parameter.metavar in _METAVARS:
        return _METAVARS[parameter.metavar]
    kind = parameter.type_descriptor.annotation
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{choice.value}`" for choice in kind)
    return _KINDS.get(kind, "text")


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


GENERATED = {"commands.md": commands_markdown, "settings.md": settings_markdown}


if __name__ == "__main__":
    for name, render in GENERATED.items():
        (DOCS / name).write_text(render(), encoding="utf-8")
