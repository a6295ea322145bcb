"""Facts of one version: held-out figures, guidance, calibration, allocation."""

import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import TypeAdapter

from pm_app.errors import PmAppError
from pm_app.learning.allocation.change import compare_allocations, network_report
from pm_app.learning.allocation.planner import CONTROL_REPORT
from pm_app.pictures.allocation import allocation_figure
from pm_app.pictures.charts import Axis, Line, line_chart
from pm_app.records.learning import QualityReport
from pm_app.store import VersionRow
from pm_app.web.context import StateFolder
from pm_app.web.pages.models.texts import FIGURES, REPORTS

_REPORTS: Final = TypeAdapter(tuple[QualityReport, ...])
_HORIZON: Final = re.compile(r"_(\d+(?:\.\d+)?)h$")
# Figures nearer than this are the same to a reader of three digits.
_SAME: Final = 0.0005


def figure_facts(version: VersionRow) -> dict[str, Any]:
    """A row a figure, a column a model, the best of each row marked."""
    reports = _reports(version)
    names = list(dict.fromkeys(name for report in reports for name in report.metrics))
    return {
        "peers": [REPORTS.get(report.model, report.model) for report in reports],
        "figures": [_figure(name, reports) for name in names],
    }


def guidance_facts(version: VersionRow) -> dict[str, Any]:
    """What guidance gained over the same network without it, figure by figure."""
    reports = _reports(version)
    control = next((each for each in reports if each.model == CONTROL_REPORT), None)
    unguided = version.strategy == "uniform"
    network = network_report(reports, version.strategy)
    if control is None or network is None or unguided:
        return {"gains": [], "unguided": unguided}
    own = network.metrics
    shared = [name for name in own if name in control.metrics and _figure_name(name)[1] is not None]
    return {
        "gains": [_gain(name, own[name], control.metrics[name]) for name in shared],
        "unguided": False,
    }


def calibration_facts(version: VersionRow) -> dict[str, Any]:
    """What came of the risks it told on rows that it had not learned from."""
    reports = _reports(version)
    bins = reports[0].bins if reports else ()
    if not bins:
        return {"bins": (), "calibration": ""}
    points = [(each.said, each.came) for each in bins]
    lines = [Line("", [(0, 0), (1, 1)], "ideal"), Line("", points, "ours", marks=True)]
    picture = line_chart(
        lines,
        x=Axis("risk told", (0, 1)),
        y=Axis("share that failed", (0, 1)),
        title="Calibration: share that failed, risk told",
    )
    return {"bins": bins, "calibration": picture}


def allocation_facts(
    folder: StateFolder, version: VersionRow, before: int | None
) -> dict[str, Any]:
    """The picture of the allocation, or why there is none."""
    if not folder.here:
        note = "The picture needs the state folder, which is not on this machine."
        return {"picture": "", "picture_note": note}
    try:
        after = folder.registry.load(version.version).card
        was = None if before is None else folder.registry.load(before).card
    except PmAppError as error:
        return {"picture": "", "picture_note": str(error)}
    changes = compare_allocations(was, after)
    names = {
        "before": "" if before is None else f"Version {before}",
        "after": f"Version {version.version}",
    }
    return {"picture": allocation_figure(changes, **names), "picture_note": ""}


def _reports(version: VersionRow) -> tuple[QualityReport, ...]:
    return _REPORTS.validate_python(version.summary.get("reports") or ())


def _figure_name(name: str) -> tuple[str, bool | None]:
    """A figure's name as people say it, and whether more of it is better."""
    horizon = _HORIZON.search(name)
    label, more = FIGURES.get(_HORIZON.sub("", name), (name.replace("_", " "), None))
    return f"{label}, {horizon[1]} h" if horizon else label, more


def _figure(name: str, reports: Sequence[QualityReport]) -> dict[str, Any]:
    label, more = _figure_name(name)
    values = [report.metrics.get(name) for report in reports]
    present = [value for value in values if value is not None]
    best = None if more is None or not present else max(present) if more else min(present)
    cells = [("" if value is None else f"{value:.3f}", value == best) for value in values]
    return {"label": label, "cells": cells}


def _gain(name: str, guided: float, uniform: float) -> dict[str, Any]:
    label, more = _figure_name(name)
    gain = (guided - uniform) if more else (uniform - guided)
    scale = 1.0 if max(abs(guided), abs(uniform)) <= 1.0 else max(abs(guided), abs(uniform))
    same = abs(gain) < _SAME * scale
    verdict = "same" if same else "better" if gain > 0 else "worse"
    return {
        "label": label,
        "guided": f"{guided:.3f}",
        "uniform": f"{uniform:.3f}",
        "verdict": verdict,
        "outcome": "no different" if same else verdict,
    }
