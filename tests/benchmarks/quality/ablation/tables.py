"""What the ablation says: a table a set, each row paired with the full network by fold."""

from collections.abc import Sequence

import numpy as np
from benchmarks.quality.ablation.ingredients import FULL, VARIANTS
from benchmarks.quality.blocks import AP, ECE, RMSE, Figure
from benchmarks.quality.comparing import Difference, compare
from benchmarks.quality.results import Cell
from benchmarks.quality.tables import table_row

LOSS = Figure("loss", "loss", ".3f", False)
SHOWN = (AP, RMSE, ECE, LOSS)
ABLATION_BEGIN, ABLATION_END = "<!-- ablation: begin -->", "<!-- ablation: end -->"
_NOTHING = "–"
_PREFACE = """\
# Each ingredient of the network removed in turn

Machines that no network saw; mean ± standard deviation over folds. The full network is
`regularized` at full size, with the penalty, dropout and rate that its control was tuned to; what
replaces an ingredient has as many parameters (plain heads: two networks of that size) and is not
tuned anew. Differences to the full network are paired by fold, with the 95 % interval of folds
drawn anew: few folds, so a guide and no test. RMSE in hours and its difference as a share. Loss:
nats a row of the hazard head, before calibration. CPU s: seconds of one processor to train.
"""


def ablation_markdown(cells: Sequence[Cell]) -> str:
    """Everything: a table a set."""
    return "\n".join([_PREFACE, *(_set_table(name, cells) for name in ablated_sets(cells))])


def ablation_block(cells: Sequence[Cell]) -> str:
    """The block of benchmarks.md: what average precision loses without each ingredient, by set."""
    sets = ablated_sets(cells)
    heads = ["average precision", *sets, "from"]
    lines = [table_row(heads), table_row(["---"] * len(heads))]
    for variant, ingredient in VARIANTS.items():
        found = [differences(cells, name, variant, AP) for name in sets]
        if variant != FULL and any(found):
            told = [
                f"{np.mean([a - b for _, a, b in pairs]):+.4f}" if pairs else _NOTHING
                for pairs in found
            ]
            lines.append(table_row([variant, *told, ingredient.paper]))
    return "\n\n".join([ABLATION_BEGIN, "\n".join(lines), ABLATION_END])


def ablated_sets(cells: Sequence[Cell]) -> list[str]:
    """Names of sets in order of name."""
    return sorted({cell.set for cell in cells})


def differences(
    cells: Sequence[Cell], set_name: str, variant: str, figure: Figure
) -> list[tuple[str, float, float]]:
    """The variant's and the full network's figure on each fold where both are known; errors as
    logarithms, so that a difference is a share."""
    found = [_values(cells, set_name, name, figure) for name in (variant, FULL)]
    folds = sorted(set(found[0]) & set(found[1]))
    pairs = [(found[0][fold], found[1][fold]) for fold in folds]
    if figure is RMSE:
        pairs = [(float(np.log(a)), float(np.log(b))) for a, b in pairs]
    return [(set_name, a, b) for a, b in pairs]


def _values(cells: Sequence[Cell], set_name: str, variant: str, figure: Figure) -> dict[str, float]:
    return {
        cell.fold: cell.figures[figure.name]
        for cell in cells
        if (cell.set, cell.model) == (set_name, variant) and figure.name in cell.figures
    }


def _set_table(name: str, cells: Sequence[Cell]) -> str:
    folds = len({cell.fold for cell in cells if cell.set == name})
    titles = [figure.title for figure in SHOWN]
    heads = ["", *titles, "AP, difference", "RMSE, difference", "CPU s", "from"]
    lines = [f"## {name} ({folds} fold{'s' if folds > 1 else ''})\n", table_row(heads)]
    lines.append(table_row(["---"] * len(heads)))
    for variant in VARIANTS:
        mine = [cell for cell in cells if (cell.set, cell.model) == (name, variant)]
        if mine:
            lines.append(table_row(_row(cells, name, variant, mine)))
    return "\n".join([*lines, ""])


def _row(cells: Sequence[Cell], name: str, variant: str, mine: Sequence[Cell]) -> list[str]:
    measured = [cell for cell in mine if cell.figures]
    if not measured:
        return [variant, *[_NOTHING] * (len(SHOWN) + 3), VARIANTS[variant].paper]
    told = [_spread(list(_values(cells, name, variant, f).values()), f) for f in SHOWN]
    apart = [_NOTHING, _NOTHING]
    if variant != FULL:
        apart = [_difference(differences(cells, name, variant, f), f) for f in (AP, RMSE)]
    seconds = f"{np.mean([cell.seconds for cell in measured]):.0f}"
    return [variant, *told, *apart, seconds, VARIANTS[variant].paper]


def _difference(pairs: Sequence[tuple[str, float, float]], figure: Figure) -> str:
    if not pairs:
        return _NOTHING
    found: Difference = compare(pairs, more_is_better=bool(figure.more_is_better))
    scale, form, unit = (100, "+.1f", " %") if figure is RMSE else (1, "+.4f", "")
    mean, low, high = (format(scale * v, form) for v in (found.mean, found.low, found.high))
    return f"{mean}{unit} ({low} to {high})" if len(pairs) > 1 else f"{mean}{unit}"


def _spread(values: Sequence[float], figure: Figure) -> str:
    if not values:
        return _NOTHING
    mean = format(float(np.mean(values)), figure.form)
    return f"{mean} ± {format(float(np.std(values, ddof=1)), figure.form)}" if values[1:] else mean
