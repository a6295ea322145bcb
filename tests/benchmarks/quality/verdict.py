"""Whether a version is ever behind the trees: set by set, and over all sets, with intervals.

On each set and figure the mean difference over folds and seeds is told with 95 % of such means.
Behind: the interval holds only differences that are worse. Not excluded: it still holds one that
is worse than may be lost (0.01 of average precision, 3 % of error; of the Brier score and of the
calibration error nothing, so there only "behind" counts).
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from benchmarks.quality.blocks import (
    AP,
    BLOCKS,
    BRIER,
    CONTROL,
    ECE,
    FOREST,
    GUIDED,
    NETWORK,
    RMSE,
    SELECTED,
    SELECTION,
    UNGUIDED,
    VALIDATED,
    VERSION,
    Block,
    Figure,
)
from benchmarks.quality.comparing import Difference, Pair, best_tree, compare, paired
from benchmarks.quality.results import Cell

# In units of `compare`: of average precision, and of the logarithm of an error.
MAY_BE_LOST = {AP: 0.01, RMSE: float(np.log(1.03)), BRIER: 0.0, ECE: 0.0}
JUDGED = tuple(MAY_BE_LOST)
ENOUGH_P = 0.05


def verdict_on(figure: Figure, found: Difference) -> str:
    """ "ahead", "not behind", "behind", or "not excluded" where a loss may be too large."""
    low, high = (found.low, found.high) if figure.more_is_better else (-found.high, -found.low)
    if low > 0:
        return "ahead"
    if high < 0 and low < -MAY_BE_LOST[figure]:
        return "behind"
    if MAY_BE_LOST[figure] and low < -MAY_BE_LOST[figure]:
        return "not excluded"
    return "not behind"


def verdicts(
    cells: Sequence[Cell], block: Block, other: str, ours: str = VERSION
) -> dict[Figure, Difference]:
    """Ours less the other's on a set, by figure, where both were measured more than once."""
    found = {}
    for figure in JUDGED:
        pairs = [
            p for p in paired(cells, figure, lambda inside: other, ours) if p[0] == block.title
        ]
        if pairs and (len(pairs) > 1 or max(np.size(side) for side in pairs[0][1:]) > 1):
            found[figure] = compare(pairs, more_is_better=bool(figure.more_is_better))
    return found


def verdict_tables(cells: Sequence[Cell]) -> list[str]:
    """Lines: against the tree that validation chose, the members of a pool, guidance."""
    lines = [
        f"## {VERSION} against the tree that validation chose, set by set\n",
        "Mean difference (95 % interval over folds and seeds). A loss of 0.01 AP or 3 % RMSE has",
        "to be excluded; Brier and ECE must not be behind.\n",
        *_table(cells, [(block.title, block, VALIDATED, VERSION) for block in BLOCKS]),
        "",
        *_overall(cells),
    ]
    shares = _shares(cells)
    lines += ["\n## The network's share of the answer, set by set\n", *shares] if shares else []
    for title, kinds in (
        ("A version against its members, of the same fit", [(FOREST, VERSION), (NETWORK, VERSION)]),
        ("Guidance against the same fit without it", [(UNGUIDED, NETWORK)]),
        (f"Strategies against {CONTROL}", [(CONTROL, ours) for ours in GUIDED]),
        ("Selection against other choices", [(control, SELECTED) for control in SELECTION]),
    ):
        rows = [
            (f"{block.title}: {ours} against {other}", block, other, ours)
            for block in BLOCKS
            for other, ours in kinds
        ]
        table = _table(cells, rows)
        if len(table) > 2:
            lines += [f"\n## {title}, set by set\n", *table, "", *_over_all(cells, kinds)]
    return lines


def _shares(cells: Sequence[Cell]) -> list[str]:
    """How much of the answer is the network's, and by which strategy, over folds and seeds."""
    lines = []
    for block in BLOCKS:
        notes = [c.note for c in block.cells(cells) if c.model == VERSION and "share" in c.note]
        if notes:
            shares = [float(note["share"]) for note in notes]
            chosen = Counter(str(note["chosen"]) for note in notes).most_common()
            names = ", ".join(f"{name} {count}" for name, count in chosen)
            spread = f"{np.mean(shares):.2f} ({min(shares):g} to {max(shares):g})"
            lines.append(_row([block.title, str(len(notes)), spread, names]))
    heads = ["set", "versions", "mean share (least to most)", "strategies chosen"]
    return [_row(heads), _row(["---"] * len(heads)), *lines] if lines else []


def _table(cells: Sequence[Cell], rows: Sequence[tuple[str, Block, str, str]]) -> list[str]:
    lines = [
        _row(["set", "folds", *(figure.title for figure in JUDGED), "verdict"]),
        _row(["---"] * (3 + len(JUDGED))),
    ]
    for name, block, other, ours in rows:
        found = verdicts(cells, block, other, ours)
        if found:
            counted = str(max(each.pairs for each in found.values()))
            told = [_told(figure, found.get(figure)) for figure in JUDGED]
            lines.append(_row([name, counted, *told, _sentence(found)]))
    return lines


def _told(figure: Figure, found: Difference | None) -> str:
    if found is None:
        return "–"
    values = [found.mean, found.low, found.high]
    if figure is RMSE:
        mean, low, high = (f"{100 * np.expm1(value):+.1f} %" for value in values)
    else:
        mean, low, high = (f"{value:+.4f}" for value in values)
    return f"{mean} ({low} to {high})"


def _sentence(found: dict[Figure, Difference]) -> str:
    words = {figure: verdict_on(figure, each) for figure, each in found.items()}
    bad = [f"{f.title} {word}" for f, word in words.items() if word in ("behind", "not excluded")]
    good = [f.title for f, word in words.items() if word == "ahead"]
    return "; ".join([*bad, *([f"ahead in {', '.join(good)}"] if good else [])]) or "not behind"


def _overall(cells: Sequence[Cell]) -> list[str]:
    """Over all folds of all sets: also against the best tree of each set, picked afterwards."""
    lines = []
    for name, choose in (
        ("the tree that validation chose", lambda figure: lambda inside: VALIDATED),
        (
            "the best tree of each set, picked afterwards",
            lambda f: lambda inside: best_tree(inside, f),
        ),
    ):
        for figure in (AP, RMSE):
            pairs = paired(cells, figure, choose(figure))
            lines += _over_all_sets(figure, pairs, f"All sets, {figure.title}, against {name}")
    return lines


def _over_all(cells: Sequence[Cell], kinds: Sequence[tuple[str, str]]) -> list[str]:
    """Of each pair of models, over all folds of all sets that have both."""
    lines = []
    for other, ours in kinds:
        for figure in (AP, RMSE):
            pairs = paired(cells, figure, lambda inside, other=other: other, ours)
            title = f"All sets, {figure.title}, {ours} against {other}"
            lines += _over_all_sets(figure, pairs, title)
    return lines


def _over_all_sets(figure: Figure, pairs: Sequence[Pair], title: str) -> list[str]:
    if len(pairs) < 2:
        return []
    found = compare(pairs, more_is_better=bool(figure.more_is_better))
    sure = found.p_value is not None and found.p_value < ENOUGH_P
    ahead = (found.mean > 0) == bool(figure.more_is_better) and sure
    p_text = "–" if found.p_value is None else f"{found.p_value:.3g}"
    return [
        f"- {title}: {_told(figure, found)}, better on {found.better} of {found.pairs} folds, "
        f"p = {p_text}: {'ahead' if ahead else 'not ahead beyond chance'}"
    ]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
