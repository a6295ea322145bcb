"""Alarms, all that was ever done to them, and what people found behind them."""

from sqlalchemy import (
    JSON,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

from pm_app.store.dialects.table import CLUSTERED, NUMBERED, partial_index
from pm_app.store.schema.types import ASSET, NUMBER, Moment, metadata

# States as in ISA-18.2: unacknowledged, acknowledged, shelved, returned, cleared. kind "risk"
# is of an asset, all others of the whole plant, whose asset_id is "". Rows change with their
# state; cutoff, risk, threshold, reason and what follows are as they were when the alarm was
# raised, but for reason and about of the plant's: in words and by name, the assets it is about;
# and likeliest_mode, the failure mode that its newest predictions name.
alarms = Table(
    "alarms",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("asset_id", ASSET, nullable=False),
    Column("horizon_hours", Float(53), nullable=False),
    Column("state", Text, nullable=False),
    Column("raised_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("shelved_until", Moment),
    Column("cleared_at", Moment),
    Column("cutoff", Moment, nullable=False),
    Column("risk", Float(53)),
    Column("threshold", Float(53)),
    Column("reason", Text, nullable=False),
    Column("top_sensors", Text, nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("about", JSON, nullable=False),
    Column("mode", Text),
    Column("mode_risks", Text),
    Column("likeliest_mode", Text),
    Column("deviation", Float(53)),
    **NUMBERED,
)
OPEN = alarms.c.cleared_at.is_(None)
Index(
    "alarms_one_open",
    alarms.c.kind,
    alarms.c.asset_id,
    unique=True,
    **partial_index(OPEN),
)

# Rows are only ever added. from_state is empty where an alarm begins; cutoff is that of the
# prediction that decided, empty where a person did.
alarm_events = Table(
    "alarm_events",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("alarm_id", NUMBER, ForeignKey("alarms.id"), nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("action", Text, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("cutoff", Moment),
    **NUMBERED,
)

# Rows are only ever added; the newest verdict of an alarm counts.
verdicts = Table(
    "verdicts",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("alarm_id", NUMBER, ForeignKey("alarms.id"), nullable=False, index=True),
    Column("at", Moment, nullable=False),
    Column("actor", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("found", Text, nullable=False),
    Column("failed_from", Moment),
    Column("failed_until", Moment),
    Column("code", Text, nullable=False),
    Column("mode", Text, nullable=False, server_default=text("''")),
    **NUMBERED,
)

# What alarms may go on from where the newest risks tell nothing: up to `cutoff` the newest run
# of this rule was a high one (1), a low one (-1), or there was none (0). Risks are read from
# `since` on. Derived: a row goes when something up to its cutoff is said anew.
alarm_marks = Table(
    "alarm_marks",
    metadata,
    Column("kind", Text, nullable=False),
    Column("asset_id", ASSET, nullable=False),
    Column("horizon_hours", Float(53), nullable=False),
    Column("threshold", Float(53), nullable=False),
    Column("clear", Float(53), nullable=False),
    Column("persistence", Integer, nullable=False),
    Column("since", Moment, nullable=False),
    Column("cutoff", Moment, nullable=False),
    Column("run", Integer, nullable=False),
    PrimaryKeyConstraint("kind", "asset_id"),
    **CLUSTERED,
)

# Rows are only ever added; the newest of a horizon counts.
thresholds = Table(
    "thresholds",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("threshold", Float(53), nullable=False),
    Column("horizon_hours", Float(53), nullable=False),
    Column("reason", Text, nullable=False),
    **NUMBERED,
)

# Notifications of an event, by channel. Rows wait until done_at is set; error tells
# why the last attempt failed.
outbox = Table(
    "outbox",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("event_id", NUMBER, ForeignKey("alarm_events.id"), nullable=False),
    Column("channel", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("done_at", Moment),
    **NUMBERED,
)
WAITING = outbox.c.done_at.is_(None)
Index("outbox_event_id", outbox.c.event_id, outbox.c.channel)
Index("outbox_waiting", outbox.c.due_at, **partial_index(WAITING))
