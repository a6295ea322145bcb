"""Predictions, the ledger of batches, the lineage of versions, alarms."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from pm_app.store.schema.types import Moment

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    """Create every table."""
    _create_predictions("predictions", ("asset_id", "cutoff", "horizon_hours"))
    _create_predictions("prediction_history", ("asset_id", "cutoff", "horizon_hours", "revision"))
    _create_predictions("latest_predictions", ("asset_id", "horizon_hours"))
    _create_batches()
    _create_assets()
    _create_versions()
    _create_retrainings()
    _create_alarms()


def _create_predictions(name: str, key: Sequence[str]) -> None:
    op.create_table(
        name,
        _asset("asset_id"),
        _time("cutoff"),
        _real("horizon_hours"),
        _text("status"),
        _real("risk", nullable=True),
        _real("rul_hours", nullable=True),
        _real("rul_low_hours", nullable=True),
        _real("rul_high_hours", nullable=True),
        _real("value", nullable=True),
        _text("top_sensors"),
        _integer("model_version"),
        _integer("revision"),
        _time("scored_at"),
        sa.PrimaryKeyConstraint(*key, name=f"{name}_pkey"),
        sqlite_with_rowid=False,
    )


def _create_assets() -> None:
    op.create_table(
        "assets",
        _text("asset_id"),
        _time("first_time"),
        _time("last_time"),
        sa.PrimaryKeyConstraint("asset_id", name="assets_pkey"),
        sqlite_with_rowid=False,
    )
    silent = sa.text("status = 'no_model'")
    op.create_index(
        "predictions_no_model",
        "predictions",
        ["cutoff"],
        sqlite_where=silent,
        postgresql_where=silent,
    )


def _create_batches() -> None:
    op.create_table(
        "batches",
        _number("sequence"),
        _text("source"),
        _text("name"),
        _text("digest"),
        _large("size_bytes"),
        _large("modified_ns"),
        _large("rows"),
        _large("rejected"),
        _text("status"),
        _text("reason"),
        _time("first_time", nullable=True),
        _time("last_time", nullable=True),
        sa.Column("segments", sa.JSON(), nullable=False),
        _time("ingested_at"),
        _time("scored_at", nullable=True),
        sa.PrimaryKeyConstraint("sequence", name="batches_pkey"),
        sqlite_autoincrement=True,
    )
    _index_where("batches_one_digest", "batches", "status != 'duplicate'", "source", "digest")
    unscored = sa.text("scored_at IS NULL")
    op.create_index(
        "batches_unscored",
        "batches",
        ["sequence"],
        sqlite_where=unscored,
        postgresql_where=unscored,
    )


def _create_versions() -> None:
    op.create_table(
        "versions",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        _text("path"),
        _text("digest"),
        _time("created_at"),
        _text("strategy"),
        _large("parameters"),
        _text("status"),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("version", name="versions_pkey"),
    )
    op.create_table(
        "promotions",
        _number("id"),
        _integer("version"),
        _time("at"),
        _text("reason"),
        _text("kind"),
        _version_key("promotions"),
        sa.PrimaryKeyConstraint("id", name="promotions_pkey"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "importances",
        _integer("version"),
        _text("sensor"),
        _real("share"),
        _real("spread"),
        _integer("rank"),
        _text("tier"),
        _integer("units"),
        _real("l1"),
        _version_key("importances"),
        sa.PrimaryKeyConstraint("version", "sensor", name="importances_pkey"),
        sqlite_with_rowid=False,
    )


def _create_retrainings() -> None:
    op.create_table(
        "retrainings",
        _number("id"),
        _time("started_at"),
        _time("finished_at"),
        _time("as_of"),
        _text("decision"),
        _text("reason"),
        _integer("version", nullable=True),
        sa.Column("metrics", sa.JSON(), nullable=False),
        _version_key("retrainings"),
        sa.PrimaryKeyConstraint("id", name="retrainings_pkey"),
        sqlite_autoincrement=True,
    )


def _create_alarms() -> None:
    op.create_table(
        "alarms",
        _number("id"),
        _asset("asset_id"),
        _real("horizon_hours"),
        _text("state"),
        _time("raised_at"),
        _time("changed_at"),
        _time("shelved_until", nullable=True),
        _time("cleared_at", nullable=True),
        _time("cutoff"),
        _real("risk"),
        _real("threshold"),
        _text("top_sensors"),
        _integer("model_version"),
        sa.PrimaryKeyConstraint("id", name="alarms_pkey"),
        sqlite_autoincrement=True,
    )
    _index_where("alarms_one_open", "alarms", "cleared_at IS NULL", "asset_id", "horizon_hours")
    op.create_table(
        "alarm_events",
        _number("id"),
        _number("alarm_id"),
        _time("at"),
        _text("from_state", nullable=True),
        _text("to_state"),
        _text("actor"),
        _text("note"),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarms.id"], name="alarm_events_alarm_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="alarm_events_pkey"),
        sqlite_autoincrement=True,
    )
    op.create_index("alarm_events_alarm_id", "alarm_events", ["alarm_id"])


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _asset(name: str) -> sa.Column[Any]:
    # Every database sorts assets by their code points, as Python does.
    by_code_point = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    return sa.Column(name, by_code_point, nullable=False)


def _time(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Moment(), nullable=nullable)


def _real(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Float(53), nullable=nullable)


def _integer(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _large(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _number(name: str) -> sa.Column[Any]:
    # SQLite numbers rows by itself only in a column typed exactly INTEGER.
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False)


def _version_key(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["version"], ["versions.version"], name=f"{table}_version_fkey")


def _index_where(name: str, table: str, condition: str, *columns: str) -> None:
    where = sa.text(condition)
    op.create_index(
        name, table, list(columns), unique=True, sqlite_where=where, postgresql_where=where
    )
