"""Health of a recorder: what it has taken in and what keeps it, in a file beside its buffer."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from pm_app.durable import write_passing
from pm_app.settings.recorders import RecorderSettings
from pm_app.times import Stamp, format_duration, seconds_between

FILE: Final = "health.json"
RECORDERS: Final = "recorders"
# It is written every few seconds; who says nothing for so long hangs.
MOST_QUIET_SECONDS: Final = 120.0


@dataclass(frozen=True)
class RecorderHealth:
    """What became of one recorder, counted from its start.

    newest: when a usable value last came. away: why nothing is recorded now, "" where something is.
    full: why values do not become files, "" where they do. example: the newest reason why a value
    was refused. waiting_bytes, waiting_values: what is in the buffer.
    """

    process: int
    started: Stamp
    written: Stamp
    changed: Stamp
    newest: Stamp | None = None
    away: str = "not connected yet"
    full: str = ""
    remarks: tuple[str, ...] = ()
    recorded: int = 0
    repeated: int = 0
    refused: int = 0
    not_good: int = 0
    damaged: int = 0
    example: str = ""
    files: int = 0
    waiting_values: int = 0
    waiting_bytes: int = 0
    most_bytes: int = 0
    stopped: bool = False


@dataclass(frozen=True)
class RecorderState:
    """A recorder that plant.toml names: how it is, None where it never ran, and its troubles."""

    name: str
    health: RecorderHealth | None
    troubles: tuple[str, ...]
    silent_seconds: float | None = None


_HEALTH: Final = TypeAdapter(RecorderHealth)


def recorder_folder(state: Path, name: str) -> Path:
    """Where a recorder keeps its buffer and its health."""
    return state / RECORDERS / name


def begin_health(now: Stamp) -> RecorderHealth:
    """Of a recorder that starts in this process."""
    return RecorderHealth(os.getpid(), started=now, written=now, changed=now)


def write_health(folder: Path, health: RecorderHealth, now: Stamp) -> None:
    """Raises TransientError."""
    write_passing(folder / FILE, _HEALTH.dump_json(replace(health, written=now), indent=1))


def read_recorder_health(folder: Path) -> RecorderHealth | None:
    """What a recorder last wrote; None where it never did, or not legibly."""
    with suppress(OSError, ValidationError):
        return _HEALTH.validate_json((folder / FILE).read_bytes())
    return None


def recorder_states(
    state: Path, recorders: Mapping[str, RecorderSettings], *, now: Stamp
) -> tuple[RecorderState, ...]:
    """Every recorder of a plant; raises nothing."""
    found = []
    for name, settings in recorders.items():
        health = read_recorder_health(recorder_folder(state, name))
        since = (health.newest or health.started) if health else None
        silent = None if since is None else round(seconds_between(since, now), 1)
        troubles = tuple(
            f"recorder {name}: {words}" for words in _troubles(name, settings, health, now)
        )
        found.append(RecorderState(name, health, troubles, silent))
    return tuple(found)


def troubles_of(recorders: Sequence[RecorderState]) -> list[str]:
    """What is wrong with any of these, in words."""
    return [words for each in recorders for words in each.troubles]


def _troubles(
    name: str, settings: RecorderSettings, health: RecorderHealth | None, now: Stamp
) -> list[str]:
    if health is None:
        return [f"has never run: pm-app record {name} starts it"]
    if health.stopped:
        return [f"was stopped: pm-app record {name} starts it"]
    if not _is_there(health.process):
        return [f"is gone: process {health.process} has ended without being asked to"]
    quiet = seconds_between(health.written, now)
    if quiet > MOST_QUIET_SECONDS:
        return [f"hangs: nothing heard of process {health.process} for {format_duration(quiet)}"]
    found = [*([health.full] if health.full else []), *health.remarks]
    if health.away:
        since = format_duration(seconds_between(health.changed, now))
        return [*found, f"records nothing for {since}: {health.away}"]
    silent = seconds_between(health.newest or health.started, now)
    if silent > settings.silence_seconds:
        example = f"; {health.refused} values were refused: {health.example}"
        found.append(
            f"nothing that can be used came for {format_duration(silent)}, expected within "
            f"{settings.silence}{example if health.refused else ''}"
        )
    return found


def _is_there(process: int) -> bool:
    try:
        with suppress(PermissionError):
            os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
