"""Any service that apprise knows (Slack, Teams, PagerDuty, mailto, ...), by its URL: https://github.com/caronc/apprise/wiki."""

from __future__ import annotations

from apprise import Apprise, NotifyBase

from alerts.channels.base import ASSET, ChannelError, Notification

# They run programs or write to this machine instead of sending a message.
_REFUSED = {"syslog", "dbus", "kde", "qt", "glib", "gnome", "macosx", "windows", "rsyslog"}


def _instantiate(target: str) -> NotifyBase | None:
    return Apprise.instantiate(target, asset=ASSET)


def check_target(target: str) -> None:
    """Raises ValueError with a sentence for the person who typed it."""
    if target.partition("://")[0].lower() in _REFUSED:
        raise ValueError("This kind of Apprise URL acts on the server's own machine and is not offered.")
    if _instantiate(target) is None:
        raise ValueError("Apprise does not understand this URL; see the Apprise documentation for its form.")


def describe_target(target: str) -> str:
    """Return scheme and host. Apprise hides passwords and tokens, but not a path or a topic that serves as one."""
    plugin = _instantiate(target)
    if plugin is None:
        return target.partition("://")[0] + "://…"
    shown = str(plugin.url(privacy=True))  # type: ignore[no-untyped-call]  # apprise's plugins are only partly typed
    scheme, _, rest = shown.partition("?")[0].partition("://")
    host, _, path = rest.partition("/")
    if not any(mark in host for mark in ".*"):  # neither a host nor a token that is hidden: ntfy://topic
        return f"{scheme}://…"
    return f"{scheme}://{host}/" + ("…" if path.strip("/") else "")


def build_plugin(target: str, notification: Notification) -> NotifyBase:
    plugin = _instantiate(target)
    if plugin is None:
        raise ChannelError("Apprise does not understand this URL.", permanent=True)
    return plugin
