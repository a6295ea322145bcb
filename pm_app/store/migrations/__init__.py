"""Alembic's folder: one numbered step a schema change."""
