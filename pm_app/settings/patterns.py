"""Patterns of topics and paths: which part of a name is the asset, which the sensor.

Levels lie between slashes. `{asset}` and `{sensor}` stand for a level, or a part of one
(`pump-{asset}`), `+` for a level that does not matter, `#` at the end for any number of them.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_PLACES: Final = ("asset", "sensor")
_FIELD: Final = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True)
class NamePattern:
    """A pattern such as "plant/{asset}/{sensor}"."""

    text: str

    @property
    def filter(self) -> str:
        """The topic filter of MQTT that takes in all that may fit: a level with a place is `+`."""
        levels = self.text.split("/")
        return "/".join("+" if _FIELD.search(level) else level for level in levels)

    @property
    def places(self) -> tuple[str, ...]:
        """Which of asset and sensor it tells."""
        return tuple(_FIELD.findall(self.text))

    def match(self, name: str) -> dict[str, str] | None:
        """Asset and sensor of a name, as far as the pattern tells; None where it does not fit."""
        found = self._expression.fullmatch(name)
        return found.groupdict() if found else None

    @cached_property
    def _expression(self) -> "re.Pattern[str]":
        levels = [_level(level) for level in self.text.split("/")]
        # "#" also takes in its parent level, as brokers have it (MQTT 3.1.1, 4.7.1.2).
        text = "/".join(levels).replace("/#", "(?:/.*)?").replace("#", ".*")
        return re.compile(text, re.DOTALL)


def read_pattern(text: str) -> NamePattern:
    """Raises ValueError naming what is wrong with it."""
    levels, pattern = text.split("/"), NamePattern(text)
    for place in pattern.places:
        if place not in _PLACES:
            raise ValueError(f"needed {{asset}} or {{sensor}} in braces, got {place!r} in {text!r}")
    if len(set(pattern.places)) < len(pattern.places):
        raise ValueError(f"{{asset}} and {{sensor}} may each stand once, got {text!r}")
    for at, level in enumerate(levels):
        whole = level == "+" or (level == "#" and at == len(levels) - 1)
        if not whole and ("+" in level or "#" in level):
            raise ValueError(f"+ and # stand for whole levels, # at the end alone, got {text!r}")
    return pattern


def _level(level: str) -> str:
    if level in ("+", "#"):
        return "[^/]*" if level == "+" else "#"
    parts = _FIELD.split(level)
    # Every other part is the name of a place.
    return "".join(
        f"(?P<{part}>[^/]+)" if at % 2 else re.escape(part).replace("\\#", "#")
        for at, part in enumerate(parts)
    )
