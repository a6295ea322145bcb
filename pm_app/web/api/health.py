"""How the plant is, for programs that watch."""

from fastapi import APIRouter

from pm_app.daemon.status import Status
from pm_app.web.context import PageContext


def add_health(router: APIRouter, context: PageContext) -> None:
    """/health."""

    @router.get("/health", summary="Whether the daemon gets on with its work, and what waits")
    def health() -> Status:
        """Troubles in words; what is not known is null. Answers 200 whatever it finds."""
        return context.status()
