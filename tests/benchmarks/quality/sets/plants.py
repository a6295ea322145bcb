"""From files of a plant to a labelled frame, through the product's own jobs."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pm_app.features.frame import select_features
from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import first_seen_ns
from pm_app.jobs.retrain.dataset import DatasetSource, gather_dataset
from pm_app.records.features import FeedPace, Frame
from pm_app.records.labels import Labels
from pm_app.settings.plant import read_settings
from pm_app.times import to_nanoseconds
from pm_app.wiring import open_plant

NOW = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, eq=False)
class Gathered:
    """Every feature of a plant's cutoffs, their labels, the features worth learning from, and
    the paces of its feeds of events."""

    frame: Frame
    labels: Labels
    informative: tuple[str, ...]
    paces: tuple[FeedPace, ...]

    @property
    def chosen(self) -> Frame:
        """The frame with the informative features alone."""
        return select_features(self.frame, self.informative)


def lay_out(folder: Path, toml: str, readings: pa.Table, events: pa.Table | None = None) -> Path:
    """A plant of one file of readings, and one of events; its folder."""
    for source, table in (("readings", readings), ("events", events)):
        (folder / source).mkdir(parents=True)
        if table is not None:
            pq.write_table(table, folder / source / "all.parquet")
    (folder / "plant.toml").write_text(toml, encoding="utf-8")
    return folder


def gather(folder: Path) -> Gathered:
    """Ingest what is new in the folder's plant; all that can be known of it then."""
    settings = read_settings(folder / "plant.toml")
    with open_plant(settings) as plant:
        found = ingest(plant, now=NOW)
        assert not found.rejected and not found.quarantined, found
        ledger = plant.store.ledger
        segments, events = (
            [name for row in ledger.ingested_batches(source) for name in row.segments]
            for source in ("readings", "events")
        )
        known_events = plant.event_history.read(events)
        ends = [to_nanoseconds(ledger.newest_time("readings")), *known_events.time.tolist()]
        known = gather_dataset(
            DatasetSource(plant.history, segments, known_events, first_seen_ns(plant.ledger)),
            settings,
            as_of_ns=max(ends) + settings.features.pane_ns,
        )
    return Gathered(known.frame, known.labels, known.informative, known.paces)
