"""Backup of a plant into one file while the daemon runs, restored whole or not at all.

The archive is a tar compressed with zstd: plant.toml, one state of the database, every file that
this state names, and last the SHA-256 of each. Files are immutable once they are named, so that
no job has to wait. Memory is left out: it is derived, and comes back by itself.
"""

import hashlib
import io
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
from pydantic import TypeAdapter, ValidationError

from pm_app.durable import make_folder, remove_file, remove_folder, rename_folder, write_file
from pm_app.errors import TerminalError
from pm_app.jobs.ingest.ownership import FILLED, OwnershipMark, is_filled, write_mark
from pm_app.state.registry import version_files
from pm_app.store import Source, Store, open_reader, open_store
from pm_app.store.database.backup import copy_store_file, load, require_vacant

DATABASE, MANIFEST, SETTINGS = "pm.sqlite", "manifest.json", "plant.toml"
STAGING: Final = ".restoring"
_HASHES = TypeAdapter(dict[str, str])
_PLACES: Final[dict[Source, str]] = {"readings": "panes", "events": "events"}
_MEMBER: Final = re.compile(
    r"pm\.sqlite|manifest\.json|plant\.toml|(panes|events)/[0-9A-Za-z][0-9A-Za-z_-]{0,99}\.parquet"
    r"|versions/\d{6,9}/[a-z]{1,20}\.[a-z]{1,10}"
)
# A file that vanishes meanwhile was replaced: the next snapshot names another.
TRIES: Final = 3
_LARGEST_MANIFEST: Final = 1_000_000_000
_LARGEST_SETTINGS: Final = 10_000_000
_LARGEST_HEADERS: Final = 64 << 20
# Databases shrink to a twentieth, Parquet hardly at all.
_MOST_TIMES: Final = 500
_BLOCK: Final = 1 << 20
_DAMAGED: Final = (tarfile.TarError, OSError, EOFError, pa.ArrowException, ValueError, KeyError)


@dataclass(frozen=True)
class Archived:
    """What an archive holds: files, their bytes, and the newest batch and version.

    left_out: what its database holds besides, which is not restored.
    """

    files: int
    bytes: int
    sequence: int
    version: int
    left_out: tuple[str, ...] = ()


def backup(store: Store, state: Path, file: Path, *, settings: Path) -> Archived:
    """Write a plant and its plant.toml, `settings`, into `file`; durable when it returns.

    Raises StoreUnavailable, TransientError where `file` cannot be written, and TerminalError
    where it names no file, or the database names one that the state folder does not hold.
    """
    _require_a_file_name(file)
    found: list[Archived] = []

    def fill(beside: Path) -> None:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".backup-") as scratch:
            found.append(_attempt(store, state, {SETTINGS: settings}, Path(scratch), beside))

    write_file(file, fill)
    return found[-1]


def _require_a_file_name(file: Path) -> None:
    try:
        usable = bool(file.name) and not file.is_dir()
    except (OSError, ValueError) as error:
        raise TerminalError(f"backup needs the name of a file to write: {error}") from error
    if not usable:
        raise TerminalError(f"backup needs the name of a file to write, got {str(file)!r}")


def restore(file: Path, state: Path, url: str, *, folder: Path) -> Archived:
    """Put the plant of an archive into an empty state folder and a database that is not there.

    Everything is read and verified before anything is put in place; the database comes last,
    so that a restore that was killed is merely done again. The caller holds the folder.
    Raises TerminalError where either is taken, or the archive is not whole and ours.
    """
    require_vacant(url, folder=folder)
    staging = state / STAGING
    if is_filled(state) and not staging.exists():
        raise TerminalError(f"restore needs an empty state folder, but {state} has files: move it")
    for name in (*FILLED, "memory", STAGING):
        remove_folder(state / name)
    make_folder(staging)
    try:
        hashes = _unpack(file, staging)
        mark, left_out = _verify(file, staging, hashes)
    except BaseException:
        remove_folder(staging)
        raise
    size = sum((staging / name).stat().st_size for name in hashes)
    for name in FILLED:
        make_folder(staging / name)
        rename_folder(staging / name, state / name)
    write_mark(state, mark)
    load(staging / DATABASE, url, folder=folder)
    remove_folder(staging)
    return Archived(len(hashes), size, mark.sequence, mark.version, left_out)


def archived_settings(file: Path) -> bytes | None:
    """plant.toml as the archive has it, None in one from before it was taken along.

    Whether the archive is whole only `restore` tells. Raises TerminalError where it is none.
    """
    try:
        with (
            pa.input_stream(str(file), compression="zstd") as packed,
            tarfile.open(fileobj=(bounded := _bounded(packed)), mode="r|") as archive,
        ):
            entry = archive.next()
            bounded.left += _LARGEST_SETTINGS
            ours = entry is not None and entry.isreg() and entry.name == SETTINGS
            if entry is None or not ours or entry.size > _LARGEST_SETTINGS:
                return None
            stream = archive.extractfile(entry)
            return stream.read() if stream is not None else None
    except _DAMAGED as error:
        raise _not_whole(file, error) from error


def _attempt(
    store: Store, state: Path, always: Mapping[str, Path], scratch: Path, beside: Path
) -> Archived:
    missing = ""
    for number in range(TRIES):
        copy = scratch / f"{number}.sqlite"
        store.save(copy)
        with open_reader(f"sqlite:///{copy.absolute()}") as snapshot:
            standing = snapshot.identity.state()
            named = {name: state / name for name in sorted(_named(snapshot, state))}
            files = {**always, DATABASE: copy, **named}
        try:
            size = _pack(beside, files)
        except FileNotFoundError as error:
            missing = str(error.filename)
            continue
        return Archived(len(files), size, standing.sequence, standing.version)
    raise TerminalError(f"backup needs every file that the database names, but {missing} is gone")


def _named(store: Store, state: Path) -> Iterator[str]:
    """Every file below the state folder that a database names."""
    for source, place in _PLACES.items():
        for row in store.ledger.ingested_batches(source):
            yield from (f"{place}/{name}" for name in row.segments)
    for version in store.lineage.versions():
        place = f"versions/{version.path}"
        yield from (f"{place}/{name}" for name in version_files(state / place))


def _pack(file: Path, files: Mapping[str, Path]) -> int:
    """Write the archive; returns the bytes it holds. Raises FileNotFoundError."""
    hashes: dict[str, str] = {}
    size = 0
    with (
        pa.output_stream(str(file), compression="zstd") as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        for name, path in files.items():
            with path.open("rb") as stream:
                length = path.stat().st_size
                hashes[name] = _add(archive, name, stream, length)
                size += length
        manifest = _HASHES.dump_json(hashes)
        _add(archive, MANIFEST, io.BytesIO(manifest), len(manifest))
    return size


def _add(archive: tarfile.TarFile, name: str, stream: IO[bytes], size: int) -> str:
    """One member; returns its SHA-256."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o640
    hashed = _Hashed(stream)
    archive.addfile(entry, hashed)
    return hashed.digest.hexdigest()


class _Hashed:
    """A stream that notes the SHA-256 of what is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """As the stream itself."""
        block = self.stream.read(size)
        self.digest.update(block)
        return block


def _unpack(file: Path, staging: Path) -> dict[str, str]:
    """Every member into the staging folder; the SHA-256 of each. Raises TerminalError."""
    hashes: dict[str, str] = {}
    try:
        with (
            pa.input_stream(str(file), compression="zstd") as packed,
            tarfile.open(fileobj=(bounded := _bounded(packed)), mode="r|") as archive,
        ):
            for entry in archive:
                _require_ours(file, entry, hashes, staging)
                bounded.left += entry.size
                stream = archive.extractfile(entry)
                if stream is None:
                    raise tarfile.TarError(f"{entry.name} has no content")
                hashes[entry.name] = _write(staging / entry.name, _blocks(file, stream))
                bounded.left = _LARGEST_HEADERS
                _require_credible(file, staging, hashes)
    except _DAMAGED as error:
        raise _not_whole(file, error) from error
    return hashes


class _Bounded:
    """An archive of which only so many bytes are left to read.

    tarfile takes the headers between two members into memory, however large they say they are.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.left = _LARGEST_HEADERS

    def read(self, size: int) -> bytes:
        """As the stream itself. Raises tarfile.ReadError beyond what is left."""
        block = self.stream.read(size)
        self.left -= len(block)
        if self.left < 0:
            raise tarfile.ReadError("a header is too large")
        return block


def _bounded(stream: IO[bytes]) -> Any:
    # tarfile reads it, and asks for nothing else of what its types name.
    return _Bounded(stream)


def _require_credible(file: Path, staging: Path, hashes: Mapping[str, str]) -> None:
    """Refuse an archive that unpacks into many times more than any backup does."""
    size = sum((staging / name).stat().st_size for name in hashes)
    if size > _LARGEST_HEADERS + _MOST_TIMES * file.stat().st_size:
        raise TerminalError(f"{file}: not a backup of pm-app: it unpacks into {size} bytes")


def _not_whole(file: Path, error: Exception) -> TerminalError:
    return TerminalError(f"{file}: not a whole backup of pm-app: {error}")


def _blocks(file: Path, stream: IO[bytes]) -> Iterator[bytes]:
    """What a member holds. An error of the archive is not taken for one of the disk."""
    try:
        while block := stream.read(_BLOCK):
            yield block
    except _DAMAGED as error:
        raise _not_whole(file, error) from error


def _require_ours(
    file: Path, entry: tarfile.TarInfo, before: dict[str, str], staging: Path
) -> None:
    """Refuse what a backup never holds: other names, links, devices, repeats, more than fits."""
    if (
        not (entry.isreg() and not entry.issparse() and _MEMBER.fullmatch(entry.name))
        or entry.name in before
    ):
        raise TerminalError(
            f"{file}: not a backup of pm-app: it holds {entry.name[:100]!r}, which no backup does"
        )
    free = shutil.disk_usage(staging).free
    if entry.size > free or (entry.name == MANIFEST and entry.size > _LARGEST_MANIFEST):
        raise TerminalError(f"{file}: {entry.name} needs {entry.size} bytes, {free} are free")


def _write(path: Path, blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()

    def fill(beside: Path) -> None:
        with beside.open("wb") as target:
            for block in blocks:
                digest.update(block)
                target.write(block)

    make_folder(path.parent)
    write_file(path, fill)
    return digest.hexdigest()


def _verify(
    file: Path, staging: Path, hashes: dict[str, str]
) -> tuple[OwnershipMark, tuple[str, ...]]:
    """Hold the members against the manifest, and them against what the database names."""
    if MANIFEST not in hashes:
        raise TerminalError(f"{file}: not a whole backup of pm-app: it ends before its manifest")
    try:
        manifest = _HASHES.validate_json((staging / MANIFEST).read_bytes())
    except ValidationError as error:
        raise TerminalError(f"{file}: damaged: its manifest cannot be read") from error
    del hashes[MANIFEST]
    if manifest != hashes:
        differing = sorted(set(manifest.items()) ^ set(hashes.items()))
        raise TerminalError(f"{file}: damaged: {differing[0][0]} is not what was backed up")
    remove_file(staging / MANIFEST)
    saved = staging / f"saved-{DATABASE}"
    (staging / DATABASE).rename(saved)
    try:
        left_out = copy_store_file(saved, staging / DATABASE)
    except TerminalError as error:
        raise TerminalError(f"{file}: {error}") from error
    remove_file(saved)
    with open_store(f"sqlite:///{(staging / DATABASE).absolute()}") as store:
        standing = store.identity.state()
        missing = sorted(set(_named(store, staging)) - set(hashes))
    if missing:
        raise TerminalError(f"{file}: its database names {missing[0]}, which it does not hold")
    return OwnershipMark(standing.identity, standing.sequence, standing.version), left_out
