"""What columns of events are called, and what their texts mean."""

from dataclasses import dataclass
from functools import cached_property

from connectors.columns.moments import DateOrder
from connectors.columns.times import TimeRules
from connectors.events.patterns import Patterns
from connectors.parquet.partitions import AssetPlace
from pm_app.settings.sources import EventsSettings


@dataclass(frozen=True)
class EventsFormat:
    """What columns of events are called, and what their texts mean.

    Kinds are matched without regard to case; the code column may be absent. until_column:
    where there is one and it holds a time, the event happened between timestamp and then.
    asset_from, timezone, default_asset, latest, ignore: as of ReadingsFormat. texts: whether times
    may be written as text in files that have types of their own. The others: see EventsSettings.
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
    default_asset: str | None = None
    default_kind: str | None = None
    latest: int | None = None
    ignore: tuple[str, ...] = ()
    kinds: tuple[tuple[str, str], ...] = ()
    codes: tuple[tuple[str, str], ...] = ()
    assets: tuple[tuple[str, str], ...] = ()
    ignore_rows: tuple[str, ...] = ()
    texts: bool = False

    @property
    def asset_place(self) -> AssetPlace:
        """Where a file tells its asset."""
        return AssetPlace(self.asset_column, self.asset_from)

    @property
    def time_rules(self) -> TimeRules:
        """How timestamps are read."""
        order = self.dates if self.texts else None
        return TimeRules(self.timezone, self.latest, section="events", order=order)

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
        asset_column=settings.asset_column,
        asset_from=settings.asset_from,
        time_column=settings.time_column,
        kind_column=settings.kind_column,
        code_column=settings.code_column,
        text_column=settings.text_column,
        until_column=settings.until_column,
        order_column=settings.order_column,
        changed_column=settings.changed_column,
        timezone=settings.timezone,
        dates=settings.dates,
        default_asset=settings.asset,
        default_kind=settings.default_kind,
        ignore=settings.ignore,
        kinds=tuple(settings.kinds.items()),
        codes=tuple(settings.codes.items()),
        assets=tuple(settings.assets.items()),
        ignore_rows=settings.ignore_rows,
        texts=texts,
    )
