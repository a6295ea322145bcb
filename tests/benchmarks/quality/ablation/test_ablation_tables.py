"""Tables of the ablation and of many seeds, and what the documentation quotes of them."""

from pathlib import Path

from benchmarks.quality.ablation.ingredients import FULL, VARIANTS
from benchmarks.quality.ablation.seeds import seeds_markdown, spread_over
from benchmarks.quality.ablation.tables import (
    ABLATION_BEGIN,
    ABLATION_END,
    ablation_block,
    ablation_markdown,
    differences,
)
from benchmarks.quality.blocks import AP
from benchmarks.quality.results import Cell, Results
from benchmarks.quality.tables import quoted_in

SET = "C-MAPSS FD001"
ROOT = Path(__file__).parents[4]
RESULTS = ROOT / "tests" / "benchmarks" / "quality" / "results"


def make_row(variant=FULL, *, fold="split 1", **figures):
    return Cell(SET, fold, variant, figures, 3.0, "data", "code")


def test_an_ingredient_is_held_against_the_full_network_of_its_fold():
    name = "without L1"
    cells = [
        make_row(fold="split 1", ap=0.9, rmse=10.0, ece=0.01, loss=1.2),
        make_row(fold="split 2", ap=0.8, rmse=10.0, ece=0.01, loss=1.4),
        make_row(name, fold="split 2", ap=0.7, rmse=11.0, ece=0.02, loss=1.5),
        make_row(name, fold="split 3", ap=0.1, rmse=99.0, ece=0.9, loss=9.0),
        make_row("without missing indicators"),
    ]
    text = ablation_markdown(cells)

    assert differences(cells, SET, name, AP) == [(SET, 0.7, 0.8)]
    assert "-0.1000 | +9.5 % | 3 | Tibshirani 1996 |" in text
    assert f"| {FULL} | 0.850 ± 0.071 | 10.00 ± 0.00 | 0.010 ± 0.000 | 1.300 ± 0.141 | – |" in text
    assert "| without missing indicators | – | – | – | – | – | – | – |" in text


def test_every_ingredient_names_where_it_comes_from():
    assert all(variant.paper for name, variant in VARIANTS.items() if name != FULL)


def test_seeds_are_told_by_their_median_and_their_worst():
    aps = {"regularized": (0.9, 0.95, 0.99), "uniform": (0.5,)}
    cells = [
        Cell(SET, "split 1", f"{strategy}, seed {seed}", {"ap": ap}, 1.0, "d", "c")
        for strategy, found in aps.items()
        for seed, ap in enumerate(found)
    ]

    spread = spread_over(cells, SET, "regularized")

    assert spread is not None
    assert (spread.seeds, spread.worst, spread.median, spread.best) == (3, 0.9, 0.95, 0.99)
    assert spread_over(cells, SET, "tiers") is None
    assert f"| {SET} | regularized | 3 | 0.9500 | 0.9000 |" in seeds_markdown(cells)
    assert "| uniform | 1 | 0.5000 |" in seeds_markdown(cells)


def test_the_documentation_quotes_the_ablation_that_was_measured():
    text = (ROOT / "pm_app" / "docs" / "benchmarks.md").read_text(encoding="utf-8")

    quoted = quoted_in(text, ABLATION_BEGIN, ABLATION_END)
    assert quoted == ablation_block(list(Results(RESULTS / "ablation.json")))


def test_the_table_beside_the_ablation_is_of_its_results():
    text = (RESULTS / "ablation.md").read_text(encoding="utf-8")

    assert text == ablation_markdown(list(Results(RESULTS / "ablation.json")))
