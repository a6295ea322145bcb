"""Web application of a plant: pages, API, metrics and what they answer to errors."""

import logging
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pm_app import __version__
from pm_app.errors import BadSettings, PmAppError, TerminalError
from pm_app.settings.plant import Settings
from pm_app.web.address import BadAddress
from pm_app.web.api.app import add_api
from pm_app.web.api.metrics import add_metrics
from pm_app.web.api.probes import add_probes
from pm_app.web.auth.admission import (
    Anonymous,
    NotAllowed,
    admit,
    redirect_to_sign_in,
    require_role,
)
from pm_app.web.auth.headers import add_security_headers
from pm_app.web.context import Page, PageContext, Resources
from pm_app.web.pages.table import PAGES
from pm_app.web.prefix import add_prefix

log = logging.getLogger(__name__)
_ABOUT: Final = (
    "Risk and life left of every asset, its alarms, and what was learned. A program shows a token "
    "(pm-app users tokens --add NAME) as Authorization: Bearer TOKEN."
)
_NEEDS_TOKEN: Final = "Show a token: Authorization: Bearer TOKEN (pm-app users tokens --add NAME)"
_STATIC: Final = Path(__file__).with_name("static")


def make_app(settings: Settings, resources: Resources, *, now: Callable[[], datetime]) -> FastAPI:
    """The operators' pages of one plant.

    resources: a reader of its store, and what people may change it through. Everything is closed to
    strangers, unless web.open lets them look; nobody changes anything without signing in.
    """
    context = PageContext(settings, resources, now, PAGES)

    @asynccontextmanager
    async def life(_: FastAPI) -> Any:
        yield
        context.close()

    app = FastAPI(
        title="pm-app",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        servers=[{"url": settings.web.prefix}] if settings.web.prefix else None,
        lifespan=life,
        # Such a redirect would lead to whatever host the request named.
        redirect_slashes=False,
        dependencies=[Depends(admit(context, PAGES))],
    )
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    add_api(app, context)
    add_metrics(app, context)
    add_probes(app, context)
    for page in PAGES:
        app.include_router(_routes(page, context))
    _add_error_answers(app, context)
    add_security_headers(app, settings.web, context.authenticator)
    app.add_middleware(HeadAsGet)
    add_prefix(app, settings.web.prefix, [page.path for page in PAGES])
    return app


class HeadAsGet:
    """ASGI middleware: HEAD answered as GET is, without its body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET"}, receive, answer)


def _routes(page: Page, context: PageContext) -> APIRouter:
    needed = [] if page.role in (None, "viewer") else [Depends(require_role(page.role))]
    router = APIRouter(include_in_schema=False, dependencies=needed)
    page.add_routes(router, context)
    return router


def _add_error_answers(app: FastAPI, context: PageContext) -> None:
    """Errors as pages for people and as JSON for programs. Of several the nearest kind counts."""
    for kind, status, title in (
        (NotAllowed, 403, "This is not yours to do"),
        (BadAddress, 400, "This address asks for something that is not there"),
        (PmAppError, 503, "The store cannot be read now"),
        (BadSettings, 400, "This was not done"),
        (TerminalError, 409, "This was not done"),
    ):
        app.exception_handler(kind)(_error_answer(context, status, title))

    @app.exception_handler(Anonymous)
    def anonymous(request: Request, _: Exception) -> Response:
        if _from_program(request):
            challenge = {"WWW-Authenticate": "Bearer"}
            return JSONResponse({"error": _NEEDS_TOKEN}, 401, challenge)
        return redirect_to_sign_in(request)

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        message = str(error.detail) if isinstance(error, HTTPException) else ""
        if _from_program(request):
            headers = error.headers if isinstance(error, HTTPException) else None
            return JSONResponse({"error": message}, status, headers)
        return context.show_error(request, status, "There is no such page", "")


def _error_answer(
    context: PageContext, status: int, title: str
) -> Callable[[Request, Exception], Response]:
    def answer(request: Request, error: Exception) -> Response:
        message = str(error)
        if status == 503:
            log.warning("cannot answer: %s", error)
            message = f"{error}. Later attempts may succeed: this page can be reloaded."
        if _from_program(request):
            return JSONResponse({"error": message}, status)
        return context.show_error(request, status, title, message)

    return answer


def _from_program(request: Request) -> bool:
    return request.url.path.startswith("/api/") or request.url.path == "/metrics"
