"""Messages by whatever Apprise knows (mail, Teams, Slack, MQTT, webhooks…), documents by HTTP."""

import logging
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from pm_app.errors import BadSettings, SourceUnavailable

TIMEOUT_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Carrier:
    """Fulfils `pm_app.ports.Sender`."""

    timeout_seconds: float = TIMEOUT_SECONDS

    def message(self, address: str, title: str, body: str) -> None:
        """By Apprise. Raises BadSettings for an address it does not know, SourceUnavailable."""
        notifier = _apprise()
        # It logs addresses, and with them their secrets.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        carrier = notifier.Apprise()
        if not carrier.add(address):
            raise BadSettings(
                f"notifications.urls: Apprise knows no such address: {shown(address)}"
            )
        if not carrier.notify(title=title, body=body, body_format=notifier.NotifyFormat.TEXT):
            raise SourceUnavailable(f"{shown(address)} did not take the message")

    def document(self, address: str, content: str) -> None:
        """By an HTTP POST. Raises SourceUnavailable."""
        request = urllib.request.Request(  # only http and https pass the settings
            address,
            data=content.encode(),
            headers={"Content-Type": "application/json", "User-Agent": "pm-app"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_seconds):
                pass
        except urllib.error.HTTPError as error:
            raise SourceUnavailable(f"{shown(address)} answered {error.code}") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise SourceUnavailable(f"{shown(address)}: {reason}") from None


def shown(address: str) -> str:
    """An address without what may be secret: its kind and its host."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return "an address that cannot be read"
    # What stands for the host of Slack, Teams and the like is a token.
    is_host = "." in host or host == "localhost"
    return f"{parts.scheme}://{host if is_host else '…'}"


def _apprise() -> Any:
    try:
        import apprise
    except ImportError as error:
        raise BadSettings("notifications need apprise: pip install 'pm-app[notify]'") from error
    return apprise
