"""Simulated plants whose files have all come, looked at as their history stood on a day."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.sets.plants import NOW, lay_out

from pm_app.jobs.ingest.run import ingest
from pm_app.jobs.plant import Plant, first_seen_ns
from pm_app.jobs.retrain.dataset import DatasetSource, gather_dataset
from pm_app.learning.dataset import Dataset
from pm_app.records.features import FeatureSpec
from pm_app.records.readings import Events, Int64
from pm_app.settings.plant import Settings, read_settings
from pm_app.simulator import PlantPlan, simulate
from pm_app.times import HOUR_NS
from pm_app.wiring import open_plant

DAY_NS = 24 * HOUR_NS
# What decides is as it is by default; panes and windows are few, so that hundreds of
# retrainings take minutes.
PLANT_TOML = """\
[features]
pane = "6h"
windows = ["24h"]
memory = ["change"]

[target]
horizons = ["72h"]
rul_cap = "10d"

[allocation]
strategy = "tiers"
"""


@dataclass(frozen=True, eq=False)
class Grown:
    """A plant with all of its files taken in."""

    plan: PlantPlan
    plant: Plant
    events: Events
    segments: tuple[str, ...]

    @property
    def settings(self) -> Settings:
        """Of its plant.toml."""
        return self.plant.settings

    def moment(self, day: float) -> int:
        """When a day begins, in nanoseconds."""
        return self.plan.start_ns + round(day * DAY_NS)

    def known(self, day: float, champion: FeatureSpec | None = None) -> Dataset:
        """What a retraining as of this day may look at."""
        return gather_dataset(
            DatasetSource(
                self.plant.history, self.segments, self.events, first_seen_ns(self.plant.ledger)
            ),
            self.settings,
            as_of_ns=self.moment(day),
            champion=champion,
        )

    def failures(self, mode: str) -> set[tuple[str, int]]:
        """Asset and time of every failure of a mode."""
        chosen = (self.events.kind == "failure") & (self.events.code == mode)
        times: Int64 = self.events.time[chosen]
        return set(zip(self.events.asset[chosen].tolist(), times.tolist(), strict=True))


@contextmanager
def grown(plan: PlantPlan, folder: Path) -> Iterator[Grown]:
    """The plant of a plan, laid out in this new folder and taken in."""
    plant = simulate(plan)
    tables = (table(0, plan.days) for table in (plant.readings, plant.events_table))
    settings = read_settings(lay_out(folder, PLANT_TOML, *tables) / "plant.toml")
    with open_plant(settings) as live:
        ingest(live, now=NOW)
        ledger = live.store.ledger
        segments, events = (
            tuple(name for row in ledger.ingested_batches(source) for name in row.segments)
            for source in ("readings", "events")
        )
        yield Grown(plan, live, live.event_history.read(events), segments)
