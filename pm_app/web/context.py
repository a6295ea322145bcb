"""Page context: what all pages share, and the record by which each is registered."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from pm_app.daemon.status import Backlog, Status, plant_status
from pm_app.errors import TerminalError
from pm_app.jobs.plant import Plant
from pm_app.pictures.spark import HEIGHT, WIDTH
from pm_app.settings.modes import action_of
from pm_app.settings.plant import Settings
from pm_app.settings.sensors import sensor_text
from pm_app.state.events import EventHistory
from pm_app.state.panes import History
from pm_app.state.registry import Registry
from pm_app.store import AlarmRow, FleetRow, PredictionRow, Store
from pm_app.store.predictions.fleet import is_unusual
from pm_app.times import format_duration, read_clock
from pm_app.web.address import asset_address
from pm_app.web.identity import Authenticator, Person
from pm_app.web.notices import Notices, look_for_notices
from pm_app.web.prefix import prefixed_links
from pm_app.web.timed_cache import TimedCache
from pm_app.wording import (
    STATUS_WORDS,
    age_text,
    alarm_mode_text,
    deviation_text,
    drivers_text,
    life_text,
    mode_risks_text,
    mode_text,
    outdated_text,
    percent_text,
    unbroken_shares,
    visible_text,
)

if TYPE_CHECKING:
    # Authlib is an extra.
    from pm_app.web.auth.oidc import OidcClient

BACKLOG_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Resources:
    """Ways to the plant, each gone through when it is first needed: a plant may have no store yet.

    read: a reader of the store. backlog: what waits to be read and scored. write: the store, for
    what people do; None lets nobody do anything. plant: the plant, for moving its champion. oidc:
    who signs people in besides, None where nobody does.
    """

    read: Callable[[], Store]
    backlog: Callable[[Store], Backlog]
    write: Callable[[], Store] | None = None
    plant: Callable[[], AbstractContextManager[Plant]] | None = None
    oidc: "OidcClient | None" = None


class LazyStore:
    """A store, opened when it is first asked for and closed at the end."""

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open = open_store
        self._lock = Lock()
        self._store: Store | None = None

    def store(self) -> Store:
        """The store. Raises StoreUnavailable when a later call may succeed."""
        with self._lock:
            if self._store is None:
                self._store = self._open()
            return self._store

    def close(self) -> None:
        """Let go of the store where it was opened."""
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None


Role = Literal["viewer", "operator", "engineer"]


@dataclass(frozen=True, eq=False)
class Page:
    """One page: a folder of this name under web/pages and a row in its table.

    path: its address. add_routes: puts that and what else belongs to it on a router. role: whom
    its addresses take at least; None opens path and what is below to strangers. title: how the
    navigation calls it, "" keeps it out. position: in the bar of pages, or beside the name of
    who has signed in.
    """

    name: str
    path: str
    add_routes: "Callable[[APIRouter, PageContext], None]"
    title: str = ""
    position: Literal["bar", "account"] = "bar"
    role: Role | None = "viewer"


def _visible(value: Any) -> Any:
    """What a template shows, names that would look like others told apart."""
    if not isinstance(value, str):
        return value
    return Markup(visible_text(value)) if isinstance(value, Markup) else visible_text(value)


class PageContext:
    """What every page is shown with: settings, stores, templates, navigation, a clock."""

    def __init__(
        self,
        settings: Settings,
        resources: Resources,
        now: Callable[[], datetime],
        pages: Sequence[Page],
    ) -> None:
        self.settings = settings
        self.now = now
        self.authenticator = Authenticator(settings)
        self.oidc = resources.oidc
        self.zone = ZoneInfo(settings.plant.timezone)
        self._resources = resources
        self._reader = LazyStore(resources.read)
        self._writer = None if resources.write is None else LazyStore(resources.write)
        self._counting = Lock()
        self._counted: tuple[float, Backlog | None] = (0.0, None)
        self._templates = Environment(
            loader=PackageLoader("pm_app.web", "pages"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_visible,
        )
        self._pages = [page for page in pages if page.title]
        self._notices: TimedCache[Notices] = TimedCache()
        self._templates.filters |= self._filters()

    def _filters(self) -> dict[str, Callable[..., Any]]:
        """What templates call by name."""
        return {
            "local": self.local,
            "age": self._age,
            "outdated": self._outdated,
            "life": self._life,
            "percent": percent_text,
            "deviation": deviation_text,
            "unusual": is_unusual,
            "duration": format_duration,
            "drivers": drivers_text,
            "unbroken": unbroken_shares,
            "mode": mode_text,
            "mode_risks": mode_risks_text,
            "alarm_mode": lambda alarm: alarm_mode_text(alarm.mode, alarm.likeliest_mode),
            "action": self._action,
            "sensor": lambda name: sensor_text(name, self.settings.sensors),
            "status_words": lambda status: STATUS_WORDS.get(status, status),
            "asset_address": asset_address,
        }

    def store(self) -> Store:
        """The store, to read. Raises StoreUnavailable when a later call may succeed."""
        return self._reader.store()

    def writer(self) -> Store:
        """The store, for what people do. Raises as `store`, and TerminalError where it is not to
        be changed."""
        if self._writer is None:
            raise TerminalError("these pages only show; they were started without a way to change")
        return self._writer.store()

    @contextmanager
    def plant(self) -> Iterator[Plant]:
        """The plant, to change it. Raises as `open_plant_shared`, TerminalError where none may."""
        if self._resources.plant is None:
            raise TerminalError("these pages only show; they were started without a way to change")
        with self._resources.plant() as plant:
            yield plant

    def status(self) -> Status:
        """How the plant is; files that wait are counted anew every BACKLOG_SECONDS."""
        return plant_status(
            self.settings, self.store, self._count, now=read_clock(), today=self.now()
        )

    def _look(self) -> Notices:
        return look_for_notices(self.settings, self.store, now=self.now(), clock=read_clock())

    def close(self) -> None:
        """Let go of the stores."""
        self._reader.close()
        if self._writer is not None:
            self._writer.close()

    def _count(self, store: Store) -> Backlog:
        # Listing a folder of a million files takes seconds, and several may ask at once.
        with self._counting:
            at, counted = self._counted
            if counted is None or monotonic() - at > BACKLOG_SECONDS:
                counted = self._resources.backlog(store)
                self._counted = (monotonic(), counted)
            return counted

    def identify(self, request: Request) -> Person | None:
        """Who asks; None for a stranger. Raises StoreUnavailable."""
        return self.authenticator.identify(request, self.store, at=self.now())

    def by(self, person: Person) -> dict[str, Any]:
        """When and by whom something is done now, as what changes the plant takes it."""
        return {"at": self.now(), "actor": person.actor}

    def show(
        self,
        request: Request,
        page: Page,
        /,
        status: int = 200,
        template: str = "page",
        **facts: Any,
    ) -> Response:
        """A page of HTML, by a template of its folder; its title unless the facts hold one."""
        shown = {"title": page.title, **facts}
        return self._render(request, f"{page.name}/{template}.html", status, shown)

    def show_error(self, request: Request, status: int, title: str, message: str) -> Response:
        """A page that says what cannot be done and why."""
        facts = {"title": title, "message": message, "failed": status >= 500}
        return self._render(request, "error.html", status, facts)

    def _render(
        self, request: Request, template: str, status: int, facts: Mapping[str, Any]
    ) -> Response:
        person: Person | None = getattr(request.state, "person", None)
        html = self._templates.get_template(template).render(
            plant=self.settings.plant.name,
            zone=self.settings.plant.timezone,
            prefix=self.settings.web.prefix,
            at=self.now(),
            person=person,
            notices=None if person is None else self._notices.get("", self._look),
            navigation=[page for page in self._pages if _listed(page, person)],
            here=request.url.path,
            spark_size=(WIDTH, HEIGHT),
            **{"failed": False, "renews": status < 400 or status >= 500, **facts},
        )
        html = prefixed_links(html, self.settings.web.prefix)
        return Response(html, status, media_type="text/html")

    def local(self, moment: datetime) -> str:
        """A time as it is told at the plant."""
        return moment.astimezone(self.zone).strftime("%Y-%m-%d %H:%M")

    def _action(self, about: AlarmRow | str | None) -> str:
        """What is to be done about a failure mode, or about that of an alarm."""
        mode = about.likeliest_mode or about.mode if isinstance(about, AlarmRow) else about
        return action_of(mode, self.settings.modes)

    def _age(self, moment: datetime) -> str:
        return age_text((self.now() - moment).total_seconds())

    def _outdated(self, row: PredictionRow) -> str:
        return outdated_text((self.now() - row.cutoff).total_seconds(), row.horizon_hours)

    def _life(self, row: PredictionRow | FleetRow, cap_hours: float | None = None) -> str:
        cap = cap_hours or self.settings.target.cap_hours
        return life_text(row.rul_hours, row.rul_low_hours, row.rul_high_hours, cap_hours=cap)


def _listed(page: Page, person: Person | None) -> bool:
    """Whether the navigation leads there: not where it would end at a refusal."""
    needed = page.role or "viewer"
    return needed == "viewer" or (person is not None and person.may(needed))


@dataclass(frozen=True, eq=False)
class StateFolder:
    """The plant's state folder, only read. A server of pages may run where there is none."""

    settings: Settings

    @property
    def here(self) -> bool:
        """Whether all of it lies on this machine."""
        state = self.settings.state
        return all((state / name).is_dir() for name in ("panes", "events", "versions"))

    @cached_property
    def history(self) -> History:
        """Panes. Only where the folder is here."""
        return History(self.settings.state / "panes", pane_ns=self.settings.features.pane_ns)

    @cached_property
    def events(self) -> EventHistory:
        """Events. Only where the folder is here."""
        return EventHistory(self.settings.state / "events")

    @cached_property
    def registry(self) -> Registry:
        """Versions. Only where the folder is here."""
        return Registry(self.settings.state / "versions")
