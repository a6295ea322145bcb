"""Acts of people on alarms; who did it, when and why is kept for ever.

Every act returns the alarm as it stands then, and raises TerminalError where there is none of
that number, BadSettings for words and times that cannot be used.
"""

from collections.abc import Callable, Collection
from datetime import datetime

from pm_app.errors import BadSettings, TerminalError
from pm_app.records.alarms import (
    ACKNOWLEDGED,
    CLEARED,
    OF_ASSETS,
    RETURNED,
    SHELVED,
    UNACKNOWLEDGED,
    VERDICTS,
    AlarmStep,
    Verdict,
)
from pm_app.settings.modes import OTHER
from pm_app.store import Actor, AlarmRow, Store

LONGEST_TEXT = 1000


def acknowledge(
    store: Store, alarm_id: int, *, at: datetime, actor: Actor, note: str = ""
) -> AlarmRow:
    """Say that the alarm was seen; one that has returned is cleared by it.

    Raises TerminalError where there is nothing to acknowledge.
    """

    _check_text(note, "a note")

    def decide(alarm: AlarmRow) -> AlarmStep:
        if alarm.state not in (UNACKNOWLEDGED, RETURNED):
            raise TerminalError(f"{_state_text(alarm)}: there is nothing to acknowledge")
        return AlarmStep("acknowledged", CLEARED if alarm.state == RETURNED else ACKNOWLEDGED, note)

    return _act(store, alarm_id, decide, at, actor)


def shelve(
    store: Store, alarm_id: int, *, until: datetime, at: datetime, actor: Actor, note: str = ""
) -> AlarmRow:
    """Let the alarm keep still until then.

    The first scoring from then on brings it back. Raises TerminalError where its
    condition is gone.
    """
    if until <= at:
        raise BadSettings(f"an alarm is shelved until a time to come, got {until.isoformat()}")

    _check_text(note, "a note")

    def decide(alarm: AlarmRow) -> AlarmStep:
        if alarm.state in (RETURNED, CLEARED):
            raise TerminalError(f"{_state_text(alarm)}: only an alarm that stands can be shelved")
        shelved = f"until {until.isoformat()}"
        return AlarmStep(
            "shelved", SHELVED, f"{shelved}: {note}" if note else shelved, shelved_until=until
        )

    return _act(store, alarm_id, decide, at, actor)


def comment(store: Store, alarm_id: int, text: str, *, at: datetime, actor: Actor) -> AlarmRow:
    """Add words to an alarm, whatever its state."""
    if not text.strip():
        raise BadSettings("a comment needs words, got none")
    _check_text(text, "a comment")

    def decide(alarm: AlarmRow) -> AlarmStep:
        return AlarmStep("comment", alarm.state, text, shelved_until=alarm.shelved_until)

    return _act(store, alarm_id, decide, at, actor)


def give_verdict(
    store: Store,
    alarm_id: int,
    verdict: Verdict,
    *,
    at: datetime,
    actor: Actor,
    modes: Collection[str] = (),
) -> AlarmRow:
    """Say what was found behind an alarm, whatever its state.

    A later verdict on the same alarm takes the place of an earlier one. modes: that plant.toml
    names; without any, every code of a failure may be one. Raises TerminalError where the alarm
    is not one of an asset.
    """
    _check_verdict(verdict, at)
    _check_mode(verdict, modes)
    _check_text(verdict.found, "what was found")
    _check_text(verdict.code, "a code")
    _check_text(verdict.mode, "a failure mode")

    def decide(alarm: AlarmRow) -> AlarmStep:
        if alarm.kind not in OF_ASSETS:
            raise TerminalError(
                f"alarm {alarm.id} is of the plant; a verdict needs one of an asset"
            )
        return AlarmStep("verdict", alarm.state, verdict_text(verdict), alarm.shelved_until)

    return _act(store, alarm_id, decide, at, actor, verdict)


def verdict_text(verdict: Verdict) -> str:
    """A verdict in a line."""
    words = [verdict.verdict]
    first, last = verdict.failed_from, verdict.failed_until
    if first is not None and last is not None:
        until = "" if first == last else f" to {last.isoformat()}"
        words.append(f"failed {first.isoformat()}{until}")
    words += [part for part in (verdict.mode, verdict.code, verdict.found) if part]
    return "; ".join(words)


def _check_verdict(verdict: Verdict, at: datetime) -> None:
    if verdict.verdict not in VERDICTS:
        raise BadSettings(f"a verdict is one of {', '.join(VERDICTS)}, got {verdict.verdict!r}")
    first, last = verdict.failed_from, verdict.failed_until
    if first is None or last is None:
        return
    if verdict.verdict != "confirmed":
        raise BadSettings(f"a time of failure goes with confirmed, got {verdict.verdict}")
    if first > last:
        raise BadSettings(
            f"the failure began before it ended, got {first.isoformat()} and {last.isoformat()}"
        )
    if last > at:
        raise BadSettings(f"a failure that was found has happened, got {last.isoformat()}")


def _check_mode(verdict: Verdict, modes: Collection[str]) -> None:
    if not verdict.mode:
        return
    if verdict.verdict != "confirmed":
        raise BadSettings(f"a failure mode goes with confirmed, got {verdict.verdict}")
    if modes and verdict.mode not in (*modes, OTHER):
        raise BadSettings(
            f"a failure mode is one of {', '.join(modes)} or {OTHER}, as plant.toml has them, "
            f"got {verdict.mode[:40]!r}"
        )


def _act(
    store: Store,
    alarm_id: int,
    decide: Callable[[AlarmRow], AlarmStep],
    at: datetime,
    actor: Actor,
    verdict: Verdict | None = None,
) -> AlarmRow:
    _check_text(actor.name, "the name of who does it")
    if not actor.name.strip():
        raise BadSettings("who does it needs a name, got none")
    return store.alarms.act(alarm_id, decide, at=at, actor=actor, verdict=verdict)


def _check_text(text: str, what: str) -> None:
    if len(text) > LONGEST_TEXT or not text.replace("\n", "").isprintable():
        raise BadSettings(
            f"{what} takes at most {LONGEST_TEXT} characters and no control characters, "
            f"got {text[:40]!r}"
        )


def _state_text(alarm: AlarmRow) -> str:
    """An alarm's number and state, for messages."""
    when = f" until {alarm.shelved_until.isoformat()}" if alarm.shelved_until else ""
    return f"alarm {alarm.id} is {alarm.state}{when}"
