"""Table of all commands of `pm-app`."""

from typing import Annotated

import typer

from pm_app import __version__
from pm_app.cli.act.alarms import alarms_app
from pm_app.cli.act.backup import backup, restore
from pm_app.cli.act.export import export
from pm_app.cli.act.notifications import notifications
from pm_app.cli.act.promote import promote, rollback
from pm_app.cli.act.users import users_app
from pm_app.cli.look.batches import batches
from pm_app.cli.look.check import check
from pm_app.cli.look.docs import docs
from pm_app.cli.look.explain import explain
from pm_app.cli.look.importance import importance
from pm_app.cli.look.models import models
from pm_app.cli.look.predictions import predictions
from pm_app.cli.look.status import status
from pm_app.cli.output import out
from pm_app.cli.run.backfill import backfill
from pm_app.cli.run.backtest import backtest
from pm_app.cli.run.demo import demo
from pm_app.cli.run.init import cmapss, init
from pm_app.cli.run.replay import replay
from pm_app.cli.run.retrain import retrain
from pm_app.cli.run.run import run
from pm_app.cli.run.score import score
from pm_app.cli.run.serve import serve

# In the order in which the help lists them.
COMMANDS = (
    demo,
    init,
    check,
    run,
    serve,
    status,
    score,
    retrain,
    predictions,
    export,
    batches,
    models,
    importance,
    explain,
    backtest,
    notifications,
    promote,
    rollback,
    backfill,
    replay,
    backup,
    restore,
    docs,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which asset fails next, why, and how long it has left.",
)
import_app = typer.Typer(no_args_is_help=True, help="Public data sets into the input contract.")
app.add_typer(import_app, name="import")
import_app.command()(cmapss)
for command in COMMANDS:
    app.command()(command)
app.add_typer(alarms_app, name="alarms")
app.add_typer(users_app, name="users")


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Common options."""
    if version:
        out.print(__version__)
        raise typer.Exit
