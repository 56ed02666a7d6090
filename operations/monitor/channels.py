"""Channels of alerts: `[alerts] urls` of apprise ─▶ Slack, mail, Teams, PagerDuty, any webhook."""

import logging
from collections.abc import Mapping
from typing import Any

import apprise
import dlt

from ledger.errors import SettingsError

TITLE = "Customer health warehouse"
KINDS = {
    "problem": apprise.NotifyType.FAILURE,
    "flapping": apprise.NotifyType.WARNING,
    "recovery": apprise.NotifyType.SUCCESS,
}


def configured_channels() -> dict[str, str]:
    """Addresses by a name without secrets, such as `slack-1`.

    Raises:
        SettingsError: an address is none that apprise knows.
    """
    given: Any = dlt.secrets.get("alerts.urls")
    urls: list[str] = given.split() if isinstance(given, str) else list(given or [])
    found = {}
    for number, url in enumerate(urls, 1):
        scheme = str(url).partition("://")[0]
        if not apprise.Apprise().add(url):
            raise SettingsError(
                f"alerts: address number {number} (scheme {scheme!r}) is none that apprise knows; "
                "see https://github.com/caronc/apprise/wiki for [alerts] urls"
            )
        found[f"{scheme}-{number}"] = str(url)
    return found


def send(url: str, kind: str, message: str) -> str | None:
    """Send a message; gives what went wrong, or None. Never raises."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL)
    channel = apprise.Apprise()
    try:
        if not channel.add(url):
            return "the address is none that apprise knows"
        if channel.notify(body=message, title=TITLE, notify_type=KINDS[kind]):
            return None
    except Exception as error:
        # Whatever a channel's plugin does, it must not reach the cycle.
        return f"{type(error).__name__}"
    return "the channel did not take it"


def deliver(channels: Mapping[str, str], channel: str, kind: str, message: str) -> str | None:
    """Send by the channel's name."""
    url = channels.get(channel)
    return "the channel is no longer configured" if url is None else send(url, kind, message)
