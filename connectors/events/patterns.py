"""Patterns over the texts of a maintenance system: which text means what.

In a pattern * stands for anything and ? for one character. Case does not matter, nor whether
umlauts are written out ("Stoerung" is "Störung"), nor how many spaces stand between words. The
first pattern that fits counts, as they are written.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import translate

from pm_app.records.previews import SuggestedPattern

# What is longer is no text that a pattern was written for.
MOST_CHARACTERS = 1000
_WRITTEN_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "æ": "ae", "ø": "oe", "å": "aa"})
_WORD = re.compile(r"[^\W\d_]+")
# Shorter words ("n.", "am") tell nothing of what a text is about.
_SHORTEST_WORD = 3


def plain_text(text: str) -> str:
    """A text without what does not matter to patterns: case, and spaces of any kind."""
    return " ".join(text[:MOST_CHARACTERS].casefold().split())


def written_out(text: str) -> str:
    """A plain text as somebody without umlauts types it."""
    return text.translate(_WRITTEN_OUT)


@dataclass(frozen=True, eq=False)
class Patterns:
    """What texts mean, pattern by pattern; an answer is looked up once for each text."""

    meanings: Mapping[str, str]
    _compiled: list[tuple[re.Pattern[str], re.Pattern[str], str]] = field(default_factory=list)
    _found: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Compile the patterns."""
        for pattern, meaning in self.meanings.items():
            plain = plain_text(pattern)
            both = (_compiled(plain), _compiled(written_out(plain)))
            self._compiled.append((*both, meaning))

    def __bool__(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._compiled)

    def find(self, text: str) -> str | None:
        """What a text means, None where no pattern knows it."""
        if text not in self._found:
            self._found[text] = self._look(plain_text(text))
        return self._found[text]

    def _look(self, text: str) -> str | None:
        if not text:
            return None
        out = written_out(text)
        for pattern, pattern_out, meaning in self._compiled:
            if pattern.match(text) or pattern_out.match(out):
                return meaning
        return None


def _compiled(pattern: str) -> re.Pattern[str]:
    # A bracket is part of a text, and no choice of letters.
    return re.compile(translate(pattern.replace("[", "[[]")))


def suggest_patterns(
    setting: str, texts: Mapping[str, int], *, most: int = 20
) -> list[SuggestedPattern]:
    """Patterns by the first word of texts that none knows, those of most rows first.

    texts: rows of each. Where all texts of a group go on with the same word, so does the pattern.
    What they mean is for a person to say.
    """
    groups: dict[str, dict[str, int]] = {}
    for text, rows in texts.items():
        words = list(_words(text))
        if words:
            groups.setdefault(written_out(words[0]), {})[text] = rows
    found = [
        SuggestedPattern(
            setting,
            _pattern(list(group)),
            sum(group.values()),
            tuple(sorted(group, key=lambda text: (-group[text], text))[:3]),
        )
        for group in groups.values()
    ]
    return sorted(found, key=lambda each: (-each.rows, each.pattern))[:most]


def _pattern(texts: list[str]) -> str:
    """The words with which all of these texts begin, two at most, as the first writes them."""
    words = [[*_words(text)][:2] for text in texts]
    same = len(words[0]) > 1 and len({written_out(" ".join(pair)) for pair in words}) == 1
    kept = "*".join(words[0] if same and len(texts) > 1 else words[0][:1])
    first = written_out(words[0][0])
    begins = all(written_out(plain_text(text)).startswith(first) for text in texts)
    return f"{'' if begins else '*'}{kept}*"


def _words(text: str) -> Iterator[str]:
    found = _WORD.findall(plain_text(text))
    long = [word for word in found if len(word) >= _SHORTEST_WORD]
    yield from long or found
