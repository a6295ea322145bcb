"""Formats of sources by name: ours, and those that installed packages bring by entry point."""

from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Final, cast

from connectors import SOURCE_FORMATS
from pm_app.errors import BadSettings
from pm_app.ports import SourceFormat

SOURCES_GROUP: Final = "pm_app.sources"


def find_source_format(key: str, name: str) -> SourceFormat:
    """A format of ours, or one that an installed package brings by entry point.

    key: the setting that names it. Raises BadSettings where there is none, or its package fails.
    """
    # No more than one of them is used, and ours are faster to find.
    if name in SOURCE_FORMATS:
        return cast(SourceFormat, import_module(SOURCE_FORMATS[name]))
    brought = entry_points(group=SOURCES_GROUP)
    for entry in brought.select(name=name):
        return _loaded(key, entry)
    choices = sorted({*SOURCE_FORMATS, *brought.names})
    raise BadSettings(f"{key} must be one of {choices}, got {name!r}")


def _loaded(key: str, entry: EntryPoint) -> SourceFormat:
    package = entry.dist.name if entry.dist else entry.module
    try:
        found = entry.load()
    # Whatever a stranger's module does when it is imported, the settings are wrong to name it.
    except Exception as error:
        raise BadSettings(
            f"{key} = {entry.name!r}: package {package} cannot be imported: "
            f"{type(error).__name__}: {error}"
        ) from error
    for function in ("open_readings", "open_events"):
        if not callable(getattr(found, function, None)):
            raise BadSettings(
                f"{key} = {entry.name!r}: package {package} needed a function {function}, "
                f"got none in {entry.value!r}"
            )
    return cast(SourceFormat, found)
