"""Asset in the path of a file: Hive partitions, as in `asset_id=pump-1/x.parquet`, or a pattern.

Of partitions only the asset is read; other keys are left columns. A column of the file counts
before the path, a partition before a pattern.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from connectors.columns.values import why_no_asset
from connectors.files.folder import Folder
from pm_app.errors import BadBatch
from pm_app.records.readings import Batch, LeftColumn, Rejection
from pm_app.settings.sources import matches_any
from pm_app.settings.values import asset_in_path

_NULL: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class AssetPlace:
    """Where a file tells its asset: in this column, or where its path fits this pattern.

    pattern: as `readings.asset_from` has it, if at all.
    """

    column: str
    pattern: str | None = None

    def in_path(self, name: str) -> dict[str, str | None]:
        """The asset's column and value as a batch's name has it, None for null; or nothing."""
        partitions = partitions_of(name)
        if self.column in partitions:
            return {self.column: partitions[self.column]}
        found = asset_in_path(name, self.pattern) if self.pattern else None
        return {} if found is None else {self.column: found}


def partitions_of(name: str) -> dict[str, str | None]:
    """Keys and values in the folders of a batch's name, None for null."""
    found: dict[str, str | None] = {}
    for part in name.split("/")[:-1]:
        key, sign, value = part.partition("=")
        if sign and key:
            found[unquote(key)] = None if value == _NULL else unquote(value)
    return found


def asset_of_path(name: str, place: AssetPlace, columns: Sequence[str]) -> str | None:
    """The asset that a file's path names, None where it names none or the file has its own.

    columns: those of the file. Raises BadBatch where the path's value names nothing.
    """
    column, found = place.column, place.in_path(name)
    if column in columns or column not in found:
        return None
    value = found[column]
    if value is None:
        raise BadBatch(f"{name}: {column} is null in its path; needed the name of an asset")
    why = why_no_asset(value)
    if why:
        raise BadBatch(f"{name}: {column} in its path {why}")
    return value


def differing_asset(name: str, place: AssetPlace, assets: Sequence[str]) -> Iterator[Rejection]:
    """A note where the path names another asset than the file does. assets: the file's own."""
    column = place.column
    value = place.in_path(name).get(column)
    others = [asset for asset in assets if asset != value]
    if value is not None and others:
        yield Rejection(
            0, f"{column} is {value!r} in its path and {others[0]!r} in the file, which counts"
        )


def unfit_note(section: str, pattern: str) -> str:
    """What to add of a file without an asset whose path does not fit this pattern."""
    return f'; nor does its path fit {section}.asset_from = "{pattern}"'


def left_partitions(
    name: str, place: AssetPlace, columns: Sequence[str], ignore: Sequence[str]
) -> tuple[LeftColumn, ...]:
    """Keys of a path that are not read. columns: those of the file."""
    column = place.column
    others = [key for key in partitions_of(name) if key != column and key not in columns]
    return tuple(
        LeftColumn(key, "is ignored by the settings", "settings")
        if matches_any(key, ignore)
        else LeftColumn(key, f"stands in the path alone, where only {column} is read", "unused")
        for key in others
    )


def partition_digest(
    folder: Folder, batch: Batch, place: AssetPlace, columns_of: Callable[[Batch], Sequence[str]]
) -> str:
    """The digest of a file's content, and of the asset that its path names for it.

    Two machines that stand still may send the same bytes. columns_of: names of a file's columns,
    asked only where its path may tell the asset. Raises as Folder.digest.
    """
    digest = folder.digest(batch)
    if not place.in_path(batch.name):
        return digest
    with suppress(BadBatch):
        asset = asset_of_path(batch.name, place, columns_of(batch))
        if asset is not None:
            return hashlib.sha256(f"{digest}\n{asset}".encode()).hexdigest()
    return digest
