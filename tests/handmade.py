"""A version made without training, and a small plant whose readings it understands."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper

from pm_app.features.frame import feature_names
from pm_app.jobs.training_order import ANSWER, ORDER, TrainingAnswer, TrainingOrder
from pm_app.records.features import FeatureSpec
from pm_app.records.learning import (
    Allocation,
    Calibration,
    Drift,
    Head,
    Importance,
    Report,
    Tier,
    VersionCard,
)
from pm_app.registry import Golden, write_version
from pm_app.scoring.predictor import Predictor
from pm_app.times import HOUR_NS

START_HOUR = 470_000  # 2023-08-14T08:00Z
NOW = datetime(2023, 9, 1, tzinfo=UTC)
SENSORS = ("load", "vibration")
PLANT_TOML = """\
[features]
pane = "1h"
windows = ["2h", "6h"]

[target]
horizons = ["6h", "24h"]
rul_cap = "4d"
"""


def hour(number: float) -> datetime:
    """A moment on the clock of these plants."""
    return datetime.fromtimestamp((START_HOUR + number) * 3600, tz=UTC)


def readings_table(*, assets=3, hours=48, first_hour=0, seed=0) -> pa.Table:
    """Two readings an hour and asset, nothing missing."""
    rng = np.random.default_rng(seed)
    moments = (START_HOUR + first_hour) * HOUR_NS + np.arange(2 * hours) * (HOUR_NS // 2)
    columns = {
        "asset_id": pa.array([f"pump-{at}" for at in range(assets) for _ in moments]),
        "timestamp": pa.array(np.tile(moments, assets), pa.timestamp("ns", "UTC")),
    }
    return pa.table(columns | {name: rng.normal(50, 5, assets * len(moments)) for name in SENSORS})


def events_table(*rows: tuple[str, float, str, str]) -> pa.Table:
    """Events from (asset, hours on the clock, kind, code)."""
    assets, hours, kinds, codes = zip(*rows, strict=True)
    stamps = [(START_HOUR * HOUR_NS) + round(at * HOUR_NS) for at in hours]
    return pa.table(
        {
            "asset_id": pa.array(assets),
            "timestamp": pa.array(stamps, pa.timestamp("ns", "UTC")),
            "kind": pa.array(kinds),
            "code": pa.array(codes),
        }
    )


def lay_plant(folder: Path, *, toml: str = PLANT_TOML, readings=None, events=None) -> Path:
    """A plant with these files (name to table); returns its plant.toml."""
    for source, tables in (("readings", readings), ("events", events)):
        (folder / source).mkdir(parents=True)
        for name, table in (tables or {}).items():
            pq.write_table(table, folder / source / name)
    settings = folder / "plant.toml"
    settings.write_text(toml, encoding="utf-8")
    return settings


def make_spec() -> FeatureSpec:
    """The features of PLANT_TOML on `readings_table`."""
    return FeatureSpec(SENSORS, HOUR_NS, (2 * HOUR_NS, 6 * HOUR_NS), (), (), None)


def make_graph(features: int, edges: int, *, seed: int = 0) -> bytes:
    """An ONNX graph: survival at `edges` ascending edges, missing values taken as 0."""
    rng = np.random.default_rng(seed)
    constants = {
        "nothing": np.zeros(1),
        "weights": rng.normal(0, 0.003, (features, 1)),
        "offset": np.linspace(2.0, -1.0, edges),
    }
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "nothing", "features"], ["known"]),
        helper.make_node("MatMul", ["known", "weights"], ["health"]),
        helper.make_node("Add", ["health", "offset"], ["odds"]),
        helper.make_node("Sigmoid", ["odds"], ["survival"]),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "handmade",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, features])],
            [helper.make_tensor_value_info("survival", TensorProto.FLOAT, [None, edges])],
            [numpy_helper.from_array(v.astype(np.float32), k) for k, v in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def make_card(**changes: object) -> VersionCard:
    """A card that speaks of every row; `changes` are fields that differ."""
    spec = make_spec()
    features, sensor_of = feature_names(spec)
    sensors = tuple(dict.fromkeys(sensor_of))
    many, share = len(sensors), 1 / len(sensors)
    card = VersionCard(
        spec=spec,
        features=features,
        sensor_of=sensor_of,
        head=Head("hazard", (6.0, 24.0, 96.0), (6.0, 24.0)),
        calibration=Calibration((1.0, 1.0), (0.0, 0.0), 1.0, 1.0),
        importance=Importance(
            sensors,
            (share,) * many,
            (0.01,) * many,
            ((share,) * many,),
            tuple((sensor,) for sensor in sensors),
            (share,) * many,
            (),
            "average_precision",
            0.5,
        ),
        allocation=Allocation(
            "uniform", (Tier("all", sensors, 8, 0, 0.0),), (1e-4,) * many, (8,), 1, 100
        ),
        drift=Drift("first", "handmade", None, None, None, 0),
        reports=(Report("uniform", 100, {"average_precision_24h": 0.5}),),
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


def write_handmade(folder: Path, *, seed: int = 0, off: float = 0.0, **changes: object) -> None:
    """Fill a folder with a handmade version; `off` is added to what its golden rows say."""
    card = make_card(seed=seed, **changes)
    graph = make_graph(len(card.features), len(card.head.edges_hours), seed=seed)
    rows = np.random.default_rng(seed).normal(50, 5, (8, len(card.features))).astype(np.float32)
    predictor = Predictor(
        graph, head=card.head, calibration=card.calibration, features=card.features
    )
    golden = Golden(rows, (predictor.outputs(rows) + off).astype(np.float32))
    write_version(folder, card=card, keras=b"handmade", onnx=graph, golden=golden)


class FakeTrainer:
    """Answers as told, and fills the staging folder where the answer says so.

    orders are those it got. Keywords go to `write_handmade`.
    """

    def __init__(self, decision: str = "first", *, made: bool = True, promote: bool = True, **kw):
        self.answer = TrainingAnswer(
            decision, f"{decision}, for a reason", made, promote and made, metrics={"tau": 0.5}
        )
        self.kw = kw
        self.orders: list[TrainingOrder] = []

    def __call__(self, order_path, answer_path, progress) -> None:
        order = ORDER.validate_json(order_path.read_bytes())
        self.orders.append(order)
        if self.answer.made:
            write_handmade(Path(order.staging), **self.kw)
        answer_path.write_bytes(ANSWER.dump_json(self.answer))
