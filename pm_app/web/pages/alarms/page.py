"""Alarms pages: the list of alarms, one alarm, and what operators do about them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pm_app.errors import BadSettings
from pm_app.jobs.operations import alarms as alarm_actions
from pm_app.records.alarms import OF_ASSETS, Verdict
from pm_app.settings.modes import ModeSettings
from pm_app.store import AlarmRow, Store, VerdictRow
from pm_app.web.address import (
    LONGEST_SEARCH,
    check_keys,
    one_of,
    page_number,
    printable,
    storable_id,
)
from pm_app.web.auth.admission import AdmittedRequest, Operator, safe_redirect
from pm_app.web.context import Page, PageContext
from pm_app.web.texts import ALARM_LISTS, ALARMS
from pm_app.wording import PLANT_ALARMS

PAGE_ROWS: Final = 50
ALARM_STATES: Final = ALARMS | {"cleared": "Cleared"}
# What was done to an alarm, where people say it otherwise than the log.
ALARM_ACTIONS: Final = {
    "unshelved": "off the shelf",
    "returned": "returned to normal",
    "mode": "failure mode changed",
}
VERDICT_WORDS: Final = {
    "confirmed": "Confirmed: it had failed, or was about to",
    "not-confirmed": "Not confirmed: nothing was wrong",
    "unclear": "Unclear",
}
SHELVE_HOURS: Final = {"1": "1 hour", "8": "8 hours (a shift)", "24": "a day", "168": "a week"}


@dataclass(frozen=True)
class AlarmsAddress:
    """Which alarms an address asks for, and which page of them, from 1."""

    listed: str
    search: str
    page: int

    def address(self, **changes: object) -> str:
        """The address of the same with some values changed."""
        values = {"list": self.listed, "search": self.search, "page": self.page, **changes}
        usual = {"list": "open", "search": "", "page": 1}
        query = {key: value for key, value in values.items() if value != usual[key]}
        return f"/alarms?{urlencode(query)}" if query else "/alarms"


def add_alarms(router: APIRouter, context: PageContext) -> None:
    """The list of alarms, the page of one, and the forms on it."""

    @router.get("/alarms")
    def listed(request: Request) -> Response:
        asked = read_alarms_address(request.query_params)
        facts = alarms_facts(context.store(), asked)
        return context.show(request, ALARMS_PAGE, **facts)

    @router.get("/alarms/{number}")
    def one(request: Request, number: int) -> Response:
        facts = alarm_facts(context.store(), storable_id(number), context.settings.modes)
        title = f"Alarm {number}"
        return context.show(request, ALARMS_PAGE, template="alarm", title=title, **facts)

    for name, action in _ACTIONS.items():
        router.post(f"/alarms/{{number}}/{name}")(_answer(context, action))


def read_alarms_address(values: Mapping[str, str]) -> AlarmsAddress:
    """What the query string of an address asks for. Raises BadAddress."""
    check_keys(values, ("list", "search", "page"))
    listed = one_of(values.get("list", "open"), "list", tuple(ALARM_LISTS))
    search = printable(values.get("search", "").strip(), "search", LONGEST_SEARCH)
    return AlarmsAddress(listed, search, page_number(values.get("page", "1")))


def alarms_facts(store: Store, asked: AlarmsAddress) -> dict[str, Any]:
    """All that the list's template shows."""
    counts = store.alarms.counts(asked.search)
    totals = {
        name: sum(counts.get(state, 0) for state in states)
        for name, (_, states) in ALARM_LISTS.items()
    }
    first = (asked.page - 1) * PAGE_ROWS
    states = ALARM_LISTS[asked.listed][1]
    rows = store.alarms.page(states=states, search=asked.search, limit=PAGE_ROWS, offset=first)
    return {
        "asked": asked,
        "lists": [(name, label, totals[name]) for name, (label, _) in ALARM_LISTS.items()],
        "rows": _with_verdicts(store, rows),
        "states": ALARM_STATES,
        "plant_alarms": PLANT_ALARMS,
        "total": totals[asked.listed],
        "first": first + 1,
        "pages": max(-(-totals[asked.listed] // PAGE_ROWS), 1),
    }


def alarm_facts(store: Store, number: int, modes: Mapping[str, ModeSettings]) -> dict[str, Any]:
    """All that the template of one alarm shows. Raises TerminalError where there is none."""
    row = store.alarms.alarm(number)
    events = store.alarms.events(number)
    return {
        "alarm": row,
        "verdict": _with_verdicts(store, [row])[0][1],
        "states": ALARM_STATES,
        "plant_alarms": PLANT_ALARMS,
        "events": [(event, ALARM_ACTIONS.get(event.action, event.action)) for event in events],
        "hours": SHELVE_HOURS,
        "verdicts": VERDICT_WORDS if row.kind in OF_ASSETS else {},
        "modes": list(modes) or list(json.loads(row.mode_risks or "{}")),
        "may_acknowledge": row.state in ("unacknowledged", "returned"),
        "may_shelve": row.state in ("unacknowledged", "acknowledged", "shelved"),
    }


def _with_verdicts(
    store: Store, rows: Sequence[AlarmRow]
) -> list[tuple[AlarmRow, VerdictRow | None]]:
    given = {row.alarm_id: row for row in store.alarms.verdicts(of=[row.id for row in rows])}
    return [(row, given.get(row.id)) for row in rows]


Action = Callable[[PageContext, int, AdmittedRequest], None]


def _answer(
    context: PageContext, action: Action
) -> Callable[[Request, int, AdmittedRequest], Response]:
    def answer(request: Request, number: int, admitted: Operator) -> Response:
        action(context, storable_id(number), admitted)
        return RedirectResponse(safe_redirect(admitted.form.get("next", f"/alarms/{number}")), 303)

    return answer


def _acknowledge(context: PageContext, number: int, admitted: AdmittedRequest) -> None:
    alarm_actions.acknowledge(
        context.writer(), number, note=admitted.form.get("note", ""), **context.by(admitted.person)
    )


def _shelve(context: PageContext, number: int, admitted: AdmittedRequest) -> None:
    hours = admitted.form.get("hours", "")
    if hours not in SHELVE_HOURS:
        raise BadSettings(f"hours takes one of {', '.join(SHELVE_HOURS)}, got {hours[:40]!r}")
    until = context.now() + timedelta(hours=int(hours))
    given = {"note": admitted.form.get("note", ""), **context.by(admitted.person)}
    alarm_actions.shelve(context.writer(), number, until=until, **given)


def _comment(context: PageContext, number: int, admitted: AdmittedRequest) -> None:
    alarm_actions.comment(
        context.writer(), number, admitted.form.get("text", ""), **context.by(admitted.person)
    )


def _judge(context: PageContext, number: int, admitted: AdmittedRequest) -> None:
    form = admitted.form
    failed = _moment(form.get("failed_at", ""), context.settings.plant.timezone)
    words = (form.get(name, "") for name in ("verdict", "found", "code", "mode"))
    verdict, found, code, mode = words
    given = Verdict(verdict, found, failed, failed, code, mode)
    named = {"modes": context.settings.modes, **context.by(admitted.person)}
    alarm_actions.give_verdict(context.writer(), number, given, **named)


_ACTIONS: Final[Mapping[str, Action]] = {
    "acknowledge": _acknowledge,
    "shelve": _shelve,
    "comment": _comment,
    "verdict": _judge,
}


def _moment(text: str, zone: str) -> datetime | None:
    """A time as an HTML form sends it, of the plant's clock."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        at_plant = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
        return at_plant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadSettings(
            f"failed_at takes a time like 2026-01-31T14:00, got {text[:40]!r}"
        ) from None


ALARMS_PAGE: Final = Page("alarms", "/alarms", add_alarms, title="Alarms")
