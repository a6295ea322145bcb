"""asyncua's server with history in SQLite, stopped and started again on its port."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pm_app.times import to_nanoseconds

SENSORS = ("vib", "temp")


class PlantServer:
    """A server with a folder of variables, Plant/ASSET/SENSOR; their first value is -1.

    prepare: called with the server before it starts, to set it up otherwise.
    """

    def __init__(self, folder: Path, *, assets: int = 3, prepare: Any = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as door:
            self.port = door.getsockname()[1]
        self.url = f"opc.tcp://127.0.0.1:{self.port}/plant"
        self._folder, self._assets, self._prepare = folder, assets, prepare
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: Any = None
        self.variables: dict[tuple[str, str], Any] = {}

    def start(self) -> None:
        """Start, and wait until it answers."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._start())

    def stop(self) -> None:
        """Stop; what was historized stays."""
        if self._loop is None or self._thread is None:
            return
        self._do(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()
        self._loop = None

    def write(
        self, rows: Sequence[tuple[str, str, float]], *, pause: float = 0.0
    ) -> list[tuple[str, str, int, float]]:
        """Write asset, sensor, value; as they were written, with nanoseconds of the source."""
        found: list[tuple[str, str, int, float]] = self._do(self._write(rows, pause))
        return found

    def write_data(self, asset: str, sensor: str, value: Any) -> None:
        """A DataValue as it is."""
        self._do(self.variables[asset, sensor].write_value(value))

    def _do(self, work: Any) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self) -> None:
        from asyncua import Server, ua
        from asyncua.server.history_sql import HistorySQLite

        server = self._server = Server()
        server.iserver.history_manager.set_storage(HistorySQLite(self._folder / "history.sqlite"))
        await server.init()
        server.set_endpoint(self.url)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        if self._prepare is not None:
            await self._prepare(server)
        space = await server.register_namespace("plant")
        plant = await server.nodes.objects.add_folder(ua.NodeId("Plant", space), f"{space}:Plant")
        for number in range(self._assets):
            asset = f"p{number}"
            folder = await plant.add_folder(ua.NodeId(asset, space), f"{space}:{asset}")
            for at, sensor in enumerate(SENSORS):
                # Its history in SQLite takes no others.
                name = ua.NodeId(1000 + 10 * number + at, space)
                variable = await folder.add_variable(name, f"{space}:{sensor}", -1.0)
                self.variables[asset, sensor] = variable
        await server.start()
        for variable in self.variables.values():
            await server.historize_node_data_change(variable, period=None, count=0)

    async def _write(
        self, rows: Sequence[tuple[str, str, float]], pause: float
    ) -> list[tuple[str, str, int, float]]:
        from asyncua import ua

        written = []
        for asset, sensor, value in rows:
            # Its history in SQLite cannot be read where a time has no fraction of a second.
            stamp = datetime.now(tz=UTC) + timedelta(microseconds=1)
            data = ua.DataValue(ua.Variant(value), SourceTimestamp=stamp)
            await self.variables[asset, sensor].write_value(data)
            written.append((asset, sensor, to_nanoseconds(stamp), value))
            await asyncio.sleep(pause)
        return written
