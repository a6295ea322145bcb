"""What the core needs from systems that are not ours; connectors fulfil these."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Protocol, runtime_checkable

from pm_app.records.alarms import (
    AlarmHistory,
    AlarmMarks,
    AlarmRule,
    AlarmStep,
    DataOutage,
    Transitions,
)
from pm_app.records.previews import EventsPreview
from pm_app.records.readings import (
    Batch,
    BatchDescription,
    Events,
    Flags,
    Int64,
    LeftFile,
    ReadingsChunk,
)
from pm_app.records.recording import FeedDelivery
from pm_app.settings.sources import EventsSettings, ReadingsSettings


class BatchSource(Protocol):
    """Where batches come from, whatever is in them."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the names of its batches end with, as ".parquet"."""
        ...

    @property
    def contents(self) -> str:
        """What its batches are called in messages, as "Parquet files"."""
        ...

    @property
    def watched_folder(self) -> str | None:
        """The local folder in which files with these suffixes are new batches, to be watched.

        None where there is none: the source is looked at by the clock alone.
        """
        ...

    def list(self) -> Iterator[Batch]:
        """Every batch there is now, in any order, without opening any.

        A folder may hold a million: whoever keeps them all needs memory for them.

        Hidden files and unfinished ones (".tmp", ".part", leading "." or "_") are passed over.
        Raises SourceUnavailable when a later call may succeed.
        """
        ...

    def left_files(self) -> Iterator[LeftFile]:
        """What lies where its batches do and is not read, in any order, without opening any.

        Other endings, links that lead out or in circles, entries that cannot be looked at.
        What is hidden or unfinished is passed over, as by `list`. A source without such files
        yields none. Raises SourceUnavailable when a later call may succeed.
        """
        ...

    def digest(self, batch: Batch) -> str:
        """SHA-256 of the content, hex: the identity of a batch, whatever its name.

        Where the name tells what the content is about, of that too.

        Raises SourceUnavailable.
        """
        ...

    def count(self, batch: Batch) -> int:
        """The rows of a batch by its own account, 0 where it gives none; raises nothing.

        Safe for any content: it is asked of batches that cannot be read.
        """
        ...

    def describe(self, batch: Batch) -> BatchDescription:
        """Rows and columns of a batch by its own account, without reading its rows.

        Every column is a sensor, undecided, left with a reason, or tells whose row it is, when
        it was and what it is about.
        Raises BadBatch, also where its columns cannot be readings or events, and
        SourceUnavailable.
        """
        ...


class ReadingsSource(BatchSource, Protocol):
    """Where batches of sensor readings come from."""

    def read(self, batch: Batch) -> Iterator[ReadingsChunk]:
        """The rows of a batch, some row groups at a time, in file order, so memory is flat.

        Every row of the batch is either in a chunk's readings or counted in its rejections:
        together they are as many as the batch says it has.
        The columns are those of this file: a new sensor appears, a missing one is absent, and
        the first chunk tells which are left out.
        Reading twice gives the same chunks.
        Raises BadBatch when nothing of it can be used, naming file, column and value, and
        SourceUnavailable when a later call may succeed.
        """
        ...


@runtime_checkable
class KeepsLearnedSensors(Protocol):
    """Readings whose source leaves columns out that an earlier one took for sensors."""

    def keep(self, learned: frozenset[str]) -> None:
        """Go on reading such columns where a version learned from them: it would miss them."""
        ...


class EventsSource(BatchSource, Protocol):
    """Where failures, repairs, errors and inspections come from.

    An absent folder lists nothing: no events yet.
    """

    def read(self, batch: Batch) -> tuple[Events, tuple[str, ...]]:
        """The events of a batch, and a reason for every row refused or repeated.

        Raises BadBatch and SourceUnavailable as ReadingsSource.read.
        """
        ...


@runtime_checkable
class PreviewsEvents(Protocol):
    """Events whose source tells what each row of a file would become."""

    def preview(self, batch: Batch) -> EventsPreview:
        """What each row would become, and what is left over. Raises as EventsSource.read."""
        ...


class SourceFormat(Protocol):
    """A kind of source by the name that `readings.format` and `events.format` give it.

    What fulfils this may be a module with these two functions. Nothing is opened yet.
    uri: the section's, a relative path made absolute. Both raise BadSettings.
    """

    def open_readings(
        self, settings: ReadingsSettings, *, uri: str, label_column: str | None
    ) -> ReadingsSource:
        """Readings, with columns named as these settings name them.

        label_column: the column that is learned where rows are those of plain tables
        (`target.kind = "column"`): read as a sensor even where sensors are named, and neither
        asset nor time column need be there.
        """
        ...

    def open_events(self, settings: EventsSettings, *, uri: str) -> EventsSource:
        """Events, with columns named as these settings name them."""
        ...


class AlarmJudge(Protocol):
    """What tells when alarms are raised, return and clear, from what the store shows it."""

    @property
    def rule(self) -> AlarmRule:
        """The risk or deviation that is watched, and its threshold."""
        ...

    @property
    def outage_cutoffs(self) -> int:
        """At how many newest cutoffs readings lack before that is an outage."""
        ...

    @property
    def channels(self) -> Sequence[str]:
        """The channels that are told of alarms."""
        ...

    def undecided(self, history: AlarmHistory) -> Flags:
        """Of which assets more of the past is needed to tell, (n_assets,)."""
        ...

    def transitions(self, history: AlarmHistory) -> Transitions:
        """What becomes of each asset's alarm."""
        ...

    def marks(self, history: AlarmHistory, upto: Int64) -> AlarmMarks:
        """What a later look may go on from at these cutoffs, (n_assets,)."""
        ...

    def outage(self, outage: DataOutage) -> AlarmStep | None:
        """What becomes of the plant's data alarm, None where nothing does."""
        ...


class Engine(Protocol):
    """Where work is done beside this process: lanes, each with an executor of its own."""

    @property
    def name(self) -> str:
        """What a person called it."""
        ...

    @property
    def lanes(self) -> int:
        """How many executors there are at once; one that breaks leaves the others alone."""
        ...

    @property
    def width(self) -> int:
        """How many tasks an executor works at side by side."""
        ...

    @property
    def lost(self) -> tuple[type[BaseException], ...]:
        """What a task's future raises where its worker went, and another may do it."""
        ...

    def open(self) -> Executor:
        """An executor for a lane, also in place of one that broke."""
        ...

    def workers(self) -> int:
        """How many workers there are now."""
        ...


class Lake(Protocol):
    """A table that others read, appended to."""

    @property
    def uri(self) -> str:
        """Where it is, without a secret."""
        ...

    def position(self, application: str) -> int | None:
        """How far this application has come in it, None before its first append.

        Raises TransientError when a later call may succeed, BadSettings.
        """
        ...

    def append(
        self, schema: Any, tables: Iterator[Any], *, application: str, position: int
    ) -> None:
        """Add pyarrow tables of a schema, and that the application came to `position`, or neither.

        Nothing is added where another process appended for the application since `position`
        was asked. Raises as `position`.
        """
        ...


class Publisher(Protocol):
    """Takes the newest predictions out of the plant."""

    @property
    def place(self) -> str:
        """Where they go, without secrets; another place has been told nothing yet."""
        ...

    def publish(self, documents: Sequence[tuple[str, str]]) -> None:
        """Deliver each asset's JSON document, in place of the one before.

        All of it is acknowledged at the end. Raises TransientError, BadSettings.
        """
        ...


class Sender(Protocol):
    """Carries words out of the plant, for several channels at the same time.

    Delivered is what whoever is there has acknowledged, within a time that has an end.
    """

    def message(self, address: str, title: str, body: str) -> None:
        """Deliver a message. Raises TransientError naming where it was to go, without secrets."""
        ...

    def document(self, address: str, content: str) -> None:
        """Deliver a JSON document. Raises as `message`; SourceUnavailable where no other
        document could be delivered there now, either."""
        ...


class Feed(Protocol):
    """Where a recorder's values come from: a broker, or a server that is subscribed to.

    One thread calls it. What is not acknowledged is handed over again after the next `open`, or
    can be read there, as far as broker or server keep it.
    """

    def open(self, newest: Mapping[tuple[str, str], int]) -> None:
        """Connect, and ask for what came since.

        newest: nanoseconds UTC of the newest value that is durable, by asset and sensor.
        Raises SourceUnavailable, and BadSettings where no later call may succeed.
        """
        ...

    def take(self, seconds: float) -> Sequence[FeedDelivery]:
        """What has come, waiting at most so long for the first; never more than some thousands.

        Raises SourceUnavailable where the connection is lost.
        """
        ...

    def acknowledge(self, deliveries: Sequence[FeedDelivery]) -> None:
        """These are durable: they need not be handed over again. Raises SourceUnavailable."""
        ...

    def remarks(self) -> tuple[str, ...]:
        """What is not as it should be though the connection stands, in words."""
        ...

    def close(self) -> None:
        """Let go of the connection, whatever its state; raises nothing."""
        ...
