"""Real receivers on loopback: what a webhook's owner and a mail server see."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as default_policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.db import connection

from tests.live import free_port


@dataclass
class WebhookReceiver:
    """`statuses` are the answers to come, then 204 for ever, each with the body `answer`.

    `before_answer` is called for each. `bodies` are the JSON received, `raw_bodies` the same as bytes, `paths` where to.
    """

    url: str
    statuses: list[int] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw_bodies: list[bytes] = field(default_factory=list)
    answer: bytes = b""
    before_answer: Callable[[], None] = lambda: None
    delay_s: float = 0


@contextlib.contextmanager
def lock_database_while_answering(hook: WebhookReceiver) -> Iterator[None]:
    """Have the relational database locked for a second when a message is accepted; who writes to it then does not wait."""
    with contextlib.closing(
        sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, check_same_thread=False)
    ) as lock:

        def lock_for_a_while() -> None:
            lock.execute("BEGIN IMMEDIATE")
            threading.Timer(1, lock.rollback).start()

        hook.before_answer = lock_for_a_while
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 20")
        yield


@contextlib.contextmanager
def receive_webhooks(*statuses: int) -> Iterator[WebhookReceiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            receiver.paths.append(self.path)
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
            self.end_headers()

        def do_POST(self) -> None:
            receiver.paths.append(self.path)
            receiver.headers.append(dict(self.headers))
            receiver.raw_bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.bodies.append(json.loads(receiver.raw_bodies[-1]))
            time.sleep(receiver.delay_s)
            receiver.before_answer()
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 204)
            self.send_header("Content-Length", str(len(receiver.answer)))
            self.end_headers()
            self.wfile.write(receiver.answer)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = WebhookReceiver(f"http://127.0.0.1:{server.server_port}/hook", list(statuses))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class MailServer:
    """`refusals` are SMTP answers to the messages to come, then 250 for ever; `farewell` is that to QUIT."""

    url: str
    refusals: list[str] = field(default_factory=list)
    farewell: str = "221 bye"
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)


@contextlib.contextmanager
def receive_mail(*refusals: str) -> Iterator[MailServer]:
    class Handler:
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            if mail.refusals:
                return mail.refusals.pop(0)
            assert isinstance(envelope.content, bytes)
            message = message_from_bytes(envelope.content, policy=default_policy)
            assert isinstance(message, EmailMessage)
            mail.messages.append(message)
            mail.recipients.append(list(envelope.rcpt_tos))
            return "250 accepted"

        async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            return mail.farewell

    port = free_port()
    mail = MailServer(f"smtp://127.0.0.1:{port}?from=alerts@example.com", list(refusals))
    controller = Controller(Handler(), hostname="127.0.0.1", port=port, ready_timeout=90)
    controller.start()
    try:
        yield mail
    finally:
        controller.stop()
