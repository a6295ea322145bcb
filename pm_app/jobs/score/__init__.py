"""Scores: which cutoffs ask for one, their features, and what the champion makes of them."""
