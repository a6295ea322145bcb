"""The pages put together: one application over one store, which it only reads."""

import logging
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException

from pm_app.errors import PmAppError
from pm_app.settings import Settings
from pm_app.store import Store
from pm_app.web.asset import add_asset
from pm_app.web.asset_address import asset_address
from pm_app.web.data import add_data
from pm_app.web.files import FLEET_SCHEMA, as_file, fleet_table
from pm_app.web.fleet import BadAddress, fleet_facts, read_address
from pm_app.web.guard import guard
from pm_app.web.models import add_models
from pm_app.web.spark import HEIGHT, WIDTH
from pm_app.web.texts import NAVIGATION, TEXTS

log = logging.getLogger(__name__)
_STATIC: Final = Path(__file__).with_name("static")


class Shelf:
    """The store, opened when it is first asked for: a plant may not have one yet."""

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


class Pages:
    """Templates filled with what every page shows: the plant, its time zone, the time."""

    def __init__(self, settings: Settings, now: Callable[[], datetime]) -> None:
        self.settings = settings
        self.now = now
        self.zone = ZoneInfo(settings.plant.timezone)
        self._templates = Environment(
            loader=PackageLoader("pm_app.web"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["local"] = self._local
        self._templates.filters["asset_address"] = asset_address

    def show(self, name: str, status: int = 200, **facts: Any) -> Response:
        """A page of HTML."""
        page = self._templates.get_template(f"{name}.html").render(
            plant=self.settings.plant.name,
            zone=self.settings.plant.timezone,
            at=self.now(),
            texts=TEXTS,
            navigation=NAVIGATION,
            here=f"/{name}",
            spark_size=(WIDTH, HEIGHT),
            **facts,
        )
        return Response(page, status, media_type="text/html")

    def trouble(self, status: int, title: str, words: str) -> Response:
        """A page that says what cannot be shown and why."""
        return self.show("trouble", status, title=title, words=words)

    def _local(self, moment: datetime) -> str:
        return moment.astimezone(self.zone).strftime("%Y-%m-%d %H:%M")


def make_app(
    settings: Settings, *, open_store: Callable[[], Store], now: Callable[[], datetime]
) -> FastAPI:
    """The operators' page of one plant.

    open_store: a reader of its store, opened at the first request and closed at the end.
    Nothing here changes anything, and everybody on this machine may read.
    """
    shelf, pages = Shelf(open_store), Pages(settings, now)

    @asynccontextmanager
    async def life(_: FastAPI) -> Any:
        yield
        shelf.close()

    app = FastAPI(title="pm-app", docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    _add_fleet(app, shelf, pages)
    add_asset(app, shelf, pages)
    add_models(app, shelf, pages)
    add_data(app, shelf, pages)
    _add_troubles(app, pages)
    guard(app)
    return app


def _add_fleet(app: FastAPI, shelf: Shelf, pages: Pages) -> None:
    @app.get("/")
    def start() -> Response:
        return RedirectResponse("/fleet")

    @app.get("/fleet")
    def fleet(request: Request) -> Response:
        asked = read_address(request.query_params)
        facts = fleet_facts(shelf.store(), asked, settings=pages.settings, now=pages.now())
        return pages.show("fleet", title=TEXTS["fleet"], **facts)

    @app.get("/fleet.{kind}")
    def fleet_file(kind: str, request: Request) -> Response:
        asked = read_address(request.query_params)
        rows = shelf.store().fleet.rows(asked.query)
        return as_file(kind, "fleet", [fleet_table(rows)], FLEET_SCHEMA)


def _add_troubles(app: FastAPI, pages: Pages) -> None:
    @app.exception_handler(BadAddress)
    def bad_address(_: Request, error: Exception) -> Response:
        return pages.trouble(400, TEXTS["bad_query"], str(error))

    @app.exception_handler(PmAppError)
    def no_store(_: Request, error: Exception) -> Response:
        log.warning("cannot show a page: %s", error)
        return pages.trouble(503, TEXTS["no_store"], f"{error}. {TEXTS['later']}")

    @app.exception_handler(HTTPException)
    def refused(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return pages.trouble(status, TEXTS["not_found"], "")
