"""Where work is done beside this process: processes of this machine, or a cluster."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from connectors.engines.local import LocalEngine
from pm_app.errors import BadSettings
from pm_app.ports import Engine

_LOCAL = re.compile(r"local(?::([1-9]\d{0,3}))?")


@contextmanager
def opened_engine(name: str) -> Iterator[Engine]:
    """The engine of this name: "local", "local:4", "dask://host:8786".

    Raises BadSettings where there is no such engine or the cluster's library is not installed,
    TransientError where the cluster cannot be reached.
    """
    local = _LOCAL.fullmatch(name)
    if local:
        yield LocalEngine(int(local[1] or len(os.sched_getaffinity(0))))
        return
    if not name.startswith("dask://"):
        raise BadSettings(f'--engine takes "local", "local:4" or "dask://host:8786", got {name!r}')
    # It takes a second to load, and is an extra.
    try:
        from connectors.engines.cluster import opened_cluster
    except ImportError as error:
        raise BadSettings(
            f"--engine {name} needs dask.distributed: pip install 'pm-app[cluster]'"
        ) from error
    with opened_cluster(name) as engine:
        yield engine
