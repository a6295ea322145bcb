"""Model actions of engineers: promote, reject, roll back."""

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from pm_app.errors import BadSettings
from pm_app.jobs.operations.alarms import LONGEST_TEXT
from pm_app.jobs.score.champion import promote, roll_back
from pm_app.web.auth.admission import AdmittedRequest, Engineer
from pm_app.web.context import PageContext
from pm_app.web.pages.models.texts import MODELS

_LARGEST = 2**31 - 1


def add_model_actions(router: APIRouter, context: PageContext) -> None:
    """The forms of the page of models; each takes the role engineer and a reason."""

    @router.post("/models/rollback")
    def back(asking: Engineer) -> Response:
        why = _why(asking)
        with context.plant() as plant:
            roll_back(plant, at=context.now(), reason=why, actor=asking.person.actor)
        return RedirectResponse("/models", 303)

    @router.post("/models/{number}/promote")
    def move(number: int, asking: Engineer) -> Response:
        why = _why(asking)
        with context.plant() as plant:
            known = min(max(number, 0), _LARGEST)
            promote(plant, known, at=context.now(), reason=why, actor=asking.person.actor)
        return RedirectResponse("/models", 303)

    @router.post("/models/{number}/reject")
    def refuse(number: int, asking: Engineer) -> Response:
        lineage, why = context.writer().lineage, _why(asking)
        known = min(max(number, 0), _LARGEST)
        lineage.reject(known, at=context.now(), reason=why, actor=asking.person.actor)
        return RedirectResponse("/models", 303)


def _why(asking: AdmittedRequest) -> str:
    """The reason, which is kept for ever. Raises BadSettings where it will not do."""
    why = asking.form.get("reason", "").strip()
    if not why:
        raise BadSettings(MODELS["needs_reason"])
    if len(why) > LONGEST_TEXT or not why.replace("\n", "").isprintable():
        raise BadSettings(
            f"a reason takes at most {LONGEST_TEXT} characters and no control characters, "
            f"got {why[:40]!r}"
        )
    return why
