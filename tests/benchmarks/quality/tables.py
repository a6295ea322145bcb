"""What the results say: means with their spread, paired differences, and README's block.

Needs nothing but the results, so that figures quoted elsewhere can be checked everywhere.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.quality.results import Cell
from benchmarks.quality.sets import OFFICIAL
from scipy.stats import wilcoxon

AUTO, CONTROL, MEAN = "pm-app auto", "pm-app uniform", "mean of the three boosters"
STRATEGIES = ("tiers", "regularized", "tiers+regularized", "attention")
TREES = ("random forest", "LightGBM", "XGBoost", "CatBoost")
PEERS = ("plain network", "logistic / ridge", *TREES, MEAN)
MODELS = (AUTO, CONTROL, *(f"pm-app {name}" for name in STRATEGIES), *PEERS)
RESAMPLINGS = 2_000
LEAST_PAIRS = 4
BEGIN, END = "<!-- quality: begin -->", "<!-- quality: end -->"
_NOT_MEASURED = "–"


@dataclass(frozen=True)
class Figure:
    """A column: how it is told, and whether more of it is better (None: neither)."""

    name: str
    title: str
    form: str
    more_is_better: bool | None


AP = Figure("ap", "AP", ".3f", True)
F1 = Figure("f1", "F1", ".3f", True)
RMSE = Figure("rmse", "RMSE", ".2f", False)
LAST = Figure("rmse_last", "RMSE, last row", ".2f", False)
ECE = Figure("ece", "ECE", ".3f", False)
COVERAGE = Figure("coverage", "90 % interval holds", ".3f", None)


@dataclass(frozen=True)
class Block:
    """Folds that are told together. kept_aside: no choice of the product was made on them."""

    title: str
    sets: tuple[str, ...]
    figures: tuple[Figure, ...]
    official: bool = False
    kept_aside: bool = False
    unit: str = "h"

    def cells(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of the block."""
        return [c for c in cells if c.set in self.sets and (c.fold == OFFICIAL) == self.official]


_LIFE, _TEST = (AP, RMSE, ECE, COVERAGE), (AP, LAST, RMSE, ECE, COVERAGE)
BLOCKS = (
    Block("FD001", ("C-MAPSS FD001",), _LIFE),
    Block("FD001, official test engines", ("C-MAPSS FD001",), _TEST, official=True),
    Block("FD003", ("C-MAPSS FD003",), _LIFE, kept_aside=True),
    Block("FD003, official test engines", ("C-MAPSS FD003",), _TEST, True, kept_aside=True),
    Block("AI4I 2020", ("AI4I 2020",), (AP, F1, ECE)),
    Block("UR3 CobotOps", ("UR3 CobotOps",), _LIFE, kept_aside=True, unit="s"),
    Block("pumps, demo", ("pumps, demo",), _LIFE),
    Block("pumps, seals", ("pumps, seals",), _LIFE),
    Block("pumps, mixed", ("pumps, mixed",), _LIFE),
)

# README has room for the pumps as one.
PUMPS = Block("pumps", ("pumps, demo", "pumps, seals", "pumps, mixed"), _LIFE)
SHORT = (*(block for block in BLOCKS if not block.title.startswith("pumps")), PUMPS)
SHORT_MODELS = (AUTO, CONTROL, *PEERS)


@dataclass(frozen=True)
class Difference:
    """Ours less another's over paired folds, in units of the figure or as a share of it.

    low, high: 95 % of means of folds drawn anew, within each set, with replacement; p_value:
    Wilcoxon's signed ranks (1945), None for fewer than `LEAST_PAIRS` folds. Folds of one set
    share most of what is learned from, so both are somewhat too sure.
    """

    pairs: int
    better: int
    mean: float
    low: float
    high: float
    p_value: float | None


def values_of(cells: Iterable[Cell], model: str, figure: Figure) -> dict[tuple[str, str], float]:
    """A figure of a model by set and fold, where it was measured."""
    return {
        (c.set, c.fold): c.figures[figure.name]
        for c in cells
        if c.model == model and figure.name in c.figures
    }


def best_tree(cells: Sequence[Cell], figure: Figure) -> str | None:
    """The tree model of the best mean, known in hindsight: the hardest to beat. A tie goes to
    the first. None where not all were measured."""
    means = {
        name: float(np.mean(list(found.values())))
        for name in TREES
        if (found := values_of(cells, name, figure))
    }
    if len(means) < len(TREES):
        return None
    return (max if figure.more_is_better else min)(means, key=lambda name: means[name])


def compare(
    pairs: Sequence[tuple[str, float, float]], *, more_is_better: bool, seed: int = 0
) -> Difference:
    """Ours against another's over folds: (set, ours, other)."""
    apart = np.array([ours - other for _, ours, other in pairs])
    rng = np.random.default_rng(seed)
    sets = np.array([name for name, _, _ in pairs])
    drawn = np.concatenate(
        [
            rng.choice(np.flatnonzero(sets == name), (RESAMPLINGS, int(np.sum(sets == name))))
            for name in sorted(set(sets.tolist()))
        ],
        axis=1,
    )
    low, high = np.quantile(apart[drawn].mean(axis=1), (0.025, 0.975))
    tested = len(apart) >= LEAST_PAIRS and bool(np.any(apart != 0))
    return Difference(
        pairs=len(apart),
        better=int(np.sum(apart > 0 if more_is_better else apart < 0)),
        mean=float(apart.mean()),
        low=float(low),
        high=float(high),
        p_value=_signed_ranks(apart) if tested else None,
    )


def paired(
    cells: Sequence[Cell], figure: Figure, other: Callable[[list[Cell]], str | None]
) -> list[tuple[str, float, float]]:
    """Folds on which both `auto` and another, chosen block by block, were measured.

    Errors as logarithms, so that hours and seconds can be told together: a difference is then
    a share.
    """
    found = []
    for block in BLOCKS:
        inside = block.cells(cells)
        name = other(inside)
        if name is None or figure not in block.figures:
            continue
        ours, theirs = (values_of(inside, model, figure) for model in (AUTO, name))
        for key in sorted(set(ours) & set(theirs)):
            pair = (ours[key], theirs[key])
            if not figure.more_is_better:
                pair = (float(np.log(pair[0])), float(np.log(pair[1])))
            found.append((block.title, *pair))
    return found


# A figure gives the rule that names, among the cells of a block, whom `auto` is held against.
RIVALS: dict[str, Callable[[Figure], Callable[[list[Cell]], str | None]]] = {
    "the uniform control": lambda figure: lambda inside: CONTROL,
    "the best single tree model of each set": lambda figure: lambda i: best_tree(i, figure),
    "the mean of the three boosters": lambda figure: lambda inside: MEAN,
}


_PREFACE = """\
# Measured quality

Every model of a fold sees the same features and is judged on all of the same rows. Mean ±
standard deviation over folds. AP: average precision of failing within the horizon, or of the
class. RMSE: of the life left, up to the cap. ECE: mean distance of stated risk and observed
share. CPU s: seconds of one processor to tune and fit. Sets kept aside: no choice of the product
was made on them.
"""


def markdown(cells: Sequence[Cell]) -> str:
    """Everything: a table a block, then the paired differences."""
    parts = [_PREFACE]
    mixed = mixed_data(cells)
    if mixed:
        parts.append(f"**Measured on different features, do not compare: {', '.join(mixed)}.**\n")
    parts += [_block_table(block, block.cells(cells)) for block in BLOCKS if block.cells(cells)]
    parts.append(_difference_table(cells))
    return "\n".join(parts)


def readme_block(cells: Sequence[Cell]) -> str:
    """The block of README between `BEGIN` and `END`: a row a model, the best mean in bold."""
    shown = [block for block in SHORT if block.cells(cells)]
    precise = _means_table("average precision", [(block, AP) for block in shown], cells)
    errors = [(block, _error_of(block)) for block in shown if RMSE in block.figures]
    parts = [precise, _means_table("RMSE of the life left", errors, cells), _sentences(cells)]
    return "\n\n".join([BEGIN, *(part for part in parts if part), END])


def quoted_in(text: str) -> str:
    """The block that a document quotes, its marks included."""
    return text[text.index(BEGIN) : text.index(END) + len(END)]


def quote_in(text: str, cells: Sequence[Cell]) -> str:
    """The document with its block made anew from these cells."""
    return text.replace(quoted_in(text), readme_block(cells))


def mixed_data(cells: Iterable[Cell]) -> list[str]:
    """Folds whose models did not all see the same features and rows."""
    digests: dict[tuple[str, str], set[str]] = {}
    for cell in cells:
        digests.setdefault((cell.set, cell.fold), set()).add(cell.data)
    return [", ".join(key) for key, found in sorted(digests.items()) if len(found) > 1]


def _block_table(block: Block, cells: list[Cell]) -> str:
    folds = len({(cell.set, cell.fold) for cell in cells})
    aside = "kept aside, " if block.kept_aside else ""
    titles = [
        f"{figure.title} [{block.unit}]" if figure in (RMSE, LAST) else figure.title
        for figure in block.figures
    ]
    lines = [f"## {block.title} ({aside}{folds} fold{'s' if folds > 1 else ''})\n"]
    lines += [_row(["model", *titles, "CPU s"]), _row(["---"] * (2 + len(titles)))]
    for model in MODELS:
        mine = [cell for cell in cells if cell.model == model]
        if mine:
            told = [_spread(cells, model, figure) for figure in block.figures]
            seconds = f"{np.mean([cell.seconds for cell in mine]):.0f}"
            lines.append(_row([model, *told, seconds]))
    return "\n".join([*lines, ""])


def _difference_table(cells: Sequence[Cell]) -> str:
    lines = [
        f"## {AUTO} against others, fold by fold\n",
        "AP: difference. RMSE: difference of logarithms, so -0.05 is 5 % less error.\n",
        _row(["against", "figure", "folds", "better in", "mean", "95 % interval", "Wilcoxon p"]),
        _row(["---"] * 7),
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
                    lines.append(_difference_row(f"{place}: {rival}", figure, found))
    return "\n".join([*lines, ""])


def _difference_row(name: str, figure: Figure, found: Difference) -> str:
    p_value = _NOT_MEASURED if found.p_value is None else f"{found.p_value:.3g}"
    interval = f"{found.low:+.4f} to {found.high:+.4f}"
    counts = [str(found.pairs), str(found.better)]
    return _row([name, figure.title, *counts, f"{found.mean:+.4f}", interval, p_value])


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
    lines = [_row([corner, *heads]), _row(["---"] * (1 + len(columns)))]
    lines += [_row([name, *row]) for name, *row in zip(models, *told, strict=True)]
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
    lines = []
    for rival, choose in RIVALS.items():
        for figure in (AP, RMSE):
            pairs = paired(cells, figure, choose(figure))
            if len(pairs) > 1:
                found = compare(pairs, more_is_better=bool(figure.more_is_better))
                scale, unit, form = (1, "", ".4f") if figure is AP else (100, " %", ".1f")
                told = [f"{scale * v:+{form}}{unit}" for v in (found.mean, found.low, found.high)]
                lines.append(
                    f"- `auto` against {rival}, {figure.title}: {told[0]} ({told[1]} to {told[2]}),"
                    f" better on {found.better} of {found.pairs} folds"
                )
    return "\n".join(lines)


def _signed_ranks(apart: np.ndarray) -> float:
    """Wilcoxon's p-value: exact where no two differences are alike and none is 0."""
    plain = len(np.unique(np.abs(apart))) == len(apart) and bool(np.all(apart != 0))
    return float(wilcoxon(apart, method="exact" if plain else "asymptotic").pvalue)


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


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
