"""Tables and picture of the benchmark of normal behaviour, from the results that are kept."""

import json
from pathlib import Path

Cells = dict[str, dict[str, dict[str, float]]]
_HEAD = """\
# Normal behaviour, measured

Nothing is told of failures; all methods learn from and are judged on the same rows, of each peer
the better of two sets of features, seen afterwards. Choices were made on FD001 fold 1, SKAB valve1
and pumps of seeds 11 and 12; the others are judged. Warning: median, as a share of the time from
the first sign to failure. False alarms: an asset and quarter, 1 is the budget. –: not measured.
"""


def write_tables(results: Path) -> str:
    """The tables in Markdown, written beside the results."""
    cells: Cells = json.loads((results / "results.json").read_text())
    text = _HEAD + "".join(_table(name, rows) for name, rows in sorted(cells.items()))
    (results / "normality.md").write_text(text)
    return text


def _table(name: str, rows: dict[str, dict[str, float]]) -> str:
    keys = list(dict.fromkeys(key for figures in rows.values() for key in sorted(figures)))
    lines = [f"\n## {name}\n", f"| | {' | '.join(keys)} |", f"| --- |{' --- |' * len(keys)}"]
    for row, figures in rows.items():
        shown = (f"{figures[key]:.4g}" if key in figures else "–" for key in keys)
        lines.append(f"| {row} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def draw(results: Path) -> None:
    """AUC of every method on every set."""
    from matplotlib.figure import Figure

    cells: Cells = json.loads((results / "results.json").read_text())
    sets = [name for name, rows in sorted(cells.items()) if "auc" in next(iter(rows.values()))]
    sets = [name for name in sets if not name.startswith("guidance")]
    methods = list(dict.fromkeys(method for name in sets for method in cells[name]))
    figure = Figure(figsize=(9, 1.0 + 0.5 * len(sets)), layout="constrained")
    axes = figure.subplots()
    for method in methods:
        ours = method == "pm-app"
        x = [cells[name].get(method, {}).get("auc") for name in sets]
        axes.plot(x, range(len(sets)), "D" if ours else "o", label=method, ms=8 if ours else 5)
    axes.set_yticks(range(len(sets)), sets)
    axes.set_xlabel("ROC-AUC of the score")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    figure.savefig(results / "normality.png", dpi=110)
