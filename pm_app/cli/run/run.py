"""`pm-app run`: the daemon in this process."""

import os
import sys

from pm_app.cli.options import PLANT, PlantOption
from pm_app.cli.output import start_log
from pm_app.settings.plant import read_settings


def run(config: PlantOption = PLANT) -> None:
    """The daemon: scores what comes in, learns again on schedule, stops on SIGTERM."""
    from pm_app.cli.run.daemon import run_plant

    settings = read_settings(config)
    start_log(settings.log)
    code = run_plant(settings)
    if code:
        # A job that hangs would keep the process from ending, and so from a new start.
        sys.stderr.flush()
        os._exit(code)
