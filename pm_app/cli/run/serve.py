"""`pm-app serve`: the web server of the pages, in a process of its own."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from pm_app.cli.options import PLANT, PlantOption, now
from pm_app.cli.output import start_log, talk
from pm_app.errors import BadSettings, NoStore
from pm_app.settings.plant import Settings, read_settings
from pm_app.settings.web import NOBODY_SIGNS_IN


def serve(
    config: PlantOption = PLANT,
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Address and port instead of web.listen."),
    ] = None,
) -> None:
    """The operators' pages: the fleet by risk, alarms, models, in a browser."""
    settings = read_settings(config)
    if listen is not None:
        settings = _listening(settings, listen)
    start_log(settings.log)
    run_pages(settings, now=now)


def run_pages(settings: Settings, *, now: Callable[[], datetime]) -> None:
    """Serve a plant's pages until asked to stop.

    now: tells what time the pages have. Raises BadSettings where others reach the pages and
    nobody could get in, and for what is missing.
    """
    require_web()
    from pm_app.web.connections import ConnectionLimits, Connections
    from pm_app.web.log_limit import limit_log
    from pm_app.web.server import fitting_limits, make_server, open_listeners

    application, tls = make_application(settings, now), _tls(settings)
    check_reach(settings)
    limits = fitting_limits(ConnectionLimits())
    connections = Connections(limits, trusted=settings.web.proxy_addresses)
    listeners = open_listeners(*settings.web.address, connections)
    for remark in who_gets_in(settings):
        talk.print(remark, highlight=False)
    scheme = "https" if tls else "http"
    talk.print(f"pm-app serve: {scheme}://{settings.web.listen}/", highlight=False)
    limit_log()
    with suppress(KeyboardInterrupt):
        make_server(application, connections, **tls).run(sockets=list(listeners))


def require_web() -> None:
    """Raises BadSettings where a package that the pages need is missing."""
    try:
        import_module("pm_app.web.app")
        import_module("uvicorn")
    except ImportError as error:
        raise BadSettings(f"pm-app serve needs {error.name}: pip install 'pm-app[web]'") from error


def make_application(settings: Settings, now: Callable[[], datetime]) -> Any:
    """The pages over this plant, which may be changed through them."""
    from pm_app.web.app import make_app
    from pm_app.web.context import Resources
    from pm_app.wiring import backlog_of, oidc_secret, open_plant_shared, open_users, open_views

    resources = Resources(
        oidc=open_oidc(settings, oidc_secret()),
        read=partial(open_views, settings),
        backlog=partial(backlog_of, settings),
        write=partial(open_users, settings),
        plant=partial(open_plant_shared, settings),
    )
    return make_app(settings, resources, now=now)


def open_oidc(settings: Settings, secret: str) -> Any:
    """Who signs people in besides, None where plant.toml names nobody. Raises BadSettings."""
    if not settings.oidc.issuer:
        return None
    try:
        from pm_app.web.auth.oidc import OidcClient
    except ImportError as error:
        raise BadSettings(f"oidc.issuer needs {error.name}: pip install 'pm-app[oidc]'") from error
    return OidcClient(settings.oidc, secret, settings.folder)


def check_reach(settings: Settings) -> None:
    """Raises BadSettings where others reach the pages and nobody could get in."""
    web = settings.web
    if web.local or web.open or _anyone_signs_in(settings):
        return
    raise BadSettings(
        f"web.listen {web.listen} is reached from other machines, and nobody can sign in "
        "yet: pm-app users add NAME, or name a proxy (web.proxy_header) or a provider of OpenID "
        "Connect (oidc.issuer) that signs people in"
    )


def who_gets_in(settings: Settings) -> Iterator[str]:
    """Remarks on who gets in to the pages, each with what to do about it."""
    web = settings.web
    if web.open:
        yield f"whoever reaches {web.listen} may look without signing in (web.open)"
    elif not _anyone_signs_in(settings):
        yield NOBODY_SIGNS_IN
    if not (web.local or web.proxy_header or web.certificate):
        yield (
            "passwords cross the network as they are typed: web.certificate and web.key, or a "
            "proxy with TLS, keep them from others"
        )


def _anyone_signs_in(settings: Settings) -> bool:
    from pm_app.wiring import open_views

    if settings.web.proxy_header or settings.oidc.issuer:
        return True
    try:
        with open_views(settings) as store:
            return store.users.any_enabled()
    except NoStore:
        return False


def _tls(settings: Settings) -> dict[str, Any]:
    web, found = settings.web, {}
    for key, option in (("certificate", "ssl_certfile"), ("key", "ssl_keyfile")):
        if name := getattr(web, key):
            path = settings.folder / Path(name)
            if not path.is_file():
                raise BadSettings(f"web.{key} needs a file that is there, got {path}")
            found[option] = str(path)
    return found


def _listening(settings: Settings, listen: str) -> Settings:
    from pydantic import ValidationError

    from pm_app.settings.web import WebSettings

    given = settings.web.model_dump() | {"listen": listen}
    try:
        web = WebSettings(**given)
    except ValidationError as error:
        raise BadSettings(f"--listen: {error.errors()[0]['msg'].partition(', ')[2]}") from None
    return settings.model_copy(update={"web": web})
