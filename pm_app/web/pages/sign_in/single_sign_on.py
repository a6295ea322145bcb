"""Single sign-on: to the OpenID Connect provider and back, beside the form of the sign-in page."""

import logging
from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pm_app.web.auth.admission import SIGN_IN, safe_redirect
from pm_app.web.context import PageContext
from pm_app.web.prefix import prefixed_path

log = logging.getLogger(__name__)
LEAVE: Final = f"{SIGN_IN}/oidc"
ARRIVE: Final = f"{LEAVE}/return"
_COOKIE: Final = "pm_app_sign_in"

# A request, a status and why nobody is let in: the sign-in page.
Refuse = Callable[[Request, int, str], Response]
# A request, a name, its groups and where they wanted to go: on to there, or the sign-in page.
Enter = Callable[[Request, str, tuple[str, ...], str], Response]


def add_single_sign_on(
    router: APIRouter, context: PageContext, refuse: Refuse, enter: Enter
) -> None:
    """Routes to the provider and back, where plant.toml names one."""
    client, web = context.oidc, context.settings.web
    if client is None:
        return
    # Of plants under one name each has its own, as with sessions.
    cookie, path = _COOKIE + web.prefix.replace("/", "-"), prefixed_path(SIGN_IN, web.prefix)
    attempt = _attempts(client.name, refuse)

    @router.get(LEAVE)
    def leave(request: Request, next: str = "/") -> Response:
        def go() -> Response:
            address, sealed = client.leave(_our_address(context, request), safe_redirect(next))
            answer = RedirectResponse(address, 303)
            secure = context.authenticator.over_tls(request)
            answer.set_cookie(
                cookie,
                sealed,
                max_age=client.most_seconds,
                path=path,
                secure=secure,
                httponly=True,
                samesite="lax",
            )
            return answer

        return attempt(request, go)

    @router.get(ARRIVE)
    def arrive(request: Request) -> Response:
        def come_in() -> Response:
            sealed = request.cookies.get(cookie, "")
            person = client.arrive(sealed, request.query_params)
            return enter(request, person.name, person.groups, person.onward)

        answer = attempt(request, come_in)
        answer.delete_cookie(cookie, path=path)
        return answer


def _attempts(
    provider: str, refuse: Refuse
) -> Callable[[Request, Callable[[], Response]], Response]:
    """What a step answers, or the sign-in page with the reason why it could not be done."""
    from pm_app.web.auth.oidc import SignInRefused
    from pm_app.web.auth.oidc_provider import ProviderUnavailable

    def attempt(request: Request, step: Callable[[], Response]) -> Response:
        try:
            return step()
        except SignInRefused as error:
            log.warning("single sign-on refused: %s", error)
            return refuse(request, 403, str(error))
        except ProviderUnavailable as error:
            log.warning("single sign-on does not work: %s", error)
            words = (
                f"{provider} cannot be used now: {error}. Try again later, or sign in with a name "
                "and a password of this server; pm-app check on it says more."
            )
            return refuse(request, 503, words)

    return attempt


def _our_address(context: PageContext, request: Request) -> str:
    """Where the provider sends browsers back to, as they find us through whatever proxy."""
    scheme = "https" if context.authenticator.over_tls(request) else "http"
    asked = f"{scheme}://{request.headers.get('host', '')}"
    own = context.settings.oidc.address.rstrip("/") or asked
    return own + prefixed_path(ARRIVE, context.settings.web.prefix)
