"""Backtest: history as it would have happened, fold by fold."""
