"""E-mail through the instance's mail server (TRACESTORE_SMTP_URL), as text and HTML. The target is addresses, comma separated."""

from __future__ import annotations

import contextlib
import logging
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from alerts.channels.base import ChannelError, no_answer, wait_s
from alerts.messages.notification import Notification
from alerts.messages.rendering.html import render_html
from alerts.messages.rendering.text import render_text

if TYPE_CHECKING:
    from alerts.models import NotificationChannel

logger = logging.getLogger(__name__)

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


def send(channel: NotificationChannel, notification: Notification) -> None:
    """Raises ChannelError. One SMTP transaction for all addresses, so that a retry cannot reach half of them twice."""
    if not settings.SMTP_URL:
        raise ChannelError(NO_SERVER, permanent=True)
    server = urlsplit(settings.SMTP_URL)
    message = build_mail(notification, _sender(server), _addresses(channel.target))
    try:
        smtp = _connect(server)
        try:
            refused = smtp.send_message(message)
            _part(smtp)
        finally:
            smtp.close()
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        raise _refusal(code, said) from None
    except smtplib.SMTPResponseException as error:
        raise _refusal(error.smtp_code, error.smtp_error) from None
    except TimeoutError:
        raise no_answer() from None
    except OSError as error:  # smtplib's own errors are among them
        reason = error.strerror or str(error) or type(error).__name__
        raise ChannelError(f"The mail server cannot be reached: {reason[:300]}.", permanent=False, silent=True) from None
    for address, (code, said) in refused.items():  # the others have it: to send it again would be a second time for them
        logger.warning("the mail server refused %s of channel %s: %s", address, channel.name, _refusal(code, said))


def _part(smtp: smtplib.SMTP) -> None:
    """Say farewell. The message is taken: whatever a server answers now, or how slowly, must not make it look otherwise."""
    with contextlib.suppress(OSError):  # smtplib's own errors are among them
        if smtp.sock:
            smtp.sock.settimeout(1)
        smtp.quit()


def build_mail(notification: Notification, sender: str, recipients: list[str]) -> EmailMessage:
    """Return the mail: text and HTML as alternatives, the pictures as parts of the HTML. The first recipient is To, others Cc."""
    message = EmailMessage()
    message["Subject"] = notification.title
    message["From"] = formataddr(("Tracestore", sender))
    message["To"] = recipients[0]
    if recipients[1:]:
        message["Cc"] = ", ".join(recipients[1:])
    message["Date"] = formatdate()
    domain = sender.rpartition("@")[2]
    message["Message-ID"] = make_msgid(domain=domain)
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic answers, please
    if notification.key:  # mail programs show the messages of one alert as one conversation
        message["References"] = f"<{notification.key}@{domain}>"
    message.set_content(render_text(notification))
    ids = [make_msgid(domain=domain) for _ in notification.pictures]
    message.add_alternative(render_html(notification, [text.strip("<>") for text in ids]), subtype="html")
    html = message.get_payload()[1]  # type: ignore[index]  # a list since the alternative was added
    for picture, content_id in zip(notification.pictures, ids, strict=True):
        html.add_related(picture.png, "image", "png", cid=content_id)  # type: ignore[union-attr]
    return message


def _connect(server: SplitResult) -> smtplib.SMTP:
    """smtps:// is TLS from the first byte; smtp:// is plain, or STARTTLS with `?tls=starttls`."""
    host, context = server.hostname or "localhost", ssl.create_default_context()
    smtp: smtplib.SMTP
    if server.scheme == "smtps":
        smtp = smtplib.SMTP_SSL(host, server.port or 465, timeout=wait_s(), context=context)
    else:
        starttls = parse_qs(server.query).get("tls") == ["starttls"]
        smtp = smtplib.SMTP(host, server.port or (587 if starttls else 25), timeout=wait_s())
    try:
        if server.scheme == "smtp" and starttls:
            smtp.starttls(context=context)
        if server.username:
            smtp.login(unquote(server.username), unquote(server.password or ""))
    except BaseException:
        smtp.close()
        raise
    return smtp


def _refusal(code: int, said: bytes | str) -> ChannelError:
    """5xx is permanent, RFC 5321 section 4.2.1."""
    text = " ".join((said.decode(errors="replace") if isinstance(said, bytes) else said).split())
    return ChannelError(f"The mail server answered {code}: {text[:300].rstrip('.')}.", permanent=500 <= code < 600)


def _sender(server: SplitResult) -> str:
    candidates = [*parse_qs(server.query).get("from", []), unquote(server.username or ""), f"tracestore@{server.hostname}"]
    return next((address for address in candidates if _is_address(address)), "tracestore@localhost")


def _is_address(text: str) -> bool:
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True
