"""The page on which people sign in, and the way out."""

from datetime import datetime, timedelta
from threading import Semaphore
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pm_app.times import parse_duration
from pm_app.web.admission import SIGN_IN, within
from pm_app.web.attempts import Attempts
from pm_app.web.frame import Frame
from pm_app.web.people import COOKIE, Person
from pm_app.web.texts import TEXTS

# Each check of a password takes 64 MB and a tenth of a second, on purpose.
_AT_ONCE: Final = 2


def add_sign_in(app: APIRouter, frame: Frame) -> None:
    """Let people in and out."""
    attempts, turn = Attempts(), Semaphore(_AT_ONCE)

    @app.get(SIGN_IN)
    def ask(request: Request, next: str = "/") -> Response:
        return _page(frame, request, within(next))

    @app.post(SIGN_IN)
    def let_in(request: Request) -> Response:
        form: dict[str, str] = request.state.form
        name, onward = form.get("name", ""), within(form.get("next", "/"))
        address, at = frame.reception.address(request), frame.now()
        wait = attempts.wait_seconds(name, address, now=at)
        if wait:
            return _page(frame, request, onward, 429, f"{TEXTS['too_often']} {wait} s.", wait)
        with turn:
            user = frame.store().users.check_password(name, form.get("password", ""))
        if user is None:
            attempts.failed(name, address, now=at)
            _note_refusal(frame, name, address, at)
            return _page(frame, request, onward, 401, TEXTS["wrong"])
        attempts.succeeded(name, address)
        return _signed_in(frame, request, user.name, onward)

    @app.post("/sign-out")
    def let_out(request: Request) -> Response:
        person: Person = request.state.person
        if person.token:
            users = frame.writer().users
            users.close_session(person.token)
            users.note(person.name, "sign out", person.name, at=frame.now(), address=person.address)
        answer = RedirectResponse(SIGN_IN, 303)
        answer.delete_cookie(COOKIE, path="/")
        return answer


def _page(
    frame: Frame, request: Request, onward: str, status: int = 200, words: str = "", wait: int = 0
) -> Response:
    answer = frame.show(
        request, "sign_in", status, title=TEXTS["sign_in"], onward=onward, words=words
    )
    if wait:
        answer.headers["Retry-After"] = str(wait)
    return answer


def _signed_in(frame: Frame, request: Request, name: str, onward: str) -> Response:
    users, at = frame.writer().users, frame.now()
    # What a browser brought from before is worth nothing from here on (session fixation).
    if request.cookies.get(COOKIE):
        users.close_session(request.cookies[COOKIE])
    lasts = timedelta(microseconds=parse_duration(frame.settings.web.session) // 1000)
    token, _ = users.open_session(name, at=at, lasts=lasts)
    users.note(name, "sign in", name, at=at, address=frame.reception.address(request))
    answer = RedirectResponse(onward, 303)
    answer.set_cookie(
        COOKIE,
        token,
        max_age=round(lasts.total_seconds()),
        path="/",
        secure=frame.reception.over_tls(request),
        httponly=True,
        samesite="lax",
    )
    return answer


def _note_refusal(frame: Frame, name: str, address: str, at: datetime) -> None:
    # People type passwords where names go: only names that there are are kept.
    known = name if frame.store().users.user(name) is not None else ""
    frame.writer().users.note(known or "somebody", "sign in refused", known, at=at, address=address)
