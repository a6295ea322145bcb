"""What a crash left behind: segments on disk that no ledger row names."""

import logging
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
    removed = (h.remove_unnamed(named) for h in (site.history, site.event_history))
    for gone in chain.from_iterable(removed):
        log.info("removed %s: no batch names it", gone)
