"""Trained versions on disk: immutable folders of plain files, each named by its hash.

    versions/000007/
        model.keras     to warm-start a refit from
        model.onnx      what scores
        card.json       all that explains it: names, importance, allocation, calibration, reports
        golden.npz      held-out rows and what Keras said of them
        manifest.json   SHA-256 of each of the above

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

import numpy as np
from pydantic import TypeAdapter, ValidationError

from pm_app.durable import fill_folder, make_folder, remove_folder, rename_folder
from pm_app.errors import BadVersion
from pm_app.records.learning import VersionCard
from pm_app.records.readings import Float32

_CARD = TypeAdapter(VersionCard)
_HASHES = TypeAdapter(dict[str, str])
_MANIFEST = "manifest.json"
# Names that are ours to delete: versions, and the one being written.
_OWN = re.compile(r"(\d{6,}|\.staging)")
_FILES = ("model.keras", "model.onnx", "card.json", "golden.npz")
VERSION_FILES = (*_FILES, _MANIFEST)
_UNREADABLE = (ValidationError, ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True, eq=False)
class Golden:
    """Held-out rows (n, n_features) as float32, and the Keras model's outputs (n, n_outputs)."""

    rows: Float32
    outputs: Float32


@dataclass(frozen=True, eq=False)
class Version:
    """A version as it is loaded: its number, its card, its graph and its golden rows."""

    number: int
    card: VersionCard
    onnx: bytes
    golden: Golden


def write_version(
    folder: Path, *, card: VersionCard, keras: bytes, onnx: bytes, golden: Golden
) -> None:
    """Fill a new folder with a version's files and their manifest."""
    buffer = io.BytesIO()
    np.savez(buffer, rows=golden.rows, outputs=golden.outputs)
    card_text = json.dumps(asdict(card), indent=1)
    contents = dict(zip(_FILES, (keras, onnx, card_text.encode(), buffer.getvalue()), strict=True))
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    manifest = json.dumps(hashes, indent=1).encode()
    fill_folder(folder, {**contents, _MANIFEST: manifest})


def read_version(folder: Path, *, number: int) -> Version:
    """The version in a folder, every file checked against its hash.

    Raises BadVersion naming the file that is missing, changed or unreadable.
    """
    contents = _verified(folder)
    try:
        card = _CARD.validate_json(contents["card.json"])
        with np.load(io.BytesIO(contents["golden.npz"]), allow_pickle=False) as arrays:
            golden = Golden(rows=arrays["rows"], outputs=arrays["outputs"])
    except _UNREADABLE as error:
        raise BadVersion(f"{folder}: card or golden rows cannot be read: {error}") from error
    return Version(number=number, card=card, onnx=contents["model.onnx"], golden=golden)


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
        _verified(staged)
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

    def keras_bytes(self, number: int) -> bytes:
        """The Keras file of a version, checked. Raises BadVersion."""
        return _verified(self.path(number))["model.keras"]

    def remove_unnamed(self, recorded: Collection[int]) -> list[str]:
        """Delete the folders of versions that are not recorded; returns their names."""
        named = {self.path(number).name for number in recorded}
        found = (path for path in self.folder.iterdir() if _OWN.fullmatch(path.name))
        orphans = [path for path in found if path.name not in named]
        for path in orphans:
            remove_folder(path)
        return sorted(path.name for path in orphans)


def _verified(folder: Path) -> dict[str, bytes]:
    manifest = folder / _MANIFEST
    try:
        hashes = _HASHES.validate_json(_read(manifest))
    except ValidationError as error:
        raise BadVersion(f"{manifest}: needed the SHA-256 of each file, got {error}") from error
    contents = {name: _read(folder / name) for name in _FILES}
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
