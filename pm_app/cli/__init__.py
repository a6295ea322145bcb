"""The command line: results on stdout, talk on stderr; 0 done, 1 failed, 2 wrong usage."""

import os
import sys
from pathlib import Path

from pm_app.errors import BadSettings, PmAppError


def main() -> None:
    """Entry point of `pm-app`: every error made on purpose becomes one line and a code."""
    # Arrow's own allocators keep some 50 MB that the system's gives back.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    # Imported here so that a broken pipe or an interrupt while loading is caught as well.
    try:
        _check_text(sys.argv[1:])
        from pm_app.cli.app import app

        app()
    except BadSettings as error:
        sys.stderr.write(f"pm-app: {error}\n")
        sys.exit(2)
    except PmAppError as error:
        sys.stderr.write(f"pm-app: {error}\n")
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
    except OSError as error:
        sys.stderr.write(f"pm-app: {_refusal(error)}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _refusal(error: OSError) -> str:
    """What the system refused, of which path, and whose that is."""
    from pm_app.durable import denial

    words = error.strerror or str(error)
    if not isinstance(error.filename, str):
        return words
    denied = isinstance(error, PermissionError) and denial(Path(error.filename), writing=True)
    return f"{error.filename}: {denied or words}"


def _check_text(arguments: list[str]) -> None:
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise BadSettings(f"arguments must be UTF-8, got {os.fsencode(argument)!r}") from error
