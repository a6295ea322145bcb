"""Data to learn from: labels, failures, targets, splits that do not leak."""
