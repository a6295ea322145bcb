"""Words to systemd, or whoever started the daemon and listens on $NOTIFY_SOCKET (sd_notify(3))."""

import contextlib
import os
import socket

VARIABLE = "NOTIFY_SOCKET"


def tell_supervisor(*lines: str) -> None:
    """Send lines such as "READY=1"; nothing happens where nobody listens."""
    address = os.environ.get(VARIABLE, "")
    if address[:1] not in ("/", "@"):
        return
    # "@" stands for the zero byte that abstract names begin with.
    name = "\0" + address[1:] if address[0] == "@" else address
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel,
    ):
        channel.sendto("\n".join(lines).encode(), name)
