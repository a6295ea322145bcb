"""Which statements read all rows of a table that grows for years.

SQLite knows no table's size, so the order of a join has to be told to it; a plan that reads all
that was ever said costs nothing on the day it is written and seconds a look some years later.
"""

import re
from contextlib import contextmanager

from sqlalchemy import event

GROWING = {"predictions", "prediction_history", "prediction_peaks", "alarm_events", "audit"}
GROWING |= {"batches", "outbox"}


@contextmanager
def whole_table_reads(store):
    """The plans of statements that read all rows of such a table, as they are executed."""
    found = []

    def explain(connection, cursor, statement, parameters, context, many):
        if many or not re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", statement):
            return
        driver = connection.connection.driver_connection
        for row in driver.execute(f"EXPLAIN QUERY PLAN {statement}", parameters):
            scan = re.match(r"SCAN (\w+)(?! USING INDEX)", row[3])
            if scan and scan[1] in GROWING:
                found.append((row[3], " ".join(statement.split())))

    event.listen(store._database.engine, "before_cursor_execute", explain)
    yield found
    event.remove(store._database.engine, "before_cursor_execute", explain)
