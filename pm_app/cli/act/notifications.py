"""`pm-app notifications`: alarms that wait to be sent, and a test of every channel."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pm_app.cli.options import PLANT, Json, PlantOption, now
from pm_app.cli.output import print_rows, say
from pm_app.errors import BadSettings
from pm_app.settings.plant import read_settings
from pm_app.wording import age_text, time_text

if TYPE_CHECKING:
    from pm_app.store.alarms.outbox import OutboxRow

Send = Annotated[bool, typer.Option("--send", help="Send what is due, as the daemon does.")]


def notifications(
    config: PlantOption = PLANT,
    test: Annotated[bool, typer.Option("--test", help="Send a test to every channel.")] = False,
    send: Send = False,
    as_json: Json = False,
) -> None:
    """Notifications that wait to be sent by mail, chat or webhook, and why."""
    from pm_app import wiring

    settings = read_settings(config)
    if (test or send) and not wiring.notify_channels(settings):
        raise BadSettings("there is nobody to tell: notifications.urls names addresses")
    if test:
        tried = wiring.try_channels(settings)
        rows = [{"channel": name, "result": error or "taken"} for name, error in tried.items()]
        print_rows(rows, as_json=as_json, title="test")
        if any(tried.values()):
            raise typer.Exit(1)
        return
    if send:
        with wiring.open_plant_shared(settings) as plant:
            done = wiring.notify_due(plant, now=now())
        say(f"{done.sent} alarms told, {done.failed} could not be, {done.quiet} wait for quiet")
        if done.failed:
            raise typer.Exit(1)
        return
    with wiring.open_views(settings) as store:
        waiting = store.outbox.waiting()
    print_rows(
        [_row(news, settings.plant.timezone) for news in waiting],
        as_json=as_json,
        title="news that waits",
    )


def _row(news: "OutboxRow", zone: str) -> dict[str, Any]:
    return {
        "alarm": news.alarm_id,
        "asset": news.asset_id or "the plant",
        "channel": news.channel,
        "waits": age_text((now() - news.created_at).total_seconds()),
        "next try": time_text(news.due_at, zone),
        "tries": news.attempts,
        "error": news.error,
    }
