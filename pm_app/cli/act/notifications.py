"""`pm-app notifications`: alarms that wait to be sent, and a test of every channel."""

from typing import Annotated, Any

import typer

from pm_app.cli.options import PLANT, Json, PlantOption, now
from pm_app.cli.output import print_rows, say
from pm_app.errors import BadSettings
from pm_app.settings.plant import read_settings
from pm_app.wording import age_text


def notifications(
    config: PlantOption = PLANT,
    test: Annotated[bool, typer.Option("--test", help="Send a test to every channel.")] = False,
    send: Annotated[bool, typer.Option("--send", help="Send what is due, as the daemon does.")] = (
        False
    ),
    as_json: Json = False,
) -> None:
    """Notifications that wait to be sent by mail, chat or webhook, and why."""
    from pm_app.wiring import (
        notify_channels,
        notify_due,
        open_plant_shared,
        open_views,
        try_channels,
    )

    settings = read_settings(config)
    if (test or send) and not notify_channels(settings):
        raise BadSettings("there is nobody to tell: notifications.urls names addresses")
    if test:
        tried = try_channels(settings)
        rows = [{"channel": name, "result": error or "taken"} for name, error in tried.items()]
        print_rows(rows, ("channel", "result"), as_json=as_json, title="test")
        if any(tried.values()):
            raise typer.Exit(1)
        return
    if send:
        with open_plant_shared(settings) as plant:
            done = notify_due(plant, now=now())
        say(f"{done.sent} alarms told, {done.failed} could not be, {done.quiet} wait for quiet")
        if done.failed:
            raise typer.Exit(1)
        return
    with open_views(settings) as store:
        waiting = store.outbox.waiting()
    rows = [_row(each.__dict__) for each in waiting]
    columns = ("alarm", "asset", "channel", "waits", "next try", "tries", "error")
    print_rows(rows, columns, as_json=as_json, title="news that waits")


def _row(news: dict[str, Any]) -> dict[str, Any]:
    at = now()
    return {
        "alarm": news["alarm_id"],
        "asset": news["asset_id"] or "the plant",
        "channel": news["channel"],
        "waits": age_text((at - news["created_at"]).total_seconds()),
        "next try": f"{news['due_at']:%Y-%m-%d %H:%M}Z",
        "tries": news["attempts"],
        "error": news["error"],
    }
