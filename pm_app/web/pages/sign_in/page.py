"""Sign-in with rate limit, and sign-out."""

from datetime import datetime, timedelta
from functools import partial
from threading import Semaphore
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pm_app.errors import NoStore
from pm_app.settings.web import NOBODY_SIGNS_IN
from pm_app.times import parse_duration
from pm_app.web.auth.admission import SIGN_IN, safe_redirect
from pm_app.web.connections import network_of
from pm_app.web.context import Page, PageContext, TimedCache
from pm_app.web.identity import Person

# Each check of a password takes 64 MB and a tenth of a second, on purpose.
_AT_ONCE: Final = 2


def add_sign_in(router: APIRouter, context: PageContext) -> None:
    """Let people in and out."""
    turn = Semaphore(_AT_ONCE)
    anyone: TimedCache[bool] = TimedCache()

    @router.get(SIGN_IN)
    def ask(request: Request, next: str = "/") -> Response:
        answer = partial(_page, context, request, safe_redirect(next))
        if context.settings.web.proxy_header or anyone.get("", partial(_anyone_signs_in, context)):
            return answer()
        return answer(first_steps=NOBODY_SIGNS_IN)

    @router.post(SIGN_IN)
    def let_in(request: Request) -> Response:
        form: dict[str, str] = request.state.form
        name, onward = form.get("name", ""), safe_redirect(form.get("next", "/"))
        address, at = context.authenticator.address(request), context.now()
        attempts, client = context.writer().sign_in_attempts, network_of(address)
        attempt = attempts.begin(name, client, at=at)
        if attempt.wait_seconds:
            refusal = f"Too many attempts. The next one is looked at in {attempt.wait_seconds} s."
            answer = _page(context, request, onward, 429, refusal)
            answer.headers["Retry-After"] = str(attempt.wait_seconds)
            return answer
        with turn:
            user = context.store().users.check_password(name, form.get("password", ""))
        if user is None:
            if attempt.noted:
                _note_refusal(context, name, address, at)
            return _page(context, request, onward, 401, "Name and password do not belong together.")
        attempts.succeeded(name, client)
        return _signed_in(context, request, user.name, onward)

    @router.post("/sign-out")
    def let_out(request: Request) -> Response:
        return _signed_out(context, request.state.person)


def _signed_out(context: PageContext, person: Person) -> Response:
    if person.token:
        users = context.writer().users
        users.close_session(person.token)
        users.note(person.name, "sign out", person.name, at=context.now(), address=person.address)
    answer = RedirectResponse(SIGN_IN, 303)
    answer.delete_cookie(context.authenticator.cookie, path=context.settings.web.prefix or "/")
    return answer


def _page(
    context: PageContext,
    request: Request,
    onward: str,
    status: int = 200,
    refusal: str = "",
    first_steps: str = "",
) -> Response:
    facts = {"title": "Sign in", "onward": onward, "refusal": refusal, "first_steps": first_steps}
    return context.show(request, SIGN_IN_PAGE, status, **facts)


def _anyone_signs_in(context: PageContext) -> bool:
    try:
        return context.store().users.any_enabled()
    except NoStore:
        return False


def _signed_in(context: PageContext, request: Request, name: str, onward: str) -> Response:
    users, at = context.writer().users, context.now()
    # What a browser brought from before is worth nothing from here on (session fixation).
    if before := request.cookies.get(context.authenticator.cookie):
        users.close_session(before)
    lasts = timedelta(microseconds=parse_duration(context.settings.web.session) // 1000)
    token, _ = users.open_session(name, at=at, lasts=lasts)
    users.note(name, "sign in", name, at=at, address=context.authenticator.address(request))
    answer = RedirectResponse(onward, 303)
    answer.set_cookie(
        context.authenticator.cookie,
        token,
        max_age=round(lasts.total_seconds()),
        path=context.settings.web.prefix or "/",
        secure=context.authenticator.over_tls(request),
        httponly=True,
        samesite="lax",
    )
    return answer


def _note_refusal(context: PageContext, name: str, address: str, at: datetime) -> None:
    # People type passwords where names go: only names that there are are kept.
    account = name if context.store().users.user(name) is not None else ""
    context.writer().users.note(
        account or "somebody", "sign in refused", account, at=at, address=address
    )


SIGN_IN_PAGE: Final = Page("sign_in", SIGN_IN, add_sign_in, role=None)
