"""Views for people with other tools: the fleet now, one row an asset, and open alarms."""

from alembic import op

revision = "0019"
down_revision: str | None = "0018"

_FLEET_NOW = """
CREATE VIEW fleet_now AS
SELECT newest.asset_id, newest.cutoff, newest.horizon_hours, newest.status, newest.risk,
    newest.rul_hours, newest.rul_low_hours, newest.rul_high_hours, newest.value, newest.mode,
    newest.mode_risks, newest.deviation, newest.top_sensors, newest.deviation_sensors,
    newest.extrapolated, newest.model_version, newest.normal_version, newest.scored_at,
    (SELECT count(*) FROM alarms
        WHERE alarms.asset_id = newest.asset_id AND alarms.cleared_at IS NULL) AS open_alarms,
    (SELECT max(alarms.raised_at) FROM alarms
        WHERE alarms.asset_id = newest.asset_id AND alarms.cleared_at IS NULL) AS alarm_raised_at
FROM latest_predictions AS newest
WHERE NOT EXISTS (SELECT 1 FROM latest_predictions AS other
    WHERE other.asset_id = newest.asset_id AND (other.cutoff > newest.cutoff
        OR (other.cutoff = newest.cutoff AND other.horizon_hours > newest.horizon_hours)))
"""
_OPEN_ALARMS = """
CREATE VIEW open_alarms AS
SELECT id, kind, asset_id, horizon_hours, state, raised_at, changed_at, shelved_until, cutoff,
    risk, deviation, threshold, reason, top_sensors, model_version, mode, mode_risks,
    likeliest_mode
FROM alarms
WHERE cleared_at IS NULL
"""


def upgrade() -> None:
    """Create both. A later step that makes one of their tables anew drops them first."""
    op.execute(_FLEET_NOW.strip())
    op.execute(_OPEN_ALARMS.strip())
