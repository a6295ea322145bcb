"""The pages put together: one application over one plant."""

import logging
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from pm_app import __version__
from pm_app.errors import BadSettings, PmAppError, TerminalError
from pm_app.settings.plant import Settings
from pm_app.web.api.app import add_api
from pm_app.web.api.metrics import add_metrics
from pm_app.web.auth.admission import Anonymous, NotAllowed, admit, to_sign_in
from pm_app.web.auth.headers import guard
from pm_app.web.auth.sign_in import add_sign_in
from pm_app.web.context import PageContext, Resources, TimedCache
from pm_app.web.files import FLEET_SCHEMA, as_file, fleet_table
from pm_app.web.pages.alarms.page import add_alarms
from pm_app.web.pages.asset.page import add_asset
from pm_app.web.pages.data.page import add_data
from pm_app.web.pages.fleet.page import BadAddress, fleet_facts, read_address
from pm_app.web.pages.models.actions import add_model_acts
from pm_app.web.pages.models.page import add_models
from pm_app.web.texts import TEXTS

log = logging.getLogger(__name__)
_ABOUT: Final = (
    "Risk and life left of every asset, its alarms, and what was learned. A program shows a token "
    "(pm-app users tokens --add NAME) as Authorization: Bearer TOKEN."
)
_STATIC: Final = Path(__file__).with_name("static")


def make_app(settings: Settings, doors: Resources, *, now: Callable[[], datetime]) -> FastAPI:
    """The operators' pages of one plant.

    doors: a reader of its store, and what people may change it through. Everything is closed to
    strangers, unless nobody may sign in yet and this machine alone is listened to; then anybody
    may look, and nobody may change anything.
    """
    frame = PageContext(settings, doors, now)

    @asynccontextmanager
    async def life(_: FastAPI) -> Any:
        yield
        frame.close()

    app = FastAPI(
        title="pm-app",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=life,
        dependencies=[Depends(admit(frame))],
    )
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    add_api(app, frame)
    add_metrics(app, frame)
    pages = APIRouter(include_in_schema=False)
    add_sign_in(pages, frame)
    _add_fleet(pages, frame)
    add_asset(pages, frame)
    add_alarms(pages, frame)
    add_model_acts(pages, frame)
    add_models(pages, frame)
    add_data(pages, frame)
    app.include_router(pages)
    _add_troubles(app, frame)
    guard(app)
    return app


def _add_fleet(app: APIRouter, frame: PageContext) -> None:
    recent: TimedCache[dict[str, Any]] = TimedCache()

    @app.get("/")
    def start() -> Response:
        return RedirectResponse("/fleet")

    @app.get("/fleet")
    def fleet(request: Request) -> Response:
        asked = read_address(request.query_params)
        store = frame.store()
        said = store.views.newest_commit(), store.alarms.newest_event()
        facts = recent.get(
            (asked, said),
            lambda: fleet_facts(frame.store(), asked, settings=frame.settings, now=frame.now()),
        )
        return frame.show(request, "fleet", title=TEXTS["fleet"], **facts)

    @app.get("/fleet.{kind}")
    def fleet_file(kind: str, request: Request) -> Response:
        asked = read_address(request.query_params)
        rows = frame.store().fleet.rows(asked.query)
        return as_file(kind, "fleet", [fleet_table(rows)], FLEET_SCHEMA)


def _add_troubles(app: FastAPI, frame: PageContext) -> None:
    """Errors as pages for people and as JSON for programs. Of several the nearest kind counts."""
    for kind, status, title in (
        (NotAllowed, 403, TEXTS["not_allowed"]),
        (BadAddress, 400, TEXTS["bad_query"]),
        (PmAppError, 503, TEXTS["no_store"]),
        (BadSettings, 400, TEXTS["not_done"]),
        (TerminalError, 409, TEXTS["not_done"]),
    ):
        app.exception_handler(kind)(_telling(frame, status, title))

    @app.exception_handler(Anonymous)
    def stranger(request: Request, _: Exception) -> Response:
        if _from_program(request):
            challenge = {"WWW-Authenticate": "Bearer"}
            return JSONResponse({"error": TEXTS["needs_token"]}, 401, challenge)
        return to_sign_in(request)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        words = str(error.detail) if isinstance(error, HTTPException) else ""
        if _from_program(request):
            headers = error.headers if isinstance(error, HTTPException) else None
            return JSONResponse({"error": words}, status, headers)
        return frame.trouble(request, status, TEXTS["not_found"], "")


def _telling(
    frame: PageContext, status: int, title: str
) -> Callable[[Request, Exception], Response]:
    def tell(request: Request, error: Exception) -> Response:
        words = str(error)
        if status == 503:
            log.warning("cannot answer: %s", error)
            words = f"{error}. {TEXTS['later']}"
        if _from_program(request):
            return JSONResponse({"error": words}, status)
        return frame.trouble(request, status, title, words)

    return tell


def _from_program(request: Request) -> bool:
    return request.url.path.startswith("/api/") or request.url.path == "/metrics"
