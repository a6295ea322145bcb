"""The output store: one schema for SQLite and PostgreSQL. The only user of SQLAlchemy."""
