"""Talking to people: progress bars on stderr, results on stdout."""

import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

out = Console(soft_wrap=False)
talk = Console(stderr=True)

# Columns that a pipe or a file can take: what reads them there folds nothing.
UNFOLDED = 10_000

Row = Mapping[str, Any]


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[float, str], None]]:
    """A bar that is told how much is done; nothing where stderr is no terminal."""
    if not talk.is_terminal:
        yield lambda done, text: None
        return
    columns = (
        TextColumn("{task.fields[title]}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=talk, transient=True) as bar:
        task = bar.add_task("", total=1.0, title=title)
        yield lambda done, text: bar.update(task, completed=done, description=text)


def print_rows(
    rows: Sequence[Row],
    columns: Sequence[str],
    *,
    as_json: bool,
    title: str = "",
    right: Sequence[str] = (),
) -> None:
    """Rows as a table for people, or as JSON for programs."""
    if as_json:
        print_json(rows)
        return
    table = Table(title=title or None, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        # As it is: to a string rich would apply what looks like its own markup, "[rpm]".
        table.add_row(*(Text(str(row.get(name, ""))) for name in columns))
    out.print(table, width=None if out.is_terminal else UNFOLDED)


def say(text: str) -> None:
    """One line on stdout, as it is, however long."""
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout; times as ISO text."""
    sys.stdout.write(json.dumps(value, indent=1, default=_iso, allow_nan=False) + "\n")


def _iso(value: datetime) -> str:
    return value.isoformat()


def start_log() -> None:
    """Log lines on stderr, as a supervisor's journal wants them."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s %(message)s"
    )
    # Its own lines about every tick would bury ours.
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
