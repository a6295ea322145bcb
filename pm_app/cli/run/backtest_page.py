"""HTML page of a backtest that loads nothing: to be read in a browser, sent and printed."""

from collections.abc import Callable, Sequence
from html import escape
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from pm_app.pictures.charts import Axis, Line, bar_chart, line_chart

if TYPE_CHECKING:
    from pm_app.jobs.backtest.report import BacktestReport, FailureOutcome
    from pm_app.learning.evaluation.backtest import BacktestedModel

_STYLE: Final = Path(__file__).with_suffix(".css")
_BARS: Final = 8


def backtest_page(report: "BacktestReport", *, plant: str, dated: str) -> str:
    """The whole page as text. dated: when it was made, in words."""
    from pm_app.jobs.backtest.report import deviation_text

    best, sides = report.ours.best, side_rows(report)
    body = [
        f"<h1>Backtest of {escape(plant)}</h1>",
        f'<p class="soft">{escape(dated)}. History as it would have happened: in '
        f"{len(report.folds)} folds a model learned from all before a day and spoke of the time "
        f"after it. Risks are of a failure within {report.horizon_hours:g} hours.</p>",
        f'<p class="lead">{escape(report.reason[0].upper() + report.reason[1:])}.</p>',
        _figures(report),
        f"<p>{escape(deviation_text(report))}</p>",
        "<h2>Beside its peers</h2>",
        f'<div class="wide">{_table(("", report.ours.name, report.peer.name), sides)}</div>',
        f"<p>{escape(paired_words(report))}</p>",
        '<div class="charts">',
        _figure(
            "What every threshold would have cost; the dashed line is the one proposed.",
            _costs(report),
        ),
        _figure("Hours of warning of the failures caught.", _warnings(best.warning_hours)),
        _figure("Where a risk is told, so often the failure should come.", _calibration(report)),
        _figure("Failures caught and false alarms at every threshold.", _trade(report)),
        "</div>",
        "<h2>Fold by fold</h2>",
        f'<div class="wide">{_folds(report)}</div>',
        "<h2>Every failure</h2>",
        f'<div class="wide">{_failures(report.failures)}</div>',
    ]
    style = _STYLE.read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Backtest of {escape(plant)}</title><style>{style}</style></head>"
        f"<body>{''.join(body)}</body></html>\n"
    )


def _figures(report: "BacktestReport") -> str:
    best = report.ours.best
    hours = best.warning_hours
    figures = [
        (f"{best.caught} of {best.failures}", "failures caught"),
        (f"{np.median(hours):.0f} h" if hours else "none", "warning, median"),
        (f"{best.false_a_month:.2f}", "false alarms an asset and month"),
        (f"{report.threshold:g}", "proposed threshold"),
        (f"{best.cost:g}", f"cost; without alarms {report.never.cost:g}"),
    ]
    boxes = (
        f'<div class="figure"><b>{escape(value)}</b>{escape(name)}</div>' for value, name in figures
    )
    return f'<div class="figures">{"".join(boxes)}</div>'


def side_rows(report: "BacktestReport") -> list[tuple[str, str, str]]:
    """Name and value of both sides of every figure, as words."""
    sides = report.ours, report.peer
    rows = [
        (name, ours, theirs)
        for (name, ours), (_, theirs) in zip(*(figures_of(s, report) for s in sides), strict=True)
    ]
    hidden = [each.best.open_looks for each in sides]
    if any(hidden):
        ours, theirs = map(str, hidden)
        rows.append(("alarms before a renewal (neither)", ours, theirs))
    return rows


def figures_of(side: "BacktestedModel", report: "BacktestReport") -> list[tuple[str, str]]:
    """What a reader asks of one model, in order."""
    best, hours = side.best, side.best.warning_hours
    quartiles = np.percentile(hours, (25, 50, 75)).tolist() if hours else []
    return [
        ("average precision", _number(side.average_precision)),
        ("Brier score", _number(side.brier)),
        ("calibration error", _number(side.calibration_error)),
        ("life left, RMSE in hours", _number(side.rul_rmse_hours, 1)),
        ("life left, mean error in hours", _number(side.rul_mae_hours, 1)),
        ("life left inside its interval", "" if side.coverage is None else f"{side.coverage:.0%}"),
        ("own best threshold", f"{best.threshold:g}"),
        ("failures caught", f"{best.caught} of {best.failures}"),
        ("hours of warning (quartiles)", " / ".join(f"{hour:.0f}" for hour in quartiles)),
        ("false alarms", str(best.false_alarms)),
        ("false alarms an asset and month", f"{best.false_a_month:.2f}"),
        (
            f"right of the {report.weekly_capacity} riskiest a week",
            f"{_number(side.precision_at_capacity, 2)} of {side.looked_at}",
        ),
        ("cost", f"{best.cost:g}"),
    ]


def paired_words(report: "BacktestReport") -> str:
    """The paired test of both sides in a sentence."""
    comparisons = []
    for one in report.comparisons:
        verdict = "better" if one.better else "worse" if one.worse else "no different beyond chance"
        span = f", {one.low:+.3f} to {one.high:+.3f}" if isfinite(one.low) else ""
        comparisons.append(f"{one.measure} {verdict} (gain {one.gain:+.3f}{span})")
    if not comparisons:
        return "Nothing to compare: no outcome is known."
    names = f"{report.ours.name} against {report.peer.name}"
    return f"{names} on the same rows, lives resampled whole: {'; '.join(comparisons)}."


def _costs(report: "BacktestReport") -> str:
    return line_chart(
        _both(report, lambda side: [(each.threshold, each.cost) for each in side.sweep]),
        x=Axis("threshold", (0, 1)),
        y=Axis("cost"),
        mark=report.threshold,
    )


def _trade(report: "BacktestReport") -> str:
    return line_chart(_both(report, _caught), x=Axis("false alarms"), y=Axis("failures caught"))


def _caught(side: "BacktestedModel") -> list[tuple[float, float]]:
    """Most failures caught with at most so many false alarms."""
    points = sorted((each.false_alarms, each.caught) for each in side.sweep)
    most = np.maximum.accumulate([caught for _, caught in points]).tolist()
    return [(false, caught) for (false, _), caught in zip(points, most, strict=True)]


def _calibration(report: "BacktestReport") -> str:
    sides = _both(report, lambda side: [(each.said, each.came) for each in side.bins], marks=True)
    return line_chart(
        [Line("", [(0, 0), (1, 1)], "ideal"), *sides],
        x=Axis("risk told", (0, 1)),
        y=Axis("share that failed", (0, 1)),
    )


def _both(
    report: "BacktestReport",
    points: Callable[["BacktestedModel"], Sequence[tuple[float, float]]],
    *,
    marks: bool = False,
) -> list[Line]:
    sides = ((report.ours, "ours"), (report.peer, "theirs"))
    return [Line(side.name, points(side), kind, marks) for side, kind in sides]


def _warnings(hours: Sequence[float]) -> str:
    if not hours:
        return bar_chart([], x_title="", y_title="")
    edges = np.histogram_bin_edges(
        hours, bins=min(_BARS, max(len(hours) // 2, 1)), range=(0, max(hours))
    )
    counts, _ = np.histogram(hours, edges)
    names = [f"{low:.0f}-{high:.0f}" for low, high in zip(edges[:-1], edges[1:], strict=True)]
    bars = list(zip(names, counts.astype(float).tolist(), strict=True))
    return bar_chart(bars, x_title="hours of warning", y_title="failures")


def _folds(report: "BacktestReport") -> str:
    rows = [
        {
            "learned until": f"{fold.origin:%Y-%m-%d %H:%M}",
            "spoke until": f"{fold.end:%Y-%m-%d %H:%M}",
            "failures known": str(fold.past_failures),
            "failures to come": str(fold.failures),
            "caught": str(fold.caught),
            "false alarms": str(fold.false_alarms),
            f"AP {report.ours.name}": _number(fold.average_precision),
            f"AP {report.peer.name}": _number(fold.peer_average_precision),
            "": fold.note,
        }
        for fold in report.folds
    ]
    return _table([*rows[0]], [[*row.values()] for row in rows])


def _failures(failures: Sequence["FailureOutcome"]) -> str:
    head = ("asset", "failed", "highest risk in the horizon before", "warning")
    rows = [
        f"<tr><td>{escape(one.asset)}</td><td>{one.failed_at:%Y-%m-%d %H:%M}</td>"
        f"<td>{one.highest_risk:.0%}</td>{_outcome(one.warning_hours)}</tr>"
        for one in failures
    ]
    return _rows_under(head, rows)


def _outcome(hours: float | None) -> str:
    if hours is None:
        return '<td class="missed">missed</td>'
    return f'<td class="caught">{hours:.0f} h before</td>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return _rows_under(head, [f"<tr>{row}</tr>" for row in cells])


def _rows_under(head: Sequence[str], rows: Sequence[str]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<table><tr>{top}</tr>{''.join(rows)}</table>"


def _figure(caption: str, chart: str) -> str:
    return f"<figure>{chart}<figcaption>{escape(caption)}</figcaption></figure>"


def _number(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if isfinite(value) else ""
