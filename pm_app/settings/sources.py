"""Sections of plant.toml on sources: where readings and events come from, and their columns."""

from collections.abc import Sequence
from datetime import date
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import Field, field_serializer, model_validator

from pm_app.settings.sections import Section
from pm_app.settings.values import (
    Address,
    AssetInPath,
    Day,
    Duration,
    Name,
    Running,
    Sql,
    TagPattern,
    Text,
    Zone,
    read_running,
)
from pm_app.times import parse_duration

EventKind = Literal["failure", "maintenance", "error", "inspection"]
_WITHOUT_PATHS = ("sql", "delta")


class ReadingsSettings(Section):
    """Where readings come from and what their columns are called."""

    format: Name = Field(
        "auto",
        description="auto: by what lies at the uri, Parquet alone where there is any; parquet, "
        "csv, excel, sql, delta, or what a package of sources calls its own",
    )
    uri: Address = Field(
        "readings",
        description="folder beside this file, s3://bucket/prefix, or postgresql://user@host/database",
    )
    query: Sql | None = Field(
        None,
        description="of a database at the uri: what to ask for, as one SELECT",
        examples=["SELECT * FROM readings"],
    )
    watermark: Name | None = Field(
        None,
        description="of a database: the column of that query that grows with what is new",
        examples=["timestamp"],
    )
    lookback: Duration = Field(
        "1h", description="of a database: rows this much later than the newest are found as well"
    )
    layout: Literal["wide", "long"] = Field(
        "wide", description="wide: one numeric column a sensor; long: one row a tag's value"
    )
    asset_column: Name = Field("asset_id", description="which machine a row is about")
    asset_from: AssetInPath | None = Field(
        None,
        description="of files without that column: where their path names the machine; * and ? "
        "stand for others",
        examples=["{asset}_*.csv"],
    )
    asset: Name | None = Field(
        None,
        description="the one machine of files that name none",
        examples=["press 1"],
    )
    tags: tuple[TagPattern, ...] = Field(
        (),
        description="of columns or tags that name machine and sensor both: how they do; the first "
        "pattern that fits counts, * and ? stand for others",
        examples=[["{asset}.{sensor}"]],
    )
    time_column: Name = Field("timestamp", description="when it was read")
    tag_column: Name = Field("tag", description="long: which sensor a row is about")
    value_column: Name = Field("value", description="long: what it read")
    quality_column: Name = Field(
        "quality", description="long: whether that is good, where there is such a column"
    )
    timezone: Zone | None = Field(
        None,
        description="only where timestamps carry no zone of their own",
        examples=["Europe/Berlin"],
    )
    counts: Duration | None = Field(
        None,
        description="of times that are numbers and count: how long one is, such as a cycle, from "
        "2000-01-01 on; without it numbers are Unix times, their size tells the unit",
        examples=["1h"],
    )
    sensors: tuple[Name, ...] | None = Field(
        None,
        description="columns or tags to read; default: every numeric one",
        examples=[["vibration", "pressure"]],
    )
    ignore: tuple[Name, ...] = Field(
        (),
        description="columns or tags that are no sensors and that nobody has to hear of; "
        "* stands for anything",
        examples=[["Status", "Remark*"]],
    )
    decimal: Literal["auto", ",", "."] = Field(
        "auto",
        description="decimal sign of numbers written as text; auto: as each file shows, and "
        '"1,234" alone is refused',
    )
    dates: Literal["auto", "day first", "month first"] = Field(
        "auto",
        description="of dates with slashes in CSV; auto: as each file shows, and a file that does "
        "not show it is refused",
    )
    required: tuple[Name, ...] = Field(
        (), description="a file without values of these is quarantined", examples=[["vibration"]]
    )
    running: Running | None = Field(
        None,
        description="otherwise the machine is off, and not predicted for",
        examples=["vibration > 0.1"],
    )
    future: Duration = Field("1d", description="readings this far ahead of the clock are refused")
    earliest: Day = Field(date(2000, 1, 1), description="readings of days before are refused")

    @property
    def counts_ns(self) -> int | None:
        """How long a step of times that count is, in nanoseconds."""
        return None if self.counts is None else parse_duration(self.counts)

    @model_validator(mode="after")
    def _paths_are_of_files(self) -> Self:
        _check_paths(self)
        return self

    @model_validator(mode="after")
    def _machines_are_named_once(self) -> Self:
        if self.tags and (self.asset or self.asset_from):
            given = "asset" if self.asset else "asset_from"
            raise ValueError(f"tags and {given} both say which machine it is; needed one of them")
        return self

    @model_validator(mode="after")
    def _what_tells_running_is_read(self) -> Self:
        if self.running and self.sensors is not None:
            sensor, _ = read_running(self.running)
            if sensor not in self.sensors:
                raise ValueError(f"running names {sensor!r}, which is not among sensors")
        return self

    @model_validator(mode="after")
    def _what_is_used_is_not_ignored(self) -> Self:
        used = {"sensors": self.sensors or (), "required": self.required}
        used["running"] = (read_running(self.running)[0],) if self.running else ()
        for key, names in used.items():
            for name in names:
                if matches_any(name, self.ignore):
                    raise ValueError(f"ignore takes in {name!r}, which {key} names")
        return self


class _EventsPlace(Section):
    """Where events come from."""

    format: Name = Field(
        "auto",
        description="auto: by what lies there, Parquet alone where there is any; parquet, csv, "
        "excel, sql, or what a package of sources calls its own",
    )
    uri: Address = Field(
        "events",
        description="folder beside this file, s3://bucket/prefix, or postgresql://user@host/database",
    )
    query: Sql | None = Field(
        None,
        description="of a database at the uri: what to ask for, as one SELECT",
        examples=["SELECT * FROM work_orders"],
    )
    watermark: Name | None = Field(
        None,
        description="of a database: the column of that query that grows with what is new",
        examples=["changed_at"],
    )
    lookback: Duration = Field(
        "1h", description="of a database: rows this much later than the newest are found as well"
    )


class EventFileSettings(Section):
    """Where events come in files of several kinds, what is otherwise in those whose path fits:
    [events.files."*errors*"] with default_kind = "error". The first table that fits counts.
    """

    timezone: Zone | None = Field(
        None,
        description="only where timestamps carry no zone of their own",
        examples=["Europe/Berlin"],
    )
    counts: Duration | None = Field(
        None,
        description="of times that are numbers and count: how long one is, such as a cycle, from "
        "2000-01-01 on; without it numbers are Unix times, their size tells the unit",
        examples=["1h"],
    )
    asset_column: Name = Field("asset_id", description="which machine it happened to")
    asset_from: AssetInPath | None = Field(
        None,
        description="of files without that column: where their path names the machine; * and ? "
        "stand for others",
        examples=["{asset}_*.csv"],
    )
    asset: Name | None = Field(
        None,
        description="the one machine of files that name none",
        examples=["press 1"],
    )
    time_column: Name = Field("timestamp", description="when it happened")
    kind_column: Name = Field("kind", description="failure, maintenance, error or inspection")
    code_column: Name = Field("code", description="of what, where there is such a column")
    text_column: Name | None = Field(
        None,
        description="free text that codes are looked for in, where the code tells none",
        examples=["Kurztext"],
    )
    until_column: Name | None = Field(
        None,
        description="by when it had happened, where it did at some time from its timestamp on",
        examples=["until"],
    )
    order_column: Name | None = Field(
        None,
        description="number of a work order: what a later export says of it replaces what was "
        "said before",
        examples=["Auftrag"],
    )
    changed_column: Name | None = Field(
        None,
        description="when that order was last changed, empty where it never was: the newest counts",
        examples=["Geändert am"],
    )
    dates: Literal["auto", "day first", "month first"] = Field(
        "auto",
        description="of dates with slashes; auto: as each file shows, and a file that does not "
        "show it is refused",
    )
    kinds: dict[Name, EventKind] = Field(
        {},
        description="what texts of the kind column mean; * and ? stand for others, the first "
        "that fits counts",
        examples=[{"Störung*": "failure", "Wartung": "maintenance"}],
    )
    default_kind: EventKind | None = Field(
        None, description="of rows without a kind", examples=["failure"]
    )
    states: bool = Field(
        False,
        description="rows tell how a machine is, as a column of its status does: something "
        "happened where kind, code or text are not those of its row before, in the same file",
    )
    codes: dict[Name, Text] = Field(
        {},
        description='what codes and texts mean, the code first; a row that none fits is left; "" '
        "keeps it without a code",
        examples=[{"LAG-??": "bearing", "Lager*": "bearing", "*seal*": "seal"}],
    )


class EventsSettings(EventFileSettings, _EventsPlace):
    """Where failures, maintenance, errors and inspections come from; an absent folder: none yet."""

    assets: dict[Name, Name] = Field(
        {},
        description="what assets are called in the readings where a list calls them otherwise; "
        "* and ? stand for others, the first that fits counts",
        examples=[{"10004711": "pump-1", "P1 *": "pump-1"}],
    )
    ignore_rows: tuple[Name, ...] = Field(
        (),
        description="rows whose kind, code or text is one of these are about nothing that "
        "happened; * and ? stand for others",
        examples=[["Stundenzettel*", "scaffold*"]],
    )
    renewals: tuple[Name, ...] = Field(
        (),
        description="codes of maintenance after which a machine is as good as new, so that it "
        "ends a life without a failure; * stands for anything",
        examples=[["overhaul*"]],
    )
    ignore: tuple[Name, ...] = Field(
        (),
        description="columns that are not needed and that nobody has to hear of; * stands for "
        "anything",
        examples=[["Order*"]],
    )
    files: dict[Name, EventFileSettings] = Field(
        {}, description="by the path of a file, what is otherwise there: [events.files.NAME]"
    )

    @field_serializer("files")
    def _only_what_is_otherwise(
        self, files: dict[Name, EventFileSettings]
    ) -> dict[str, dict[str, object]]:
        return {path: each.model_dump(exclude_unset=True) for path, each in files.items()}

    @model_validator(mode="after")
    def _paths_are_of_files(self) -> Self:
        _check_paths(self)
        if self.files and (self.query or self.format in _WITHOUT_PATHS):
            raise ValueError(
                f"files is of files by their path, here {next(iter(self.files))!r}; a database has "
                "none, and its query can give every row a kind and a code"
            )
        return self


def _check_paths(section: ReadingsSettings | EventsSettings) -> None:
    if section.asset_from and (section.query or section.format in _WITHOUT_PATHS):
        raise ValueError(
            "asset_from is of files, whose paths name machines; a database or table names them in "
            f"asset_column, here {section.asset_column!r}"
        )


def matches_any(text: str, patterns: Sequence[str]) -> bool:
    """Whether a column or code is one of these, in which * and ? stand for others."""
    # A unit in brackets is part of a name, and no choice of letters.
    return any(fnmatchcase(text, pattern.replace("[", "[[]")) for pattern in patterns)
