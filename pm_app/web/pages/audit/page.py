"""Audit log page: who did what, when and from where."""

from typing import Final

from fastapi import APIRouter, Request, Response

from pm_app.web.context import Page, PageContext

_ROWS: Final = 500


def add_audit(router: APIRouter, context: PageContext) -> None:
    """The newest entries of the audit log."""

    @router.get("/audit")
    def audit(request: Request) -> Response:
        return context.show(request, AUDIT_PAGE, rows=context.store().users.audit(limit=_ROWS))


AUDIT_PAGE: Final = Page("audit", "/audit", add_audit, "Log", "account", "engineer")
