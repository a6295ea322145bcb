"""Instants at which a fault may strike, announced by whoever changes what outlives a process.

Nothing listens in a plant. A test that hooks into `sys.audit` may end the process at an instant,
or raise what the operation to come would raise.
"""

import sys

INSTANT = "pm_app.instant"


def announce(step: str, subject: object) -> None:
    """Say that `step` is about to happen to `subject`, or that it just has."""
    sys.audit(INSTANT, step, str(subject))
