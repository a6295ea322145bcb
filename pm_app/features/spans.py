"""Panes, windows and horizons that suit a plant: by how often readings come and how long lives are.

Defaults are for readings of minutes and lives of weeks. A reading a day leaves their windows
empty, and a machine that fails every hour fails within each of their horizons.
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from pm_app.settings.plant import Settings
from pm_app.times import HOUR_NS, NS, duration_text, format_duration, parse_duration

# Lengths that people think in.
_LENGTHS_NS: Final = tuple(
    parse_duration(f"{count}{unit}")
    for unit, counts in {
        "s": (1, 2, 5, 10, 20, 30),
        "min": (1, 2, 5, 10, 15, 20, 30),
        "h": (1, 2, 3, 4, 6, 8, 12),
        "d": (1, 2, 3, 5, 7, 14, 28),
    }.items()
    for count in counts
)
_USUAL_PANE_NS: Final = parse_duration("10min")
_DAY_NS: Final = 24 * HOUR_NS
# Readings this far apart fill the default windows, lives this long the default horizons.
_MOST_INTERVAL_NS: Final = HOUR_NS
_LEAST_LIFE_NS: Final = 5 * _DAY_NS
# Of a short life: panes in it, and parts of it that windows, horizons and memory are; of windows
# also the fewest panes.
_PANES_A_LIFE: Final = 48
_WINDOW_PARTS: Final = ((24, 1), (6, 2), (3, 3))
_HORIZON_PARTS: Final = (12, 6)
_MEMORY_PART: Final = 8
# Of rare readings: panes in windows, horizons, memory, beginning, and the longest life told.
_WINDOW_PANES: Final = (1, 7, 28)
_HORIZON_PANES: Final = (7, 14)
_MEMORY_PANES, _BEGINNING_PANES, _CAP_PANES = 28, 14, 60
# With fewer lives nothing is known of how long they are.
FEWEST_LIVES: Final = 5
# A machine has not lived between failures that follow each other as fast as its readings.
_LEAST_READINGS: Final = 3

Keys = dict[str, dict[str, Any]]


def usual_life(failures: Mapping[str, list[int]], *, interval_ns: int) -> int | None:
    """The median time between failures of an asset, in nanoseconds; None where too few are known.

    failures: times by asset, in nanoseconds. interval_ns: between readings of an asset.
    """
    lives = [np.diff(np.unique(np.array(times, dtype=np.int64))) for times in failures.values()]
    spans = np.concatenate([*lives, np.empty(0, dtype=np.int64)])
    spans = spans[spans >= _LEAST_READINGS * interval_ns]
    return int(np.median(spans)) if len(spans) >= FEWEST_LIVES else None


def suitable_spans(interval_ns: int, life_ns: int | None = None) -> Keys:
    """Keys of [features] and [target] by section that suit; none where the defaults do.

    interval_ns: between readings of an asset. life_ns: as `usual_life` tells it.
    """
    if life_ns is not None and life_ns < _LEAST_LIFE_NS:
        return _of_short_lives(_pane(interval_ns, life_ns), life_ns)
    if interval_ns <= _MOST_INTERVAL_NS:
        return {}
    pane = _pane(interval_ns, None)
    if life_ns is not None and life_ns < 2 * _HORIZON_PANES[-1] * pane:
        return _of_short_lives(pane, life_ns)
    return _of_rare_readings(pane)


def unsuitable_spans(settings: Settings, *, interval_ns: int, life_ns: int | None) -> list[str]:
    """What does not suit in the settings of a plant, in words."""
    features, target = settings.features, settings.target
    found = []
    held = features.windows_ns[-1] / interval_ns
    if held < _LEAST_READINGS:
        found.append(
            f"an asset is read every {format_duration(interval_ns / NS)}, and the longest window "
            f"is {_text(features.windows_ns[-1])}"
        )
    if life_ns is not None:
        shortest = min(map(parse_duration, target.horizons))
        if shortest >= life_ns:
            found.append(
                f"an asset fails every {format_duration(life_ns / NS)}, and the shortest horizon "
                f"is {_text(shortest)}"
            )
        elif features.pane_ns * _LEAST_READINGS > life_ns:
            found.append(
                f"an asset fails every {format_duration(life_ns / NS)}, and a pane is "
                f"{features.pane}"
            )
    return found


def _pane(interval_ns: int, life_ns: int | None) -> int:
    whole_days = -(-interval_ns // _DAY_NS) * _DAY_NS
    least = next((each for each in _LENGTHS_NS if each >= interval_ns), whole_days)
    if life_ns is None:
        return least
    fine = [each for each in _LENGTHS_NS if each * _PANES_A_LIFE <= life_ns]
    return max(least, min(_USUAL_PANE_NS, fine[-1] if fine else least))


def _of_short_lives(pane: int, life: int) -> Keys:
    memory = _panes(life // _MEMORY_PART, pane)
    return {
        "features": {
            "pane": _text(pane),
            "windows": _texts(
                _panes(life // part, pane, least=least) for part, least in _WINDOW_PARTS
            ),
            "memory": ["change", memory],
            "beginning": memory,
        },
        "target": {
            "horizons": _texts(_panes(life // part, pane) for part in _HORIZON_PARTS),
            "rul_cap": _panes(life, pane),
        },
    }


def _of_rare_readings(pane: int) -> Keys:
    found: Keys = {
        "features": {
            "pane": _text(pane),
            "windows": [_text(count * pane) for count in _WINDOW_PANES],
        }
    }
    if pane >= _DAY_NS:
        found["features"]["memory"] = ["change", _text(_MEMORY_PANES * pane)]
        found["features"]["beginning"] = _text(_BEGINNING_PANES * pane)
        found["target"] = {
            "horizons": [_text(count * pane) for count in _HORIZON_PANES],
            "rul_cap": _text(_CAP_PANES * pane),
        }
    return found


def _panes(span: int, pane: int, *, least: int = 1) -> str:
    """The text of whole panes, at least so many: a length that people think in, near this span."""
    near = min(_LENGTHS_NS, key=lambda each: abs(np.log(each / max(span, 1))))
    near = span if span > _LENGTHS_NS[-1] else near
    return _text(max(least, round(near / pane)) * pane)


def _text(span: int) -> str:
    """A duration as settings have it, in days rather than weeks."""
    days, rest = divmod(span, _DAY_NS)
    return duration_text(span) if rest else f"{days}d"


def _texts(spans: Any) -> list[str]:
    return list(dict.fromkeys(spans))
