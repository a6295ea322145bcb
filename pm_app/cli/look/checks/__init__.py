"""Findings of `pm-app check`, by what is looked at."""
