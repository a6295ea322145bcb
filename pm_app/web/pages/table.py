"""Table of all pages: routes, navigation and admission follow from it, in this order.

A new page is a folder beside this file (`page.py` with a `Page`, and `page.html`) and a row here.
"""

from typing import Final

from pm_app.web.context import Page
from pm_app.web.pages.alarms.page import ALARMS_PAGE
from pm_app.web.pages.api.page import API_PAGE
from pm_app.web.pages.asset.page import ASSET_PAGE
from pm_app.web.pages.audit.page import AUDIT_PAGE
from pm_app.web.pages.data.page import DATA_PAGE
from pm_app.web.pages.fleet.page import FLEET_PAGE
from pm_app.web.pages.help.page import HELP_PAGE
from pm_app.web.pages.models.page import MODELS_PAGE
from pm_app.web.pages.sign_in.page import SIGN_IN_PAGE

PAGES: Final[tuple[Page, ...]] = (
    SIGN_IN_PAGE,
    FLEET_PAGE,
    ASSET_PAGE,
    ALARMS_PAGE,
    MODELS_PAGE,
    DATA_PAGE,
    HELP_PAGE,
    API_PAGE,
    AUDIT_PAGE,
)
