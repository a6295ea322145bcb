"""`python -m pm_app` is `pm-app`."""

from pm_app.cli import main

main()
