"""Evaluation: how good a version is, beside its control, its peers and the champion."""
