"""Session with an OPC UA server by asyncua: browsing, subscribing, reading history."""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from connectors.opcua.security import (
    OwnCertificate,
    ServerAddress,
    no_endpoint_text,
    read_certificate,
    refusal_text,
)
from connectors.opcua.values import SubscribedNode
from pm_app.errors import BadSettings, SourceUnavailable
from pm_app.times import to_moment

REQUEST_SECONDS: Final = 10.0
# asyncua gives up a connection whose server does not answer for so long, by default a second: less
# than a busy server takes over a piece of history.
PROBE_SECONDS: Final = 5.0
SUBSCRIBED_AT_ONCE: Final = 500
QUEUE_OF_SERVER: Final = 10_000
HISTORY_AT_ONCE: Final = 1_000
MOST_NODES: Final = 100_000
MOST_DEPTH: Final = 12
_SESSION_MILLISECONDS: Final = 60_000


class ServerSession:
    """One connection. Coroutines raise what asyncua raises, and SourceUnavailable, BadSettings."""

    def __init__(self, address: ServerAddress) -> None:
        self.address = address
        self.came: deque[tuple[SubscribedNode, Any]] = deque()
        self.refused: tuple[str, ...] = ()
        self.nodes: list[SubscribedNode] = []
        self._client: Any = None
        self._ring = asyncio.Event()
        self._by_id: dict[Any, SubscribedNode] = {}

    async def open(self) -> None:
        """Connect, find the variables, subscribe to them."""
        try:
            from asyncua import Client
        except ImportError as error:
            raise BadSettings("OPC UA needs asyncua: pip install 'pm-app[opcua]'") from error
        self._client = Client(
            self.address.url, timeout=REQUEST_SECONDS, watchdog_intervall=PROBE_SECONDS
        )
        self._client.session_timeout = _SESSION_MILLISECONDS
        if self.address.user:
            self._client.set_user(self.address.user)
            self._client.set_password(self.address.password)
        await self._secure()
        await self._connect()
        self.nodes = await self._find()
        self._by_id = {each.node.nodeid: each for each in self.nodes}

    async def subscribe(self) -> None:
        """Ask for every change of the variables found."""
        subscription = await self._client.create_subscription(self.address.publishing_ms, self)
        refused = []
        for start in range(0, len(self.nodes), SUBSCRIBED_AT_ONCE):
            some = self.nodes[start : start + SUBSCRIBED_AT_ONCE]
            answers = await subscription.subscribe_data_change(
                [each.node for each in some], queuesize=QUEUE_OF_SERVER, sampling_interval=0.0
            )
            for each, answer in zip(some, answers, strict=True):
                if not isinstance(answer, int):
                    refused.append(f"node {each.name} is refused: {answer.name}")
                    each.since = None
        self.refused = tuple(refused)

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        """A change; called by asyncua."""
        found = self._by_id.get(node.nodeid)
        if found is not None:
            self.came.append((found, data.monitored_item.Value))
            self._ring.set()

    async def wait(self, seconds: float) -> None:
        """Until something came, no longer than that; raises where the connection is lost."""
        await self._client.check_connection()
        if not self.came:
            self._ring.clear()
            try:
                await asyncio.wait_for(self._ring.wait(), seconds)
            except TimeoutError:
                await self._client.check_connection()
        else:
            # Whatever else waits to be read from the network.
            await asyncio.sleep(0)

    async def history(self, node: SubscribedNode, end_ns: int) -> Sequence[Any]:
        """The next values of a node's history from `since` on; its continuation is noted."""
        from asyncua import ua

        assert node.since is not None
        details = ua.ReadRawModifiedDetails()
        details.IsReadModified = False
        details.StartTime = to_moment(node.since)
        # Servers leave the end out.
        details.EndTime = to_moment(end_ns) + timedelta(microseconds=1)
        details.NumValuesPerNode = HISTORY_AT_ONCE
        details.ReturnBounds = False
        result = await node.node.history_read(details, node.continuation)
        result.StatusCode.check()
        node.continuation = result.ContinuationPoint or None
        return result.HistoryData.DataValues or ()

    async def close(self) -> None:
        """Say goodbye where somebody listens."""
        client, self._client = self._client, None
        if client is not None:
            await asyncio.wait_for(client.disconnect(), REQUEST_SECONDS)

    async def _secure(self) -> None:
        address = self.address
        if address.security == "none":
            return
        from asyncua import ua
        from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
        from asyncua.crypto.uacrypto import CertProperties

        assert address.certificate is not None and address.key is not None
        own, modes = OwnCertificate(address.certificate, address.key), ua.MessageSecurityMode
        mode = modes.Sign if address.security == "sign" else modes.SignAndEncrypt
        server = await self._server_certificate(mode, SecurityPolicyBasic256Sha256.URI)
        pinned = address.server_certificate
        if pinned and read_certificate(pinned, "ca") != server:
            raise SourceUnavailable(
                f"{address.url} shows another certificate than {pinned} (ca): another server "
                "answers there, or it has a new certificate, which then belongs into that file"
            )
        if own.application:
            # Servers hold us to it.
            self._client.application_uri = own.application
        await self._client.set_security(
            SecurityPolicyBasic256Sha256,
            certificate=CertProperties(own.certificate, "der"),
            private_key=CertProperties(own.key, "der"),
            server_certificate=CertProperties(server, "der"),
            mode=mode,
        )

    async def _server_certificate(self, mode: Any, policy: str) -> bytes:
        """What the server shows where it offers this security."""
        from asyncua.crypto.uacrypto import x509_from_der
        from cryptography.hazmat.primitives.serialization import Encoding

        for each in await self._client.connect_and_get_server_endpoints():
            if (each.SecurityMode, each.SecurityPolicyUri) == (mode, policy):
                content: bytes = x509_from_der(each.ServerCertificate).public_bytes(Encoding.DER)
                return content
        raise SourceUnavailable(await self._no_endpoint())

    async def _connect(self) -> None:
        from asyncua import ua

        try:
            await self._client.connect()
        except ua.UaStatusCodeError as error:
            raise SourceUnavailable(refusal_text(error, self.address)) from error
        except ua.UaError as error:
            if "No matching endpoints" not in str(error):
                raise
            raise SourceUnavailable(await self._no_endpoint()) from error

    async def _no_endpoint(self) -> str:
        from asyncua import Client

        lister = Client(self.address.url, timeout=REQUEST_SECONDS)
        found = await lister.connect_and_get_server_endpoints()
        offered = {(each.SecurityMode.name, each.SecurityPolicyUri) for each in found}
        return no_endpoint_text(self.address, offered)

    async def _find(self) -> list[SubscribedNode]:
        found = [
            SubscribedNode(self._client.get_node(name), asset, sensor)
            for name, (asset, sensor) in self.address.nodes
        ]
        names: list[str] = []
        if self.address.patterns:
            root = self._client.get_node(self.address.browse_from)
            async for path, node in _variables(self._client, root):
                names.append(path)
                place = self._place(path)
                if place is not None:
                    found.append(SubscribedNode(node, *place))
        if not found:
            seen = ", ".join(map(repr, names[:5])) or "none"
            raise SourceUnavailable(
                f"{self.address.url}: none of its variables fits paths; it has {seen}"
            )
        return found

    def _place(self, path: str) -> tuple[str, str] | None:
        for pattern in self.address.patterns:
            match = pattern.match(path)
            if match is not None:
                return match.get("asset") or self.address.asset or "", match["sensor"]
        return None


async def _variables(client: Any, root: Any) -> Any:
    """Path of browse names, by slashes, and node of every variable below a node, each once."""
    from asyncua import ua

    seen, waiting = {root.nodeid}, deque([("", root, 0)])
    server = ua.NodeId(ua.ObjectIds.Server)
    while waiting:
        path, node, depth = waiting.popleft()
        for each in await node.get_children_descriptions():
            # What a server says of itself is no machine's.
            if each.NodeId in seen or each.NodeId == server or len(seen) > MOST_NODES:
                continue
            seen.add(each.NodeId)
            child = client.get_node(each.NodeId)
            below = f"{path}/{each.BrowseName.Name}" if path else str(each.BrowseName.Name)
            if each.NodeClass == ua.NodeClass.Variable:
                yield below, child
            if depth < MOST_DEPTH:
                waiting.append((below, child, depth + 1))
