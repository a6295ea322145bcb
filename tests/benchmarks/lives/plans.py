"""Plants to judge lives, failure modes and work orders by, frozen before any method was built.

A fold is a plan with a seed (`plant_seeds` of the quality benchmark: 11, 12 and 13 were looked at
while building, fresh ones are drawn at the end). Every plan has a policy, so its plants know
their own hazards (`pm_app.simulator.hazards`) and what every work order was.
"""

from dataclasses import dataclass, replace

from pm_app.simulator import ExportFlaws, MaintenancePolicy, PlantPlan

_PLANNED_MIX = {"bearing": 0.6, "seal": 0.4, "electrical": 0.003}
_MODES_MIX = {"bearing": 0.3, "seal": 0.3, "impeller": 0.3, "electrical": 0.1}


@dataclass(frozen=True)
class LivesPlan:
    """A kind of plant, what it is there to show, and at which horizons."""

    name: str
    shows: str
    plan: PlantPlan
    horizons_hours: tuple[float, ...] = (72.0,)


# Parts are changed about when they begin to fail, and whatever an inspection finds: most lives end
# by renewal, and those that do are the ones about to fail. On seed 11, what happened is off the
# true risk by 0.06 within 72 hours and by 0.20 within a week (ECE over deciles of true risk).
PLANNED = LivesPlan(
    "planned replacement",
    "risks against the simulator's own hazard, where most bearings are changed before they fail",
    PlantPlan(
        assets=60,
        days=180,
        interval_minutes=60,
        mix_before=_PLANNED_MIX,
        mix_after=_PLANNED_MIX,
        typical_life_days=14.0,
        life_shape=4.0,
        policy=MaintenancePolicy(
            age_replacement_days={"bearing": 20.0},
            block_replacement_days={"seal": 90.0},
            opportunistic_days={"bearing": 18.0, "seal": 19.0},
            imperfect_repair={"seal": 0.3},
            inspection_days=1.0,
            finding_at=0.7,
            detection=0.8,
            lead_days=0.4,
            routine_days=20.0,
            routine_on_stops=0.1,
        ),
    ),
    horizons_hours=(72.0, 168.0),
)
# Nothing but failures and their repairs, a mode each: which of them comes?
MODES_SHARED = LivesPlan(
    "modes",
    "the mode of a failure, where two modes move each sensor and one gives no warning",
    PlantPlan(
        assets=50,
        days=180,
        interval_minutes=60,
        mix_before=_MODES_MIX,
        mix_after=_MODES_MIX,
        typical_life_days=18.0,
        life_shape=2.5,
        shared_symptoms=0.5,
        policy=MaintenancePolicy(),
    ),
)
NUISANCE = LivesPlan(
    "modes, 60 nuisance sensors",
    "allocation by mode, where most sensors know nothing",
    replace(MODES_SHARED.plan, nuisance=60),
)
# A mode that becomes frequent halfway.
SHIFTED = LivesPlan(
    "modes that shift",
    "drift by mode: impellers begin to fail halfway",
    replace(
        MODES_SHARED.plan,
        mix_before={"bearing": 0.5, "seal": 0.35, "impeller": 0.05, "electrical": 0.1},
        mix_after={"bearing": 0.15, "seal": 0.25, "impeller": 0.5, "electrical": 0.1},
    ),
)
# Work orders of the first plant: as they usually are, and far worse.
ORDERS = {
    "usual": ExportFlaws(),
    "worse": ExportFlaws(
        english=0.5,
        coded=0.15,
        typed_wrong=0.1,
        date_only=0.6,
        late=0.3,
        late_days=10.0,
        repeated=0.4,
        misspelled_assets=0.25,
        wrong_assets=0.06,
        corrected=0.15,
        unrelated=0.3,
        overlap_days=3,
    ),
}
LIVES_PLANS = (PLANNED, MODES_SHARED, NUISANCE, SHIFTED)

_SMALL = PlantPlan(
    assets=15,
    days=120,
    interval_minutes=120,
    mix_before=_MODES_MIX,
    mix_after=_MODES_MIX,
    nuisance=2,
    typical_life_days=20.0,
    life_shape=2.5,
    policy=MaintenancePolicy(
        age_replacement_days={"bearing": 28.0},
        imperfect_repair={"impeller": 0.5},
        overhaul_days=90.0,
        inspection_days=5.0,
        routine_days=12.0,
        routine_on_stops=0.15,
    ),
)


def small_plants(count: int = 100, first_seed: int = 1000) -> tuple[PlantPlan, ...]:
    """Plants of fifteen pumps each: which of their maintenance codes renew, do data show?

    They differ in how soon faults show (3 to 7 days) and in how far modes share sensors. What a
    code did to the true risk of the next week, mean of ten plants, and how often a plant had it:
    "bearing replaced" -0.31 (52-59 times), "seal replaced" -0.57 (37-45), "impeller replaced"
    -0.58 (22-35), "electrical replaced" -0.12 and no reading moves (24-35), "overhaul" -0.50
    (16-20); routine -0.06 (167-185), as it is done on some of the stops in which parts
    are renewed. "impeller repaired" (10-21) takes the fault away (-0.53) and restores
    0.6 of the life: it is neither, and to be judged apart.
    """
    return tuple(
        replace(
            _SMALL,
            seed=first_seed + number,
            warning_days=3.0 + number % 5,
            shared_symptoms=(number % 3) / 4,
        )
        for number in range(count)
    )
