"""How Alembic runs our steps: inside the transaction that `pm_app.store.migrate` has begun."""

from alembic import context

from pm_app.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite changes a table by rewriting it.
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
