"""Lives of simulated parts end by failure, renewal or the record, each as the policy says."""

from dataclasses import replace

import numpy as np
import pytest

from pm_app.errors import BadSettings
from pm_app.simulator import MODES, MaintenancePolicy, PlantPlan, SimulatedPlant, simulate
from pm_app.simulator.hazards import true_hazards
from pm_app.simulator.truth import TruePlant
from pm_app.times import HOUR_NS

MIX = {"bearing": 0.45, "seal": 0.25, "impeller": 0.2, "electrical": 0.1}
POLICY = MaintenancePolicy(
    age_replacement_days={"bearing": 25},
    block_replacement_days={"seal": 40},
    opportunistic_days={"impeller": 15, "bearing": 20},
    imperfect_repair={"impeller": 0.7},
    overhaul_days=70,
    inspection_days=6,
    routine_days=20,
    routine_on_stops=0.2,
)
PLAN = PlantPlan(
    assets=20,
    days=150,
    interval_minutes=240,
    mix_before=MIX,
    mix_after=MIX,
    nuisance=0,
    life_shape=3.0,
    policy=POLICY,
)


@pytest.fixture(scope="module")
def plant() -> SimulatedPlant:
    return simulate(PLAN)


@pytest.fixture(scope="module")
def truth(plant: SimulatedPlant) -> TruePlant:
    assert plant.truth is not None
    return plant.truth


def step_of(plant: SimulatedPlant, moment: int) -> int:
    return int(np.searchsorted(plant.time, moment))


def work_rows(truth: TruePlant, **wanted: str) -> list[int]:
    chosen = np.ones(len(truth.work.end), dtype=bool)
    for name, value in wanted.items():
        chosen &= getattr(truth.work, name) == value
    return np.flatnonzero(chosen).tolist()


def age_before(plant: SimulatedPlant, truth: TruePlant, row: int, mode: str) -> float:
    """Days that a part had run at the last reading before this work."""
    asset = plant.assets.index(truth.work.asset[row])
    step = step_of(plant, truth.work.begin[row]) - 1
    age = truth.states.age[MODES.index(mode), asset, step]
    return float(age + 1) / plant.plan.steps_per_day


def test_every_way_to_end_a_life_occurs(truth: TruePlant) -> None:
    reasons = set(truth.work.reason) - {""}

    assert reasons == {"failure", "age", "block", "opportunity", "finding", "overhaul", "routine"}
    assert set(truth.lives.ended) == {"failure", "renewal", "record"}
    assert {*truth.work.code} >= {"impeller repaired", "impeller replaced", "bearing finding"}


def test_a_life_ends_with_its_failure_or_when_work_on_its_part_begins(
    plant: SimulatedPlant, truth: TruePlant
) -> None:
    work, lives = truth.work, truth.lives
    renewals = {
        (work.asset[row], mode, work.begin[row])
        for row in np.flatnonzero(work.restored > 0).tolist()
        for mode in ([work.mode[row]] if work.mode[row] else MODES)
    }
    for row in range(len(lives.end)):
        key = (lives.asset[row], lives.mode[row], lives.end[row])
        if lives.ended[row] == "failure":
            failure = int(lives.failure[row])
            assert plant.failures.asset[failure] == lives.asset[row]
            assert plant.failures.mode[failure] == lives.mode[row]
            assert plant.failures.time[failure] == lives.end[row]
        elif lives.ended[row] == "renewal":
            # Work that the record cuts off is nowhere reported.
            assert key in renewals or lives.end[row] > plant.time[-1] - 30 * HOUR_NS
        else:
            assert lives.end[row] == plant.time[-1] + plant.plan.step_ns
    assert sorted(lives.failure[lives.failure >= 0]) == list(range(len(plant.failures.time)))


def test_lives_of_a_part_follow_each_other_without_gap_but_for_the_work(
    plant: SimulatedPlant, truth: TruePlant
) -> None:
    lives, work = truth.lives, truth.work
    ends = set(zip(work.asset, work.end, strict=True))
    for asset in plant.assets:
        for mode in MODES:
            rows = np.flatnonzero((lives.asset == asset) & (lives.mode == mode))
            begin, end = lives.begin[rows], lives.end[rows]
            assert begin[0] == plant.plan.start_ns
            assert (begin < end).all()
            assert (end[:-1] < begin[1:]).all()
            assert {(asset, moment) for moment in begin[1:]} <= ends


def test_after_a_renewal_age_and_hazard_restart_and_other_modes_go_on(
    plant: SimulatedPlant, truth: TruePlant
) -> None:
    hazards = true_hazards(truth)
    new = 1 - np.exp(-MIX["bearing"] * (1 / (20 * 6)) ** 3)
    rows = work_rows(truth, code="bearing replaced", reason="age")
    alone = []
    for row in rows:
        asset = plant.assets.index(truth.work.asset[row])
        begin, end = (step_of(plant, at[row]) for at in (truth.work.begin, truth.work.end))
        assert truth.states.age[0, asset, end] == 0
        assert np.isnan(truth.states.damage[0, asset, end])
        # A bearing shows a fault before it fails: a new one cannot fail within a step.
        assert hazards[0, asset, end] == 0
        if truth.states.age[1, asset, end] > 0:
            alone.append(truth.states.age[1, asset, end] - truth.states.age[1, asset, begin - 1])
    renewed = [row for row in work_rows(truth, code="electrical replaced")]
    for row in renewed:
        asset = plant.assets.index(truth.work.asset[row])
        end = step_of(plant, truth.work.end[row])
        assert hazards[3, asset, end] == pytest.approx(new * MIX["electrical"] / MIX["bearing"])
    assert len(rows) > 10
    assert len(renewed) > 10
    assert set(alone) == {1.0}


def test_an_imperfect_repair_leaves_a_share_of_the_age(
    plant: SimulatedPlant, truth: TruePlant
) -> None:
    rows = work_rows(truth, code="impeller repaired")
    for row in rows:
        asset = plant.assets.index(truth.work.asset[row])
        end = step_of(plant, truth.work.end[row])
        ran = age_before(plant, truth, row, "impeller") * plant.plan.steps_per_day
        assert truth.work.restored[row] == 0.6
        assert truth.states.age[2, asset, end] == np.floor(ran * (1 - 0.6))
        assert np.isnan(truth.states.damage[2, asset, end])
    assert len(rows) > 3


def test_parts_are_replaced_by_age_by_block_and_by_opportunity(
    plant: SimulatedPlant, truth: TruePlant
) -> None:
    ages = [
        age_before(plant, truth, row, "bearing")
        for row in work_rows(truth, reason="age", mode="bearing")
    ]
    assert ages == pytest.approx([25.0] * len(ages), abs=0.2)
    assert np.nanmax(truth.states.age[0]) <= 25 * plant.plan.steps_per_day
    for asset in plant.assets:
        seals = work_rows(truth, reason="block", asset=asset)
        assert np.diff(truth.work.begin[seals]) / HOUR_NS == pytest.approx(960, abs=40)
    used = work_rows(truth, reason="opportunity")
    stops = {
        (truth.work.asset[row], truth.work.begin[row])
        for reason in ("failure", "age", "block", "finding", "overhaul")
        for row in work_rows(truth, reason=reason)
    }
    for row in used:
        mode = truth.work.mode[row]
        assert age_before(plant, truth, row, mode) >= POLICY.opportunistic_days[mode] - 0.2
        assert (truth.work.asset[row], truth.work.begin[row]) in stops
    assert len(used) > 20


def test_work_for_a_finding_follows_an_inspection_that_saw_damage(
    plant: SimulatedPlant, truth: TruePlant
) -> None:
    work = truth.work
    rows = work_rows(truth, reason="finding")
    for row in rows:
        seen = (work.asset == work.asset[row]) & (work.code == f"{work.mode[row]} finding")
        lead = (work.begin[row] - work.end[seen]) / (24 * HOUR_NS)
        assert ((lead > 0) & (lead < 3)).any()
    for row in np.flatnonzero(np.char.endswith(work.code.astype(str), "finding")).tolist():
        asset, step = plant.assets.index(work.asset[row]), step_of(plant, work.end[row])
        damage = truth.states.damage[MODES.index(work.mode[row]), asset, step]
        assert damage / (24 * plant.plan.warning_days) >= POLICY.finding_at - 0.05
    assert len(rows) > 10


def test_routine_renews_nothing_and_stops_no_pump(plant: SimulatedPlant, truth: TruePlant) -> None:
    rows = [
        row
        for row in work_rows(truth, reason="routine")
        if truth.work.begin[row] == truth.work.end[row] > plant.plan.start_ns
    ]
    for row in rows:
        asset, step = (
            plant.assets.index(truth.work.asset[row]),
            step_of(plant, truth.work.end[row]),
        )
        if truth.running[asset, step - 1 : step + 1].all():
            grown = np.diff(truth.states.age[:, asset, step - 1 : step + 1])
            assert (grown == 1).all()
    assert len(rows) > 50


def test_codes_that_renew_are_those_after_which_a_part_is_new(
    plant: SimulatedPlant, truth: TruePlant
) -> None:
    renewals = POLICY.renewals
    for row in np.flatnonzero(truth.work.kind == "maintenance").tolist():
        asset, step = (
            plant.assets.index(truth.work.asset[row]),
            step_of(plant, truth.work.end[row]),
        )
        for mode in renewals[truth.work.code[row]]:
            assert truth.states.age[MODES.index(mode), asset, step] == 0
    assert set(renewals) == set(truth.work.code[truth.work.kind == "maintenance"])


def test_events_are_failures_errors_and_all_work(plant: SimulatedPlant, truth: TruePlant) -> None:
    events = plant.events
    kinds = {kind: int((events.kind == kind).sum()) for kind in set(events.kind)}
    work = {(*row,) for row in zip(truth.work.asset, truth.work.end, truth.work.code, strict=True)}

    assert kinds["failure"] == len(plant.failures.time)
    assert kinds["maintenance"] + kinds["inspection"] == len(work)


def test_a_mode_without_warning_never_shows_damage(truth: TruePlant) -> None:
    electrical = truth.lives.mode == "electrical"

    assert np.isnan(truth.states.damage[3]).all()
    assert (truth.lives.ended[electrical] == "failure").sum() > 10


def test_without_planned_work_only_failures_are_repaired() -> None:
    plant = simulate(replace(PLAN, assets=4, policy=MaintenancePolicy()))
    assert plant.truth is not None

    assert set(plant.truth.work.reason) == {"failure"}
    assert set(plant.events.kind) == {"failure", "maintenance", "error"}


@pytest.mark.parametrize(
    ("mode", "sensors"),
    [
        ("bearing", {"vibration", "bearing_temperature"}),
        ("seal", {"bearing_temperature", "flow"}),
        ("impeller", {"flow", "vibration"}),
    ],
)
def test_modes_that_share_sensors_are_told_by_which_move_together(
    mode: str, sensors: set[str]
) -> None:
    plan = replace(PLAN, policy=MaintenancePolicy(), shared_symptoms=1.0, missing_share=0.0,
                   outages_per_sensor_month=0.0)  # fmt: skip
    plant = simulate(plan)
    assert plant.truth is not None
    damage = plant.truth.states.damage / (24 * plan.warning_days)
    sound = plant.truth.running & np.isnan(damage).all(axis=0)
    ill = plant.truth.running & (np.nan_to_num(damage[MODES.index(mode)]) > 0.9)
    ill &= np.isnan(np.delete(damage, MODES.index(mode), axis=0)).all(axis=0)

    moved = {}
    for sensor in ("vibration", "bearing_temperature", "flow", "seal_leakage", "oil_debris"):
        values = plant.values[plant.sensors.index(sensor)]
        moved[sensor] = abs(values[ill].mean() - values[sound].mean()) / values[sound].std()
    assert {sensor for sensor, size in moved.items() if size > 0.8} == sensors, moved


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"age_replacement_days": {"rust": 3}}, "age_replacement_days must be by some of"),
        (
            {"block_replacement_days": {"seal": 0.1}},
            r"block_replacement_days of seal must lie in \[0.5, 3660\], got 0.1",
        ),
        ({"imperfect_repair": {"seal": 2}}, r"imperfect_repair of seal must lie in \[0, 1\]"),
        ({"repair_restores": -1}, r"repair_restores must lie in \[0, 1\], got -1"),
        ({"inspection_days": 0.1}, "inspection_days must lie in"),
    ],
)
def test_impossible_policies_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadSettings, match=message):
        MaintenancePolicy(**changes)  # type: ignore[arg-type]
