"""Durable changes of files and folders: whole or not at all, also after the power fails.

Everything here raises TransientError, naming the path, where the disk is full, the folder cannot
be written to, or the like. What is made is closed to strangers: files 0640, folders 0750.
"""

import contextlib
import os
import pwd
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pm_app.errors import TransientError

FILE_MODE, FOLDER_MODE = 0o640, 0o750
INSTANT = "pm_app.instant"


def announce(step: str, subject: object) -> None:
    """Say that `step` is about to happen to `subject`, or that it just has.

    Nothing listens in a plant. A test that hooks into `sys.audit` may end the process at this
    instant, or raise what the operation to come would raise.
    """
    sys.audit(INSTANT, step, str(subject))


def make_folder(path: Path) -> None:
    """A folder that stays, and every one above it that is missing."""
    if path.is_dir():
        return
    with _translated(path, "made"):
        if path.parent != path:
            make_folder(path.parent)
        announce("make folder", path)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=FOLDER_MODE)
        _sync_folder(path.parent)
        if not path.is_dir():
            raise NotADirectoryError(None, "a file of that name is in the way")


def make_file(path: Path) -> None:
    """An empty file where there is none."""
    if path.exists():
        return
    with _translated(path, "made"):
        announce("make file", path)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
        _sync_folder(path.parent)


def write_file(path: Path, write: Callable[[Path], object], *, mode: int = FILE_MODE) -> None:
    """Let `write` fill a file beside `path`, make it durable, then give it its name.

    mode: takes permissions away, never adds any to those that `write` gives.
    """
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with _translated(path, "written"):
            announce("write", path)
            # Of an attempt that died: not every writer begins at the first byte.
            beside.unlink(missing_ok=True)
            write(beside)
            os.chmod(beside, stat.S_IMODE(beside.stat().st_mode) & mode)
            announce("sync", path)
            _sync(beside)
            announce("rename", path)
            os.replace(beside, path)
            _sync_folder(path.parent)
            announce("written", path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Durable bytes under this name, whole or not at all."""
    write_file(path, lambda beside: beside.write_bytes(content))


def copy_file(source: Path, path: Path) -> None:
    """A durable copy under this name, whole or not at all."""
    write_file(path, lambda beside: shutil.copyfile(source, beside))


def open_growing(path: Path) -> int:
    """A handle of a new file that is to grow by `append_bytes`; to be closed."""
    with _translated(path, "made"):
        announce("make file", path)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL, FILE_MODE)
        _sync_folder(path.parent)
        return handle


def append_bytes(handle: int, path: Path, content: bytes, *, length: int) -> int:
    """Add bytes to a growing file of that length, durably; its new length.

    What fails is cut off again, as far as the disk lets us: the file is to be used no more.
    """
    try:
        with _translated(path, "added to"):
            announce("append", path)
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(handle, rest) :]
            announce("sync", path)
            os.fdatasync(handle)
            announce("appended", path)
    except TransientError:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, length)
        raise
    return length + len(content)


def write_passing(path: Path, content: bytes) -> None:
    """Bytes of passing worth under this name: whole, but lost where the power fails."""
    beside = path.with_name(f".{path.name}.tmp")
    with _translated(path, "written"):
        announce("write", path)
        beside.write_bytes(content)
        os.chmod(beside, FILE_MODE)
        announce("rename", path)
        os.replace(beside, path)


def fill_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """A new folder with these files; durable only once `rename_folder` gives it its name."""
    make_folder(folder)
    for name, content in contents.items():
        with _translated(folder / name, "written"):
            announce("write", folder / name)
            (folder / name).write_bytes(content)
            os.chmod(folder / name, FILE_MODE)


def rename_folder(beside: Path, path: Path) -> None:
    """Give a complete folder its name; everything in it is durable first."""
    with _translated(path, "written"):
        announce("sync", path)
        for item in sorted(beside.rglob("*")):
            _sync(item)
        _sync(beside)
        announce("rename", path)
        os.replace(beside, path)
        _sync_folder(path.parent)
        announce("written", path)


def remove_file(path: Path) -> None:
    """Delete a file, if it is there."""
    with _translated(path, "removed"):
        announce("remove", path)
        path.unlink(missing_ok=True)


def remove_folder(path: Path) -> None:
    """Delete a folder and all in it, if it is there."""
    with _translated(path, "removed"), contextlib.suppress(FileNotFoundError):
        announce("remove", path)
        shutil.rmtree(path)


def sync_seconds(folder: Path, *, times: int, most_seconds: float = 1.0) -> list[float]:
    """How long the disk of a folder takes to keep 4 KiB for good, again and again.

    The file has no name and goes with this call. Raises TransientError where that cannot be.
    """
    found: list[float] = []
    with _translated(folder, "measured"):
        handle = os.open(folder, os.O_TMPFILE | os.O_RDWR, FILE_MODE)
        try:
            while len(found) < times and sum(found) < most_seconds:
                os.pwrite(handle, os.urandom(4096), 4096 * len(found))
                began = time.perf_counter()
                os.fsync(handle)
                found.append(time.perf_counter() - began)
        finally:
            os.close(handle)
    return found


def _sync_folder(path: Path) -> None:
    announce("sync folder", path)
    _sync(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _translated(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        denied = isinstance(error, PermissionError) and denial(path, writing=True)
        reason = denied or error.strerror or error
        raise TransientError(f"{path}: cannot be {what}: {reason}") from error


def denial(path: Path, *, writing: bool = False) -> str:
    """Whose a path is that this user may not use, and what to do; "" where they may.

    Of what is not there the folder it would lie in counts, where writing.
    """
    place, last = path.absolute(), Path("/")
    for at in (*reversed(place.parents), place):
        if not os.access(at, os.F_OK):
            break
        if at != place and not at.is_dir():
            # A file in the way is another error, with other words.
            return ""
        last, needed = at, os.X_OK
        if at == place:
            needed = os.R_OK | (os.W_OK if writing else 0)
        if not os.access(at, needed):
            return _whose(at)
    return _whose(last) if writing and not os.access(last, os.W_OK) else ""


def _whose(path: Path) -> str:
    there = path.stat()
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"{path} lies on a disk that is mounted for reading only"
    owner, user, mode = _user(there.st_uid), _user(os.geteuid()), stat.filemode(there.st_mode)
    if owner == user:
        return f"{path} is closed to {user}, whose it is ({mode}): chmod u+rwX opens it"
    return (
        f"{path} belongs to {owner} and is closed to {user} ({mode}): run this as {owner} "
        f"(sudo -u {owner} pm-app ...)"
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
