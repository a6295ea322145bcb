"""Documentation of the product, in the wheel: a plant without internet reads it.

A topic is one Markdown file here and one row of TOPICS.
"""

import difflib
import re
from importlib.resources import files
from typing import Final

from pm_app.errors import BadSettings

# Between these the benchmarks write their figures.
_MARK: Final = re.compile(r"^<!-- .* -->\n\n?", re.MULTILINE)
TOPICS: Final = {
    "install": "with internet or without, services, several plants, PostgreSQL, Docker",
    "operate": "run, back up, upgrade; pages, alarms, notifications, troubleshooting",
    "sources": "readings and events from files, buckets, databases and tables, each by example",
    "work-orders": "failures and repairs from files of a maintenance system: patterns, dates",
    "recorders": "readings from MQTT brokers and OPC UA servers",
    "settings": "every key of plant.toml, what it takes and its default",
    "commands": "every command with its arguments and options",
    "tables": "the output database: every table and column",
    "how-it-learns": "from readings to a version: method and sources",
    "promises": "what is promised, the figure measured, the command that measures it",
    "benchmarks": "quality beside other models, guidance, ablation, decisions, speed",
    "scale": "what 100,000 assets at 1 Hz would need",
    "changelog": "what changed, and which schema of the tables brought what",
    "glossary": "the words of pages, commands and tables",
}


def read_topic(name: str) -> str:
    """The Markdown of a topic. Raises BadSettings naming the nearest topic and all of them."""
    if name not in TOPICS:
        near = difflib.get_close_matches(name.lower(), TOPICS, n=1, cutoff=0.4)
        nearest = f"; the nearest is {near[0]!r}" if near else ""
        raise BadSettings(f"no topic {name!r}{nearest}; topics: {', '.join(TOPICS)}")
    text = files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8")
    return _MARK.sub("", text)
