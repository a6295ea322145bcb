"""A proxy before a real server that drops connections, answers 503 or is slow, as it is told."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

REFUSAL = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(eq=False)
class FaultyProxy:
    """fault: "" for none, "drop" to close connections, "503", "slow", "half" for half an answer.

    left: how many connections it takes; asked: how many there were.
    """

    target: tuple[str, int]
    fault: str = ""
    left: int = 0
    asked: int = 0
    seconds: float = 0.0
    address: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, fault: str, times: int) -> None:
        """Let that happen to so many connections."""
        with self.lock:
            self.fault, self.left = fault, times

    def next_fault(self) -> str:
        """What happens to the next connection."""
        with self.lock:
            self.asked += 1
            self.left -= 1
            return self.fault if self.left >= 0 else ""


def _serve(proxy: FaultyProxy, client: socket.socket) -> None:
    fault = proxy.next_fault()
    if fault == "drop":
        return
    client.settimeout(30)
    request = client.recv(65536)
    if fault == "503":
        client.sendall(REFUSAL)
        return
    if fault == "slow":
        time.sleep(proxy.seconds)
    # One answer a connection.
    head, _, rest = request.partition(b"\r\n")
    request = b"\r\n".join([head, b"Connection: close", rest])
    with socket.create_connection(proxy.target, timeout=30) as server:
        server.sendall(request)
        sent = 0
        while block := server.recv(65536):
            if fault == "half":
                client.sendall(block[: len(block) // 2])
                return
            client.sendall(block)
            sent += len(block)


@contextmanager
def faulty_proxy(target: tuple[str, int]) -> Iterator[FaultyProxy]:
    """A proxy on a port of its own while the block lasts."""
    proxy = FaultyProxy(target)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                _serve(proxy, self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        proxy.address = f"127.0.0.1:{server.server_address[1]}"
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()
