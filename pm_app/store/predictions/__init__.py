"""Predictions: written once, revised by rule, read as tables, series and the fleet."""
