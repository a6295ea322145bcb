"""Health of a container: `scorer` by what the daemon last wrote, `pages` by an answer.

A historian that is silent makes no container unhealthy: that is for alerts, and starting the
container again would not mend it.
"""

import sys
import urllib.error
import urllib.request
from pathlib import Path

PAGES = "http://127.0.0.1:8080/sign-in"


def scorer_troubles() -> list[str]:
    """What is wrong with the daemon of the plant in this folder."""
    from pm_app.daemon.health import read_health
    from pm_app.daemon.status import daemon_troubles
    from pm_app.settings.plant import read_settings
    from pm_app.times import read_clock

    settings = read_settings(Path("plant.toml"))
    return daemon_troubles(read_health(settings.state), now=read_clock())


def pages_troubles() -> list[str]:
    """Why the pages do not answer."""
    try:
        with urllib.request.urlopen(PAGES, timeout=10):
            return []
    except urllib.error.HTTPError as error:
        return [str(error)] if error.code >= 500 else []
    except OSError as error:
        return [str(error)]


TROUBLES = {"scorer": scorer_troubles, "pages": pages_troubles}

if __name__ == "__main__":
    found = TROUBLES[sys.argv[1]]()
    print("\n".join(found) or "well")
    sys.exit(1 if found else 0)
