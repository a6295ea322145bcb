"""Settings to objects: the one place where connectors meet the core."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import datetime
from functools import partial
from hashlib import sha256
from importlib import import_module
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

import pyarrow as pa

from connectors import RECORDER_KINDS, SOURCE_FORMATS, database_address
from connectors.engines import opened_engine
from connectors.formats import find_source_format
from pm_app.daemon.status import Backlog, Status, count_backlog, plant_status
from pm_app.errors import BadSettings, PmAppError
from pm_app.jobs.ingest.ownership import claim
from pm_app.jobs.operations.notifications import Notified, notify
from pm_app.jobs.plant import Plant
from pm_app.ports import (
    Engine,
    EventsSource,
    Feed,
    KeepsLearnedSensors,
    Lake,
    PreviewsEvents,
    Publisher,
    ReadingsSource,
)
from pm_app.records.alarms import WORK_ORDER
from pm_app.records.previews import EventsPreview, ProposedSettings
from pm_app.records.readings import Batch
from pm_app.settings.plant import Settings
from pm_app.settings.recorders import RecorderPlace, secret_variable
from pm_app.settings.web import OIDC_SECRET_VARIABLE
from pm_app.state.events import EventHistory
from pm_app.state.lock import hold_state
from pm_app.state.memory import Memories
from pm_app.state.panes import History
from pm_app.state.registry import Registry
from pm_app.store import Source, Store, open_reader, open_store
from pm_app.times import Stamp
from pm_app.wording import address_text

if TYPE_CHECKING:
    from connectors.cmapss import CmapssSummary

STORE_URL_VARIABLE = "PM_APP_STORE_URL"
NOTIFY_URLS_VARIABLE = "PM_APP_NOTIFY_URLS"
RECORDED_FORMATS = ("parquet", "auto")
_SECRETS, _PUBLISH = ("USER", "PASSWORD"), ("USER", "PASSWORD", "WEBHOOK")


@contextmanager
def open_plant(settings: Settings) -> Iterator[Plant]:
    """A plant for jobs to work on; the state folder is held until the block ends.

    Raises Busy when another process holds it, BadSettings and StoreUnavailable.
    """
    with hold_state(settings.state), open_plant_shared(settings) as plant:
        yield plant


@contextmanager
def open_plant_shared(settings: Settings) -> Iterator[Plant]:
    """A plant that another process may be working on, to move its champion pointer.

    A move is one transaction, and what scores looks at the pointer before every run. Anything
    else needs `open_plant`. Raises BadSettings, StoreUnavailable, and TerminalError where the
    database is another than the state folder's.
    """
    _keep_pandas_out()
    with open_store(store_url(settings), folder=settings.folder) as store:
        claim(settings.state, store)
        yield Plant(
            settings=settings,
            readings=_readings_for(settings, store),
            events=events_source(settings),
            history=History(settings.state / "panes", pane_ns=settings.features.pane_ns),
            event_history=EventHistory(settings.state / "events"),
            memories=Memories(settings.state / "memory"),
            registry=Registry(settings.state / "versions"),
            store=store,
            channels=tuple(notify_channels(settings)),
            fetch=partial(fetch_sources, settings),
        )


def open_views(settings: Settings) -> Store:
    """The store for reading only; blocks no job. Raises StoreUnavailable before the first."""
    _keep_pandas_out()
    return open_reader(store_url(settings), folder=settings.folder)


def open_users(settings: Settings) -> Store:
    """The store for its users' sake; made where there is none yet. Raises as `open_plant`."""
    return open_store(store_url(settings), folder=settings.folder)


def status_of(settings: Settings, *, now: Stamp) -> Status:
    """How the plant is, by its own files and store. Raises nothing but what settings raise."""
    with ExitStack() as stack:
        return plant_status(
            settings,
            lambda: stack.enter_context(open_views(settings)),
            partial(backlog_of, settings),
            now=now,
        )


def backlog_of(settings: Settings, store: Store) -> Backlog:
    """What waits at this moment. Raises SourceUnavailable and StoreUnavailable."""
    return count_backlog(store, readings_source(settings), events_source(settings))


def notify_channels(settings: Settings) -> dict[str, str]:
    """Address by name of channel; the environment's take the place of those of plant.toml."""
    given = os.environ.get(NOTIFY_URLS_VARIABLE, "").split() or settings.notifications.urls
    # A name that stays the same as others come and go, and tells nothing of a secret.
    channels = {f"message {sha256(url.encode()).hexdigest()[:8]}": url for url in given}
    if settings.notifications.work_orders:
        channels[WORK_ORDER] = settings.notifications.work_orders
    return channels


def notify_due(plant: Plant, *, now: datetime) -> Notified:
    """Tell what is due of the alarms of a plant. Raises StoreUnavailable."""
    from connectors.notifications import Carrier

    return notify(plant.store, plant.settings, notify_channels(plant.settings), Carrier(), now=now)


def try_channels(settings: Settings) -> dict[str, str]:
    """Send a word to every channel; "" or what went wrong, by what may be shown of its address."""
    from connectors.notifications import Carrier

    found, carrier = {}, Carrier()
    for name, address in notify_channels(settings).items():
        try:
            if name == WORK_ORDER:
                carrier.document(address, '{"test": true}')
            else:
                carrier.message(address, f"{settings.plant.name}: a test", "pm-app can reach you.")
            found[f"{name}, {address_text(address)}"] = ""
        except PmAppError as error:
            found[f"{name}, {address_text(address)}"] = str(error)
    return found


def oidc_secret() -> str:
    """What these pages show a provider of OpenID Connect as their own secret, "" without."""
    return os.environ.get(OIDC_SECRET_VARIABLE, "")


def store_url(settings: Settings) -> str:
    """Where predictions go: the environment first, then plant.toml, then the state folder."""
    default = f"sqlite:///{settings.plant.state}/pm.sqlite"
    return os.environ.get(STORE_URL_VARIABLE) or settings.store.url or default


def readings_source(settings: Settings, *, uri: str | None = None) -> ReadingsSource:
    """The source of readings that plant.toml names. uri: of another place. Raises BadSettings."""
    section, (name, place) = settings.readings, _placed(settings, "readings")
    return find_source_format("readings.format", name).open_readings(
        section, uri=place if uri is None else uri, label_column=settings.target.column
    )


def _readings_for(settings: Settings, store: Store) -> ReadingsSource:
    """The same, with what versions of this plant learned from."""
    source = readings_source(settings)
    if isinstance(source, KeepsLearnedSensors):
        source.keep(store.lineage.sensors())
    return source


def events_source(settings: Settings) -> EventsSource:
    """The source of events that plant.toml names. Raises BadSettings."""
    name, place = _placed(settings, "events")
    return find_source_format("events.format", name).open_events(settings.events, uri=place)


def _placed(settings: Settings, source: Source) -> tuple[str, str]:
    """Format and address of a source; what a database gives lies in the state folder."""
    section = settings.readings if source == "readings" else settings.events
    if database_address(source, section) is not None:
        return "sql", str(settings.state / "fetched" / source)
    return section.format, _located(section.uri, settings.folder)


def fetch_sources(
    settings: Settings, *, into: Path | None = None, most_rows: int | None = None
) -> dict[Source, str]:
    """Land what databases have that is new; where it lies, by source.

    into: another folder than the state's. Raises BadSettings and SourceUnavailable.
    """
    places: dict[Source, str] = {}
    sources: tuple[Source, ...] = ("readings", "events")
    for source in sources:
        section = settings.readings if source == "readings" else settings.events
        uri = database_address(source, section)
        if uri is not None:
            # Most plants have none.
            from connectors.sql import fetch, query_of

            asked = query_of(source, section, uri=uri, folder=settings.folder)
            folder = (settings.state / "fetched" if into is None else into) / source
            fetch(asked, folder, most_rows=most_rows)
            places[source] = str(folder)
    return places


def preview_events(settings: Settings, path: Path) -> EventsPreview:
    """Rows of a file as events. Raises BadSettings, BadBatch and SourceUnavailable."""
    section = settings.events
    name = "auto" if section.format in SOURCE_FORMATS else section.format
    folder, batch = _batch_of(settings, section.uri, path)
    found = find_source_format("events.format", name)
    source = found.open_events(section.model_copy(update={"format": name}), uri=folder)
    if not isinstance(source, PreviewsEvents):
        raise BadSettings(f"events.format = {name!r} cannot show what rows would become")
    return source.preview(batch)


def propose_settings(path: Path, source: Source) -> ProposedSettings:
    """Settings that would read a file. Raises BadSettings and BadBatch."""
    from connectors.proposal import propose_settings as propose

    return propose(path, source)


def open_readings_file(settings: Settings, path: Path) -> tuple[ReadingsSource, Batch]:
    """A file of readings, wherever it lies, and what reads it. Raises BadSettings."""
    folder, batch = _batch_of(settings, settings.readings.uri, path)
    source = readings_source(settings, uri=folder)
    if not path.name.lower().endswith(source.suffixes):
        shown = ", ".join(source.suffixes)
        raise BadSettings(f"{path}: needed {source.contents} ({shown}) for readings")
    return source, batch


def _batch_of(settings: Settings, uri: str, path: Path) -> tuple[str, Batch]:
    """A file in its folder, or in that of the plant's source above it: paths may name assets."""
    if not path.is_file():
        raise BadSettings(f"{path}: needed a file, got none")
    file, above = (Path(os.path.abspath(each)) for each in (path, settings.folder / uri))
    folder = above if "://" not in uri and file.is_relative_to(above) else file.parent
    about, place = path.stat(), file.relative_to(folder).as_posix()
    return str(folder), Batch(place, about.st_size, about.st_mtime_ns)


def open_engine(name: str | None) -> AbstractContextManager[Engine | None]:
    """Where work is done beside this process; None for in it. Raises as `opened_engine`."""
    return nullcontext() if name is None else opened_engine(name)


def open_lake(uri: str) -> Lake:
    """The Delta table at a folder or address. Raises BadSettings without its library."""
    # It is an extra.
    try:
        from connectors.lake import DeltaLake
    except ImportError as error:
        raise BadSettings("export --delta needs deltalake: pip install 'pm-app[lake]'") from error
    return DeltaLake(uri)


def recorded_folder(settings: Settings, name: str) -> Path:
    """Where a recorder's files go, below the plant's readings. Raises BadSettings."""
    uri, form = settings.readings.uri, settings.readings.format
    if form not in RECORDED_FORMATS:
        raise BadSettings(f"recorders write Parquet, and readings.format is {form!r}")
    if "://" in uri:
        raise BadSettings(f"recorders write to a local folder, and readings.uri is {uri!r}")
    return Path(_located(uri, settings.folder)) / name


def open_feed(settings: Settings, name: str) -> Feed:
    """The feed of a recorder that plant.toml names, not connected yet. Raises BadSettings."""
    recorder = settings.recorders[name]
    user, password = (os.environ.get(secret_variable(name, what), "") for what in _SECRETS)
    place = RecorderPlace(settings.plant.name, name, settings.folder, user, password)
    return cast(Feed, import_module(RECORDER_KINDS[recorder.kind]).make_feed(recorder, place))


def open_publishers(settings: Settings) -> dict[str, Publisher]:
    """Where predictions go, by name of channel; nothing is connected yet."""
    from connectors.mqtt.publisher import make_publishers

    user, password, webhook = (os.environ.get(f"PM_APP_PUBLISH_{w}", "") for w in _PUBLISH)
    place = RecorderPlace(settings.plant.name, "publisher", settings.folder, user, password)
    return make_publishers(settings.publish, place, webhook)


def watch_sources(
    settings: Settings, on_change: Callable[[], None]
) -> AbstractContextManager[bool]:
    """Word of new files in the folders of the plant's sources; True where any can be watched."""
    # Only the daemon watches.
    from connectors.files.watching import watched

    return watched([readings_source(settings), events_source(settings)], on_change)


def import_engines(source: Path, folder: Path, *, subset: str) -> "CmapssSummary":
    """NASA's C-MAPSS files laid out as a plant. Raises BadSettings."""
    # It needs pandas, which the scorer has no memory to spare for.
    from connectors.cmapss import import_cmapss

    return import_cmapss(source, folder, subset=subset)


def _keep_pandas_out() -> None:
    """Let pyarrow find no pandas.

    It imports pandas, once, at the first value that it converts, whether it needs it or not:
    half a second and 45 MB that scoring can do without. Others may still import it.
    """
    if "pandas" in sys.modules:
        return
    refusing = _NoPandas()
    sys.meta_path.insert(0, refusing)
    try:
        pa.scalar(0)
    finally:
        sys.meta_path.remove(refusing)


class _NoPandas(MetaPathFinder):
    """Says that pandas is not installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Raises ModuleNotFoundError for pandas, knows nothing of other modules."""
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is kept out while pyarrow looks for it")


def _located(uri: str, folder: Path) -> str:
    """A URI as it is; a path from where plant.toml lies."""
    return uri if "://" in uri else str((folder / uri).absolute())
