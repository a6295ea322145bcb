"""Sets that normal behaviour is learned and judged on, each a frame built by the product.

No failure is told to any method: of each set only the time that may teach is named, and what is
judged. What choices are made on and what is judged once stands beside each set.
"""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.quality.sets.robot import read_robot

from pm_app.features.frame import build_frame
from pm_app.features.panes.panes import build_panes
from pm_app.features.regimes.search import find_regimes, followers
from pm_app.records.features import FeatureSpec, Frame
from pm_app.records.readings import Events, Readings, no_events
from pm_app.times import HOUR_NS

SECOND_NS = 10**9
DAY_NS = 24 * HOUR_NS
START_NS = 1_704_067_200 * SECOND_NS
# As the product looks for regimes: four times the longest window, within bounds.
_STRETCH = (24, 576)


@dataclass(frozen=True, eq=False)
class Fault:
    """Something unusual: rows of one asset from begin to end, nanoseconds; what it is."""

    asset: int
    begin: int
    end: int
    kind: str


@dataclass(frozen=True, eq=False)
class NormalSet:
    """What methods are asked.

    teach: rows that may teach. unusual, usual: rows that are judged, as they are in truth. left:
    hours of life left, NaN where nobody knows. faults: what is to be found by alarms, in rows of
    `watched`; quiet: rows of them in which an alarm is a false one. choosing: whether choices were
    made on it.
    """

    name: str
    frame: Frame
    spec: FeatureSpec
    teach: np.ndarray
    unusual: np.ndarray
    usual: np.ndarray
    choosing: bool
    left: np.ndarray | None = None
    faults: tuple[Fault, ...] = ()
    watched: np.ndarray | None = None
    quiet: np.ndarray | None = None
    notes: dict[str, str] = field(default_factory=dict)


def frame_of(
    readings: Readings, spec: FeatureSpec, events: Events | None = None, *, until: int | None = None
) -> tuple[Frame, FeatureSpec]:
    """Every feature at every pane; regimes as panes up to `until` show them."""
    panes = build_panes(readings, pane_ns=spec.pane_ns)
    longest = spec.windows_ns[-1] // spec.pane_ns
    stretch = int(np.clip(4 * longest, *_STRETCH))
    early = np.ones(len(panes.pane), dtype=bool) if until is None else (
        (panes.pane + 1) * panes.pane_ns <= until
    )  # fmt: skip
    found = find_regimes(panes.take(early), columns=None, stretch_panes=stretch).regimes
    beside = followers(found) if found is not None else ()
    spec = replace(spec, sensors=panes.sensors, regimes=found if beside else None, beside=beside)
    first = pd.Series(readings.time).groupby(readings.asset).min()
    first_seen = {readings.assets[number]: int(first[number]) for number in first.index}
    frame = build_frame(panes, events or no_events(), spec, first_seen=first_seen)
    return frame, spec


def readings_of(parts: dict[str, tuple[np.ndarray, pd.DataFrame]]) -> Readings:
    """Readings of assets by name: times and a table of sensors each."""
    names = tuple(sorted(parts))
    sensors = tuple(parts[names[0]][1].columns)
    asset = np.concatenate([np.full(len(parts[n][0]), i) for i, n in enumerate(names)])
    return Readings(
        assets=names,
        asset=asset.astype(np.int32),
        time=np.concatenate([parts[name][0] for name in names]).astype(np.int64),
        sensors=sensors,
        values=np.concatenate([parts[name][1].to_numpy(float) for name in names]).T,
    )


def make_spec(pane: int, windows: tuple[int, ...], beginning: int, smooth: int) -> FeatureSpec:
    """A spec with memory as plants have it by default; sensors follow from the readings."""
    return FeatureSpec(
        sensors=(), pane_ns=pane, windows_ns=windows, maintenance_codes=(), error_codes=(),
        clock=None, change=True, beginning_ns=beginning, smooth_ns=(smooth,), own_minima=True,
    )  # fmt: skip


# Turbofan engines ---------------------------------------------------------------------------

TAUGHT_CYCLES, FEW_LEFT, MANY_LEFT = 60, 30, 125
_ENGINE_SPEC = make_spec(HOUR_NS, (5 * HOUR_NS, 20 * HOUR_NS), 20 * HOUR_NS, 20 * HOUR_NS)
FOLDS = 4


def engines(open_data: Path, subset: str) -> Iterator[NormalSet]:
    """Folds by engine of the training engines (choosing), and the test engines (judged)."""
    folder = open_data / "cmapss"
    parts = {}
    for part in ("train", "test"):
        with gzip.open(folder / f"{part}_{subset}.txt.gz") as file:
            table = pd.read_csv(file, sep=r"\s+", header=None)
        for unit, rows in table.groupby(0):
            sensors = rows.iloc[:, 2:].set_axis([f"s{n:02d}" for n in range(24)], axis=1)
            time = START_NS + rows[1].to_numpy() * HOUR_NS
            parts[f"{part}-{unit:03d}"] = (time, sensors)
    with gzip.open(folder / f"RUL_{subset}.txt.gz") as file:
        rest = pd.read_csv(file, header=None)[0].to_numpy()
    frame, spec = frame_of(readings_of(parts), _ENGINE_SPEC)
    cycle = np.concatenate([np.arange(1, 1 + n) for n in np.bincount(frame.asset)])
    longest = np.bincount(frame.asset)[frame.asset]
    is_test = np.array([name.startswith("test") for name in frame.assets])
    rank = np.cumsum(is_test) - 1
    extra = np.where(is_test, rest[np.maximum(rank, 0)], 0)
    left = (longest - cycle + extra[frame.asset]).astype(float)
    trained = ~is_test[frame.asset]
    order = np.random.default_rng(7).permutation(np.flatnonzero(~is_test))
    for number in range(FOLDS if subset == "FD001" else 0):
        judged = np.isin(frame.asset, order[number::FOLDS])
        yield _engine_set(
            f"{subset}, fold {number + 1}", frame, spec, (trained & ~judged, judged, cycle, left)
        )
    yield _engine_set(
        f"{subset}, test engines", frame, spec, (trained, ~trained, cycle, left), choosing=False
    )


def _engine_set(name, frame, spec, parts, *, choosing=True):
    taught, judged, cycle, left = parts
    return NormalSet(
        name, frame, spec,
        teach=taught & (cycle <= TAUGHT_CYCLES),
        unusual=judged & (left <= FEW_LEFT),
        usual=judged & (left > MANY_LEFT),
        choosing=choosing,
        left=np.where(judged, np.minimum(left, MANY_LEFT), np.nan),
    )  # fmt: skip


def contaminated(given: NormalSet, share: float = 0.1, seed: int = 0) -> NormalSet:
    """The same, a share of what teaches taken from engines of the same sort close to failure."""
    rng = np.random.default_rng(seed)
    assets = np.unique(given.frame.asset[given.teach])
    late = np.isin(given.frame.asset, assets)
    remaining = _rows_to_end(given.frame)
    late &= remaining <= FEW_LEFT
    good, bad = np.flatnonzero(given.teach), np.flatnonzero(late)
    want = round(share * len(good))
    # Whole engines at a time, as faults come: some are ill all the time.
    chosen = [bad[given.frame.asset[bad] == each] for each in rng.permutation(assets)]
    bad = np.concatenate(chosen)[:want]
    teach = np.zeros(len(given.teach), dtype=bool)
    teach[rng.permutation(good)[want:]] = True
    teach[bad] = True
    return replace(given, name=f"{given.name}, 10 % faulty", teach=teach)


def _rows_to_end(frame: Frame) -> np.ndarray:
    count = np.bincount(frame.asset)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    return count[frame.asset] - 1 - (np.arange(len(frame.asset)) - start[frame.asset])


# Water loop ---------------------------------------------------------------------------------

_LOOP_SPEC = make_spec(SECOND_NS, (10 * SECOND_NS, 60 * SECOND_NS), 100 * SECOND_NS, 60 * SECOND_NS)
LOOP_TAUGHT = 400


def water_loop(open_data: Path, part: str, *, choosing: bool) -> NormalSet:
    """Runs of a folder of SKAB, each an asset of its own; its first 400 rows teach, as usual.

    Only rows before the first label do, of one run 104; rows within the windows of what teaches
    are judged by nobody.
    """
    parts, labels = {}, {}
    for path in sorted((open_data / "skab" / part).glob("*.csv.gz")):
        table = pd.read_csv(path, sep=";").drop_duplicates("datetime", keep="last")
        time = pd.to_datetime(table["datetime"]).astype("datetime64[ns]").astype("int64")
        name = f"{part}-{int(path.name.split('.')[0]):02d}"
        labels[name] = table["anomaly"].to_numpy() > 0
        parts[name] = (time.to_numpy(), table.drop(columns=["datetime", "anomaly", "changepoint"]))
    readings = readings_of(parts)
    frame, spec = frame_of(readings, _LOOP_SPEC)
    unusual = np.concatenate([labels[name] for name in sorted(labels)])
    assert len(unusual) == len(frame.asset)
    row = np.concatenate([np.arange(n) for n in np.bincount(frame.asset)])
    first = {
        number: int(np.argmax(labels[name])) if labels[name].any() else 10**9
        for number, name in enumerate(frame.assets)
    }
    before = row < np.array([first[number] for number in range(len(frame.assets))])[frame.asset]
    teach = (row < LOOP_TAUGHT) & before
    watched = ~teach
    faults = []
    for asset in range(len(frame.assets)):
        mine = np.flatnonzero((frame.asset == asset) & unusual)
        faults.append(Fault(asset, int(frame.cutoff[mine[0]]), int(frame.cutoff[mine[-1]]), part))
    return NormalSet(
        f"SKAB {part}", frame, spec, teach=teach, unusual=unusual & watched,
        usual=watched & ~unusual, choosing=choosing, faults=tuple(faults), watched=watched,
        quiet=watched & before,
    )  # fmt: skip


# One machine's temperature, one robot --------------------------------------------------------

_MACHINE_SPEC = make_spec(
    1800 * SECOND_NS, (2 * HOUR_NS, 8 * HOUR_NS, 24 * HOUR_NS), 3 * DAY_NS, 3 * DAY_NS
)


def machine_temperature(open_data: Path) -> NormalSet:
    """NAB's machine: the first 15 % may teach but for the first window; the last failure counts.

    The failure of 8 February was announced from 28 January on.
    """
    folder = open_data / "nab_machine_temperature"
    table = pd.read_csv(folder / "machine_temperature_system_failure.csv")
    table = table.drop_duplicates("timestamp", keep="last")
    stamps = pd.to_datetime(table["timestamp"]).astype("datetime64[ns]").astype("int64").to_numpy()
    windows = json.loads((folder / "combined_windows.json").read_text())
    labels = json.loads((folder / "combined_labels.json").read_text())
    key = "realKnownCause/machine_temperature_system_failure.csv"
    spans = [tuple(pd.Timestamp(each).value for each in pair) for pair in windows[key]]
    failure = pd.Timestamp(labels[key][-1]).value
    order = np.argsort(stamps, kind="stable")
    sensors = table[["value"]].set_axis(["temperature"], axis=1).iloc[order]
    readings = readings_of({"machine": (stamps[order], sensors)})
    until = stamps.min() + int(0.15 * (stamps.max() - stamps.min()))
    frame, spec = frame_of(readings, _MACHINE_SPEC, until=until)
    inside = np.zeros(len(frame.cutoff), dtype=bool)
    for begin, end in spans:
        # Until the windows of what is usual again hold nothing else.
        inside |= (frame.cutoff >= begin) & (frame.cutoff <= end + spec.windows_ns[-1])
    teach = (frame.cutoff <= until) & ~inside
    watched = frame.cutoff > until
    fault = Fault(0, spans[2][0], failure, "failure")
    unusual = watched & (frame.cutoff >= spans[2][0]) & (frame.cutoff <= failure)
    return NormalSet(
        "NAB machine", frame, spec, teach=teach, unusual=unusual,
        usual=watched & ~inside & ~unusual, choosing=False, faults=(fault,), watched=watched,
        quiet=watched & ~inside & ~unusual,
    )  # fmt: skip


_ROBOT_SPEC = make_spec(SECOND_NS, (5 * SECOND_NS, 20 * SECOND_NS), 600 * SECOND_NS, 60 * SECOND_NS)


def robot(open_data: Path) -> NormalSet:
    """UR3: the first half of the rows teaches but for stops and the minute around them."""
    table, events = read_robot(open_data / "ur3_cobotops" / "dataset_02052023.csv")
    data = table.to_pandas()
    time = data["timestamp"].astype("datetime64[ns, UTC]").astype("int64").to_numpy()
    sensors = data.drop(columns=["asset_id", "timestamp"])
    frame, spec = frame_of(readings_of({"ur3": (time, sensors)}), _ROBOT_SPEC)
    happened = events.to_pandas()
    stamp = happened["timestamp"].astype("datetime64[ns, UTC]").astype("int64").to_numpy()
    begins = np.sort(stamp[happened["kind"] == "failure"])
    ends = np.sort(stamp[happened["kind"] == "maintenance"])
    following = np.append(begins, np.iinfo(np.int64).max)[np.searchsorted(begins, frame.cutoff)]
    ahead = following - frame.cutoff
    newest_end = np.searchsorted(ends, frame.cutoff, side="right") - 1
    newest_begin = np.searchsorted(begins, frame.cutoff, side="right") - 1
    stopped = newest_begin > newest_end
    since = frame.cutoff - np.append(ends, -(10**18))[newest_end]
    half = frame.cutoff <= np.quantile(frame.cutoff, 0.5)
    calm = ~stopped & (ahead > 60 * SECOND_NS) & (since > 20 * SECOND_NS)
    unusual = ~half & ~stopped & (ahead <= 10 * SECOND_NS)
    return NormalSet(
        "UR3 robot", frame, spec, teach=half & calm, unusual=unusual,
        usual=~half & ~stopped & (ahead > 10 * SECOND_NS), choosing=False,
    )  # fmt: skip
