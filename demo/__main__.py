"""`python -m demo`: send the invented week to the instance that the environment's settings describe."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from typing import TextIO

from demo import story
from demo.progress import Progress
from demo.send import Sender, SendError
from demo.week import generate_week

_BATCH_SPANS = 512  # what SDKs send at most in one request, by default
WHAT_TO_SEE = "/traces?q=status:error+version:v3+tool:refund&start=now-7d"


def send_week(sender: Sender, *, trace_count: int, seed: int, now_ns: int, output: TextIO) -> int:
    """Send the week and return the number of spans. Raises SendError."""
    progress = Progress(trace_count, "traces", output)
    span_count = batch_spans = 0
    batch = []
    for done, turn in enumerate(generate_week(trace_count, seed=seed, now_ns=now_ns), start=1):
        batch += turn.resource_spans
        batch_spans += turn.span_count
        if batch_spans >= _BATCH_SPANS or done == trace_count:
            sender.send(batch)
            span_count += batch_spans
            batch, batch_spans = [], 0
            progress.show(done)
    progress.finish()
    return span_count


def _whole_number(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 1000000")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Send an invented support agent's week to the Tracestore that the same settings started.",
    )
    parser.add_argument("--traces", type=_whole_number, default=3000, help="how many traces (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed tells the same story (default: %(default)s)")
    arguments = parser.parse_args()

    from tracestore import settings  # here, because it refuses a bad environment by an exception

    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.HOST, settings.HOST)
    now_ns, started = time.time_ns(), time.monotonic()
    with Sender(host, settings.OTLP_HTTP_PORT, settings.API_KEY, settings.ADMIN_PASSWORD) as sender:
        span_count = send_week(sender, trace_count=arguments.traces, seed=arguments.seed, now_ns=now_ns, output=sys.stdout)
    newest = story.VERSIONS[-1]
    deployed = datetime.fromtimestamp(now_ns / 1e9 - newest.age_days * story.DAY_S, UTC)
    print(f"Sent {arguments.traces:,} traces with {span_count:,} spans in {time.monotonic() - started:.0f} s.")
    print(f"{newest.name} went live on {deployed:%A at %H:%M} UTC, and refunds began to fail. Open")
    print(f"  {settings.BASE_URL}{WHAT_TO_SEE}")


if __name__ == "__main__":
    from django.core.exceptions import ImproperlyConfigured

    try:
        main()
    except (SendError, ImproperlyConfigured) as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit("demo: stopped; what was sent so far stays.")
