"""Deviation: of predictions, of daily peaks and of alarms; kinds of versions and of retrainings.

All said before has none, and every version and retraining is of kind "failure".
"""

import sqlalchemy as sa
from alembic import op

from pm_app.store.schema.types import Moment

revision = "0018"
down_revision: str | None = "0017"


def upgrade() -> None:
    """Add the columns, no row is rewritten; make the marks anew, which are derived."""
    for table in ("predictions", "prediction_history", "latest_predictions", "prediction_peaks"):
        op.add_column(table, sa.Column("deviation", sa.Float(53)))
        op.add_column(table, sa.Column("deviation_sensors", sa.Text))
        if table != "prediction_peaks":
            zero = sa.text("0")
            number = sa.Column("normal_version", sa.Integer, nullable=False, server_default=zero)
            op.add_column(table, number)
    for table in ("versions", "retrainings"):
        kind = sa.Column("kind", sa.Text, nullable=False, server_default=sa.text("'failure'"))
        op.add_column(table, kind)
    without = sa.text("model_version = 0")
    op.create_index(
        "predictions_without_failure_model",
        "predictions",
        ["cutoff"],
        sqlite_where=without,
        postgresql_where=without,
    )
    op.add_column("alarms", sa.Column("deviation", sa.Float(53)))
    op.drop_table("alarm_marks")
    _create_marks()


def _create_marks() -> None:
    asset = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "alarm_marks",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("asset_id", asset, nullable=False),
        sa.Column("horizon_hours", sa.Float(53), nullable=False),
        sa.Column("threshold", sa.Float(53), nullable=False),
        sa.Column("clear", sa.Float(53), nullable=False),
        sa.Column("persistence", sa.Integer, nullable=False),
        sa.Column("since", Moment, nullable=False),
        sa.Column("cutoff", Moment, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("kind", "asset_id", name="alarm_marks_pkey"),
        sqlite_with_rowid=False,
    )
