"""What of the pages a program may ask for."""

from typing import Any, Final

from fastapi import APIRouter, FastAPI

from pm_app.web.api.alarms import add_alarms
from pm_app.web.api.health import add_health
from pm_app.web.api.kinds import PROBLEMS
from pm_app.web.api.models import add_models
from pm_app.web.api.predictions import add_predictions
from pm_app.web.context import PageContext

PREFIX: Final = "/api/v1"


def add_api(app: FastAPI, context: PageContext) -> None:
    """JSON for programs, as /api/v1/openapi.json describes it."""
    router = APIRouter(prefix=PREFIX, responses=PROBLEMS)
    add_predictions(router, context)
    add_alarms(router, context)
    add_models(router, context)
    add_health(router, context)

    @router.get("/openapi.json", include_in_schema=False)
    def document() -> dict[str, Any]:
        return app.openapi()

    app.include_router(router)
