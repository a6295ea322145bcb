"""The tables of the output store, once for SQLite and PostgreSQL."""
