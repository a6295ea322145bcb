"""API of models: versions, promotion, rollback, retrainings, batches."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from pm_app.jobs.score.promotion import promote as promote_version
from pm_app.jobs.score.promotion import roll_back
from pm_app.store import BatchRow, ImportanceRow, PromotionRow, RetrainingRow, Source, VersionRow
from pm_app.store.lineage import Lineage
from pm_app.store.rows import BatchStatus, VersionKind
from pm_app.web.api.parameters import ClosedBody, Limit, Note, Number
from pm_app.web.auth.admission import Engineer
from pm_app.web.context import PageContext

Kind = Annotated[VersionKind, Query(description="of failures, or of what is normal")]


class ReasonBody(ClosedBody):
    """A reason, kept for ever."""

    reason: Annotated[Note, Field(description="why", examples=["Better on line 2"])]


class RollbackBody(ReasonBody):
    """A reason, and which kind goes back: of failures, or of what is normal."""

    kind: Annotated[VersionKind, Field(description="of failures, or of what is normal")] = "failure"


class Models(BaseModel):
    """What was learned, newest first; which version scores, and which waits for a person.

    Those of kind "normal" say deviations, beside the champion, which says risks.
    """

    champion: int | None
    waiting: int | None
    versions: list[VersionRow]
    promotions: list[PromotionRow]
    normal: int | None
    normal_waiting: int | None
    normal_promotions: list[PromotionRow]


class Model(BaseModel):
    """One version, and what each sensor is worth to it."""

    version: VersionRow
    importances: list[ImportanceRow]


class PromotionAnswer(BaseModel):
    """Which version of the kind that was moved scores from now on."""

    champion: int | None


class Batches(BaseModel):
    """Files that came, newest first. before: the sequence to go on from, None at the end."""

    batches: list[BatchRow]
    before: int | None


def add_models(router: APIRouter, context: PageContext) -> None:
    """/models: what was learned."""

    @router.get("/models", summary="What was learned, and which version scores")
    def models() -> Models:
        """Promotions are told oldest first."""
        lineage = context.store().lineage
        waits, normal_waits = lineage.waiting(), lineage.waiting("normal")
        return Models(
            champion=lineage.champion(),
            waiting=None if waits is None else waits.version,
            versions=lineage.versions(),
            promotions=lineage.promotions(),
            normal=lineage.champion("normal"),
            normal_waiting=None if normal_waits is None else normal_waits.version,
            normal_promotions=lineage.promotions("normal"),
        )

    @router.get("/models/{number}", summary="One version and its importances")
    def model(number: Number) -> Model:
        """Most important sensor first."""
        lineage = context.store().lineage
        version = lineage.version(number)
        if version is None:
            raise HTTPException(404, f"there is no version {number}")
        return Model(version=version, importances=lineage.importances(number))


def add_promotions(router: APIRouter, context: PageContext) -> None:
    """/models: which version scores."""

    @router.post("/models/rollback", summary="Let the version before the champion score again")
    def rollback(admitted: Engineer, why: RollbackBody) -> PromotionAnswer:
        """Takes the role engineer."""
        with context.plant() as plant:
            by = context.by(admitted.person)
            version = roll_back(plant, reason=why.reason, kind=why.kind, **by)
            return PromotionAnswer(champion=version)

    @router.post("/models/{number}/promote", summary="Let a version score from now on")
    def promote(number: Number, admitted: Engineer, why: ReasonBody) -> PromotionAnswer:
        """Takes the role engineer."""
        with context.plant() as plant:
            promote_version(plant, number, reason=why.reason, **context.by(admitted.person))
            return _answer(plant.store.lineage, number)

    @router.post("/models/{number}/reject", summary="Say no to the version that waits")
    def reject(number: Number, admitted: Engineer, why: ReasonBody) -> PromotionAnswer:
        """Takes the role engineer."""
        lineage = context.writer().lineage
        lineage.reject(number, reason=why.reason, **context.by(admitted.person))
        return _answer(lineage, number)


def _answer(lineage: Lineage, number: int) -> PromotionAnswer:
    """Which version of the kind of this one scores."""
    row = lineage.version(number)
    return PromotionAnswer(champion=lineage.champion("failure" if row is None else row.kind))


def add_batches(router: APIRouter, context: PageContext) -> None:
    """/retrainings and /batches."""

    @router.get("/retrainings", summary="What was decided and why, newest first")
    def retrainings(limit: Limit = 100, kind: Kind = "failure") -> list[RetrainingRow]:
        """With the figures behind each decision; kind "normal": of what is learned as normal."""
        return context.store().lineage.retrainings(limit, kind=kind)

    @router.get("/batches", summary="Files that came, newest first")
    def batches(
        source: Annotated[Source | None, Query(description="of these alone")] = None,
        status: Annotated[
            BatchStatus | None, Query(description="alone", examples=["quarantined"])
        ] = None,
        before: Annotated[
            int | None, Query(ge=1, le=2**62, description="before of an answer: what comes next")
        ] = None,
        limit: Limit = 100,
    ) -> Batches:
        """Rows used and rejected, with reasons."""
        rows = context.store().ledger.batches(source, status=status, before=before, limit=limit)
        return Batches(batches=rows, before=rows[-1].sequence if len(rows) == limit else None)
