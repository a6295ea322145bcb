"""Trained versions on disk: immutable folders of plain files, each named by its hash.

    versions/000007/
        model.keras     to warm-start a refit from
        model.onnx      what scores
        card.json       all that explains it: names, importance, allocation, calibration, reports
        golden.npz      held-out rows and what Keras said of them
        normal.onnx     the normal behaviour whose deviation it reads, and normal.json, its card;
                        only where it reads one
        manifest.json   SHA-256 of each of the above

A version of what is normal is the same without model.keras: nothing is refitted from it. Its golden
outputs are the score and the residuals.

A version counts once a row of the store names it; until then it is an orphan. Nothing here is
ever unpickled.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from pydantic import TypeAdapter, ValidationError

from pm_app.durable import fill_folder, make_folder, remove_folder, rename_folder
from pm_app.errors import BadVersion
from pm_app.records.learning import VersionCard
from pm_app.records.normality import FrozenNormal, NormalCard
from pm_app.records.readings import Float32

_Card = TypeVar("_Card", VersionCard, NormalCard)
_CARD = TypeAdapter(VersionCard)
_NORMAL_CARD = TypeAdapter(NormalCard)
_HASHES = TypeAdapter(dict[str, str])
_MANIFEST = "manifest.json"
# Names that are ours to delete: versions, and the one being written.
_OWN = re.compile(r"(\d{6,}|\.staging)")
_NORMAL = ("model.onnx", "card.json", "golden.npz")
_FILES = ("model.keras", *_NORMAL)
_FROZEN = ("normal.onnx", "normal.json")
_UNREADABLE = (ValidationError, ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, eq=False)
class Golden:
    """Held-out rows (n, n_features) as float32, and what was learned says of them, (n, n_outputs):
    the Keras model, or for normal behaviour the score and the residual of each sensor."""

    rows: Float32
    outputs: Float32


@dataclass(frozen=True, eq=False)
class Version:
    """A version as it is loaded: its number, its card, its graph and its golden rows.

    normal: the normal behaviour whose deviation it reads, None where it reads none.
    """

    number: int
    card: VersionCard
    onnx: bytes
    golden: Golden
    normal: FrozenNormal | None = None


@dataclass(frozen=True, eq=False)
class NormalVersion:
    """A version of normal behaviour as it is loaded."""

    number: int
    card: NormalCard
    onnx: bytes
    golden: Golden


def write_version(
    folder: Path,
    *,
    card: VersionCard,
    keras: bytes,
    onnx: bytes,
    golden: Golden,
    normal: FrozenNormal | None = None,
) -> None:
    """Fill a new folder with a version's files and their manifest."""
    files = dict(zip(_FILES, (keras, onnx, _json(card), _arrays(golden)), strict=True))
    if normal is not None:
        files |= dict(zip(_FROZEN, (normal.onnx, _json(normal.card)), strict=True))
    _fill(folder, files)


def write_normal(folder: Path, *, card: NormalCard, onnx: bytes, golden: Golden) -> None:
    """Fill a new folder with the files of a normal behaviour and their manifest."""
    _fill(folder, dict(zip(_NORMAL, (onnx, _json(card), _arrays(golden)), strict=True)))


def read_version(folder: Path, *, number: int) -> Version:
    """The version in a folder, every file checked against its hash.

    Raises BadVersion naming the file that is missing, changed or unreadable.
    """
    contents = _verified(folder, _FILES)
    card, golden = _card_and_golden(folder, contents, _CARD)
    normal = _frozen(folder, contents, card.normal_version)
    return Version(number, card, contents["model.onnx"], golden, normal)


def _frozen(folder: Path, contents: dict[str, bytes], number: int) -> FrozenNormal | None:
    """The normal behaviour that a version keeps, None where its card names none."""
    if not number:
        return None
    if not contents.keys() >= set(_FROZEN):
        raise BadVersion(f"{folder}: its card reads a normal behaviour, which is not there")
    onnx, card = (contents[name] for name in _FROZEN)
    try:
        return FrozenNormal(number, _NORMAL_CARD.validate_json(card), onnx)
    except ValidationError as error:
        raise BadVersion(f"{folder / _FROZEN[1]}: cannot be read: {error}") from error


def version_files(folder: Path) -> tuple[str, ...]:
    """Names of a version's files as its manifest has them, and the manifest; that alone where it
    cannot be read."""
    try:
        return (*_HASHES.validate_json(_read(folder / _MANIFEST)), _MANIFEST)
    except (BadVersion, ValidationError):
        return (_MANIFEST,)


def read_normal(folder: Path, *, number: int) -> NormalVersion:
    """The normal behaviour in a folder. Raises as read_version."""
    contents = _verified(folder, _NORMAL)
    card, golden = _card_and_golden(folder, contents, _NORMAL_CARD)
    return NormalVersion(number=number, card=card, onnx=contents["model.onnx"], golden=golden)


class Registry:
    """The folder of versions of one plant."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folder(folder)

    def path(self, number: int) -> Path:
        """Where version `number` lies."""
        return self.folder / f"{number:06d}"

    def staging(self) -> Path:
        """Where the next version is written before it has a number; emptied on every call."""
        folder = self.folder / ".staging"
        remove_folder(folder)
        return folder

    def publish(self, staged: Path, number: int) -> None:
        """Make a staged, verified version durable under its number.

        What a crash left under that number, named by no row, is replaced.
        """
        _verified(staged, _NORMAL)
        remove_folder(self.path(number))
        rename_folder(staged, self.path(number))

    def digest(self, number: int) -> str:
        """SHA-256 of a version's manifest, which names all its files by theirs.

        Raises BadVersion where there is none.
        """
        return hashlib.sha256(_read(self.path(number) / _MANIFEST)).hexdigest()

    def load(self, number: int) -> Version:
        """Version `number`. Raises BadVersion."""
        return read_version(self.path(number), number=number)

    def load_normal(self, number: int) -> NormalVersion:
        """Version `number`, one of normal behaviour. Raises BadVersion."""
        return read_normal(self.path(number), number=number)

    def keras_bytes(self, number: int) -> bytes:
        """The Keras file of a version, checked. Raises BadVersion."""
        return _verified(self.path(number), _FILES)["model.keras"]

    def remove_unnamed(self, recorded: Collection[int]) -> list[str]:
        """Delete the folders of versions that are not recorded; returns their names."""
        named = {self.path(number).name for number in recorded}
        found = (path for path in self.folder.iterdir() if _OWN.fullmatch(path.name))
        orphans = [path for path in found if path.name not in named]
        for path in orphans:
            remove_folder(path)
        return sorted(path.name for path in orphans)


def _json(card: VersionCard | NormalCard) -> bytes:
    return json.dumps(asdict(card), indent=1).encode()


def _arrays(golden: Golden) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, rows=golden.rows, outputs=golden.outputs)
    return buffer.getvalue()


def _fill(folder: Path, contents: dict[str, bytes]) -> None:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = json.dumps(hashes, indent=1).encode()
    fill_folder(folder, {**contents, _MANIFEST: manifest})


def _card_and_golden(
    folder: Path, contents: dict[str, bytes], kind: TypeAdapter[_Card]
) -> tuple[_Card, Golden]:
    try:
        card = kind.validate_json(contents["card.json"])
        with np.load(io.BytesIO(contents["golden.npz"]), allow_pickle=False) as arrays:
            return card, Golden(rows=arrays["rows"], outputs=arrays["outputs"])
    except _UNREADABLE as error:
        raise BadVersion(f"{folder}: card or golden rows cannot be read: {error}") from error


def _verified(folder: Path, files: Collection[str]) -> dict[str, bytes]:
    """These files, and those that the manifest names beside them."""
    manifest = folder / _MANIFEST
    try:
        hashes = _HASHES.validate_json(_read(manifest))
    except ValidationError as error:
        raise BadVersion(f"{manifest}: needed the SHA-256 of each file, got {error}") from error
    named = (name for name in (*_FILES, *_FROZEN) if name in files or name in hashes)
    contents = {name: _read(folder / name) for name in named}
    for name, content in contents.items():
        found = hashlib.sha256(content).hexdigest()
        if hashes.get(name) != found:
            raise BadVersion(
                f"{folder / name}: changed since it was published: "
                f"SHA-256 {hashes.get(name)} was recorded, {found} found"
            )
    return contents


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadVersion(f"{path}: not a whole version: {error.strerror}") from error
