"""Listing of folders: which files are batches, which are left and why, whatever lies there.

What one entry answers (a link in circles, a name too long, a handle gone stale, no permission)
is said of that entry alone and holds up no other.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pm_app.records.readings import Batch, LeftFile

_UNFINISHED: Final = {"tmp", "part"}
# Who writes a file under a passing name is done with it by then, or never will be.
_ABANDONED_SECONDS: Final = 86_400.0
_LANGUAGES: Final = {
    "CSV or text": ("csv", "tsv", "txt", "dat", "asc"),
    "Excel": ("xlsx", "xls", "xlsm", "xlsb", "ods"),
    "JSON": ("json", "jsonl", "ndjson"),
    "an archive or compressed": ("gz", "bz2", "xz", "zst", "zip", "7z", "tar", "tgz", "rar"),
    "another table format": ("feather", "arrow", "orc", "avro", "h5", "hdf5", "mat", "pkl", "db"),
}
_LANGUAGE_OF: Final = {ending: name for name, endings in _LANGUAGES.items() for ending in endings}


@dataclass(frozen=True)
class FileNames:
    """Which names are those of batches.

    suffixes: what they end with, as ".parquet", in small or capital letters; contents: what
    the files are called.
    """

    suffixes: tuple[str, ...]
    contents: str = "files"

    def is_batch(self, name: str) -> bool:
        """Whether a file of this relative name is a batch: so ending, not hidden, finished."""
        if not name.lower().endswith(self.suffixes):
            return False
        parts = name.split("/")
        return not any(map(is_hidden, parts)) and not _is_unfinished(parts[-1])

    def why_left(self, name: str) -> str:
        """Why a file of this name that is no batch is left; "" where nobody wonders."""
        last = name.rpartition("/")[2]
        if any(map(is_hidden, name.split("/"))) or _is_unfinished(last):
            return ""
        ending = last.lower().rpartition(".")[2] if "." in last else ""
        shown = f"{ending[:20]!r} files" if ending else "files without an ending"
        found = _LANGUAGE_OF.get(ending, shown)
        needed = f"needed {self.contents} ({', '.join(self.suffixes)})"
        return f"{needed}, got {found}: have them exported or converted so"

    def is_unfinished_batch(self, last: str) -> bool:
        """Whether a hidden or unfinished file is to become a batch, by its last name."""
        plain = ".".join(part for part in last.split(".") if part.lower() not in _UNFINISHED)
        return plain.lower().endswith(self.suffixes)


def is_hidden(part: str) -> bool:
    """Whether a part of a path says that nobody is to look."""
    return part.startswith((".", "_"))


def _is_unfinished(last: str) -> bool:
    return not _UNFINISHED.isdisjoint(last.lower().split(".")[1:])


def list_local(root: str, names: FileNames) -> Iterator[Batch | LeftFile]:
    """Batches below `root`, and files that are left, in the order the system gives them.

    Folders that are links are not entered, for they may lead in circles or out of the plant;
    links to files count where the file lies below `root`. A name that is not UTF-8 is given
    with its odd bytes as backslash escapes. Raises OSError where `root` cannot be listed.
    """
    below = f"{os.path.realpath(root)}{os.sep}"
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if _is_folder(entry):
                        if not is_hidden(entry.name):
                            waiting.append(name)
                    elif (found := _found(entry, _legible(name), names, below)) is not None:
                        yield found
        except OSError as error:
            if not folder:
                raise
            yield LeftFile(f"{_legible(folder)}/", f"cannot be listed: {_words(error)}")


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:  # asked again, and told, as a file
        return False


def _found(
    entry: "os.DirEntry[str]", name: str, names: FileNames, below: str
) -> Batch | LeftFile | None:
    try:
        if names.is_batch(name):
            return _batch(entry, name, below)
        why = names.why_left(name) or _why_abandoned(entry, names)
        if why and entry.is_symlink() and entry.is_dir():
            why = "a link to a folder, not entered: put the folder itself there, or name it"
        return LeftFile(name, why) if why else None
    except FileNotFoundError:  # gone since it was listed
        return None
    except OSError as error:
        return LeftFile(name, f"cannot be read: {_words(error)}")


def _why_abandoned(entry: "os.DirEntry[str]", names: FileNames) -> str:
    if not names.is_unfinished_batch(entry.name):
        return ""
    if time.time() - entry.stat(follow_symlinks=False).st_mtime <= _ABANDONED_SECONDS:
        return ""
    return (
        'named as one that is still being written (leading "." or "_", ".tmp", ".part") for over '
        "a day: whoever writes it has to give it its final name"
    )


def _batch(entry: "os.DirEntry[str]", name: str, below: str) -> Batch | LeftFile | None:
    if entry.is_symlink():
        why = _why_not_followed(entry, below)
        if why:
            return LeftFile(name, why)
    elif not entry.is_file(follow_symlinks=False):
        return LeftFile(name, "no file: a device, a pipe or a socket")
    about = entry.stat()
    return Batch(name, about.st_size, about.st_mtime_ns)


def _why_not_followed(entry: "os.DirEntry[str]", below: str) -> str:
    """Raises OSError where a link leads in circles, or cannot be followed."""
    try:
        target = os.path.realpath(entry.path, strict=True)
    except FileNotFoundError:
        return "a link to a file that is not there: mend or remove it"
    if not target.startswith(below):
        return "a link that leads out of the folder, not followed: put the file itself there"
    return "" if os.path.isfile(target) else "a link to what is no file: mend or remove it"


def _words(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)


def _legible(name: str) -> str:
    # Nearly every name is plain, and a look asks this of all of them.
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")
