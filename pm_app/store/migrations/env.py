"""How Alembic runs our steps: inside the transaction that `store.database.migrate` has begun."""

from alembic import context

from pm_app.store.schema.predictions import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a table by rewriting it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
