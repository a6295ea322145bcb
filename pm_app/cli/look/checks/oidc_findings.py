"""Findings of `pm-app check` on single sign-on: the extra, the provider, and what fits together."""

from collections.abc import Iterator
from importlib import import_module

from pm_app.cli.look.checks.finding import Finding, counted
from pm_app.cli.look.checks.readings_findings import ReadingsSurvey
from pm_app.settings.plant import Settings
from pm_app.settings.web import OIDC_SECRET_VARIABLE
from pm_app.wiring import oidc_secret

_SUBJECT = "single sign-on"


def check_oidc(settings: Settings, survey: ReadingsSurvey) -> Iterator[Finding]:
    """Whether the provider answers as oidc.issuer has it; nothing where plant.toml names none."""
    own = settings.oidc
    if not own.issuer:
        return
    try:
        import_module("pm_app.web.auth.oidc")
        from pm_app.web.auth.oidc_provider import OidcProvider, ProviderUnavailable
    except ImportError as error:
        text = f"oidc.issuer is set, and {error.name} is not installed: pm-app serve does not start"
        yield Finding("fails", _SUBJECT, text, "pip install 'pm-app[oidc]'")
        return
    provider = OidcProvider(own, settings.folder)
    try:
        offered = provider.configuration().get("scopes_supported")
        count = len(provider.signing_keys().keys)
    except ProviderUnavailable as error:
        advice = "oidc.issuer, oidc.ca, the network between, and the provider itself"
        yield Finding("fails", _SUBJECT, str(error), f"look at {advice}")
        return
    yield Finding("ok", _SUBJECT, f"{own.issuer} answers; it signs with {counted(count, 'key')}")
    if missing := [
        scope for scope in own.scopes if isinstance(offered, list) and scope not in offered
    ]:
        text = f"the provider does not know of {', '.join(missing)}"
        yield Finding(
            "note", _SUBJECT, text, f"oidc.scopes of {', '.join(map(str, offered or []))}"
        )
    if not oidc_secret():
        text = f"{OIDC_SECRET_VARIABLE} is not set here"
        advice = "set it, or register these pages as a client without a secret (public, with PKCE)"
        yield Finding("note", _SUBJECT, text, advice)
    if not settings.web.roles:
        text = "web.roles is empty: whoever the provider signs in may look"
        advice = 'give groups roles, as web.roles = { "pm-engineers" = "engineer" }'
        yield Finding("note", _SUBJECT, text, advice)
