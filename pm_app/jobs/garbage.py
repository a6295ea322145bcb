"""What a crash or a bad batch left behind: segments on disk that no ledger row names."""

import logging
from collections.abc import Collection
from itertools import chain

from pm_app.jobs.belonging import require_own
from pm_app.jobs.site import Site

log = logging.getLogger(__name__)


def remove_garbage(site: Site) -> None:
    """Delete segments that no ledger row names: what a crash left behind.

    Raises TerminalError where the ledger is not the one of this state folder.
    """
    require_own(site.settings.state, site.store)
    named = site.store.ledger.segments()
    _remove(site, named, "")


def remove_leftovers(site: Site, stem: str) -> None:
    """Delete all segments of this stem: those of a batch that carries none in the end."""
    _remove(site, (), stem)


def _remove(site: Site, named: Collection[str], stem: str) -> None:
    histories = (site.history, site.event_history)
    removed = (h.remove_unnamed(named, stem=stem) for h in histories)
    for gone in chain.from_iterable(removed):
        log.info("removed %s: no batch names it", gone)
