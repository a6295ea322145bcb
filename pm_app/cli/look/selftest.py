"""`pm-app selftest --kill`: what this plant's disk and database keep when processes are killed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pm_app.cli.options import PLANT, Json, PlantOption
from pm_app.cli.output import print_json, progress_bar, say
from pm_app.durable import remove_folder, write_bytes
from pm_app.errors import BadSettings, PmAppError
from pm_app.settings.plant import Settings, read_settings

# Ends its own process at the instant of this number; counts them where it is -1.
_CHILD: Final = """\
import os, signal, sys
number, heard = int(sys.argv.pop(1)), 0
def hook(event, arguments):
    global heard
    if event == "pm_app.instant":
        if heard == number:
            os.kill(os.getpid(), signal.SIGKILL)
        heard += 1
sys.addaudithook(hook)
from pm_app.cli import main
try:
    main()
finally:
    print(heard, file=sys.stderr)
"""
_PLANT: Final = '[features]\npane = "6h"\nwindows = ["12h"]\nmemory = []\n'
DAYS: Final = 4
# A child that takes longer hangs.
MOST_SECONDS: Final = 120.0


@dataclass(frozen=True)
class KillReport:
    """kills: how many children were ended; instants: at how many different instants of a score;
    differences: what a killed plant says otherwise than one left alone, in words."""

    kills: int
    instants: int
    seconds: float
    place: str
    differences: tuple[str, ...]


def selftest(
    config: PlantOption = PLANT,
    kill: Annotated[
        bool,
        typer.Option("--kill", help="Kill scoring processes of a small plant beside this one."),
    ] = False,
    seconds: Annotated[int, typer.Option(min=5, max=86_400, help="About how long.")] = 60,
    as_json: Json = False,
) -> None:
    """Whether this disk and database keep what was committed when processes are killed."""
    if not kill:
        raise BadSettings("selftest takes --kill: what is to be tried")
    settings = read_settings(config)
    with progress_bar("selftest") as note:
        report = kill_and_compare(settings, seconds=seconds, note=note)
    if as_json:
        print_json(vars(report))
    else:
        for words in report.differences:
            say(words)
        say(report_words(report))
    if report.differences:
        raise typer.Exit(1)


def report_words(report: KillReport) -> str:
    """One line on what was found."""
    kept = "nothing was lost, nothing doubled" if not report.differences else "ROWS DIFFER"
    return (
        f"{report.kills} processes killed at {report.instants} different instants in "
        f"{report.seconds:.0f} s at {report.place}: {kept}. A killed process is not a loss of "
        "power: pm-app check measures whether fsync is honest"
    )


def kill_and_compare(
    settings: Settings, *, seconds: float, note: Callable[[float, str], None]
) -> KillReport:
    """Small plants on the disk and database of this one, killed while they score, each then
    finished and compared with one that was left alone. Leaves nothing behind.

    Raises PmAppError where scoring fails by itself.
    """
    began, kills, tried, differences = time.monotonic(), 0, set(), []
    with _scratch(settings) as (folder, store):
        alone = _ScratchPlant(folder / "alone", store("alone"))
        instants = alone.score(-1)
        expected = alone.outcome()
        order = random.sample(range(instants), instants)
        for turn, number in enumerate(order):
            done = (time.monotonic() - began) / seconds
            if done >= 1 and kills:
                break
            note(min(done, 1.0), f"{kills} killed")
            plant = _ScratchPlant(folder / str(turn), store(str(turn)))
            plant.score(number)
            kills += 1
            tried.add(number)
            plant.score(-1)
            if plant.outcome() != expected:
                differences.append(f"killed at instant {number} of {instants}: rows differ")
            plant.remove()
    spent = time.monotonic() - began
    return KillReport(
        kills, len(tried), spent, str(settings.state.parent.absolute()), tuple(differences)
    )


class _ScratchPlant:
    """A small simulated plant in a folder of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        from pm_app.cli.demo.plant import drop_days, lay_out
        from pm_app.simulator import PlantPlan, simulate

        self._config = lay_out(folder)
        write_bytes(self._config, _PLANT.encode())
        plan = PlantPlan(assets=3, days=DAYS + 1, interval_minutes=60, seed=0)
        drop_days(simulate(plan), folder, 0, DAYS)
        self._url = url
        self._folder = folder

    def score(self, number: int) -> int:
        """Score in a child that is killed at this instant; of -1 how many instants there are."""
        environment = {**os.environ, "PM_APP_STORE_URL": self._url}
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(number), "score", "-c", str(self._config)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
        )
        expected = 0 if number < 0 else -signal.SIGKILL
        if done.returncode != expected:
            raise PmAppError(
                f"selftest: scoring ended with {done.returncode}: {done.stderr[-500:]}"
            )
        return 0 if number >= 0 else int(done.stderr.split()[-1])

    def outcome(self) -> dict[str, Any]:
        """All that the tables say, but for when it was said; files are those that tables name."""
        from pm_app.store import open_reader

        with open_reader(self._url, folder=self._folder) as store:
            segments = store.ledger.segments()
            panes = self._folder / "state" / "panes"
            rows = [
                {name: value for name, value in row.items() if name != "scored_at"}
                for table in store.tables.predictions()
                for row in table.to_pylist()
            ]
            ledger = [
                (row.source, row.name, row.status, row.rows) for row in store.ledger.batches()
            ]
        there = {path.name for path in panes.iterdir()}
        return {
            "rows": sorted(json.dumps(row, default=str, sort_keys=True) for row in rows),
            "ledger": sorted(ledger),
            "files": there <= segments,
        }

    def remove(self) -> None:
        """Give the disk back at once."""
        remove_folder(self._folder)


@contextmanager
def _scratch(settings: Settings) -> Iterator[tuple[Path, Callable[[str], str]]]:
    """A folder on the disk of the state folder, and addresses of stores like the plant's own."""
    from pm_app.store.opening import scratch_stores
    from pm_app.wiring import store_url

    parent = settings.state.parent.absolute()
    folder = parent / f".pm-app-selftest-{os.getpid()}"
    try:
        with scratch_stores(store_url(settings), folder) as store:
            yield folder, store
    finally:
        remove_folder(folder)
