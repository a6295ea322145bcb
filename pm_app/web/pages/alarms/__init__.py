"""Alarms pages."""
