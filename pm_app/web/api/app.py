"""API for programs: JSON under /api/v1, each group of addresses a row of one table."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from pm_app.daemon.status import Status
from pm_app.web.api.alarms import add_alarm_actions, add_alarms
from pm_app.web.api.document import api_document
from pm_app.web.api.models import add_batches, add_models, add_promotions
from pm_app.web.api.parameters import PROBLEMS
from pm_app.web.api.predictions import add_assets, add_predictions
from pm_app.web.api.sensor_quality import add_sensors
from pm_app.web.context import PageContext

PREFIX: Final = "/api/v1"
_TOKEN: Final = "A program's: pm-app users tokens --add NAME --role viewer"
_COOKIE: Final = "A browser's that is signed in; what changes something also takes X-CSRF-Token"


def add_api(app: FastAPI, context: PageContext) -> None:
    """JSON for programs, as /api/v1/openapi.json describes it."""
    # Who is let in is asked before every address (web/auth/admission.py); these say so in the
    # document alone.
    cookie = APIKeyCookie(name=context.authenticator.cookie, description=_COOKIE, auto_error=False)
    shown = [
        Security(scheme) for scheme in (HTTPBearer(description=_TOKEN, auto_error=False), cookie)
    ]
    router = APIRouter(prefix=PREFIX, responses=PROBLEMS, dependencies=shown)
    for group, add_routes in ROUTES:
        inner = APIRouter(tags=[group])
        add_routes(inner, context)
        router.include_router(inner)

    @router.get("/openapi.json", include_in_schema=False)
    def document() -> dict[str, Any]:
        return api_document(app)

    app.include_router(router)


def add_health(router: APIRouter, context: PageContext) -> None:
    """/health."""

    @router.get("/health", summary="Whether the daemon gets on with its work, and what waits")
    def health() -> Status:
        """Troubles in words; what is not known is null. Answers 200 whatever it finds."""
        return context.status()


# By what they are about, as tools group them.
ROUTES: Final[tuple[tuple[str, Callable[[APIRouter, PageContext], None]], ...]] = (
    ("predictions", add_predictions),
    ("predictions", add_assets),
    ("alarms", add_alarms),
    ("alarms", add_alarm_actions),
    ("models", add_models),
    ("models", add_promotions),
    ("operation", add_batches),
    ("operation", add_sensors),
    ("operation", add_health),
)
