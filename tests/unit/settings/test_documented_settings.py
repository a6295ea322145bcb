"""Every example of plant.toml in the documentation, loaded as a plant's own is."""

import re

import pytest

from pm_app.docs import TOPICS, read_topic
from pm_app.settings.plant import read_settings

BLOCK = re.compile(r"^```toml\n(.*?)^```", re.S | re.M)
# Of a package's pyproject.toml.
ELSEWHERE = "[project.entry-points"
EXAMPLES = [
    pytest.param(text, id=f"{topic}-{number}")
    for topic in sorted(TOPICS)
    for number, text in enumerate(BLOCK.findall(read_topic(topic)))
    if ELSEWHERE not in text
]


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_of_plant_toml_is_loaded(text, tmp_path):
    config = tmp_path / "plant.toml"
    config.write_text(text, encoding="utf-8")

    assert read_settings(config).model_fields_set > {"folder"}


def test_examples_are_found():
    assert len(EXAMPLES) >= 15
