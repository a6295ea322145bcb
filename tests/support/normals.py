"""Normal behaviour made without learning: its graph, its card, its version, and a fake learner."""

from datetime import datetime
from pathlib import Path

import numpy as np
import onnx
from factories import NOW, SPEC, make_spec
from onnx import TensorProto, helper, numpy_helper

from pm_app.features.frame import feature_names
from pm_app.jobs.normality.messages import (
    NORMAL_REQUEST,
    NORMAL_RESPONSE,
    NormalRequest,
    NormalResponse,
)
from pm_app.jobs.plant import Plant
from pm_app.records.features import FeatureSpec
from pm_app.records.normality import AlarmLevel, NormalCard, Teaching
from pm_app.scoring.deviation import DeviationPredictor
from pm_app.state.registry import Golden, write_normal
from pm_app.store import RetrainingRow, VersionRow


def make_normal_graph(features: tuple[str, ...], sensors: tuple[str, ...]) -> bytes:
    """Residuals of each sensor's newest reading from 50, and their largest size over 10.

    What is missing counts as 50; NaN where all is.
    """
    place = {name: number for number, name in enumerate(features)}
    last = np.array([place[f"{sensor}.last"] for sensor in sensors])
    constants = {
        "last": last,
        "usual": np.array([50.0], dtype=np.float32),
        "spread": np.array([10.0], dtype=np.float32),
        "nothing": np.array([np.nan], dtype=np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["features", "last"], ["newest"], axis=1),
        node("Sub", ["newest", "usual"], ["residuals"]),
        node("IsNaN", ["newest"], ["missing"]),
        node("Where", ["missing", "usual", "newest"], ["there"]),
        node("Sub", ["there", "usual"], ["off"]),
        node("Abs", ["off"], ["size"]),
        node("ReduceMax", ["size"], ["largest"], axes=[1], keepdims=1),
        node("Div", ["largest", "spread"], ["scaled"]),
        node("Cast", ["missing"], ["gone"], to=TensorProto.FLOAT),
        node("ReduceMin", ["gone"], ["none"], axes=[1], keepdims=1),
        node("Cast", ["none"], ["silent"], to=TensorProto.BOOL),
        node("Where", ["silent", "nothing", "scaled"], ["score"]),
    ]
    wide = {"score": 1, "residuals": len(sensors)}
    graph = helper.make_graph(
        nodes,
        "handmade normal",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, len(features)])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, w]) for n, w in wide.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def make_normal_card(spec: FeatureSpec, *, at: datetime = NOW, level: float = 1.5) -> NormalCard:
    """A card for a handmade graph, whose deviation is 1 where a sensor is `level` spreads off."""
    names, groups = feature_names(spec)
    features = tuple(
        name for name, group in zip(names, groups, strict=True) if group in spec.sensors
    )
    many = len(spec.sensors)
    return NormalCard(
        spec=spec,
        features=features,
        sensors=spec.sensors,
        groups=tuple((sensor,) for sensor in spec.sensors),
        method="handmade",
        level=AlarmLevel(level, level, level, 1e-3, 1000.0, False, "handmade", 2, 0.8),
        usual=(10.0,) * many,
        levels=(50.0,) * many,
        centres=(0.0,) * many,
        anchor=(0.0,) * many,
        taught=Teaching(100, 3, at.isoformat(), at.isoformat()),
        parity=1e-7,
        reason="handmade",
    )


def write_handmade_normal(folder: Path, card: NormalCard, *, off: float = 0.0) -> None:
    """Fill a folder with a normal behaviour made without learning; off: added to golden rows."""
    graph = make_normal_graph(card.features, card.sensors)
    rows = np.random.default_rng(0).normal(50, 10, (20, len(card.features))).astype(np.float32)
    rows[3, ::2] = np.nan
    golden = Golden(rows, DeviationPredictor(graph, card).raw(rows) + np.float32(off))
    write_normal(folder, card=card, onnx=graph, golden=golden)


def promote_handmade_normal(
    plant: Plant, *, at: datetime = NOW, card: NormalCard | None = None, promote: bool = True
) -> int:
    """A normal behaviour made without learning, published, recorded and promoted; its number."""
    number = plant.store.lineage.next_version()
    staged = plant.registry.staging()
    write_handmade_normal(staged, card or make_normal_card(make_spec(plant.settings)))
    plant.registry.publish(staged, number)
    row = VersionRow(
        version=number,
        path=plant.registry.path(number).name,
        digest=plant.registry.digest(number),
        created_at=at,
        strategy="handmade",
        parameters=0,
        status="published",
    )
    learned = RetrainingRow(at, at, at, "first", "made by hand", version=number)
    plant.store.lineage.record_normal(learned, version=row, promote=promote)
    return number


class FakeLearner:
    """Answers as given, and fills the staging folder where the answer says so; requests it got."""

    def __init__(
        self, decision: str = "first", *, version: bool = True, publish: bool = True, off: float = 0
    ) -> None:
        self.answer = NormalResponse(
            decision, f"{decision}, for a reason", has_version=version, publish=publish
        )
        self.off = off
        self.requests: list[NormalRequest] = []

    def __call__(self, request_path: Path, response_path: Path, progress: object) -> None:
        request = NORMAL_REQUEST.validate_json(request_path.read_bytes())
        self.requests.append(request)
        if self.answer.has_version:
            card = make_normal_card(SPEC)
            write_handmade_normal(Path(request.staging), card, off=self.off)
        response_path.write_bytes(NORMAL_RESPONSE.dump_json(self.answer))
