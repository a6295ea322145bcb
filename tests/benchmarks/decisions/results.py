"""What was decided on each simulated plant, kept in one file so that a run can stop and go on."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """One plant of one part of the benchmark: a row a retraining or challenger.

    code: a digest of what decided; what other code decided is measured anew.
    """

    part: str
    seed: int
    code: str
    rows: list[dict[str, Any]]


class Outcomes:
    """The outcomes of a file, written whole after each new one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        text = path.read_text(encoding="utf-8") if path.exists() else '{"outcomes": []}'
        found = (Outcome(**row) for row in json.loads(text)["outcomes"])
        self._found = {(one.part, one.seed): one for one in found}

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self._found[key] for key in sorted(self._found))

    def has(self, part: str, seed: int, code: str) -> bool:
        """Whether a plant was measured by this code."""
        one = self._found.get((part, seed))
        return one is not None and one.code == code

    def keep(self, outcome: Outcome) -> None:
        """Put an outcome into the file; what another run has written meanwhile stays."""
        self._found = Outcomes(self._path)._found | {(outcome.part, outcome.seed): outcome}
        lines = ",\n".join(json.dumps(asdict(one)) for one in self)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".part")
        beside.write_text(f'{{"outcomes": [\n{lines}\n]}}\n', encoding="utf-8")
        os.replace(beside, self._path)
