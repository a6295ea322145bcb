"""Messages by whatever Apprise knows (mail, Teams, Slack, MQTT, webhooks…), documents by HTTP.

Each is sent by a process of its own, which is ended when its time is up: a server that sends a
byte a second, or a library that waits for ever, holds up nobody else and leaves nothing behind.
"""

import json
import logging
import math
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from importlib.util import find_spec
from typing import IO, Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from pm_app.errors import BadSettings, PmAppError, SourceUnavailable, TransientError
from pm_app.wording import address_text, redacted

TIMEOUT_SECONDS: Final = 30.0
# What a server cannot take now it may take later; any other answer is about this one document.
_FIRST_SERVER_ERROR: Final = 500
_SAME_REQUEST_AGAIN: Final = (307, 308)
_PORTS: Final = {"http": 80, "https": 443}
_ERRORS: Final[dict[str, type[PmAppError]]] = {
    kind.__name__: kind for kind in (BadSettings, SourceUnavailable, TransientError)
}


@dataclass(frozen=True)
class Carrier:
    """Fulfils `pm_app.ports.Sender`.

    timeout_seconds: the longest that sending one message or document takes, all in all.
    """

    timeout_seconds: float = TIMEOUT_SECONDS

    def message(self, address: str, title: str, body: str) -> None:
        """By Apprise. Raises BadSettings for an address it does not know, SourceUnavailable."""
        if find_spec("apprise") is None:
            raise BadSettings("notifications need apprise: pip install 'pm-app[notify]'")
        self._send({"address": address, "title": title, "body": body})

    def document(self, address: str, content: str) -> None:
        """By an HTTP POST; taken is what is answered with 2xx.

        Raises TransientError for what the server refuses, SourceUnavailable where it gives no
        answer, or cannot take anything now.
        """
        self._send({"address": address, "content": content})

    def _send(self, order: dict[str, str]) -> None:
        to = address_text(order["address"])
        # Not by its arguments: every user of the machine sees those.
        given = json.dumps(order | {"seconds": self.timeout_seconds})
        try:
            ended = subprocess.run(
                [sys.executable, "-m", __name__],
                input=given,
                capture_output=True,
                text=True,
                timeout=self.timeout_seconds,
            )
            answer = json.loads(ended.stdout.rpartition("\n")[2])
        except subprocess.TimeoutExpired:
            seconds = f"{self.timeout_seconds:g} s"
            raise SourceUnavailable(f"{to} did not finish its answer within {seconds}") from None
        except (OSError, ValueError):
            raise SourceUnavailable(f"{to}: the process that sends came to no end") from None
        if answer["kind"]:
            raise _ERRORS[answer["kind"]](answer["words"])


def send_message(address: str, title: str, body: str) -> None:
    """By Apprise, in this process. Raises BadSettings, SourceUnavailable."""
    import apprise

    # It logs addresses, and with them their secrets.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    carrier = apprise.Apprise()
    if not carrier.add(address):
        shown = address_text(address)
        raise BadSettings(f"notifications.urls: Apprise knows no such address: {shown}")
    for server in carrier:
        # A message that was redirected arrives as a question without a body, and counts as taken.
        server.redirects = False
    if not carrier.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT):
        raise SourceUnavailable(f"{address_text(address)} did not take the message")


def post_document(address: str, content: str, *, timeout_seconds: float) -> None:
    """By an HTTP POST, in this process. Raises as `Carrier.document`."""
    to, parts = address_text(address), urlsplit(address)
    headers = {"Content-Type": "application/json", "User-Agent": "pm-app"}
    if parts.username is not None:
        keys = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {b64encode(keys.encode()).decode()}"
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        request = urllib.request.Request(bare, content.encode(), headers, method="POST")
        opener = urllib.request.build_opener(_SameHost)
        with opener.open(request, timeout=timeout_seconds):
            pass
    except urllib.error.HTTPError as error:
        error.close()
        kind = SourceUnavailable if error.code >= _FIRST_SERVER_ERROR else TransientError
        raise kind(f"{to} answered {error.code}{_whither(bare, error)}") from None
    except HTTPException as error:
        raise SourceUnavailable(f"{to} answered no HTTP ({type(error).__name__})") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise SourceUnavailable(f"{to}: {redacted(str(reason))}") from None


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects that ask for the same request at the same host; others are errors."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """None, which urllib takes for an error, where the request would be another one."""
        if code not in _SAME_REQUEST_AGAIN or _origin(newurl) != _origin(req.full_url):
            return None
        given = dict(req.headers)
        return urllib.request.Request(newurl, req.data, given, method=req.get_method())


def _origin(address: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _whither(address: str, error: urllib.error.HTTPError) -> str:
    """Where an answer sends us that is not followed, "" where it sends nowhere."""
    target = error.headers.get("Location") if error.code // 100 == 3 else None
    if target is None:
        return ""
    if "://" in target and urlsplit(target)[:2] != urlsplit(address)[:2]:
        return f", a redirect to {address_text(target)}: only its own host is followed"
    return ", a redirect that would lose the document: only 307 and 308 are followed"


def _main() -> None:
    """Send what stdin says, and say on stdout what became of it."""
    order: dict[str, Any] = json.loads(sys.stdin.read())
    seconds = order.pop("seconds")
    # Whoever started this process may be gone by then.
    signal.alarm(math.ceil(seconds) + 1)
    kind = words = ""
    try:
        if "content" in order:
            post_document(**order, timeout_seconds=seconds)
        else:
            send_message(**order)
    except PmAppError as error:
        kind, words = type(error).__name__, str(error)
    # A line of its own, whatever a library has printed before.
    sys.stdout.write("\n" + json.dumps({"kind": kind, "words": words}))


if __name__ == "__main__":
    _main()
