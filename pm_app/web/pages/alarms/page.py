"""The alarms: those that stand and those that did, and what people do about them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pm_app.errors import BadSettings
from pm_app.jobs.operations import alarms as acts
from pm_app.records.alarms import DATA, Verdict
from pm_app.store import AlarmRow, Store
from pm_app.web.auth.admission import AdmittedRequest, Engineer, Operator, within
from pm_app.web.context import PageContext
from pm_app.web.pages.fleet.page import BadAddress
from pm_app.web.texts import (
    ALARM_ACTS,
    ALARM_LISTS,
    ALARM_STATES,
    SHELVE_HOURS,
    TEXTS,
    VERDICT_WORDS,
)
from pm_app.wording import age_text, percent_text

PAGE_ROWS: Final = 50
_AUDIT_ROWS: Final = 500
_LONGEST_SEARCH: Final = 200
_LAST_NUMBER: Final = 2**31 - 1


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
        said = {key: value for key, value in values.items() if value != usual[key]}
        return f"/alarms?{urlencode(said)}" if said else "/alarms"


def add_alarms(app: APIRouter, frame: PageContext) -> None:
    """The list of alarms, the page of one, and the forms on it."""

    @app.get("/alarms")
    def listed(request: Request) -> Response:
        asked = read_alarms_address(request.query_params)
        facts = alarms_facts(frame.store(), asked, now=frame.now())
        return frame.show(request, "alarms", title=TEXTS["alarms"], **facts)

    @app.get("/alarms/{number}")
    def one(request: Request, number: int) -> Response:
        facts = alarm_facts(frame.store(), _known(number), now=frame.now())
        title = f"{TEXTS['one_alarm']} {number}"
        return frame.show(request, "alarm", title=title, **facts)

    @app.get("/audit")
    def audit(request: Request, _: Engineer) -> Response:
        rows = frame.store().users.audit(limit=_AUDIT_ROWS)
        return frame.show(request, "audit", title=TEXTS["audit"], rows=rows)

    for name, act in _ACTS.items():
        app.post(f"/alarms/{{number}}/{name}")(_answer(frame, act))


def read_alarms_address(values: Mapping[str, str]) -> AlarmsAddress:
    """What the query string of an address asks for. Raises BadAddress."""
    unknown = sorted(set(values) - {"list", "search", "page"})
    if unknown:
        raise BadAddress(f"known are list, search, page, got {unknown[0][:40]!r}")
    listed, search = values.get("list", "open"), values.get("search", "").strip()
    if listed not in ALARM_LISTS:
        raise BadAddress(f"list takes one of {', '.join(ALARM_LISTS)}, got {listed[:40]!r}")
    if len(search) > _LONGEST_SEARCH or not search.isprintable():
        raise BadAddress(f"search takes up to {_LONGEST_SEARCH} printable characters")
    page = values.get("page", "1")
    if not (page.isascii() and page.isdigit() and 1 <= int(page[:9]) <= 1_000_000):
        raise BadAddress(f"page takes a number from 1, got {page[:40]!r}")
    return AlarmsAddress(listed, search, int(page[:9]))


def alarms_facts(store: Store, asked: AlarmsAddress, *, now: datetime) -> dict[str, Any]:
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
        "lists": [(name, words, totals[name]) for name, (words, _) in ALARM_LISTS.items()],
        "rows": _shown(store, rows, now),
        "total": totals[asked.listed],
        "first": first + 1,
        "pages": max(-(-totals[asked.listed] // PAGE_ROWS), 1),
    }


def alarm_facts(store: Store, number: int, *, now: datetime) -> dict[str, Any]:
    """All that the template of one alarm shows. Raises TerminalError where there is none."""
    row = store.alarms.alarm(number)
    events = store.alarms.events(number)
    (shown,) = _shown(store, [row], now)
    return {
        "alarm": shown,
        "events": [(event, ALARM_ACTS.get(event.action, event.action)) for event in events],
        "hours": SHELVE_HOURS,
        "verdicts": VERDICT_WORDS if row.kind != DATA else {},
        "may_acknowledge": row.state in ("unacknowledged", "returned"),
        "may_shelve": row.state in ("unacknowledged", "acknowledged", "shelved"),
    }


def _shown(store: Store, rows: Sequence[AlarmRow], now: datetime) -> list[dict[str, Any]]:
    given = {row.alarm_id: row for row in store.alarms.verdicts(of=[row.id for row in rows])}
    return [
        {
            "row": row,
            # A share stays on the line of its figure.
            "why": row.top_sensors.replace(" %", "\u00a0%"),
            "asset": row.asset_id or TEXTS["whole_plant"],
            "words": ALARM_STATES.get(row.state, row.state),
            "risk": percent_text(row.risk) if row.risk is not None else "",
            "threshold": percent_text(row.threshold) if row.threshold is not None else "",
            "age": age_text((now - row.raised_at).total_seconds()),
            "verdict": given.get(row.id),
        }
        for row in rows
    ]


Act = Callable[[PageContext, int, AdmittedRequest], None]


def _answer(frame: PageContext, act: Act) -> Callable[[Request, int, AdmittedRequest], Response]:
    def answer(request: Request, number: int, asking: Operator) -> Response:
        act(frame, _known(number), asking)
        return RedirectResponse(within(asking.form.get("next", f"/alarms/{number}")), 303)

    return answer


def _acknowledge(frame: PageContext, number: int, asking: AdmittedRequest) -> None:
    acts.acknowledge(frame.writer(), number, note=asking.form.get("note", ""), **_by(frame, asking))


def _shelve(frame: PageContext, number: int, asking: AdmittedRequest) -> None:
    hours = asking.form.get("hours", "")
    if hours not in SHELVE_HOURS:
        raise BadSettings(f"hours takes one of {', '.join(SHELVE_HOURS)}, got {hours[:40]!r}")
    until = frame.now() + timedelta(hours=int(hours))
    note = asking.form.get("note", "")
    acts.shelve(frame.writer(), number, until=until, note=note, **_by(frame, asking))


def _comment(frame: PageContext, number: int, asking: AdmittedRequest) -> None:
    acts.comment(frame.writer(), number, asking.form.get("text", ""), **_by(frame, asking))


def _judge(frame: PageContext, number: int, asking: AdmittedRequest) -> None:
    form = asking.form
    failed = _moment(form.get("failed_at", ""), frame.settings.plant.timezone)
    given = Verdict(
        form.get("verdict", ""), form.get("found", ""), failed, failed, form.get("code", "")
    )
    acts.give_verdict(frame.writer(), number, given, **_by(frame, asking))


_ACTS: Final[Mapping[str, Act]] = {
    "acknowledge": _acknowledge,
    "shelve": _shelve,
    "comment": _comment,
    "verdict": _judge,
}


def _by(frame: PageContext, asking: AdmittedRequest) -> dict[str, Any]:
    return {"at": frame.now(), "actor": asking.person.actor}


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


def _known(number: int) -> int:
    return min(max(number, 0), _LAST_NUMBER)
