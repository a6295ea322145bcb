"""Single sign-on in Chromium: its rules on cookies, redirects and content hold for the way back."""

from datetime import UTC, datetime

import pytest
from chromium import browser, serving
from factories import make_plant
from providers.openid import CLIENT, SECRET, provider

from pm_app.cli.run.serve import open_oidc
from pm_app.settings.plant import parse_settings, read_settings
from pm_app.wiring import open_users

__all__ = ["browser"]

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.server
def test_two_clicks_and_a_name_lead_to_the_page_that_was_asked_for_and_out_again(browser, tmp_path):
    with provider() as issuer:
        tables = {
            "oidc": {
                "issuer": issuer,
                "client": CLIENT,
                "name": "Plant login",
                "name_claim": "sub",
            },
            "web": {"roles": {"*": "operator"}},
        }
        given = parse_settings(tables, folder=tmp_path, origin="plant.toml")
        settings = read_settings(make_plant(tmp_path))
        settings = settings.model_copy(update={"web": given.web, "oidc": given.oidc})
        open_users(settings).close()
        oidc = open_oidc(settings, SECRET)
        with serving(settings, NOW, closed=True, oidc=oidc) as address:
            page = browser.new_page()
            page.goto(f"{address}/alarms?show=cleared")
            page.get_by_role("link", name="Sign in with Plant login").click()
            page.locator("input[name=sub]").fill("zoe@plant.example")
            page.locator("input[name=sub]").press("Enter")
            page.wait_for_url(f"{address}/alarms?show=cleared")

            assert page.locator(".who").inner_text().startswith("zoe")
            page.get_by_role("button", name="Sign out").click()
            page.wait_for_url(f"{address}/sign-in")
            page.close()
