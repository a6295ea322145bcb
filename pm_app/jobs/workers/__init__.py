"""Workers: tasks of backfill, backtest and retraining done beside this process."""
