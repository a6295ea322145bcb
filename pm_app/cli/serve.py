"""`pm-app serve`: the operators' page, in a process of its own."""

from typing import Annotated

import typer

from pm_app.cli.options import PLANT, Plant, now
from pm_app.cli.output import start_log, talk
from pm_app.errors import BadSettings
from pm_app.settings import Settings, read_settings


def serve(
    config: Plant = PLANT,
    listen: Annotated[
        str | None, typer.Option(help="Address and port instead of [web] listen.")
    ] = None,
) -> None:
    """The operators' page: the fleet by risk, in a browser on this machine."""
    settings = read_settings(config)
    if listen is not None:
        settings = _listening(settings, listen)
    try:
        import uvicorn

        from pm_app.web.app import make_app
    except ImportError as error:
        raise BadSettings(f"pm-app serve needs {error.name}: pip install 'pm-app[web]'") from error
    from functools import partial

    from pm_app.wiring import open_views

    app = make_app(settings, open_store=partial(open_views, settings), now=now)
    host, port = settings.web.address
    start_log()
    talk.print(f"pm-app serve: http://{settings.web.listen}/", highlight=False)
    uvicorn.run(app, host=host, port=port, server_header=False, log_config=None, access_log=False)


def _listening(settings: Settings, listen: str) -> Settings:
    from pydantic import ValidationError

    from pm_app.settings_sections import WebSettings

    try:
        web = WebSettings(listen=listen)
    except ValidationError as error:
        raise BadSettings(f"--listen: {error.errors()[0]['msg'].partition(', ')[2]}") from None
    return settings.model_copy(update={"web": web})
