"""Audit log page."""
