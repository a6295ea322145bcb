"""API of alarms: list, story, acknowledge, shelve, comment, verdict."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from pm_app.jobs.operations import alarms as alarm_actions
from pm_app.records.alarms import Verdict
from pm_app.settings.modes import action_of, actions_by_mode
from pm_app.store import AlarmEventRow, AlarmRow, VerdictRow
from pm_app.web.api.parameters import ClosedBody, Limit, Note, Number, Offset, Search, Time
from pm_app.web.auth.admission import Operator
from pm_app.web.context import PageContext
from pm_app.web.texts import ALARM_LISTS

Listed = Literal["open", "unacknowledged", "acknowledged", "shelved", "cleared", "all"]
_ALL: tuple[str, ...] = ("unacknowledged", "returned", "acknowledged", "shelved", "cleared")


class NoteBody(ClosedBody):
    """A note with an act."""

    note: Note = ""


class Comment(ClosedBody):
    """Words to keep with an alarm."""

    text: Note


class Shelving(ClosedBody):
    """Until when an alarm keeps still, and why."""

    until: Annotated[
        Time, Field(description="when it speaks again", examples=["2026-03-02T06:00:00+01:00"])
    ]
    note: Note = ""


class VerdictBody(ClosedBody):
    """What was found. A time of failure goes with confirmed; failed_until is failed_from where it
    is not told."""

    verdict: Annotated[
        Literal["confirmed", "not-confirmed", "unclear"],
        Field(description="whether there was a failure", examples=["confirmed"]),
    ]
    found: Annotated[Note, Field(description="in words", examples=["outer race worn"])] = ""
    code: Annotated[Note, Field(description="as events have it", examples=["B12"])] = ""
    mode: Annotated[Note, Field(description="one of [modes]", examples=["bearing"])] = ""
    failed_from: Annotated[
        Time | None,
        Field(description="when it failed, or not before", examples=["2023-06-01T14:00:00Z"]),
    ] = None
    failed_until: Annotated[Time | None, Field(description="not after")] = None


class AlarmPage(BaseModel):
    """Alarms, newest first, and how many there are in each state.

    actions: what is to be done about each failure mode.
    """

    alarms: list[AlarmRow]
    counts: dict[str, int]
    actions: dict[str, str]


class AlarmStory(BaseModel):
    """An alarm, all that was done to it, and the newest verdict.

    action: what is to be done about the failure mode that is the likeliest now, "" where nobody
    has said.
    """

    alarm: AlarmRow
    events: list[AlarmEventRow]
    verdict: VerdictRow | None
    action: str


def add_alarms(router: APIRouter, context: PageContext) -> None:
    """/alarms: the list and the story of one."""

    @router.get("/alarms", summary="Alarms, newest first")
    def alarms(
        state: Annotated[
            Listed, Query(description="open: all that are not cleared", examples=["open"])
        ] = "open",
        search: Search = "",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> AlarmPage:
        """With how many there are in each state."""
        states = _ALL if state == "all" else ALARM_LISTS[state][1]
        own = context.store().alarms
        rows = own.page(states=states, search=search, limit=limit, offset=offset)
        actions = actions_by_mode(context.settings.modes)
        return AlarmPage(alarms=rows, counts=own.counts(search), actions=actions)

    @router.get("/alarms/{number}", summary="One alarm with its story")
    def alarm(number: Number) -> AlarmStory:
        """409 where there is none of that number."""
        own = context.store().alarms
        given = own.verdicts(of=[number])
        row = own.alarm(number)
        return AlarmStory(
            alarm=row,
            events=own.events(number),
            verdict=given[0] if given else None,
            action=action_of(row.likeliest_mode or row.mode, context.settings.modes),
        )


def add_alarm_actions(router: APIRouter, context: PageContext) -> None:
    """/alarms: what operators do about one."""

    @router.post("/alarms/{number}/acknowledge", summary="Say that it was seen")
    def acknowledge(number: Number, admitted: Operator, words: NoteBody | None = None) -> AlarmRow:
        """Takes the role operator."""
        note = "" if words is None else words.note
        return alarm_actions.acknowledge(
            context.writer(), number, note=note, **context.by(admitted.person)
        )

    @router.post("/alarms/{number}/shelve", summary="Let it keep still for a time")
    def shelve(number: Number, admitted: Operator, shelving: Shelving) -> AlarmRow:
        """Takes the role operator."""
        return alarm_actions.shelve(
            context.writer(),
            number,
            until=shelving.until,
            note=shelving.note,
            **context.by(admitted.person),
        )

    @router.post("/alarms/{number}/comment", summary="Add words")
    def comment(number: Number, admitted: Operator, comment: Comment) -> AlarmRow:
        """Takes the role operator."""
        return alarm_actions.comment(
            context.writer(), number, comment.text, **context.by(admitted.person)
        )

    @router.post("/alarms/{number}/verdict", summary="Say what was found")
    def verdict(number: Number, admitted: Operator, judgement: VerdictBody) -> AlarmRow:
        """Takes the role operator. What is confirmed is learned from."""
        fields = judgement.model_dump()
        # A failure that is told one time is told both ends.
        fields["failed_from"] = judgement.failed_from or judgement.failed_until
        fields["failed_until"] = judgement.failed_until or judgement.failed_from
        named = {"modes": context.settings.modes, **context.by(admitted.person)}
        return alarm_actions.give_verdict(context.writer(), number, Verdict(**fields), **named)
