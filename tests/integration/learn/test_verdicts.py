"""What cannot be learned from is told in words that a person can act on, and nothing breaks."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from factories import HOUR, NOW, START, drop, events_table, make_plant, opened, said

from pm_app.cli.look.importance import importance_rows
from pm_app.cli.look.models import model_rows
from pm_app.errors import BadSettings, NotEnoughData
from pm_app.jobs.retrain import trainer as trainer_module
from pm_app.jobs.retrain.messages import REQUEST, RESPONSE, TrainingResponse
from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.run import score
from pm_app.learning.training import crossfit, selection
from pm_app.learning.training import fit as training
from pm_app.settings.plant import parse_settings

TABLE_TOML = """\
[target]
kind = "column"
column = "y"
task = "{task}"

[allocation]
strategy = "uniform"
max_parameters = 1000
"""
FLEET_TOML = """\
[features]
pane = "1h"
windows = ["4h"]

[target]
horizons = ["12h"]
rul_cap = "2d"

[allocation]
strategy = "uniform"
max_parameters = 1000
"""
ROWS = 300


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Short schedules and a grid of one: what is tested is the verdict, not the optimum."""
    monkeypatch.setattr(training, "STEPS", 150)
    monkeypatch.setattr(crossfit, "FOLDS", 2)
    for grid in ("LIFE_GRID", "TABLE_GRID"):
        monkeypatch.setattr(selection, grid, ((1e-3, 0.1, 4e-3),))


def train_here(order_path: Path, answer_path: Path, progress) -> None:
    """The trainer without its process."""
    order = REQUEST.validate_json(order_path.read_bytes())
    settings = parse_settings(order.settings, folder=Path(order.folder), origin="plant.toml")
    try:
        answer = trainer_module.train(order, settings)
    except NotEnoughData as error:
        answer = TrainingResponse("not_enough_data", str(error))
    answer_path.write_bytes(RESPONSE.dump_json(answer))


def learn(plant):
    return retrain(plant, now=NOW, trainer=train_here)


def refusal(folder, readings, *, toml, events=None):
    """Why nothing could be learned."""
    tables = None if events is None else {"a.parquet": events_table(events)}
    with opened(make_plant(folder, {"a.parquet": readings}, events=tables, toml=toml)) as plant:
        done = learn(plant)
        stored = plant.store.lineage.retrainings()[0]

    assert (done.decision, done.version) == ("not_enough_data", None)
    assert stored.reason == done.reason
    return done.reason


# Columns.


def sensors(count=4, *, rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    return {f"s{number}": rng.normal(size=rows) for number in range(count)}


def broken(columns):
    """Which rows fail: a fifth, by two sensors."""
    wear = 2 * columns["s0"] + columns["s1"]
    return (wear > np.quantile(wear, 0.8)) * 1.0


def constant(columns, value=1.0):
    return {name: np.full(ROWS, value) for name in columns}


X = sensors()
Y = broken(X)
NOTHING = pa.nulls(ROWS, pa.float64())
FEW = (np.arange(ROWS) < 3) * 1.0


@pytest.mark.parametrize(
    ("columns", "task", "reason"),
    [
        ({**X, "y": constant("y")["y"]}, "classification", "column 'y' is 1.0 in every row"),
        ({**X, "y": constant("y")["y"]}, "regression", "column 'y' is 1.0 in every row"),
        ({**X, "y": NOTHING}, "classification", "column 'y' holds no label"),
        ({**X, "y": FEW}, "classification", "3 labelled rows of the rarer class, 10 needed"),
        ({**X, "y": np.where(Y > 0, np.inf, 0.0)}, "classification", "is 0.0 in every row"),
        (
            {**constant(X), "y": Y},
            "classification",
            "none of 4 sensors ever changes (s0, s1, s2 and 1 more; 0 without any value)",
        ),
        (
            {**constant(X, np.nan), "y": Y},
            "regression",
            "none of 4 sensors ever changes (s0, s1, s2 and 1 more; 4 without any value)",
        ),
        ({"y": Y}, "classification", "no sensor to learn from"),
    ],
    ids=[
        "one class",
        "constant value",
        "no label",
        "few of a class",
        "infinite label",
        "constant sensors",
        "missing sensors",
        "no sensors",
    ],
)
def test_a_table_that_cannot_teach_is_told_why(tmp_path, columns, task, reason):
    told = refusal(tmp_path, pa.table(columns), toml=TABLE_TOML.format(task=task))

    assert told.startswith("not enough data: ")
    assert reason in told


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.arange(ROWS) % 60, r"at most 50 distinct values .* got 60: \[0.0, 1.0, 2.0"),
        (pa.array(np.where(Y > 0, "bad", "good")), "'y' is no numeric column .* classes as 0, 1"),
    ],
    ids=["too many classes", "text"],
)
def test_a_label_that_a_person_must_change_is_named(tmp_path, label, message):
    toml = TABLE_TOML.format(task="classification")
    config = make_plant(tmp_path, {"a.parquet": pa.table({**X, "y": label})}, toml=toml)

    with opened(config) as plant, pytest.raises(BadSettings, match=message):
        learn(plant)


def strange_table():
    marked = np.where(np.arange(ROWS) % 50 == 0, 1.7e308, X["s0"])
    label = pa.array(Y > 0, mask=np.arange(ROWS) % 7 == 3)
    return pa.table(
        {
            **X,
            "s0": marked,
            "serial": (X["s2"] * 1000).astype(np.int64) + 2**60,
            "dead": NOTHING,
            "tool_broken": Y,
            "y": label,
        }
    )


def test_a_strange_table_is_learned_and_what_is_strange_is_told(tmp_path):
    toml = TABLE_TOML.format(task="classification")
    config = make_plant(tmp_path, {"a.parquet": strange_table()}, toml=toml)
    with opened(config) as plant:
        done = learn(plant)
        (version,) = model_rows(plant.store.lineage)
        asked = {row["sensor"]: row["question"] for row in importance_rows(plant.store.lineage, 1)}
        # The sensor that was silent speaks: a model that never heard it goes on without it.
        later = {**sensors(seed=1), "dead": np.ones(ROWS), "tool_broken": Y}
        drop(config, "b.parquet", pa.table(later))
        score(plant, now=NOW)
        rows = [row for row in said(plant.store) if row["asset_id"].startswith("b:")]

    assert (done.decision, done.promoted) == ("first", True)
    assert "tool_broken alone ranks failures almost perfectly" in done.reason
    assert "does it know the outcome?" in done.reason
    assert "no value of dead in any reading" in done.reason
    assert "serial changes by less than 32-bit numbers of its size can tell" in done.reason
    assert version["knows the outcome?"] == "tool_broken"
    assert [name for name, question in asked.items() if question] == ["tool_broken"]
    assert len(rows) == ROWS
    assert {row["status"] for row in rows} == {"scored"}


@pytest.mark.slow
def test_more_sensors_than_rows_are_learned_honestly(tmp_path):
    columns = sensors(500)
    table = pa.table({**columns, "y": np.random.default_rng(1).permutation(broken(columns))})
    config = make_plant(
        tmp_path, {"a.parquet": table}, toml=TABLE_TOML.format(task="classification")
    )
    with opened(config) as plant:
        done = learn(plant)

    assert not done.promoted
    assert "kept out: ranks failures no better than luck may" in done.reason


# Lives.

ASSETS = 24


def make_fleet():
    """Machines that start one after another and wear until they fail: readings and failures."""
    rng = np.random.default_rng(0)
    lives = rng.integers(40, 90, ASSETS)
    starts = 5 * np.arange(ASSETS)
    asset = np.repeat(np.arange(ASSETS), lives)
    ran = np.concatenate([np.arange(life) for life in lives])
    left = lives[asset] - ran
    columns = {
        "wear": np.exp(-left / 15) + rng.normal(0, 0.05, len(left)),
        "noise": rng.normal(size=len(left)),
    }
    ends = (starts + lives).tolist()
    failures = [(f"pump-{n:02d}", end - 0.5, "failure", "") for n, end in enumerate(ends)]
    return asset, starts[asset] + ran, columns, failures


def fleet_table(asset, hours, columns):
    keys = {
        "asset_id": pa.array([f"pump-{number:02d}" for number in asset]),
        "timestamp": pa.array(START + hours * HOUR + 10**9, pa.timestamp("ns", "UTC")),
    }
    return pa.table(keys | {name: pa.array(v, from_pandas=True) for name, v in columns.items()})


ASSET, HOURS, COLUMNS, FAILURES = make_fleet()
READINGS = fleet_table(ASSET, HOURS, COLUMNS)


def moved(hours, names="pump-{:02d}"):
    """As many failures at other hours, one an asset."""
    return [(names.format(n), float(hour), "failure", "") for n, hour in enumerate(hours)]


@pytest.mark.parametrize(
    ("failures", "reason"),
    [
        (None, "0 failures, 10 needed"),
        ([("pump-00", 3.0, "maintenance", "seal")], "0 failures, 10 needed"),
        (FAILURES[:3], "3 failures, 10 needed"),
        (
            moved(-100.0 - np.arange(ASSETS)),
            r"0 failures, 10 needed (of 24 that came, 24 before their asset's first reading)",
        ),
        (
            moved([10.0] * ASSETS, names="fan-{}"),
            r"0 failures, 10 needed (of 24 that came, 24 of assets without readings)",
        ),
        (moved(700.0 + np.arange(ASSETS)), "none of 24 failures has a reading in the 12 h before"),
        (
            [("pump-00", float(hour), "failure", "") for hour in range(5, 40, 3)],
            "in train, 0 in validation, 0 in calibration, 0 in test",
        ),
    ],
    ids=[
        "no events",
        "only repairs",
        "three failures",
        "before the first reading",
        "machines without readings",
        "long after the last reading",
        "all of one machine that was the first",
    ],
)
def test_failures_that_cannot_teach_are_told_why(tmp_path, failures, reason):
    told = refusal(tmp_path, READINGS, toml=FLEET_TOML, events=failures)

    assert told.startswith("not enough data: ")
    assert reason in told


def test_failures_of_all_machines_at_once_are_one_event(tmp_path):
    hours = np.tile(np.arange(80), ASSETS)
    asset = np.repeat(np.arange(ASSETS), 80)
    wear = np.random.default_rng(0).normal(size=len(asset)) + hours
    readings = fleet_table(asset, hours, {"wear": wear})

    told = refusal(tmp_path, readings, toml=FLEET_TOML, events=moved([79.5] * ASSETS))

    assert "all 24 failures lie within 0 h, one event" in told
    assert "more than 12 h apart" in told


@pytest.mark.parametrize("value", [1.0, np.nan], ids=["constant", "missing"])
def test_a_fleet_whose_sensors_are_stuck_is_not_learned_from_its_clock(tmp_path, value):
    stuck = {name: np.full(len(ASSET), value) for name in COLUMNS}

    told = refusal(tmp_path, fleet_table(ASSET, HOURS, stuck), toml=FLEET_TOML, events=FAILURES)

    assert "none of 2 sensors ever changes" in told


def test_ten_machines_are_enough_for_a_first_version(tmp_path):
    few = ASSET < 10
    readings = fleet_table(ASSET[few], HOURS[few], {k: v[few] for k, v in COLUMNS.items()})
    events = {"a.parquet": events_table(FAILURES[:10])}
    config = make_plant(tmp_path, {"a.parquet": readings}, events=events, toml=FLEET_TOML)
    with opened(config) as plant:
        done = learn(plant)

    assert done.promoted
    assert "first version, beyond luck" in done.reason
