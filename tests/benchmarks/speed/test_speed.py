"""Speed, side by side: ours, peers doing the same work, and the floor.

    python -m pytest -m benchmark tests/benchmarks/speed -s

Prints one table and saves it in results/. PM_APP_SPEED_ROWS names modules to measure, separated by
blanks (default: all but the retrainings); what is not measured keeps its last figures. Single
times on a shared machine mean nothing; calls are interleaved, and ratios are what is promised.
"""

import json
import os
from dataclasses import asdict
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest
from benchmarks.quality.tables import BENCHMARKS, quote_in, quoted_in
from benchmarks.speed.rows import Row

RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- speed: begin -->", "<!-- speed: end -->"
MODULES = (
    "panes",
    "windows",
    "commits",
    "latency",
    "inference",
    "importance",
    "daemon",
    "growth",
    "many_assets",
)
# Too long for a table that is made in ten minutes.
ASKED = ("retraining", "fleet_retraining", "drives_retraining", "fleet_normality")


@pytest.mark.benchmark
def test_speed_side_by_side(tmp_path, open_data, postgresql_copies):
    asked = os.environ.get("PM_APP_SPEED_ROWS", "").split() or list(MODULES)
    kept = _kept()
    given = {"open_data": open_data, "postgresql": postgresql_copies}
    for name in asked:
        folder = tmp_path / name
        folder.mkdir()
        load = os.getloadavg()[0]
        measure = import_module(f"benchmarks.speed.{name}").measure
        wanted = signature(measure).parameters.keys() & given.keys()
        rows = measure(folder, **{each: given[each] for each in wanted})
        kept[name] = {"load": round(load, 1), "rows": [asdict(row) for row in rows]}
        print("\n" + _markdown({name: kept[name]}))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "speed.json").write_text(json.dumps(kept, indent=1) + "\n")
    (RESULTS / "speed.md").write_text(_markdown(kept) + "\n")
    quote_in(BENCHMARKS, _block(kept), BEGIN, END)

    unexplained = [
        f"{row['group']}: {row['work']}"
        for name in asked
        for row in kept[name]["rows"]
        if row["kept"] is False and not row["reason"]
    ]
    assert unexplained == []


def test_the_documentation_quotes_the_speed_that_was_measured():
    text = BENCHMARKS.read_text(encoding="utf-8")

    assert quoted_in(text, BEGIN, END) == _block(_kept())


def _block(kept: dict[str, dict]) -> str:
    return "\n\n".join([BEGIN, _markdown(kept), END])


def _kept() -> dict[str, dict]:
    try:
        return json.loads((RESULTS / "speed.json").read_text())
    except OSError:
        return {}


def _markdown(kept: dict[str, dict]) -> str:
    lines = [
        "| work | ours (least to most) | peers | floor | goal | kept | load | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in (name for name in (*MODULES, *ASKED) if name in kept):
        for fields in kept[name]["rows"]:
            row = Row(**fields)
            peers = ", ".join(f"{peer} {_told(value)}" for peer, value in row.peers.items())
            spread = f"{_told(row.spread[0])} to {_told(row.spread[1])}"
            verdict = {True: "yes", False: "**no**", None: "–"}[row.kept]
            lines.append(
                f"| {row.group}: {row.work} | {_told(row.ours)} {row.unit} ({spread}) | {peers} | "
                f"{'' if row.floor is None else _told(row.floor)} | {row.goal} | {verdict} | "
                f"{kept[name]['load']} | {row.remark}{_reason(row)} |"
            )
    return "\n".join(lines)


def _reason(row: Row) -> str:
    return f". Why not: {row.reason}" if row.kept is False and row.reason else ""


def _told(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
