"""Output of commands: tables, JSON and files as results, progress and log on stderr."""

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pm_app.durable import write_file
from pm_app.settings.sections import LogSettings
from pm_app.times import format_duration
from pm_app.wording import visible_text

# A pipe or a file has no width: lines there must not be broken at 80.
WIDTH_OF_A_FILE = 140
# Names and reasons hold brackets ("[min]", "[web]"), which are no markup.
out = Console(width=None if sys.stdout.isatty() else WIDTH_OF_A_FILE, markup=False)
talk = Console(stderr=True, markup=False)

# Columns that are never broken: names and figures an eye looks for, and times.
WHOLE = frozenset(
    {"asset", "asset_id", "sensor", "life left", "data age", "what", "name", "version"}
)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d\S*")

Row = Mapping[str, Any]


@contextmanager
def progress_bar(title: str, *, minute: float = 60.0) -> Iterator[Callable[[float, str], None]]:
    """A bar that is told how much is done; a line a `minute` (seconds) where stderr is no
    terminal."""
    if not talk.is_terminal:
        with _progress_lines(title, minute) as note:
            yield note
        return
    columns = (
        TextColumn("{task.fields[title]}", markup=False),
        BarColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=talk, transient=True) as bar:
        task = bar.add_task("", total=1.0, title=title)
        yield lambda done, text: bar.update(task, completed=done, description=text)


@contextmanager
def _progress_lines(title: str, minute: float) -> Iterator[Callable[[float, str], None]]:
    """Lines on stderr by a clock of their own: work that is long is seldom at one more step."""
    begun, over = time.monotonic(), threading.Event()
    newest = (0.0, "")

    def note(done: float, text: str) -> None:
        nonlocal newest
        newest = done, text

    def tell() -> None:
        while not over.wait(minute):
            done, text = newest
            passed = format_duration(time.monotonic() - begun)
            words = f": {text}" if text else ""
            sys.stderr.write(f"{title}: {100 * done:.0f} % after {passed}{words}\n")
            sys.stderr.flush()

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield note
    finally:
        over.set()
        teller.join()


def print_rows(
    rows: Sequence[Row],
    columns: Sequence[str] = (),
    *,
    as_json: bool = False,
    title: str = "",
    right: Sequence[str] = (),
) -> None:
    """Rows as a table for people, or as JSON for programs; text is shown as it is.

    columns: those that people see, by default all of the first row.
    """
    if as_json:
        print_json(rows)
        return
    if not rows:
        talk.print(f"{title or 'this table'}: nothing yet", highlight=False)
        return
    columns = columns or list(rows[0])
    filled = [name for name in columns if any(row.get(name) not in ("", None) for row in rows)]
    table = Table(title=title or None, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for name in filled:
        justify: Literal["left", "right"] = "right" if name in right else "left"
        whole = name in WHOLE or any(_TIME.fullmatch(str(row.get(name))) for row in rows)
        table.add_column(name, justify=justify, overflow="fold", no_wrap=whole)
    for row in rows:
        values = (row.get(name) for name in filled)
        table.add_row(*("" if value is None else visible_text(str(value)) for value in values))
    out.print(table)


def say(text: str) -> None:
    """One line on stdout, as it is, however long."""
    out.print(visible_text(text), highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout; times as ISO text."""
    sys.stdout.write(json.dumps(value, indent=1, default=_iso, allow_nan=False) + "\n")


def _iso(value: datetime) -> str:
    return value.isoformat()


class JsonLines(logging.Formatter):
    """Log records as JSON, an object a line: time in UTC, level, logger, message, and an error.

    Of our own, for lines come from libraries as well, and structlog would wrap this very logging.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def start_log(settings: LogSettings) -> None:
    """Log lines on stderr, as a supervisor's journal wants them."""
    handler = logging.StreamHandler(sys.stderr)
    plain = logging.Formatter("%(levelname)s %(name)s %(message)s")
    handler.setFormatter(JsonLines() if settings.format == "json" else plain)
    logging.basicConfig(handlers=[handler], level=settings.level.upper())
    # Its own lines about every tick, and each that a long run lets pass, would bury ours.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Every request of it, and a traceback for every connection that is lost.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)


def export_text(text: str, path: Path) -> None:
    """A file with this text, there whole or not at all."""
    write_file(path, lambda beside: beside.write_text(text, encoding="utf-8"), mode=0o777)
