"""Learning from features to a version: labels, splits, importance, drift, allocation, network."""
