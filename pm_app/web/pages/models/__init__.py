"""The page of models: which version scores, why, and what it goes by."""
