"""Failure modes of plant.toml: tables [modes.NAME], each with the codes of its failures."""

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field

from pm_app.settings.sections import Section
from pm_app.settings.sources import matches_any
from pm_app.settings.values import Name, Text

# Failures that belong to no mode.
OTHER: Final = "other"


class ModeSettings(Section):
    """Failures of one cause: [modes.bearing] is the mode bearing. Default: every failure code with
    at least retraining.minimum_failures failures is a mode; what belongs to none is called other.
    """

    codes: tuple[Name, ...] = Field(
        (),
        description="codes of its failures, besides its name; * stands for anything",
        examples=[["bearing", "B*"]],
    )
    renewals: tuple[Name, ...] = Field(
        (),
        description="codes of maintenance after which this mode alone is as good as new; * stands "
        "for anything",
        examples=[["bearing replaced"]],
    )
    action: Text = Field(
        "",
        description="what is to be done about it, as alarms and messages say it",
        examples=["Check lubrication; order 6310-2Z"],
    )


def action_of(mode: str | None, modes: Mapping[str, ModeSettings]) -> str:
    """What is to be done about a failure mode; "" where nobody has said."""
    return modes[mode].action if mode is not None and mode in modes else ""


def actions_by_mode(modes: Mapping[str, ModeSettings]) -> dict[str, str]:
    """What is to be done about each failure mode; "" where nobody has said."""
    return {name: mode.action for name, mode in modes.items()}


def mode_of_code(code: str, modes: Mapping[str, ModeSettings]) -> str | None:
    """The mode that failures of this code belong to; None where there is none."""
    fits = (name for name, mode in modes.items() if matches_any(code, (name, *mode.codes)))
    return next(fits, None)


def _are_tables(modes: object) -> object:
    for name, mode in modes.items() if isinstance(modes, dict) else ():
        if not isinstance(mode, dict | ModeSettings):
            raise ValueError(f"{name!r} stands in no mode; a mode is a table, like [modes.bearing]")
    return modes


def _are_apart(modes: dict[str, ModeSettings]) -> dict[str, ModeSettings]:
    if OTHER in modes:
        raise ValueError(f"{OTHER!r} is what belongs to no mode, and no name of one")
    for (name, mode), (rest, beside) in combinations(modes.items(), 2):
        own, others = (name, *mode.codes), (rest, *beside.codes)
        both = [each for each in others if matches_any(each, own)]
        both += [each for each in own if matches_any(each, others)]
        if both:
            raise ValueError(
                f"a code must belong to one mode, got {both[0]!r} for {name!r} and {rest!r}"
            )
    return modes


Modes = Annotated[
    dict[Name, ModeSettings], BeforeValidator(_are_tables), AfterValidator(_are_apart)
]
