"""The tables of the output store, once for SQLite and PostgreSQL.

A change here is a new numbered step in `migrations/versions`, and REVISION names the newest.
"""

from typing import Any, Final

from sqlalchemy import (
    DDL,
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    event,
    text,
)

from pm_app.store.dialects.table import CLUSTERED, NUMBERED, partial_index
from pm_app.store.schema.alarms import alarm_events as alarm_events
from pm_app.store.schema.alarms import alarm_marks as alarm_marks
from pm_app.store.schema.alarms import alarms as alarms
from pm_app.store.schema.alarms import thresholds as thresholds
from pm_app.store.schema.alarms import verdicts as verdicts
from pm_app.store.schema.ledger import assets as assets
from pm_app.store.schema.ledger import batches as batches
from pm_app.store.schema.ledger import left_columns as left_columns
from pm_app.store.schema.types import ASSET, NUMBER, Moment
from pm_app.store.schema.types import metadata as metadata
from pm_app.store.schema.users import api_tokens as api_tokens
from pm_app.store.schema.users import audit as audit
from pm_app.store.schema.users import sessions as sessions
from pm_app.store.schema.users import users as users

REVISION: Final = "0020"

PREDICTION_KEY: Final = ("asset_id", "cutoff", "horizon_hours")
PREDICTION_VALUES: Final = (
    "status",
    "risk",
    "rul_hours",
    "rul_low_hours",
    "rul_high_hours",
    "value",
    "top_sensors",
    "model_version",
    "attention",
    "extrapolated",
    "mode",
    "mode_risks",
    "mode_sensors",
    "deviation",
    "deviation_sensors",
    "normal_version",
)
_LATER: Final = PREDICTION_VALUES.index("attention")
# In the order of the table: attention and what comes after it came later.
PREDICTION_COLUMNS: Final = (
    *PREDICTION_KEY,
    *PREDICTION_VALUES[:_LATER],
    "revision",
    "scored_at",
    *PREDICTION_VALUES[_LATER:],
)


def _key() -> list[Column[Any]]:
    return [
        Column("asset_id", ASSET, nullable=False),
        Column("cutoff", Moment, nullable=False),
        Column("horizon_hours", Float(53), nullable=False),
    ]


def _value_columns() -> list[Column[Any]]:
    return [
        Column("status", Text, nullable=False),
        Column("risk", Float(53)),
        Column("rul_hours", Float(53)),
        Column("rul_low_hours", Float(53)),
        Column("rul_high_hours", Float(53)),
        Column("value", Float(53)),
        Column("top_sensors", Text, nullable=False),
        Column("model_version", Integer, nullable=False),
    ]


def _attention() -> Column[Any]:
    return Column("attention", Text, nullable=False, server_default=text("''"))


def _last_columns() -> list[Column[Any]]:
    return [
        Column("extrapolated", Float(53)),
        # The likeliest failure mode within the horizon; JSON: mode to risk, mode to top sensors.
        Column("mode", Text),
        Column("mode_risks", Text),
        Column("mode_sensors", Text),
        # How unusual, which sensors are behind it, and the version of kind "normal" that said it.
        Column("deviation", Float(53)),
        Column("deviation_sensors", Text),
        Column("normal_version", Integer, nullable=False, server_default=text("0")),
    ]


def _commit_number() -> Column[Any]:
    return Column("commit_number", BigInteger, nullable=False, server_default=text("0"))


def _predictions(name: str, *key: str, later: tuple[Column[Any], ...] = ()) -> Table:
    return Table(
        name,
        metadata,
        *_key(),
        *_value_columns(),
        Column("revision", Integer, nullable=False),
        Column("scored_at", Moment, nullable=False),
        # Last, where databases put a column that came later.
        _attention(),
        *later,
        *_last_columns(),
        PrimaryKeyConstraint(*key),
        **CLUSTERED,
    )


# The commit that said a row, counted; not part of what is said, for it differs with how many
# commits say the same.
COMMIT_NUMBER: Final = "commit_number"
predictions = _predictions("predictions", *PREDICTION_KEY, later=(_commit_number(),))
prediction_history = _predictions(
    "prediction_history", *PREDICTION_KEY, "revision", later=(_commit_number(),)
)
latest_predictions = _predictions("latest_predictions", "asset_id", "horizon_hours")

_without_model = predictions.c.status == "no_model"
Index(
    "predictions_no_model",
    predictions.c.cutoff,
    **partial_index(_without_model),
)
_without_failure_model = predictions.c.model_version == text("0")
Index(
    "predictions_without_failure_model",
    predictions.c.cutoff,
    **partial_index(_without_failure_model),
)

# Only of rows to come: what was said before there were numbers is asked for once.
for _table in (predictions, prediction_history):
    _numbered = _table.c.commit_number > text("0")
    Index(
        f"{_table.name}_commit_number",
        _table.c.commit_number,
        **partial_index(_numbered),
    )

# Numbers that only grow; a row each.
counters = Table(
    "counters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("newest", BigInteger, nullable=False),
    **CLUSTERED,
)

# What is left of predictions that are kept no longer: the riskiest cutoff of each UTC day, and
# how many there were.
prediction_peaks = Table(
    "prediction_peaks",
    metadata,
    Column("asset_id", ASSET, nullable=False),
    Column("day", Moment, nullable=False),
    Column("horizon_hours", Float(53), nullable=False),
    Column("cutoff", Moment, nullable=False),
    Column("status", Text, nullable=False),
    Column("risk", Float(53)),
    Column("rul_hours", Float(53)),
    Column("top_sensors", Text, nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("cutoffs", Integer, nullable=False),
    # The highest of the day, at whatever cutoff, and its sensors.
    Column("deviation", Float(53)),
    Column("deviation_sensors", Text),
    PrimaryKeyConstraint("asset_id", "day", "horizon_hours"),
    **CLUSTERED,
)

# UTC days whose predictions were retired, in the order in which they were.
retirements = Table(
    "retirements",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("day", Moment, nullable=False),
    Column("rows", BigInteger, nullable=False),
    **NUMBERED,
)

# Where rows are laid down before they are merged; never seen by another connection.


def _staged(*prefixes: str) -> Table:
    return Table(
        "staged_predictions",
        MetaData(),
        *_key(),
        *_value_columns(),
        _attention(),
        *_last_columns(),
        PrimaryKeyConstraint(*PREDICTION_KEY),
        prefixes=list(prefixes),
        **CLUSTERED,
    )


staged_predictions = _staged("TEMPORARY")
# The same in a file of its own.
portable_predictions = _staged()

versions = Table(
    "versions",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("strategy", Text, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("kind", Text, nullable=False, server_default=text("'failure'")),
)

retrainings = Table(
    "retrainings",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment, nullable=False),
    Column("as_of", Moment, nullable=False),
    Column("decision", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("version", Integer, ForeignKey("versions.version")),
    Column("metrics", JSON, nullable=False),
    Column("kind", Text, nullable=False, server_default=text("'failure'")),
    **NUMBERED,
)

# One row: the name that the state folder of this database's plant bears as well.
plant = Table(
    "plant",
    metadata,
    Column("identity", Text, primary_key=True),
    Column("created_at", Moment, nullable=False),
)

promotions = Table(
    "promotions",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("version", Integer, ForeignKey("versions.version"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("reason", Text, nullable=False),
    Column("kind", Text, nullable=False),
    **NUMBERED,
)

importances = Table(
    "importances",
    metadata,
    Column("version", Integer, ForeignKey("versions.version"), nullable=False),
    Column("sensor", Text, nullable=False),
    Column("share", Float(53), nullable=False),
    Column("spread", Float(53), nullable=False),
    Column("rank", Integer, nullable=False),
    Column("tier", Text, nullable=False),
    Column("units", Integer, nullable=False),
    Column("l1", Float(53), nullable=False),
    PrimaryKeyConstraint("version", "sensor"),
    **CLUSTERED,
)

# Views for people with other tools; pm-app itself does not read them. One row an asset: that of
# the newest cutoff, and of that the longest horizon, as the Fleet page has it.
FLEET_NOW: Final = """\
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
        OR (other.cutoff = newest.cutoff AND other.horizon_hours > newest.horizon_hours)))"""
OPEN_ALARMS: Final = """\
CREATE VIEW open_alarms AS
SELECT id, kind, asset_id, horizon_hours, state, raised_at, changed_at, shelved_until, cutoff,
    risk, deviation, threshold, reason, top_sensors, model_version, mode, mode_risks,
    likeliest_mode
FROM alarms
WHERE cleared_at IS NULL"""
VIEWS: Final = {"fleet_now": FLEET_NOW, "open_alarms": OPEN_ALARMS}
# They come and go with the tables, where those are made without migrations.
for _name, _definition in VIEWS.items():
    for _moment, _statement in (
        ("after_create", _definition),
        ("before_drop", f"DROP VIEW IF EXISTS {_name}"),
    ):
        _ddl = DDL(_statement)  # type: ignore[no-untyped-call]  # SQLAlchemy's own
        event.listen(metadata, _moment, _ddl)
