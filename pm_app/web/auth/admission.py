"""Admission: sign-in, roles and the form secret, checked before every address."""

import hmac
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlencode

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from pm_app.web.auth.headers import PROBES, addressed_host, is_our_host
from pm_app.web.context import Page, PageContext, Role
from pm_app.web.identity import Person

SIGN_IN: Final = "/sign-in"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 50


class Anonymous(Exception):
    """Nobody has signed in, or what they showed lets no one in."""


class NotAllowed(Exception):
    """They are known, and may not do this; the text says what it takes."""


@dataclass(frozen=True)
class AdmittedRequest:
    """A request of someone who was let in: who, and the form they sent, empty without one."""

    person: Person
    form: dict[str, str]


def admit(
    context: PageContext, pages: Sequence[Page]
) -> Callable[[Request], Coroutine[Any, Any, None]]:
    """What stands before every address: finds out who asks, and whether they may at all.

    Whoever asks has to be known but on a page that takes no role, and what changes something has
    to come from a form of ours.
    Raises Anonymous and NotAllowed.
    """

    open_to_all = tuple(page.path for page in pages if page.role is None)

    def is_open(path: str) -> bool:
        return path in PROBES or any(
            path == own or path.startswith(f"{own}/") for own in open_to_all
        )

    async def check(request: Request) -> None:
        request.state.person = None
        request.state.form = {} if request.method in _SAFE else await _form(request)
        if is_open(request.url.path):
            return
        person = await run_in_threadpool(context.identify, request)
        if person is None:
            raise Anonymous
        host = addressed_host(request)
        if not person.name and not is_our_host(host, context.settings.web.hosts):
            raise NotAllowed(
                f"This server does not know itself by the name {host[:100]!r}. Add it to web.hosts "
                "of plant.toml, or ask by the server's own name or number."
            )
        request.state.person = person
        if request.method not in _SAFE:
            _check_secret(person, request)

    return check


def require_role(needed: Role) -> Callable[[Request], AdmittedRequest]:
    """A dependency: who asks, at least a `needed`. Raises NotAllowed."""

    def allowed(request: Request) -> AdmittedRequest:
        person: Person = request.state.person
        if not person.may(needed):
            raise NotAllowed(f"It takes the role {needed}")
        return AdmittedRequest(person, request.state.form)

    return allowed


Operator = Annotated[AdmittedRequest, Depends(require_role("operator"))]
Engineer = Annotated[AdmittedRequest, Depends(require_role("engineer"))]


def redirect_to_sign_in(request: Request) -> Response:
    """Where a stranger is sent: to the page that lets them in, and from there back."""
    wanted = request.url.path if request.method in _SAFE else "/"
    if request.url.query and wanted != "/":
        wanted = f"{wanted}?{request.url.query}"
    return RedirectResponse(f"{SIGN_IN}?{urlencode({'next': wanted})}", 303)


def safe_redirect(address: str) -> str:
    """The address where it stays on these pages, else their start."""
    ours = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if ours and address.isprintable() and "\\" not in address else "/"


def _check_secret(person: Person, request: Request) -> None:
    if not person.name:
        raise Anonymous
    if person.csrf:
        sent = request.headers.get("x-csrf-token") or request.state.form.get("csrf", "")
        if not hmac.compare_digest(sent.encode(), person.csrf.encode()):
            raise NotAllowed(
                "This form is from before you signed in: go back, reload, and send it again."
            )


async def _form(request: Request) -> dict[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return {}
    try:
        text = (await request.body()).decode()
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except (ValueError, ClientDisconnect):
        raise NotAllowed("This form cannot be read.") from None
