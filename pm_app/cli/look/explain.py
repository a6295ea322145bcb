"""`pm-app explain`: provenance of one prediction, and what each sensor adds to it."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import numpy as np
import typer

from pm_app.cli.look.predictions import latest_columns, latest_rows
from pm_app.cli.options import PLANT, Json, PlantOption, now, parse_time
from pm_app.cli.output import print_json, print_rows, say
from pm_app.settings.modes import action_of
from pm_app.settings.plant import Settings, read_settings
from pm_app.settings.sensors import Sensors, sensor_text
from pm_app.wording import extrapolated_text, percent_text, time_text

if TYPE_CHECKING:
    from pm_app.jobs.score.explain import Provenance, SensorResidual
    from pm_app.scoring.shapley import Explanation

_SENSORS_SHOWN: Final = 8
_LEADING: Final = 3
_FILES_SHOWN: Final = 10
# Of a deviation; a smaller share is noise.
_LEAST_NAMED: Final = 0.05
# What would be shown as nothing.
_LEAST_SHOWN: Final = 0.005
# Of the many features of a sensor, those that a person can place at once.
_AT_ONCE: Final = (".last", ".mean.", ".slope.", ".change")


def explain(
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="The asset.")],
    cutoff: Annotated[
        str | None,
        typer.Argument(
            metavar="TIME", help="The newest up to then, e.g. 2026-01-31T14:00; default: now."
        ),
    ] = None,
    config: PlantOption = PLANT,
    as_json: Json = False,
) -> None:
    """Explanation of a prediction: its version, its files, what every sensor adds to it."""
    from pm_app.jobs.score.explain import provenance
    from pm_app.wiring import open_plant_shared

    settings = read_settings(config)
    zone = settings.plant.timezone
    moment = parse_time(cutoff, "CUTOFF", zone=zone) or now()
    with open_plant_shared(settings) as plant:
        found = provenance(plant, asset=asset, cutoff=moment)
    if as_json:
        print_json(_fields(found, settings))
    else:
        _print_predictions(found, settings.target.cap_hours, zone)
        _print_deviation(found, settings)
        _print_reasons(found, settings)


def _fields(found: "Provenance", settings: Settings) -> dict[str, Any]:
    return {
        "said": list(found.predictions),
        "version": asdict(found.version) if found.version else None,
        "remembers": found.remembers,
        "sensors": _sensor_rows(found.explanation),
        "modes": _mode_rows(found, settings),
        "base": found.explanation.base if found.explanation else None,
        "signal": found.explanation.signal if found.explanation else None,
        "features": [
            {key: None if value != value else value for key, value in asdict(one).items()}
            for one in found.features
        ],
        "batches": [asdict(row) for row in found.batches],
        "silence": found.silence,
        "deviation": asdict(found.deviation) if found.deviation else None,
    }


def _mode_rows(found: "Provenance", settings: Settings) -> list[dict[str, Any]]:
    """Failure modes, the likeliest at the longest horizon first, and what speaks for each."""
    risks = {
        row["horizon_hours"]: json.loads(row["mode_risks"])
        for row in found.predictions
        if row["mode_risks"]
    }
    longest = risks[max(risks)] if risks else {}
    return [
        {
            "mode": mode,
            "risks": {f"{hours:g}": each.get(mode) for hours, each in risks.items()},
            "sensors": _sensor_rows(explanation),
            "base": explanation.base,
            "signal": explanation.signal,
            "action": action_of(mode, settings.modes),
        }
        for mode, explanation in sorted(
            found.modes.items(), key=lambda item: -longest.get(item[0], 0.0)
        )
    ]


def _sensor_rows(explanation: "Explanation | None") -> list[dict[str, Any]]:
    """Sensors by how much they add, the most first, whichever way."""
    if explanation is None:
        return []
    order = np.argsort(-np.abs(explanation.added), kind="stable").tolist()
    return [
        {
            "sensor": explanation.sensors[at],
            "adds": round(float(explanation.added[at]), 6),
            "+/-": round(float(explanation.error[at]), 6),
        }
        for at in order
    ]


def _print_predictions(found: "Provenance", cap_hours: float, zone: str) -> None:
    import pyarrow as pa

    last = found.predictions[-1]
    cutoff, at = (time_text(last[name], zone) for name in ("cutoff", "scored_at"))
    say(f"at {cutoff}, said {at}:")
    table = pa.Table.from_pylist([dict(row) for row in found.predictions])
    rows = latest_rows(table, now=now(), cap_hours=cap_hours)
    print_rows(rows, latest_columns(table))


def _print_modes(found: "Provenance", settings: Settings) -> None:
    """A row a failure mode: its risk by horizon, and what each sensor adds to its log-odds."""
    modes = _mode_rows(found, settings)
    rows = [
        {
            "failure mode": each["mode"],
            **{f"risk {hours} h": percent_text(risk) for hours, risk in each["risks"].items()},
            "speaks for or against it": ", ".join(
                f"{sensor_text(row['sensor'], settings.sensors)} {row['adds']:+.2f}"
                for row in each["sensors"][:_LEADING]
                if abs(row["adds"]) >= _LEAST_SHOWN
            ),
        }
        for each in modes
    ]
    print_rows(rows)
    if modes and modes[0]["risks"] and modes[0]["action"]:
        say(f"next step, for {modes[0]['mode']}: {modes[0]['action']}")


def _print_deviation(found: "Provenance", settings: Settings) -> None:
    """How unusual it is, and in words which sensors are."""
    deviation = found.deviation
    if deviation is None:
        return
    size, version = found.predictions[-1]["deviation"], deviation.version
    say(
        f"deviation {size:.2f}, alarms from 1; by version {version.version} "
        f"({version.strategy}, SHA-256 {version.digest[:16]})"
    )
    for each in deviation.sensors[:_LEADING]:
        if each.share >= _LEAST_NAMED:
            say(f"  {residual_text(each, settings.sensors)}")


def residual_text(each: "SensorResidual", sensors: Sensors) -> str:
    """A sensor's part in a deviation, as people say it."""
    own = sensors.get(each.sensor)
    name = own.name if own and own.name else each.sensor
    unit = f" {own.unit}" if own and own.unit else ""
    way = "above" if each.residual > 0 else "below"
    others = f", with {', '.join(each.together)}" if each.together else ""
    return (
        f"{name} {abs(each.residual):.3g}{unit} {way} what the other sensors explain, "
        f"usually within {2 * each.usual:.3g}{unit}: {each.share:.0%} of it{others}"
    )


def _print_reasons(found: "Provenance", settings: Settings) -> None:
    zone = settings.plant.timezone
    version, explanation = found.version, found.explanation
    if version is None or explanation is None:
        say("no model of failures has spoken of it")
        if found.batches:
            _print_files(found, zone)
        return
    say(
        f"by version {version.version} ({version.strategy}, {version.parameters:,} parameters, "
        f"made {time_text(version.created_at, zone)}, SHA-256 {version.digest[:16]})"
    )
    if beyond := extrapolated_text(found.predictions[-1]["extrapolated"]):
        say(beyond)
    if found.silence:
        say(f"{found.silence}: what rests on that is missing here")
    signal, base = explanation.signal, explanation.base
    if found.modes:
        _print_modes(found, settings)
    say(f"log-odds {signal:.2f}, of a healthy machine {base:.2f}; between them:")
    ranked = _sensor_rows(explanation)[:_SENSORS_SHOWN]
    rows = [
        {
            "sensor": sensor_text(row["sensor"], settings.sensors),
            "adds": f"{row['adds']:+.2f}",
            "+/-": f"{row['+/-']:.2f}",
        }
        for row in ranked
    ]
    print_rows(rows, right=("adds", "+/-"))
    leading = {row["sensor"] for row in ranked[:_LEADING]}
    features = [
        {"feature": one.name, "value": f"{one.value:.4g}", "usual in health": f"{one.usual:.4g}"}
        for one in found.features
        if one.sensor in leading and _placed_at_once(one.name)
    ]
    print_rows(features, right=("value", "usual in health"))
    _print_files(found, zone)


def _print_files(found: "Provenance", zone: str) -> None:
    files = [
        {
            "sequence": row.sequence,
            "file": row.name,
            "rows": row.rows,
            "SHA-256": row.digest[:16],
            "came": time_text(row.ingested_at, zone),
        }
        for row in found.batches[-_FILES_SHOWN:]
    ]
    more = len(found.batches) - len(files)
    print_rows(files)
    if more > 0 or found.remembers:
        parts = [f"{more} earlier files"] if more > 0 else []
        parts += ["all before them, by what the asset remembers"] if found.remembers else []
        say(f"and {', and '.join(parts)}")


def _placed_at_once(feature: str) -> bool:
    return "." not in feature or any(part in feature for part in _AT_ONCE)
