"""Factories with readable defaults: readings, plants, and versions made without training."""

import shutil
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper

from pm_app.features.frame import feature_names
from pm_app.features.panes.readings import order_rows, take_readings
from pm_app.jobs.ingest import housekeeping as compact
from pm_app.jobs.plant import Plant
from pm_app.jobs.retrain.messages import REQUEST, RESPONSE, TrainingRequest, TrainingResponse
from pm_app.learning.dataset import LearningTask
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.labels import Labels, Split
from pm_app.records.learning import (
    Allocation,
    Calibration,
    Drift,
    Gate,
    Head,
    Importance,
    QualityReport,
    Tier,
    VersionCard,
)
from pm_app.records.normality import FrozenNormal
from pm_app.records.readings import Batch, Readings
from pm_app.records.scores import with_shares
from pm_app.scoring.predictor import Predictor
from pm_app.settings.plant import Settings, parse_settings, read_settings
from pm_app.state.registry import Golden, write_version
from pm_app.store import RetrainingRow, Store, VersionRow
from pm_app.times import HOUR_NS
from pm_app.wiring import open_plant

HOUR = 3_600_000_000_000
START = 470_000 * HOUR  # 2023-08-14T08:00Z, a whole hour
NOW = datetime(2023, 10, 1, tzinfo=UTC)

PLANT_TOML = """\
[plant]
name = "Pumps"

[features]
pane = "1h"
windows = ["2h", "6h"]
memory = []

[target]
horizons = ["24h", "72h"]
rul_cap = "10d"
"""
# Blocks of memory end 16 hours after START, and every 128 hours from then on.
REMEMBERING_TOML = PLANT_TOML.replace(
    "memory = []", 'memory = ["life", "change", "scaled change", "5h", "2d"]\nbeginning = "4h"'
)

# The risks of a handmade champion lie close around this threshold.
ALARMING_TOML = (
    PLANT_TOML
    + """
[alarms]
threshold = 0.39
clear = 0.98
"""
)


MODES = ("bearing", "seal", "other")
MODES_TOML = """
[modes.bearing]
codes = ["B*"]
action = "Check lubrication; order 6310-2Z"

[modes.seal]
"""


def random_readings(
    *,
    rows: int = 500,
    assets: int = 3,
    sensors: int = 3,
    hours: float = 60,
    missing: float = 0.2,
    seed: int = 0,
) -> Readings:
    """Readings at random whole seconds in random order, some values missing."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(sensors, rows)) * 10.0 ** rng.integers(-3, 4, (sensors, 1))
    values += 10.0 ** rng.integers(0, 6, (sensors, 1))
    values[rng.random(values.shape) < missing] = np.nan
    return Readings(
        assets=tuple(f"pump-{number}" for number in range(assets)),
        asset=rng.integers(0, assets, rows).astype(np.int32),
        time=START + 10**9 * rng.integers(0, max(int(hours * 3600), 1), rows),
        sensors=tuple(f"sensor-{number}" for number in range(sensors)),
        values=values,
    )


def sorted_readings(readings: Readings) -> Readings:
    """The same by asset and time, each moment once."""
    return take_readings(*order_rows(readings))


def readings_table(
    *,
    assets: int = 3,
    hours: int = 30,
    a_pane: int = 3,
    sensors: int = 3,
    missing: float = 0.1,
    first_hour: int = 0,
    seed: int = 0,
) -> pa.Table:
    """Wide readings at random moments of each hour, no two at once, sorted by asset and time.

    `a_pane` readings an hour and asset; single values and whole hours are missing at random.
    """
    rng = np.random.default_rng(seed)
    shape = (assets, hours, a_pane)
    slot = 3600 // a_pane
    second = np.arange(a_pane) * slot + rng.integers(0, slot, shape)
    time = START + (first_hour + np.arange(hours))[:, None] * HOUR + second * 10**9
    names = np.repeat([f"pump-{number:02d}" for number in range(assets)], hours * a_pane)
    stays = np.repeat(rng.random((assets, hours)) >= missing, a_pane)
    values = rng.normal(50, 10, (sensors, names.size))
    values[rng.random(values.shape) < missing] = np.nan
    columns = {
        "asset_id": pa.array(names[stays].tolist(), pa.string()),
        "timestamp": pa.array(time.ravel()[stays], pa.timestamp("ns", "UTC")),
    }
    for number, column in enumerate(values[:, stays]):
        columns[f"sensor-{number}"] = pa.array(column, from_pandas=True)
    return pa.table(columns)


def events_table(rows: Iterable[tuple[str, float, str, str]]) -> pa.Table:
    """Events from (asset, hours after START, kind, code)."""
    assets, hours, kinds, codes = zip(*rows, strict=True)
    moments = [START + int(hour * HOUR) for hour in hours]
    return pa.table(
        {
            "asset_id": pa.array(assets, pa.string()),
            "timestamp": pa.array(moments, pa.timestamp("ns", "UTC")),
            "kind": pa.array(kinds, pa.string()),
            "code": pa.array(codes, pa.string()),
        }
    )


def make_plant(
    folder: Path,
    readings: Mapping[str, pa.Table] | None = None,
    *,
    events: Mapping[str, pa.Table] | None = None,
    toml: str = PLANT_TOML,
) -> Path:
    """A plant in a folder, with these files; returns its plant.toml."""
    for name in ("readings", "events"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    config = folder / "plant.toml"
    config.write_text(toml, encoding="utf-8")
    for name, table in (readings or {}).items():
        drop(config, name, table)
    for name, table in (events or {}).items():
        drop(config, name, table, source="events")
    return config


def make_stocked_plant(
    folder: Path,
    states: Mapping[bool, Path],
    readings: Mapping[str, pa.Table] | None = None,
    *,
    events: Mapping[str, pa.Table] | None = None,
    toml: str = PLANT_TOML,
    champion: bool | None = True,
    url: str = "",
) -> Path:
    """`make_plant` with a copy of a state folder, by whether it has a champion; None without any.

    url: of a database with a store, where it is not a file of the state folder.
    """
    if url:
        toml += f'\n[store]\nurl = "{url}"\n'
    config = make_plant(folder, readings, events=events, toml=toml)
    if champion is not None and not url:
        shutil.copytree(states[champion], config.parent / "state")
    elif champion:
        with opened(config) as plant:
            promote_handmade(plant)
    return config


@contextmanager
def few_batches_a_run(run: int = 16, least: int = 2, settled: timedelta = timedelta(days=2)):
    """Compaction that has something to join in a small plant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compact, "RUN_BATCHES", run)
        patch.setattr(compact, "LEAST_BATCHES", least)
        patch.setattr(compact, "SETTLED", settled)
        yield


def by_name(source) -> list[Batch]:
    """What a source lists, in order of name."""
    return sorted(source.list(), key=lambda batch: batch.name)


def drop(config: Path, name: str, table: pa.Table, *, source: str = "readings") -> Path:
    """A file for a plant's source."""
    path = config.parent / source / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def make_spec(settings: Settings, *, sensors: int = 3) -> FeatureSpec:
    """The features of `readings_table`, by the plant's own panes and windows."""
    return FeatureSpec(
        sensors=tuple(f"sensor-{number}" for number in range(sensors)),
        pane_ns=settings.features.pane_ns,
        windows_ns=settings.features.windows_ns,
        maintenance_codes=("seal",),
        error_codes=("trip",),
        clock=None,
        life=settings.features.life,
        change=settings.features.change,
        scaled_change=settings.features.scaled_change,
        beginning_ns=settings.features.beginning_ns,
        smooth_ns=settings.features.smooth_ns,
        renewals=settings.events.renewals,
        own_minima=True,
    )


SPEC = make_spec(parse_settings(tomllib.loads(PLANT_TOML), folder=Path(), origin="plant.toml"))


def make_graph(
    features: int, *, edges: int, seed: int = 0, attends: int = 0, modes: int = 0
) -> bytes:
    """An ONNX graph whose every output depends on every feature; missing ones count as 0.

    (n, features) float32 to survival at ascending edges, (n, edges), falling along a row: the
    mean of an ensemble, as the trained ones are. modes: whose shares at every edge are the next
    output; attends: sensors whose shares of attention are the last.
    """
    rng = np.random.default_rng(seed)
    constants = {
        "nothing": np.zeros(1),
        "shrink": np.full(1, 0.02),
        "mix": rng.normal(0, 1, (features, 16)),
        "weigh": rng.normal(0, 0.4, (16, 8)),
        "offset": np.linspace(1.5, -0.5, edges),
    }
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "nothing", "features"], ["known"]),
        helper.make_node("Mul", ["known", "shrink"], ["small"]),
        helper.make_node("MatMul", ["small", "mix"], ["mixed"]),
        helper.make_node("Tanh", ["mixed"], ["hidden"]),
        helper.make_node("MatMul", ["hidden", "weigh"], ["wear"]),
        helper.make_node("Unsqueeze", ["wear", "last"], ["members"]),
        helper.make_node("Sub", ["offset", "members"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["opinions"]),
        helper.make_node("ReduceMean", ["opinions"], ["survival"], axes=[1], keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info("survival", TensorProto.FLOAT, [None, edges])]
    if modes:
        constants["tell"] = rng.normal(0, 0.2, (features, edges * modes))
        nodes += [
            helper.make_node("MatMul", ["small", "tell"], ["causes"]),
            helper.make_node("Reshape", ["causes", "apart"], ["hazards"]),
            helper.make_node("Softmax", ["hazards"], ["modes"]),
        ]
        shape = [None, edges, modes]
        outputs.append(helper.make_tensor_value_info("modes", TensorProto.FLOAT, shape))
    if attends:
        constants["look"] = rng.normal(0, 0.5, (features, attends))
        nodes += [
            helper.make_node("MatMul", ["small", "look"], ["looks"]),
            helper.make_node("Softmax", ["looks"], ["attention"]),
        ]
        outputs.append(
            helper.make_tensor_value_info("attention", TensorProto.FLOAT, [None, attends])
        )
    initializers = [
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()
    ]
    initializers.append(numpy_helper.from_array(np.array([2]), "last"))
    if modes:
        initializers.append(numpy_helper.from_array(np.array([-1, edges, modes]), "apart"))
    graph = helper.make_graph(
        nodes,
        "handmade",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, features])],
        outputs,
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def make_card(spec: FeatureSpec = SPEC, **changes: object) -> VersionCard:
    """A card for a handmade graph: it speaks of everything, whatever the readings are.

    changes: fields that differ.
    """
    features, sensor_of = feature_names(spec)
    sensors = tuple(dict.fromkeys(sensor_of))
    many, share = len(sensors), 1 / len(sensors)
    card = VersionCard(
        spec=spec,
        features=features,
        sensor_of=sensor_of,
        head=Head("hazard", (12.0, 24.0, 72.0, 240.0), (24.0, 72.0)),
        calibration=Calibration((1.0, 1.0), (0.0, 0.0), 1.0, 1.0),
        importance=Importance(
            sensors=sensors,
            shares=(share,) * many,
            spread=(0.01,) * many,
            replicates=((share,) * many,),
            clusters=tuple((sensor,) for sensor in sensors),
            cluster_shares=(share,) * many,
            interactions=(),
            score_name="average_precision",
            score=0.5,
        ),
        allocation=Allocation(
            "uniform",
            (Tier("all", sensors, 8, 0, 0.0),),
            (1e-4,) * many,
            (8,),
            members=1,
            parameters=100,
            scaling="bounded",
        ),
        drift=Drift("first", "handmade", None, None, None, 0),
        reports=(QualityReport("uniform", 100, {"average_precision_24h": 0.5}),),
        feature_low=(-1e9,) * len(features),
        feature_high=(1e9,) * len(features),
        reference=(0.0,) * len(features),
        split="none",
        rows=100,
        failures=10,
        seed=0,
        settings_digest="0",
        created_at=NOW.isoformat(),
        trained_until=NOW.isoformat(),
        parity=1e-7,
    )
    return replace(card, **changes)


def make_card_with_modes(spec: FeatureSpec = SPEC, modes: Sequence[str] = MODES) -> VersionCard:
    """As make_card, of a plant that tells failure modes apart."""
    card = make_card(spec)
    return replace(card, head=replace(card.head, modes=tuple(modes)))


def make_gated_card(spec: FeatureSpec = SPEC) -> VersionCard:
    """As make_card, with a gate over the sensors, which the plan has in another order."""
    card = make_card(spec)
    sensors = card.importance.sensors[::-1]
    plan = card.allocation
    tiers = (replace(plan.tiers[0], sensors=sensors),)
    gated = replace(plan, strategy="attention", tiers=tiers, gate=Gate(2, (1.0,) * len(sensors)))
    return replace(card, allocation=gated)


def write_handmade(
    folder: Path,
    card: VersionCard | None = None,
    *,
    off: float = 0.0,
    normal: FrozenNormal | None = None,
) -> None:
    """Fill a folder with a version made without training; its graph follows the card's seed.

    off is added to what its golden rows say. normal: what says the deviation that it reads.
    """
    card = card or make_card()
    graph = make_graph(
        len(card.features),
        edges=len(card.head.edges_hours),
        seed=card.seed,
        attends=len(card.allocation.sensors) if card.allocation.gate else 0,
        modes=len(card.head.modes),
    )
    rng = np.random.default_rng(card.seed)
    rows = rng.normal(50, 10, (20, len(card.features))).astype(np.float32)
    predictor = Predictor(
        graph, head=card.head, calibration=card.calibration, features=card.features
    )
    answers = with_shares(predictor.outputs(rows), predictor.mode_shares(rows))
    golden = Golden(rows, (answers + off).astype(np.float32))
    write_version(folder, card=card, keras=b"handmade", onnx=graph, golden=golden, normal=normal)


def promote_handmade(
    plant: Plant,
    *,
    at: datetime = NOW,
    seed: int = 0,
    card: VersionCard | None = None,
    normal: FrozenNormal | None = None,
) -> int:
    """A version made without training, published, recorded and promoted; returns its number."""
    number = plant.store.lineage.next_version()
    staged = plant.registry.staging()
    made = card or make_card(make_spec(plant.settings), seed=seed)
    write_handmade(staged, made, normal=normal)
    plant.registry.publish(staged, number)
    row = VersionRow(
        version=number,
        path=plant.registry.path(number).name,
        digest=plant.registry.digest(number),
        created_at=at,
        strategy="uniform",
        parameters=100,
        status="published",
    )
    made = RetrainingRow(at, at, at, "first", "made by hand", version=number)
    plant.store.lineage.record_retraining(made, version=row, promote=True)
    return number


def task_of(
    frame: Frame,
    labels: Labels,
    split: Split,
    kind: str,
    horizons: tuple[float, ...] = (0.0,),
    head: Head | None = None,
) -> LearningTask:
    """A task whose head matters only where one is given."""
    return LearningTask(kind, horizons, frame, labels, split, head or Head(kind, (), horizons))


class FakeTrainer:
    """Answers as told, and fills the staging folder where the answer says so.

    orders are those it got. off goes to `write_handmade`, other keywords to `make_card`.
    """

    def __init__(
        self,
        decision: str = "first",
        *,
        made: bool = True,
        promote: bool = True,
        off: float = 0.0,
        **changes: object,
    ):
        self.answer = TrainingResponse(
            decision, f"{decision}, for a reason", made, promote and made, metrics={"tau": 0.5}
        )
        self.off, self.changes = off, changes
        self.orders: list[TrainingRequest] = []

    def __call__(self, order_path, answer_path, progress) -> None:
        order = REQUEST.validate_json(order_path.read_bytes())
        self.orders.append(order)
        if self.answer.has_version:
            write_handmade(Path(order.staging), make_card(**self.changes), off=self.off)
        answer_path.write_bytes(RESPONSE.dump_json(self.answer))


@contextmanager
def opened(config: Path):
    """The plant of a plant.toml, open for jobs."""
    with open_plant(read_settings(config)) as plant:
        yield plant


def said(store: Store, *, without: Sequence[str] = ()) -> list[dict[str, object]]:
    """The predictions table as it stands, but for some columns."""
    tables = list(store.tables.predictions())
    return pa.concat_tables(tables).drop_columns(list(without)).to_pylist() if tables else []


def standing(store: Store) -> set[str]:
    """Assets whose alarms stand."""
    rows = store.alarms.alarms(only_open=True)
    return {row.asset_id for row in rows if row.kind == "risk" and row.state != "returned"}


def expected_alarms(store: Store, *, threshold: float = 0.39, clear: float = 0.98) -> set[str]:
    """Assets whose newest two risks running on one side of their thresholds are high ones."""
    risks: dict[str, list[float]] = {}
    for row in said(store):
        if row["horizon_hours"] == 72.0 and row["status"] == "scored":
            risks.setdefault(str(row["asset_id"]), []).append(row["risk"])  # type: ignore[arg-type]
    found = set()
    for asset, values in risks.items():
        for pair in list(zip(values, values[1:], strict=False))[::-1]:
            if min(pair) >= threshold or max(pair) < clear * threshold:
                found |= {asset} if min(pair) >= threshold else set()
                break
    return found


def hour(number: float) -> datetime:
    """A moment on the clock of these factories."""
    return datetime.fromtimestamp(START / 1e9 + number * 3600, tz=UTC)


def hours_after_start(moment: datetime) -> float:
    """Where a moment lies on the clock of these factories."""
    return (moment - datetime.fromtimestamp(START / 1e9, tz=UTC)).total_seconds() * 1e9 / HOUR_NS
