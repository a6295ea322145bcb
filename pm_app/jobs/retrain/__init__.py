"""Retraining: the dataset up to a moment, the trainer process, and publishing its version."""
