"""A dead-man's switch: every minute a request to an outside monitor, as long as this process does its work.

A monitor that calls when no request came says what an instance cannot say itself: that it is down, cut off, or goes on without
doing anything. One process beats for the roles that it has; of several each may have a URL of its own.
"""

from __future__ import annotations

import logging
import threading

import requests
from django.db import connections

from tracestore.process import telemetry
from tracestore.process.health import find_reasons

logger = logging.getLogger(__name__)

INTERVAL_S = 60.0
_TIMEOUT_S = 10


class Heartbeat:
    """Beats on a thread of its own, at once and then every `interval_s`, until it is stopped."""

    def __init__(self, url: str, interval_s: float = INTERVAL_S) -> None:
        self._url, self._interval_s = url, interval_s
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            result = beat(self._url)
            connections.close_all()  # the next beat must not find one that broke meanwhile
            telemetry.HEARTBEATS.labels(result).inc()
            if result == "sent":
                telemetry.HEARTBEAT_SENT.set_to_current_time()
            self._stopped.wait(self._interval_s)


def beat(url: str) -> str:
    """Send one heartbeat if all is well. Return sent, withheld (something is wrong here) or failed (the monitor took it not)."""
    try:
        if reasons := find_reasons():
            said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            logger.warning("no heartbeat is sent: %s", said)
            return "withheld"
        with requests.get(
            url, timeout=_TIMEOUT_S, allow_redirects=False, stream=True, headers={"User-Agent": "Tracestore"}
        ) as answer:
            if 200 <= answer.status_code < 300:
                return "sent"
            logger.warning("the monitor answered the heartbeat with %s", answer.status_code)
    except requests.RequestException as error:
        logger.warning("the heartbeat could not be sent: %s", type(error).__name__)  # its text holds the URL, a secret
    except Exception:  # the edge of a thread: a check that breaks is no reason to be silent for ever
        logger.exception("the heartbeat broke")
    return "failed"
