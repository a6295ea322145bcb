"""Twenty simulated pumps over forty days: so small that a real training takes half a minute."""

from factories import NOW

from pm_app.simulator import PlantPlan

PUMPS = PlantPlan(
    assets=20,
    days=40,
    interval_minutes=60,
    nuisance=0,
    regimes=1,
    typical_life_days=6.0,
    warning_days=3.0,
    change_at=1.0,
)
PUMPS_TOML = """\
[features]
pane = "6h"
windows = ["12h", "2d"]

[target]
horizons = ["24h", "72h"]
rul_cap = "8d"

[allocation]
strategy = "uniform"
max_parameters = 2000
"""
# Two days before the simulation ends.
PUMPS_NOW = NOW.replace(year=2024, month=2, day=8)
