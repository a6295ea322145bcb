"""Sign-in with rate limit or by a provider, and sign-out."""

from datetime import datetime, timedelta
from functools import partial
from threading import Semaphore
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pm_app.errors import NoStore
from pm_app.settings.web import NOBODY_SIGNS_IN
from pm_app.store import highest_role
from pm_app.times import parse_duration
from pm_app.web.auth.admission import SIGN_IN, safe_redirect
from pm_app.web.connections import network_of
from pm_app.web.context import Page, PageContext
from pm_app.web.identity import Person, group_role
from pm_app.web.pages.sign_in.single_sign_on import add_single_sign_on
from pm_app.web.timed_cache import TimedCache

# Each check of a password takes 64 MB and a tenth of a second, on purpose.
_AT_ONCE: Final = 2
_GROUPS_SHOWN: Final = 20


def add_sign_in(router: APIRouter, context: PageContext) -> None:
    """Let people in and out."""
    turn = Semaphore(_AT_ONCE)
    anyone: TimedCache[bool] = TimedCache()

    @router.get(SIGN_IN)
    def ask(request: Request, next: str = "/") -> Response:
        answer = partial(_page, context, request, safe_redirect(next))
        others = context.settings.web.proxy_header or context.oidc is not None
        if others or anyone.get("", partial(_anyone_signs_in, context)):
            return answer()
        return answer(first_steps=NOBODY_SIGNS_IN)

    @router.post(SIGN_IN)
    def let_in(request: Request) -> Response:
        return _let_in(context, request, turn)

    @router.post("/sign-out")
    def let_out(request: Request) -> Response:
        return _signed_out(context, request.state.person)

    add_single_sign_on(router, context, partial(_refused, context), partial(_signed_on, context))


def _let_in(context: PageContext, request: Request, turn: Semaphore) -> Response:
    """Somebody with a name and a password, or the page again."""
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
    lasts = _session_length(context)
    token, _ = context.writer().users.open_session(user.name, at=at, lasts=lasts)
    return _signed_in(context, request, user.name, token, onward)


def _signed_out(context: PageContext, person: Person) -> Response:
    if person.token:
        users = context.writer().users
        _close_session(context, person.token)
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
    return context.show(
        request,
        SIGN_IN_PAGE,
        status,
        title="Sign in",
        onward=onward,
        refusal=refusal,
        first_steps=first_steps,
        single_sign_on=context.oidc.name if context.oidc else "",
        # What a provider sends comes once: such an address is not to be asked for again by itself.
        renews=False,
    )


def _anyone_signs_in(context: PageContext) -> bool:
    try:
        return context.store().users.any_enabled()
    except NoStore:
        return False


def _refused(context: PageContext, request: Request, status: int, words: str) -> Response:
    onward = safe_redirect(request.query_params.get("next", "/"))
    return _page(context, request, onward, status, words)


def _session_length(context: PageContext) -> timedelta:
    return timedelta(microseconds=parse_duration(context.settings.web.session) // 1000)


def _close_session(context: PageContext, token: str) -> None:
    context.writer().users.close_session(token)
    context.writer().oidc_sessions.close(token)


def _signed_on(
    context: PageContext, request: Request, name: str, groups: tuple[str, ...], onward: str
) -> Response:
    """Somebody whom the provider has signed in, with the role of their groups or account."""
    store, at = context.writer(), context.now()
    role, user = group_role(groups, context.settings.web.roles), store.users.user(name)
    disabled = user is not None and user.disabled_at is not None
    if disabled or not highest_role([role, user.role if user else ""]):
        why = "the account is disabled" if disabled else "no role"
        address = context.authenticator.address(request)
        store.users.note(name, "sign in refused", name, at=at, details=why, address=address)
        return _page(context, request, onward, 403, _no_role(name, groups, disabled=disabled))
    token = store.oidc_sessions.open(name, role=role, at=at, lasts=_session_length(context))
    return _signed_in(context, request, name, token, onward)


def _no_role(name: str, groups: tuple[str, ...], *, disabled: bool) -> str:
    if disabled:
        return f"You are signed in as {name}, and the account of that name is disabled here."
    listed = ", ".join(groups[:_GROUPS_SHOWN]) or "none"
    return (
        f"You are signed in as {name}, and have no role here. Your groups: {listed}. Whoever runs "
        "this server gives roles to groups (web.roles in plant.toml), or to you: pm-app users add."
    )


def _signed_in(
    context: PageContext, request: Request, name: str, token: str, onward: str
) -> Response:
    # What a browser brought from before is worth nothing from here on (session fixation).
    if before := request.cookies.get(context.authenticator.cookie):
        _close_session(context, before)
    at, address = context.now(), context.authenticator.address(request)
    context.writer().users.note(name, "sign in", name, at=at, address=address)
    answer = RedirectResponse(onward, 303)
    answer.set_cookie(
        context.authenticator.cookie,
        token,
        max_age=round(_session_length(context).total_seconds()),
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
