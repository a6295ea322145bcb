"""A cluster of dask.distributed.

What travels is the name of a function, the path of a folder and a number, and the text that
comes back. dask pickles its own messages, and whoever reaches its scheduler can run anything on
its workers: that is the cluster's transport, for a network of one's own or with its TLS.
"""

from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from distributed import Client, KilledWorker
from distributed.comm.core import CommClosedError

from pm_app.errors import BadSettings, TransientError

CONNECT_SECONDS = 10.0


@dataclass(frozen=True, eq=False)
class ClusterEngine:
    """One lane as wide as the cluster. The scheduler itself moves the tasks of a dead worker."""

    name: str
    width: int
    client: Any
    lanes: int = 1
    lost: tuple[type[BaseException], ...] = (KilledWorker, CancelledError, CommClosedError)

    def open(self) -> Executor:
        """The cluster as an executor."""
        # Pure tasks are remembered by their arguments: one that failed would fail again unasked.
        executor: Executor = self.client.get_executor(pure=False)
        return executor

    def workers(self) -> int:
        """Those the scheduler sees now; none where it does not answer."""
        try:
            return len(self.client.scheduler_info(n_workers=-1)["workers"])
        except (OSError, TimeoutError, ValueError):
            return 0


@contextmanager
def opened_cluster(name: str) -> Iterator[ClusterEngine]:
    """The cluster whose scheduler is at "dask://host:port".

    Raises TransientError where it cannot be reached or has no workers, BadSettings where the
    address cannot be used.
    """
    try:
        client = Client(f"tcp://{name.removeprefix('dask://')}", timeout=CONNECT_SECONDS)
    except (OSError, TimeoutError) as error:
        raise TransientError(f"{name}: no scheduler of dask answers there: {error}") from error
    except ValueError as error:
        raise BadSettings(f'--engine takes "dask://host:8786", got {name!r}: {error}') from error
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise TransientError(f"{name}: the scheduler has no workers")
        yield ClusterEngine(name, threads, client)
