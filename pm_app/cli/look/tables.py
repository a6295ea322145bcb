"""Commands that show what is stored: predictions, files, versions and their reasons."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from pm_app.cli.options import PLANT, Json, PlantOption, now, parse_time
from pm_app.cli.output import print_json, print_rows, say, talk
from pm_app.errors import BadSettings
from pm_app.settings.plant import read_settings
from pm_app.wording import STATUS_WORDS, age_text, life_text, percent_text


class Format(StrEnum):
    """How predictions are written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def predictions(
    config: PlantOption = PLANT,
    latest: Annotated[bool, typer.Option("--latest", help="One line an asset.")] = False,
    asset: Annotated[str | None, typer.Option(help="Only this asset.")] = None,
    since: Annotated[str | None, typer.Option(help="Only cutoffs from then on.")] = None,
    format: Annotated[Format, typer.Option(help="How to write them.")] = Format.table,
    file: Annotated[Path | None, typer.Option("--out", help="Into this file.")] = None,
    peaks: Annotated[
        bool, typer.Option("--peaks", help="What is left of days that are kept no longer.")
    ] = False,
    as_json: Json = False,
) -> None:
    """What was said: every prediction, or the newest one of each asset, riskiest first."""
    from pm_app.cli.act.export import export_predictions
    from pm_app.wiring import open_views

    settings = read_settings(config)
    kind = Format.json if as_json else format
    start = parse_time(since, "--since")
    if latest and start is not None:
        raise BadSettings("--since goes with all predictions, --latest shows the newest only")
    if peaks and (latest or start is not None or file is not None):
        raise BadSettings("--peaks takes --asset and --json, nothing else")
    with open_views(settings) as store:
        if peaks:
            rows = [asdict(row) for row in store.retention.peaks(asset=asset)]
            columns = ("asset_id", "day", "horizon_hours", "risk", "cutoff", "top_sensors")
            print_rows(rows, columns, as_json=kind is Format.json)
            return
        if latest and kind is Format.table and file is None:
            table = store.tables.latest_predictions(asset=asset)
            if not table.num_rows:
                talk.print("no predictions yet: pm-app score makes them")
                return
            rows = latest_rows(table, now=now(), cap_hours=settings.target.cap_hours)
            print_rows(rows, latest_columns(table), as_json=False)
            return
        tables = (
            iter([store.tables.latest_predictions(asset=asset)])
            if latest
            else store.tables.predictions(asset=asset, since=start)
        )
        export_predictions(tables, kind.value, file)


def batches(
    names: Annotated[
        list[str] | None, typer.Argument(help="With --retry: only these files.")
    ] = None,
    config: PlantOption = PLANT,
    retry: Annotated[bool, typer.Option("--retry", help="Read quarantined files again.")] = False,
    quarantined: Annotated[bool, typer.Option("--quarantined", help="Only those.")] = False,
    limit: Annotated[int, typer.Option(min=0, max=10**9, help="How many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """The ledger: every file that came, and what became of it."""
    from pm_app.wiring import open_plant_shared, open_views

    if names and not retry:
        raise BadSettings(f"names go with --retry, got {', '.join(names)}")
    if retry:
        with open_plant_shared(read_settings(config)) as plant:
            freed = plant.store.ledger.release(names=names or ())
        unknown = sorted(set(names or ()) - {row.name for row in freed})
        if unknown:
            raise BadSettings(f"no quarantined file of that name: {', '.join(unknown)}")
        say(f"{len(freed)} files are read again at the next look of pm-app run or pm-app score")
        return
    with open_views(read_settings(config)) as store:
        found = store.ledger.batches(status="quarantined" if quarantined else None, limit=limit)
    rows = [asdict(row) for row in found]
    columns = ("sequence", "source", "name", "status", "rows", "rejected", "reason")
    print_rows(rows, columns, as_json=as_json, right=("sequence", "rows", "rejected"))


def models(
    config: PlantOption = PLANT,
    as_of: Annotated[str | None, typer.Option(help="As it was then.")] = None,
    as_json: Json = False,
) -> None:
    """Versions, which one scores, every retraining and every promotion with its reason."""
    from pm_app.cli.look.lineage_tables import model_rows, promotion_rows, retraining_rows
    from pm_app.wiring import open_views

    then = parse_time(as_of, "--as-of")
    with open_views(read_settings(config)) as store:
        versions = model_rows(store.lineage, then)
        retrainings = retraining_rows(store.lineage, then)
        promotions = promotion_rows(store.lineage, then)
    if as_json:
        print_json({"versions": versions, "retrainings": retrainings, "promotions": promotions})
        return
    columns = [name for name in versions[0] if name != "revision"] if versions else ["version"]
    print_rows(versions, columns, as_json=False)
    print_rows(
        retrainings, ("at", "decision", "version", "reason"), as_json=False, title="retrainings"
    )
    print_rows(
        promotions, ("at", "kind", "version", "reason"), as_json=False, title="who scored when"
    )


def latest_rows(table: pa.Table, *, now: datetime, cap_hours: float) -> list[dict[str, Any]]:
    """One row an asset from `latest_predictions`, the riskiest at the longest horizon first."""
    by_asset: dict[str, list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        by_asset.setdefault(row["asset_id"], []).append(row)
    rows = [_asset_row(rows, now, cap_hours) for rows in by_asset.values()]
    return sorted(rows, key=lambda row: (-row["order"], row["asset"]))


def latest_columns(table: pa.Table) -> list[str]:
    """Column names of `latest_rows` in their order."""
    horizons = sorted(set(table.column("horizon_hours").to_pylist()))
    if horizons == [0.0]:
        return ["asset", "risk", "value", "driven by", "attention", "note"]
    risks = [_risk_name(hours) for hours in horizons]
    return ["asset", *risks, "life left", "driven by", "attention", "data age", "note"]


def _asset_row(rows: Sequence[dict[str, Any]], now: datetime, cap: float) -> dict[str, Any]:
    rows = sorted(rows, key=lambda row: row["horizon_hours"])
    longest = rows[-1]
    shown: dict[str, Any] = {
        "asset": longest["asset_id"],
        "order": longest["risk"] if longest["risk"] is not None else -1.0,
        "life left": _life_text(longest, cap),
        "value": "" if longest["value"] is None else f"{longest['value']:.4g}",
        "driven by": longest["top_sensors"],
        "attention": longest["attention"],
        "data age": age_text((now - longest["cutoff"]).total_seconds()),
        "note": STATUS_WORDS[longest["status"]],
    }
    for row in rows:
        shown[_risk_name(row["horizon_hours"])] = percent_text(row["risk"])
    return shown


def _risk_name(hours: float) -> str:
    return "risk" if hours == 0 else f"risk {hours:g} h"


def _life_text(row: dict[str, Any], cap: float) -> str:
    bounds = row["rul_low_hours"], row["rul_high_hours"]
    return life_text(row["rul_hours"], *bounds, cap_hours=cap)
