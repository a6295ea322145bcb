"""The pages put together: one application over one plant."""

import logging
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from pm_app.errors import BadSettings, PmAppError, TerminalError
from pm_app.settings import Settings
from pm_app.web.admission import NotAllowed, Stranger, admit, to_sign_in
from pm_app.web.alarms import add_alarms
from pm_app.web.files import WRITERS
from pm_app.web.fleet import BadAddress, fleet_facts, read_address
from pm_app.web.frame import Doors, Frame
from pm_app.web.guard import guard
from pm_app.web.signing_in import add_sign_in
from pm_app.web.texts import TEXTS

log = logging.getLogger(__name__)
_STATIC: Final = Path(__file__).with_name("static")


def make_app(settings: Settings, doors: Doors, *, now: Callable[[], datetime]) -> FastAPI:
    """The operators' pages of one plant.

    doors: a reader of its store, and what people may change it through. Everything is closed to
    strangers, unless nobody may sign in yet and this machine alone is listened to; then anybody
    may look, and nobody may change anything.
    """
    frame = Frame(settings, doors, now)

    @asynccontextmanager
    async def life(_: FastAPI) -> Any:
        yield
        frame.close()

    app = FastAPI(
        title="pm-app",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=life,
        dependencies=[Depends(admit(frame))],
    )
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    add_sign_in(app, frame)
    _add_fleet(app, frame)
    add_alarms(app, frame)
    _add_troubles(app, frame)
    guard(app)
    return app


def _add_fleet(app: FastAPI, frame: Frame) -> None:
    @app.get("/")
    def start() -> Response:
        return RedirectResponse("/fleet")

    @app.get("/fleet")
    def fleet(request: Request) -> Response:
        asked = read_address(request.query_params)
        facts = fleet_facts(frame.store(), asked, settings=frame.settings, now=frame.now())
        return frame.show(request, "fleet", title=TEXTS["fleet"], **facts)

    @app.get("/fleet.{kind}")
    def fleet_file(kind: str, request: Request) -> Response:
        if kind not in WRITERS:
            raise HTTPException(404)
        asked = read_address(request.query_params)
        media, write = WRITERS[kind]
        disposition = {"Content-Disposition": f'attachment; filename="fleet.{kind}"'}
        rows = frame.store().fleet.rows(asked.query)
        return Response(write(rows), media_type=media, headers=disposition)


def _add_troubles(app: FastAPI, frame: Frame) -> None:
    @app.exception_handler(Stranger)
    def stranger(request: Request, _: Exception) -> Response:
        return to_sign_in(request)

    @app.exception_handler(NotAllowed)
    def not_allowed(request: Request, error: Exception) -> Response:
        return frame.trouble(request, 403, TEXTS["not_allowed"], str(error))

    @app.exception_handler(BadAddress)
    def bad_address(request: Request, error: Exception) -> Response:
        return frame.trouble(request, 400, TEXTS["bad_query"], str(error))

    @app.exception_handler(PmAppError)
    def no_store(request: Request, error: Exception) -> Response:
        log.warning("cannot show a page: %s", error)
        words = f"{error}. {TEXTS['later']}"
        return frame.trouble(request, 503, TEXTS["no_store"], words)

    @app.exception_handler(BadSettings)
    def bad_words(request: Request, error: Exception) -> Response:
        return frame.trouble(request, 400, TEXTS["not_done"], str(error))

    @app.exception_handler(TerminalError)
    def not_done(request: Request, error: Exception) -> Response:
        return frame.trouble(request, 409, TEXTS["not_done"], str(error))

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return frame.trouble(request, status, TEXTS["not_found"], "")
