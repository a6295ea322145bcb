"""Retraining: what is known up to a moment, the trainer process, and what becomes of its answer."""
