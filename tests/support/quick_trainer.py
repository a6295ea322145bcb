"""The trainer's process with short schedules and a grid of one: for the path, not the optimum."""

import sys
from pathlib import Path

from pm_app.jobs.retrain.process import end_with_parent, tell_parent
from pm_app.jobs.retrain.trainer import main
from pm_app.learning.pool import shares
from pm_app.learning.training import crossfit, fit, selection

fit.STEPS = 100
crossfit.FOLDS = 2
# Equal shares: a network of so few steps would answer nothing beside a forest.
shares.NOISE = 1e9
selection.LIFE_GRID = selection.LIFE_GRID[1:2]

if __name__ == "__main__":
    end_with_parent()
    main(Path(sys.argv[1]), Path(sys.argv[2]), tell_parent())
