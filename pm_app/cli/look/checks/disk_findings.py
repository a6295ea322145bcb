"""Findings of `pm-app check` on disks: kind of file system, free space and growth, honest fsync."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from pm_app.cli.look.checks.finding import Finding, size_text
from pm_app.cli.look.checks.readings_findings import ReadingsSurvey
from pm_app.durable import sync_seconds
from pm_app.errors import TransientError
from pm_app.settings.plant import Settings
from pm_app.store.database.facts import database_file
from pm_app.times import NS
from pm_app.wiring import store_url

_NETWORK: Final = ("nfs", "cifs", "smb", "9p", "ceph", "fuse.", "afs", "lustre", "glusterfs")
_MEMORY: Final = ("tmpfs", "ramfs")
_LAYERED: Final = ("overlay", "aufs")
# Files beyond these are left out of what a folder holds.
MOST_FILES: Final = 200_000
LEAST_FREE: Final = 1e9
LEAST_DAYS: Final = 90.0
_DAY_SECONDS: Final = 86_400.0
SYNCS: Final = 25
# A disk with a battery behind its cache takes some 20 to 50 microseconds, one without a flash
# write (some 500) or a turn of the platter (some 4,000); memory takes one.
LEAST_SYNC_SECONDS: Final = 15e-6
LEAST_TURN_SECONDS: Final = 1e-3


def check_file_systems(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """Where the state folder and the database lie."""
    places = {"state": _existing(settings.state)}
    if (file := database_file(store_url(settings), folder=settings.folder)) is not None:
        places["store"] = _existing(file)
    if places["state"] == places.get("store"):
        del places["state"]
    for subject, place in places.items():
        yield _file_system(place, file_system_of(place), holds_rows=subject == "store")


def _file_system(place: Path, kind: str, *, holds_rows: bool) -> Finding:
    text = f"{place} lies on {kind or 'a file system that is not to be seen'}"
    if kind.startswith(_NETWORK):
        advice = (
            "put plant.state and a SQLite store.url on a disk of this machine, or use PostgreSQL"
        )
        verdict = "fails" if holds_rows else "note"
        return Finding(verdict, "disk", f"{text}, a network drive: SQLite may lose rows", advice)
    if kind in _MEMORY:
        advice = "put plant.state on a disk: what is here is gone when the machine restarts"
        return Finding("note", "disk", f"{text}, which is memory", advice)
    if kind in _LAYERED:
        advice = "mount a volume there: what is here is gone with the container"
        return Finding("note", "disk", f"{text}, the layers of a container", advice)
    return Finding("ok", "disk", text)


def check_space(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """What is free, what is used a day of readings, and how many days are left."""
    place = _existing(settings.state)
    free = shutil.disk_usage(place).free
    held, days = folder_bytes(settings.state), _days(survey)
    text = f"{size_text(free)} free on the disk of {place}"
    advice = "make room, or set retention.predictions"
    if not held or days < 1:
        low = free < LEAST_FREE
        yield Finding("note" if low else "ok", "space", text, advice if low else "")
        return
    a_day = held / days
    left = free / a_day
    text += (
        f"; the state folder holds {size_text(held)} of {days:,.0f} days, {size_text(a_day)} a day"
    )
    lasts = f"{left:,.0f} days" if left < 3650 else "over ten years"
    low = left < LEAST_DAYS or free < LEAST_FREE
    text = f"{text}: enough for {lasts}"
    yield Finding("note" if low else "ok", "space", text, advice if low else "")


def check_fsync(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """Whether the disk takes as long over what is to be kept for good as a disk has to."""
    place = _existing(settings.state)
    try:
        seconds = median(sync_seconds(place, times=SYNCS))
    except TransientError as error:
        yield Finding("ok", "fsync", f"not measured: {error}")
        return
    text = f"keeping 4 kB for good takes {seconds * 1e3:.3g} ms at {place}"
    if seconds < (LEAST_TURN_SECONDS if _turns(place) else LEAST_SYNC_SECONDS):
        text += ": quicker than a disk can be"
        advice = (
            "a loss of power may cost commits: switch off the volatile write cache (hdparm -W0), "
            "or let the virtual machine pass flushes on (cache=none); pm-app selftest --kill asks "
            "what a killed process costs, which is not this"
        )
        yield Finding("note", "fsync", text, advice)
        return
    yield Finding("ok", "fsync", text)


def file_system_of(place: Path) -> str:
    """The kind of the file system that a path lies on, as the kernel calls it; "" unknown."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    real = str(place.resolve())
    for line in lines:
        before, _, after = line.partition(" - ")
        mount = before.split(" ")[4].replace("\\040", " ")
        inside = real == mount or real.startswith(mount.rstrip("/") + "/")
        # Of mounts over each other the later one is seen.
        if inside and len(mount) >= len(best):
            best, kind = mount, after.split(" ")[0]
    return kind


def folder_bytes(folder: Path) -> int:
    """What files below a folder hold, of MOST_FILES of them at most."""
    total = count = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(path, name), follow_symlinks=False).st_size
            except OSError:
                continue
            count += 1
            if count >= MOST_FILES:
                return total
    return total


def _turns(place: Path) -> bool:
    """Whether the disk has platters; not to be seen of most virtual ones."""
    device = place.stat().st_dev
    name = f"/sys/dev/block/{os.major(device)}:{os.minor(device)}"
    for queue in (f"{name}/queue/rotational", f"{name}/../queue/rotational"):
        try:
            return Path(queue).read_text(encoding="ascii").strip() == "1"
        except OSError:
            continue
    return False


def _existing(path: Path) -> Path:
    """The path, or the nearest above it that is there."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def _days(survey: ReadingsSurvey) -> float:
    if survey.first is None or survey.last is None:
        return 0.0
    return (survey.last - survey.first) / NS / _DAY_SECONDS
