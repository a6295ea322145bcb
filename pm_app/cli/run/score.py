"""`pm-app score`: new files ingested and scored, once."""

from typing import Any

from pm_app.cli.options import PLANT, Json, PlantOption, now
from pm_app.cli.output import print_json, progress_bar, say
from pm_app.settings.plant import read_settings


def score(config: PlantOption = PLANT, as_json: Json = False) -> None:
    """Ingest and score what is new, once."""
    from pm_app.jobs.score.run import score as run_score
    from pm_app.wiring import open_plant

    with open_plant(read_settings(config)) as plant, progress_bar("score") as progress:
        done = run_score(plant, now=now(), progress=progress)
    fields = {
        "batches_read": done.ingested.batches,
        "readings_used": done.ingested.rows,
        "readings_rejected": done.ingested.rejected,
        "batches_quarantined": done.ingested.quarantined,
        "batches_arriving": done.ingested.arriving,
        "batches_scored": done.batches,
        "predictions_new": done.committed.new,
        "predictions_revised": done.committed.revised,
        "predictions_unchanged": done.committed.unchanged,
        "model_version": done.version,
    }
    if as_json:
        print_json(fields)
    else:
        say(score_words(fields))


def score_words(fields: dict[str, Any]) -> str:
    """One line on what scoring did."""
    text = (
        f"{fields['batches_read']} batches read ({fields['readings_used']:,} readings used, "
        f"{fields['readings_rejected']:,} rejected, {fields['batches_quarantined']} batches "
        f"quarantined); {fields['predictions_new']:,} predictions new, "
        f"{fields['predictions_revised']:,} revised, {fields['predictions_unchanged']:,} unchanged"
    )
    if fields["batches_arriving"]:
        text += f"; {fields['batches_arriving']} still being written"
    if fields["model_version"] is None:
        return f"{text}; no model yet: pm-app retrain makes the first"
    return f"{text}; version {fields['model_version']}"
