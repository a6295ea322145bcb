"""Models page: which version scores, how it came to be, and what it goes by."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from pm_app.errors import BadSettings, TerminalError
from pm_app.jobs.operations.alarms import LONGEST_TEXT
from pm_app.jobs.retrain.first_version import first_version_text
from pm_app.jobs.score.promotion import promote, roll_back
from pm_app.store import PromotionRow, RetrainingRow, Store, VersionRow
from pm_app.store.lineage import scored_before, version_before
from pm_app.store.rows import VersionKind
from pm_app.times import format_duration
from pm_app.web.address import LARGEST_ID, BadAddress, check_keys, storable_id, whole_number
from pm_app.web.auth.admission import AdmittedRequest, Engineer
from pm_app.web.context import Page, PageContext, StateFolder
from pm_app.web.pages.models.facts import (
    allocation_facts,
    calibration_facts,
    figure_facts,
    guidance_facts,
)
from pm_app.web.pages.models.texts import DECISIONS, KINDS, STANDINGS, SUSPICION
from pm_app.wording import announces_texts, renewals_text, revision_text

MOST_VERSIONS: Final = 30
MOST_RETRAININGS: Final = 10
MOST_MOVES: Final = 30
MOST_NORMALS: Final = 10
# The part of the page on what is usual.
NORMAL: Final = "/models#normal"
# No retraining takes so long: rows of before noted the beginning by a given time, the end by
# the clock of the machine.
ONE_CLOCK: Final = timedelta(days=30)
_LOOKED_THROUGH: Final = 50
_KEYS: Final = ("version", "against")


def add_models(router: APIRouter, context: PageContext) -> None:
    """The page of models and its forms."""
    _add_actions(router, context)
    folder = StateFolder(context.settings)

    @router.get("/models")
    def models(request: Request) -> Response:
        facts = _facts(context.store(), folder, request.query_params)
        return context.show(request, MODELS_PAGE, **facts)


def _add_actions(router: APIRouter, context: PageContext) -> None:
    """The forms of the page of models; each takes the role engineer and a reason."""

    @router.post("/models/rollback")
    def back(admitted: Engineer) -> Response:
        why = _why(admitted)
        with context.plant() as plant:
            roll_back(plant, reason=why, **context.by(admitted.person))
        return RedirectResponse("/models", 303)

    @router.post("/models/normal/rollback")
    def back_to_usual(admitted: Engineer) -> Response:
        why = _why(admitted)
        with context.plant() as plant:
            roll_back(plant, reason=why, kind="normal", **context.by(admitted.person))
        return RedirectResponse(NORMAL, 303)

    @router.post("/models/{number}/promote")
    def move(number: int, admitted: Engineer) -> Response:
        why = _why(admitted)
        with context.plant() as plant:
            promote(plant, storable_id(number), reason=why, **context.by(admitted.person))
        return RedirectResponse("/models", 303)

    @router.post("/models/{number}/reject")
    def refuse(number: int, admitted: Engineer) -> Response:
        lineage, why = context.writer().lineage, _why(admitted)
        lineage.reject(storable_id(number), reason=why, **context.by(admitted.person))
        return RedirectResponse("/models", 303)


def _why(admitted: AdmittedRequest) -> str:
    """The reason, which is kept for ever. Raises BadSettings where it will not do."""
    why = admitted.form.get("reason", "").strip()
    if not why:
        raise BadSettings("moving a version takes a reason, which is kept for ever")
    if len(why) > LONGEST_TEXT or not why.replace("\n", "").isprintable():
        raise BadSettings(
            f"a reason takes at most {LONGEST_TEXT} characters and no control characters, "
            f"got {why[:40]!r}"
        )
    return why


def _facts(store: Store, folder: StateFolder, values: Mapping[str, str]) -> dict[str, Any]:
    """All that the template shows."""
    asked = _asked(values)
    lineage = store.lineage
    moves, champion = lineage.promotions(), lineage.champion()
    movers = lineage.promotion_actors()
    versions = lineage.versions(limit=MOST_VERSIONS, kind="failure")
    retrainings = lineage.retrainings(limit=_LOOKED_THROUGH)
    waits = lineage.waiting()
    waiting = [] if waits is None else [waits]
    live = None if champion is None else _version(store, champion, kind="failure")
    number = asked.get("version") or champion or (versions[0].version if versions else None)
    chosen = None if number is None else _version(store, number, kind="failure")
    return {
        "champion": live,
        "first_version": first_version_text(lineage),
        "learned": "" if live is None else _learned(live),
        "live_since": moves[-1] if moves else None,
        "waiting": waiting,
        "versions": [(row, _standing(row, champion, moves, waiting)) for row in versions],
        "standings": STANDINGS,
        "version_count": lineage.next_version() - 1,
        "retrainings": retrainings[:MOST_RETRAININGS],
        "took": _took,
        "decisions": DECISIONS,
        "moves": [(row, movers.get(row.id, "")) for row in moves[: -MOST_MOVES - 1 : -1]],
        "kinds": KINDS,
        "chosen": chosen,
        "suspicion": SUSPICION,
        "back_to": _back_to(moves),
        "normal": _normal_facts(store),
        **_chosen_facts(store, folder, chosen, asked.get("against"), moves),
    }


def _normal_facts(store: Store) -> dict[str, Any]:
    """What is usual: the version that says deviations, the one that waits, and those before."""
    lineage = store.lineage
    moves, champion = lineage.promotions("normal"), lineage.champion("normal")
    waits = lineage.waiting("normal")
    waiting = [] if waits is None else [waits]
    versions = lineage.versions(limit=MOST_NORMALS, kind="normal")
    return {
        "champion": None if champion is None else _version(store, champion, kind="normal"),
        "since": moves[-1].at if moves else None,
        "waiting": waiting,
        "versions": [(row, _standing(row, champion, moves, waiting)) for row in versions],
        "learnings": lineage.retrainings(limit=1, kind="normal"),
        "back_to": _back_to(moves),
    }


def _took(row: RetrainingRow) -> str:
    """How long a retraining took; "" where its beginning and end are of two clocks."""
    took = row.finished_at - row.started_at
    return format_duration(took.total_seconds()) if timedelta(0) <= took < ONE_CLOCK else ""


def _back_to(moves: Sequence[PromotionRow]) -> int | None:
    """The version that a rollback returns to, None where there was none before."""
    try:
        return version_before(moves)
    except TerminalError:
        return None


def _asked(values: Mapping[str, str]) -> dict[str, int]:
    check_keys(values, _KEYS)
    return {key: whole_number(value, key, LARGEST_ID) for key, value in values.items()}


def _learned(version: VersionRow) -> str:
    """What a version has learned from, in words."""
    summary = version.summary
    text = f"learned from {summary.get('failures', '?')} failures"
    if summary.get("failures_from_verdicts"):
        text += f" ({summary['failures_from_verdicts']} of them from verdicts)"
    until = str(summary.get("trained_until", ""))[:10]
    return f"{text} until {until}" if until else text


def _version(store: Store, number: int, kind: VersionKind) -> VersionRow:
    """A version of a kind. Raises BadAddress naming those there are."""
    row = store.lineage.version(number)
    if row is None or row.kind != kind:
        newest = store.lineage.versions(limit=10, kind=kind)
        versions = ", ".join(str(each.version) for each in newest)
        raise BadAddress(f"version takes one of {versions or 'none yet'}, got {number}")
    return row


def _standing(
    row: VersionRow,
    champion: int | None,
    moves: Sequence[PromotionRow],
    waiting: Sequence[RetrainingRow],
) -> str:
    """A key of STANDINGS."""
    scored = {move.version for move in moves}
    standing = "scored" if row.version in scored else "never"
    if row.version in {one.version for one in waiting}:
        standing = "waits"
    return "scores" if row.version == champion else standing


def _chosen_facts(
    store: Store,
    folder: StateFolder,
    chosen: VersionRow | None,
    against: int | None,
    moves: Sequence[PromotionRow],
) -> dict[str, Any]:
    """What one version goes by, and how it compares with the one before."""
    if chosen is None:
        return {}
    if against is None:
        before = scored_before(chosen.version, moves)
    else:
        before = _version(store, against, kind="failure").version
    revision: Any = chosen.summary.get("revision")
    renewed: Any = chosen.summary.get("renewed")
    return {
        "before": before,
        "importances": _importances(store, chosen, before),
        "announces": announces_texts(chosen.summary.get("announces")),
        "again": revision_text(revision) if revision else "",
        "renewals": renewals_text(renewed) if renewed else "",
        **figure_facts(chosen),
        **guidance_facts(chosen),
        **calibration_facts(chosen),
        **allocation_facts(folder, chosen, before),
    }


def _importances(store: Store, chosen: VersionRow, before: int | None) -> list[dict[str, Any]]:
    old = {} if before is None else {r.sensor: r for r in store.lineage.importances(before)}
    suspicions: Any = chosen.summary.get("suspicions") or ()
    suspected = {one["sensor"] for one in suspicions}
    return [
        {"row": row, "old": old.get(row.sensor), "suspected": row.sensor in suspected}
        for row in store.lineage.importances(chosen.version)
    ]


MODELS_PAGE: Final = Page("models", "/models", add_models, title="Models")
