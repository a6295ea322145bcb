"""Data page."""
