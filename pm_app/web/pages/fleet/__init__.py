"""The fleet page: one row an asset, riskiest first."""
