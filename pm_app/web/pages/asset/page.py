"""Asset page: risk, drivers, sensors, events and predictions of one asset."""

from datetime import timedelta
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from pm_app.store import Store
from pm_app.store.predictions.read import PREDICTIONS_SCHEMA
from pm_app.times import NS
from pm_app.web.context import Page, PageContext, StateFolder
from pm_app.web.files import as_file
from pm_app.web.pages.asset.address import AssetAddress, read_asset_address
from pm_app.web.pages.asset.charts import ChartSpan
from pm_app.web.pages.asset.facts import asset_facts
from pm_app.web.timed_cache import TimedCache


def add_asset(router: APIRouter, context: PageContext) -> None:
    """The page of an asset, and its predictions as files."""
    folder = StateFolder(context.settings)
    recent = TimedCache[dict[str, Any]]()

    @router.get("/assets/{asset:path}")
    def asset(asset: str, request: Request) -> Response:
        asked = read_asset_address(asset, request.query_params)
        span = _span(context.store(), asked, context)
        if span is None:
            message = (
                f"No reading of this name has come, and nothing was said of it: {asked.asset[:200]}"
            )
            return context.show_error(request, 404, "There is no such asset", message)
        facts = recent.get(
            asked, lambda: asset_facts(context.store(), folder, asked, span, context)
        )
        return context.show(request, ASSET_PAGE, title=asked.asset, **facts)

    @router.get("/predictions.{kind}")
    def predictions(kind: str, request: Request) -> Response:
        asked = read_asset_address("", request.query_params)
        store = context.store()
        span = _span(store, asked, context)
        if span is None:
            raise HTTPException(404)
        until = span.until + timedelta(microseconds=1)
        tables = store.tables.predictions(asset=asked.asset, since=span.since, until=until)
        return as_file(kind, "predictions", tables, PREDICTIONS_SCHEMA)


def _span(store: Store, asked: AssetAddress, context: PageContext) -> ChartSpan | None:
    """What the charts go over; None where no such asset is known."""
    # No database has a name with this sign, and PostgreSQL takes none to look for.
    end = None if "\0" in asked.asset else store.series.end(asked.asset)
    if end is None:
        return None
    pane_seconds = context.settings.features.pane_ns / NS
    return ChartSpan(end - timedelta(days=asked.days), end, context.zone, pane_seconds)


ASSET_PAGE: Final = Page("asset", "/assets/", add_asset)
