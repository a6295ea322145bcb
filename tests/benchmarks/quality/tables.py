"""What the results say: means with their spread, paired differences, and the documentation's block.

Needs nothing but the results, so that figures quoted elsewhere can be checked everywhere.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from benchmarks.quality.blocks import (
    AP,
    BLOCKS,
    LAST,
    MODELS,
    NETWORK,
    RMSE,
    SHORT,
    SHORT_MODELS,
    UNGUIDED,
    VERSION,
    Block,
    Figure,
    values_of,
)
from benchmarks.quality.comparing import RIVALS, Difference, compare, paired, validated
from benchmarks.quality.results import Cell
from benchmarks.quality.verdict import verdict_tables

BENCHMARKS = Path(__file__).parents[3] / "pm_app" / "docs" / "benchmarks.md"
OWN_RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- quality: begin -->", "<!-- quality: end -->"
_NOT_MEASURED = "–"


_PREFACE = """\
# Measured quality

Every model of a fold sees the same features and is judged on all of the same rows. Mean ±
standard deviation over folds, each the mean of its seeds. AP: average precision of failing within
the horizon, or of the class. RMSE: of the life left, up to the cap. ECE: mean distance of stated
risk and observed share. CPU s: seconds of one processor to tune and fit. Sets kept aside: no choice
of the product was made on them. Fresh plants: their seeds were drawn when all was built.
"""


def markdown(cells: Sequence[Cell]) -> str:
    """Everything: a table a block, then the paired differences."""
    parts, cells = [_PREFACE], [*cells, *validated(cells)]
    for told, mixed in (("features", mixed_data(cells)), ("code", mixed_code(cells))):
        if mixed:
            parts.append(f"**Measured on different {told}, do not compare: {'; '.join(mixed)}.**\n")
    parts += [_block_table(block, block.cells(cells)) for block in BLOCKS if block.cells(cells)]
    parts += [_difference_table(cells), _code_table(cells)]
    return "\n".join([*filter(None, parts), *verdict_tables(cells), ""])


def quoted_block(cells: Sequence[Cell]) -> str:
    """The block between `BEGIN` and `END`: a row a model, the best mean in bold."""
    cells = [*cells, *validated(cells)]
    # Networks of one strategy each have tables of their own.
    whole = [cell for cell in cells if cell.model in SHORT_MODELS]
    shown = [block for block in SHORT if block.cells(whole)]
    precise = _means_table("average precision", [(block, AP) for block in shown], cells)
    errors = [(block, _error_of(block)) for block in shown if RMSE in block.figures]
    parts = [precise, _means_table("RMSE of the life left", errors, cells), _sentences(cells)]
    return "\n\n".join([BEGIN, *(part for part in parts if part), END])


def quoted_in(text: str, begin: str = BEGIN, end: str = END) -> str:
    """The block that a document quotes, its marks included."""
    return text[text.index(begin) : text.index(end) + len(end)]


def quote_in(document: Path, block: str, begin: str = BEGIN, end: str = END) -> None:
    """Write the document with the block between these marks made anew."""
    text = document.read_text(encoding="utf-8")
    document.write_text(text.replace(quoted_in(text, begin, end), block), encoding="utf-8")


def mixed_data(cells: Iterable[Cell]) -> list[str]:
    """Folds whose models did not all see the same features and rows."""
    digests: dict[tuple[str, str], set[str]] = {}
    for cell in cells:
        digests.setdefault((cell.set, cell.fold), set()).add(cell.data)
    return [", ".join(key) for key, found in sorted(digests.items()) if len(found) > 1]


def mixed_code(cells: Iterable[Cell]) -> list[str]:
    """Our own models whose cells of one set were not all measured by the same code."""
    digests: dict[tuple[str, str], set[str]] = {}
    for cell in cells:
        if cell.model.startswith(VERSION):
            digests.setdefault((cell.set, cell.model), set()).add(cell.code)
    return [", ".join(key) for key, found in sorted(digests.items()) if len(found) > 1]


def _code_table(cells: Iterable[Cell]) -> str:
    """Which sets our own models were measured on by which code."""
    sets: dict[str, set[str]] = {}
    for cell in cells:
        if cell.model.startswith(VERSION):
            sets.setdefault(cell.code, set()).add(cell.set)
    if not sets:
        return ""
    lines = ["## Which code our models were measured by\n", table_row(["digest", "sets"])]
    rows = [table_row([f"`{code}`", ", ".join(sorted(sets[code]))]) for code in sorted(sets)]
    return "\n".join([*lines, table_row(["---", "---"]), *rows, ""])


def _block_table(block: Block, cells: list[Cell]) -> str:
    folds = len({(cell.set, cell.fold) for cell in cells})
    aside = "kept aside, " if block.kept_aside else ""
    titles = [
        f"{figure.title} [{block.unit}]" if figure in (RMSE, LAST) else figure.title
        for figure in block.figures
    ]
    lines = [f"## {block.title} ({aside}{folds} fold{'s' if folds > 1 else ''})\n"]
    lines += [table_row(["model", *titles, "CPU s"]), table_row(["---"] * (2 + len(titles)))]
    for model in MODELS:
        mine = [cell for cell in cells if cell.model == model]
        if mine:
            told = [_spread(cells, model, figure) for figure in block.figures]
            seconds = f"{np.mean([cell.seconds for cell in mine]):.0f}"
            lines.append(table_row([model, *told, seconds]))
    return "\n".join([*lines, ""])


def _difference_table(cells: Sequence[Cell]) -> str:
    lines = [
        f"## {VERSION} against others, fold by fold\n",
        "AP: difference. RMSE: difference of logarithms, so -0.05 is 5 % less error.\n",
        table_row(
            ["against", "figure", "folds", "better in", "mean", "95 % interval", "Wilcoxon p"]
        ),
        table_row(["---"] * 7),
    ]
    places = {"all": {block.title for block in BLOCKS}}
    places["kept aside"] = {block.title for block in BLOCKS if block.kept_aside}
    places |= {block.title: {block.title} for block in BLOCKS}
    for place, titles in places.items():
        for rival, choose in RIVALS.items():
            for figure in (AP, RMSE):
                pairs = paired(cells, figure, choose(figure))
                pairs = [pair for pair in pairs if pair[0] in titles]
                if len(pairs) > 1:
                    found = compare(pairs, more_is_better=bool(figure.more_is_better))
                    lines.append(difference_row(f"{place}: {rival}", figure, found))
    return "\n".join([*lines, ""])


def difference_row(name: str, figure: Figure, found: Difference) -> str:
    """Name, figure and what `compare` found, as a line of a Markdown table."""
    p_value = _NOT_MEASURED if found.p_value is None else f"{found.p_value:.3g}"
    interval = f"{found.low:+.4f} to {found.high:+.4f}"
    counts = [str(found.pairs), str(found.better)]
    return table_row([name, figure.title, *counts, f"{found.mean:+.4f}", interval, p_value])


def _error_of(block: Block) -> Figure:
    return LAST if block.official else RMSE


def _means_table(
    corner: str, columns: Sequence[tuple[Block, Figure]], cells: Sequence[Cell]
) -> str:
    models = [name for name in SHORT_MODELS if any(cell.model == name for cell in cells)]
    if not columns:
        return ""
    told = [_column(block.cells(cells), figure, models) for block, figure in columns]
    heads = [_heading(block, figure) for block, figure in columns]
    lines = [table_row([corner, *heads]), table_row(["---"] * (1 + len(columns)))]
    lines += [table_row([name, *row]) for name, *row in zip(models, *told, strict=True)]
    return "\n".join(lines)


def _column(cells: list[Cell], figure: Figure, models: Sequence[str]) -> list[str]:
    """Means of these models as text, the best in bold."""
    told = [_mean(cells, name, figure) for name in models]
    known = [float(text) for text in told if text != _NOT_MEASURED]
    if not known:
        return told
    best = format((max if figure.more_is_better else min)(known), figure.form)
    return [f"**{text}**" if text == best else text for text in told]


def _sentences(cells: Sequence[Cell]) -> str:
    """What the paired differences over all folds say, in words."""
    asked = [(VERSION, rival, choose) for rival, choose in RIVALS.items()]
    asked.append((NETWORK, "the same fit without guidance", lambda figure: lambda inside: UNGUIDED))
    lines = []
    for ours, rival, choose in asked:
        for figure in (AP, RMSE):
            pairs = paired(cells, figure, choose(figure), ours)
            if len(pairs) > 1:
                found = compare(pairs, more_is_better=bool(figure.more_is_better))
                scale, unit, form = (1, "", ".4f") if figure is AP else (100, " %", ".1f")
                told = [f"{scale * v:+{form}}{unit}" for v in (found.mean, found.low, found.high)]
                lines.append(
                    f"- {ours} against {rival}, {figure.title}: {told[0]} ({told[1]} to {told[2]}),"
                    f" better on {found.better} of {found.pairs} folds"
                )
    return "\n".join(lines)


def _heading(block: Block, figure: Figure) -> str:
    unit = f" [{block.unit}]" if figure in (RMSE, LAST) and block.unit != "h" else ""
    return f"{block.title}{' *' if block.kept_aside else ''}{unit}"


def _mean(cells: list[Cell], model: str, figure: Figure) -> str:
    """The mean over all folds of these cells; nothing where some are yet to be measured."""
    found = values_of(cells, model, figure)
    if len(found) < len({(cell.set, cell.fold) for cell in cells}):
        return _NOT_MEASURED
    return format(np.mean(list(found.values())), figure.form)


def _spread(cells: list[Cell], model: str, figure: Figure) -> str:
    """The same with its standard deviation, where there is more than one fold."""
    mean, found = _mean(cells, model, figure), list(values_of(cells, model, figure).values())
    if len(found) < 2 or mean == _NOT_MEASURED:
        return mean
    return f"{mean} ± {format(np.std(found, ddof=1), figure.form)}"


def table_row(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"
