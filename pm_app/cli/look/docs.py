"""`pm-app docs`: the documentation that ships with the program."""

import sys
from typing import Annotated

import typer
from rich.markdown import Markdown

from pm_app.cli.output import out, print_rows
from pm_app.docs import TOPICS, read_topic


def docs(
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Default: list the topics.")] = "",
) -> None:
    """The documentation: a list of topics, or one topic."""
    if not topic:
        rows = [{"topic": name, "what it holds": summary} for name, summary in TOPICS.items()]
        print_rows(rows)
        return
    text = read_topic(topic)
    if out.is_terminal:
        out.print(Markdown(text))
    else:
        sys.stdout.write(text)
