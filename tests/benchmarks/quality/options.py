"""What a measurement is asked for in the environment."""

import os
from pathlib import Path


def whole_number(variable: str, default: int) -> int:
    """A whole number of at least 1."""
    (number,) = whole_numbers(variable, (default,), least=1)
    return number


def whole_numbers(variable: str, default: tuple[int, ...], *, least: int = 0) -> tuple[int, ...]:
    """Whole numbers, separated by ";", none below `least`, ascending."""
    text = os.environ.get(variable, "")
    numbers = [int(part) for part in text.split(";") if part.strip()] or list(default)
    assert min(numbers, default=least) >= least, (
        f"{variable} must be at least {least}, got {text!r}"
    )
    return tuple(sorted(set(numbers)))


def names(variable: str) -> tuple[str, ...]:
    """Names, separated by ";"."""
    text = os.environ.get(variable, "")
    return tuple(part.strip() for part in text.split(";") if part.strip())


def is_on(variable: str) -> bool:
    """Whether the variable is "1"."""
    return os.environ.get(variable, "") == "1"


def folder(variable: str, default: Path) -> Path:
    """A folder of results."""
    return Path(os.environ.get(variable, default))
