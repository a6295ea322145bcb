"""Table of all commands of `pm-app`."""

from collections.abc import Callable
from typing import Annotated, Final

import typer

from pm_app import __version__
from pm_app.cli.act.alarms import alarms_app
from pm_app.cli.act.backup import backup, restore
from pm_app.cli.act.export import export
from pm_app.cli.act.notifications import notifications
from pm_app.cli.act.promote import promote, rollback
from pm_app.cli.act.record import record
from pm_app.cli.act.users import users_app
from pm_app.cli.look.batches import batches
from pm_app.cli.look.check import check
from pm_app.cli.look.docs import docs
from pm_app.cli.look.explain import explain
from pm_app.cli.look.importance import importance
from pm_app.cli.look.models import models
from pm_app.cli.look.predictions import predictions
from pm_app.cli.look.preview import preview
from pm_app.cli.look.selftest import selftest
from pm_app.cli.look.status import status
from pm_app.cli.output import out
from pm_app.cli.run.backfill import backfill
from pm_app.cli.run.backtest import backtest
from pm_app.cli.run.demo import demo
from pm_app.cli.run.init import cmapss, init
from pm_app.cli.run.learn_normal import learn_normal
from pm_app.cli.run.replay import replay
from pm_app.cli.run.retrain import retrain
from pm_app.cli.run.run import run
from pm_app.cli.run.score import score
from pm_app.cli.run.serve import serve

# In the order in which the help lists them, by what one wants to do.
COMMANDS: Final[dict[str, tuple[Callable[..., None], ...]]] = {
    "Begin": (demo, init, check, selftest, preview, docs),
    "Run": (run, serve, record, score, learn_normal, retrain),
    "Look": (status, predictions, explain, batches),
    "Learn": (models, importance, backtest, promote, rollback),
    "Act": (notifications,),
    "Keep": (export, backup, restore, replay, backfill),
}

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Which asset fails next, why, and how long it has left.",
)
import_app = typer.Typer(no_args_is_help=True, help="Public data sets into the input contract.")
import_app.command()(cmapss)
for panel, commands in COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(alarms_app, name="alarms", rich_help_panel="Act")
app.add_typer(users_app, name="users", rich_help_panel="Act")
app.add_typer(import_app, name="import", rich_help_panel="Begin")


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Common options."""
    if version:
        out.print(__version__)
        raise typer.Exit
