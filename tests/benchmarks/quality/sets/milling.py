"""AI4I 2020 (Matzka 2020): a labelled table without time or assets, five stratified folds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from benchmarks.quality.sets.folds import Fold, QualitySet, Task, make_fold, part_by_group
from benchmarks.quality.sets.plants import gather, lay_out
from sklearn.model_selection import StratifiedKFold

FOLDS = 5
LABEL = "Machine failure"
# The modes are parts of the label: with them there would be nothing to learn.
LEFT_OUT = ["UDI", "Product ID", "TWF", "HDF", "PWF", "OSF", "RNF"]
PLANT_TOML = f"""\
[target]
kind = "column"
column = "{LABEL}"
task = "classification"
"""


def folds(open_data: Path, work: Path) -> Iterator[Fold]:
    """Five folds of 2,000 rows, each with its share of the failures."""
    table = pd.read_csv(open_data / "ai4i2020" / "ai4i2020.csv", encoding="utf-8-sig")
    table["Type"] = table["Type"].map({"L": 0, "M": 1, "H": 2})
    arrow = pa.Table.from_pandas(table.drop(columns=LEFT_OUT), preserve_index=False)
    known = gather(lay_out(work / "ai4i", PLANT_TOML, arrow))
    frame, labels = known.chosen, known.labels
    rows = np.arange(len(frame.asset))
    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=2024).split(rows, labels.value)
    for number, (learn, judged) in enumerate(parts):
        split = part_by_group(rows, learn, judged, "by row", level=labels.value, seed=number)
        yield make_fold(f"split {number + 1}", frame, labels, split, known.paces)


AI4I = QualitySet("AI4I 2020", "milling machine, synthetic", Task("classification"), folds)
