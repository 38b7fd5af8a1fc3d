"""Plain-text e-mail through the instance's mail server (TRACESTORE_SMTP_URL). The target is addresses, comma separated."""

from __future__ import annotations

from urllib.parse import parse_qs, unquote, urlsplit

from apprise import NotifyBase
from apprise.plugins.email import NotifyEmail
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from alerts.channels.base import ASSET, ChannelError, Notification

NO_SERVER = "This instance has no mail server: set TRACESTORE_SMTP_URL, or use an Apprise URL (mailtos://…) instead."


def _addresses(target: str) -> list[str]:
    return [address.strip() for address in target.split(",") if address.strip()]


def check_target(target: str) -> None:
    """Raises ValueError with a sentence for the person who typed it."""
    addresses = _addresses(target)
    if not addresses:
        raise ValueError("Give at least one e-mail address.")
    for address in addresses:
        if not _is_address(address):
            raise ValueError(f"{address!r} is not an e-mail address.")
    if not settings.SMTP_URL:
        raise ValueError(NO_SERVER)


def describe_target(target: str) -> str:
    return ", ".join(_addresses(target))


def build_plugin(target: str, notification: Notification) -> NotifyBase:
    """smtps:// is TLS from the first byte; smtp:// is plain, or STARTTLS with `?tls=starttls`. `?from=` is the sender."""
    if not settings.SMTP_URL:
        raise ChannelError(NO_SERVER, permanent=True)
    parts = urlsplit(settings.SMTP_URL)
    options = parse_qs(parts.query)
    host = parts.hostname or "localhost"
    mode = "ssl" if parts.scheme == "smtps" else options.get("tls", ["insecure"])[0]
    # The first address is To and the others Cc: one SMTP transaction, so that a retry cannot reach half of them twice.
    first, *others = _addresses(target)
    return NotifyEmail(  # type: ignore[no-untyped-call]  # apprise's plugins are only partly typed
        smtp_host=host,
        host=host,
        port=parts.port,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        secure_mode=mode,
        from_addr=f"Tracestore <{_sender(options, parts.username, host)}>",
        targets=[first],
        cc=others,
        asset=ASSET,
    )


def _sender(options: dict[str, list[str]], username: str | None, host: str) -> str:
    candidates = [*options.get("from", []), unquote(username or ""), f"tracestore@{host}"]
    return next((address for address in candidates if _is_address(address)), "tracestore@localhost")


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True
