"""The trainer process with an engine beside it, of the name that its order says."""

import sys
from pathlib import Path

from pm_app.jobs.retrain.process import end_with_parent, tell_parent
from pm_app.jobs.retrain.trainer import main
from pm_app.wiring import open_engine

if __name__ == "__main__":
    end_with_parent()
    main(Path(sys.argv[1]), Path(sys.argv[2]), tell_parent(), open_engine)
