"""Features of one name with equal values by two specifications, so that one frame serves both."""

from collections.abc import Sequence
from dataclasses import replace

from pm_app.features.frame import feature_names
from pm_app.records.features import FeatureSpec


def have_equal_values(champion: FeatureSpec, spec: FeatureSpec) -> bool:
    """Whether features of one name have the same values by both."""
    if champion.renewals != spec.renewals or _has_own_minima(champion) != _has_own_minima(spec):
        return False
    if dict(champion.mode_renewals) != dict(spec.mode_renewals):
        return False
    if champion.regimes is None or spec.regimes is None:
        return champion.regimes == spec.regimes
    # Sensors that are new since change nothing for those before.
    before = len(champion.regimes.sensors)
    same = champion.regimes == replace(
        spec.regimes,
        sensors=spec.regimes.sensors[:before],
        levels=tuple(row[:before] for row in spec.regimes.levels),
        spreads=tuple(row[:before] for row in spec.regimes.spreads),
    )
    return same and bool(champion.beside) == bool(spec.beside)


def shared_spec(specs: Sequence[FeatureSpec]) -> FeatureSpec | None:
    """The one whose frame holds the features of all, with the same values; None without one.

    Limits are left out: they are put on the frame by each for itself.
    """
    for wide in specs:
        names = set(feature_names(wide)[0])
        if all(
            _looks_alike(wide, other)
            and (have_equal_values(other, wide) or have_equal_values(wide, other))
            and names.issuperset(feature_names(other)[0])
            for other in specs
        ):
            return replace(wide, limits=None)
    return None


def shared_groups(specs: Sequence[FeatureSpec]) -> list[tuple[FeatureSpec, tuple[int, ...]]]:
    """Groups of specs that one frame serves, by their places: the spec of that frame, and whose.

    Each joins the first group it can; the first spec is in the first group.
    """
    groups: list[tuple[FeatureSpec, tuple[int, ...]]] = []
    for place, spec in enumerate(specs):
        for number, (_, members) in enumerate(groups):
            wide = shared_spec([*(specs[each] for each in members), spec])
            if wide is not None:
                groups[number] = wide, (*members, place)
                break
        else:
            groups.append((replace(spec, limits=None), (place,)))
    return groups


def _looks_alike(one: FeatureSpec, other: FeatureSpec) -> bool:
    """Whether both look at the same spans of time, and tell alike when a machine is off."""
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("pane_ns", "windows_ns", "beginning_ns", "clock", "running")
    )


def _has_own_minima(spec: FeatureSpec) -> bool:
    return spec.own_minima or len(spec.windows_ns) < 2
