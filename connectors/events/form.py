"""What columns of events are called, and what their texts mean."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from connectors.columns.moments import DateOrder
from connectors.columns.times import TimeRules
from connectors.events.patterns import Patterns
from connectors.files.partitions import AssetPlace
from pm_app.settings.sources import EventFileSettings, EventsSettings
from pm_app.settings.values import fits_path
from pm_app.times import parse_duration

# What keys of plant.toml are called here.
_OTHERWISE = {"asset": "default_asset"}


@dataclass(frozen=True)
class EventsFormat:
    """What columns of events are called, and what their texts mean.

    Kinds are matched without regard to case; the code column may be absent. until_column:
    where there is one and it holds a time, the event happened between timestamp and then.
    asset_from, timezone, default_asset, latest, ignore: as of ReadingsFormat. texts: whether times
    may be written as text in files that have types of their own. files: patterns of paths, and
    what is otherwise in files that fit. The others: see EventsSettings.
    """

    asset_column: str = "asset_id"
    asset_from: str | None = None
    time_column: str = "timestamp"
    kind_column: str = "kind"
    code_column: str = "code"
    text_column: str | None = None
    until_column: str | None = None
    order_column: str | None = None
    changed_column: str | None = None
    timezone: str | None = None
    dates: DateOrder = "auto"
    counts: str | None = None
    default_asset: str | None = None
    default_kind: str | None = None
    states: bool = False
    latest: int | None = None
    ignore: tuple[str, ...] = ()
    kinds: tuple[tuple[str, str], ...] = ()
    codes: tuple[tuple[str, str], ...] = ()
    assets: tuple[tuple[str, str], ...] = ()
    ignore_rows: tuple[str, ...] = ()
    texts: bool = False
    files: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    def of_file(self, path: str) -> Self:
        """The format of the file with this path below the source."""
        _, keys = self._table_of(path)
        return replace(self, files=(), **keys)

    def digest_of(self, path: str, digest: str) -> str:
        """The digest of what a file says: lists of the same bytes may be of different kinds.

        digest: of its content.
        """
        pattern, _ = self._table_of(path)
        if pattern is None:
            return digest
        return hashlib.sha256(f"{digest}\n{pattern}".encode()).hexdigest()

    def _table_of(self, path: str) -> tuple[str | None, Mapping[str, Any]]:
        fitting = ((pattern, keys) for pattern, keys in self.files if fits_path(path, pattern))
        return next(fitting, (None, {}))

    @property
    def asset_place(self) -> AssetPlace:
        """Where a file tells its asset."""
        return AssetPlace(self.asset_column, self.asset_from)

    @property
    def time_rules(self) -> TimeRules:
        """How timestamps are read."""
        order = self.dates if self.texts else None
        return TimeRules(
            self.timezone, self.latest, section="events", order=order, counts=self.counts_ns
        )

    @property
    def counts_ns(self) -> int | None:
        """How long a step of times that count is."""
        return None if self.counts is None else parse_duration(self.counts)

    @property
    def columns(self) -> list[str]:
        """Every column that is read."""
        wanted = (self.asset_column, self.time_column, self.kind_column, self.code_column)
        others = (self.text_column, self.until_column, self.order_column, self.changed_column)
        return list(dict.fromkeys([*wanted, *(each for each in others if each is not None)]))

    @property
    def moment_columns(self) -> list[str]:
        """The columns that hold times."""
        named = (self.time_column, self.until_column, self.changed_column)
        return [each for each in named if each is not None]

    @cached_property
    def kind_patterns(self) -> Patterns:
        """Kinds by the texts of an export."""
        return Patterns(dict(self.kinds))

    @cached_property
    def code_patterns(self) -> Patterns:
        """Codes by the codes and texts of an export."""
        return Patterns(dict(self.codes))

    @cached_property
    def asset_patterns(self) -> Patterns:
        """Assets of the readings by the names of an export."""
        return Patterns(dict(self.assets))

    @cached_property
    def ignored(self) -> Patterns:
        """Texts of rows that are about nothing."""
        return Patterns(dict.fromkeys(self.ignore_rows, ""))


def events_format(settings: EventsSettings, *, texts: bool = False) -> EventsFormat:
    """The format that these settings ask for. texts: as of EventsFormat."""
    return EventsFormat(
        **_keys(settings, EventFileSettings.model_fields),
        ignore=settings.ignore,
        assets=tuple(settings.assets.items()),
        ignore_rows=settings.ignore_rows,
        texts=texts,
        files=tuple(
            (path, _keys(each, each.model_fields_set)) for path, each in settings.files.items()
        ),
    )


def _keys(settings: EventFileSettings, names: Iterable[str]) -> dict[str, Any]:
    """These keys as the format has them, tables as pairs."""
    given = {_OTHERWISE.get(name, name): getattr(settings, name) for name in names}
    return {
        name: tuple(value.items()) if isinstance(value, dict) else value
        for name, value in given.items()
    }
