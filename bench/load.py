"""The load generator: a process of its own that sends pre-encoded requests over keep-alive connections."""

from __future__ import annotations

import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from bench.bodies import DISTINCT_BODIES, SPANS_A_REQUEST, Template, build_body

_PAUSE_AFTER_503_S = 0.1


@dataclass(frozen=True)
class Load:
    """What to send: until either `seconds` or `spans` are over; `spans_a_second` 0 is as fast as answers come."""

    url: str
    connections: int
    seconds: float
    spans: int
    spans_a_second: float
    first_number: int  # ids are made from the request's number: loads on one server start where the last one ended


@dataclass(frozen=True)
class Answers:
    """Seconds from the first byte of each request to the end of its answer, by what the answer was; `took_s` for all."""

    acknowledged_s: list[float]
    refused: int
    took_s: float

    @property
    def spans(self) -> int:
        return len(self.acknowledged_s) * SPANS_A_REQUEST

    def percentile_ms(self, percent: float) -> float:
        times = sorted(self.acknowledged_s)
        return round(times[min(int(len(times) * percent / 100), len(times) - 1)] * 1000, 1) if times else 0.0


def _read_answer(connection: socket.socket) -> int:
    answer = b""
    while b"\r\n\r\n" not in answer:
        part = connection.recv(65536)
        if not part:
            raise ConnectionError("the server closed the connection")
        answer += part
    head, _, rest = answer.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
    while len(rest) < length:
        rest += connection.recv(65536)
    return int(head.split(b" ", 2)[1])


class _Pace:
    """Hands out request numbers, each not before its time, until the load is over. Shared by the connections."""

    def __init__(self, load: Load) -> None:
        self._load, self._lock, self._count = load, threading.Lock(), 0
        self._start = time.monotonic()

    def numbers(self) -> Iterator[int]:
        while True:
            with self._lock:
                count = self._count
                self._count += 1
            if count * SPANS_A_REQUEST >= self._load.spans or time.monotonic() - self._start > self._load.seconds:
                return
            if self._load.spans_a_second:
                due = self._start + count * SPANS_A_REQUEST / self._load.spans_a_second
                time.sleep(max(0.0, due - time.monotonic()))
            yield self._load.first_number + count


def _send(pace: _Pace, load: Load, bodies: list[bytes], acknowledged: list[float], refused: list[int]) -> None:
    parts = urlsplit(load.url)
    templates = [Template(parts.netloc, "/v1/traces", body) for body in bodies]
    with socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 4318)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in pace.numbers():
            template = templates[number % len(templates)]
            template.renew(number)
            started = time.monotonic()
            connection.sendall(template.data.data)
            status = _read_answer(connection)
            if status == 200:
                acknowledged.append(time.monotonic() - started)
            else:
                refused.append(status)
                time.sleep(_PAUSE_AFTER_503_S)


def _run_loads(loads: Any, results: Any) -> None:
    bodies = [build_body(seed) for seed in range(DISTINCT_BODIES)]
    results.put(None)
    while (load := loads.get()) is not None:
        share = max(1, DISTINCT_BODIES // load.connections)
        acknowledged: list[float] = []
        refused: list[int] = []
        pace, started = _Pace(load), time.monotonic()
        threads = [
            threading.Thread(
                target=_send, args=(pace, load, bodies[index * share :][:share] or bodies[:1], acknowledged, refused)
            )
            for index in range(load.connections)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        results.put(Answers(acknowledged, len(refused), time.monotonic() - started))


class Generator:
    """The process; `start` sends a load and `wait` returns its answers."""

    def __init__(self, loads: Any, results: Any) -> None:
        self._loads, self._results = loads, results

    def start(self, load: Load) -> None:
        self._loads.put(load)

    def wait(self, timeout_s: float) -> Answers:
        answers: Answers = self._results.get(timeout=timeout_s)
        return answers


@contextmanager
def generator() -> Iterator[Generator]:
    """Start the process, and wait until its bodies are encoded."""
    context = multiprocessing.get_context("spawn")
    loads, results = context.Queue(), context.Queue()
    process = context.Process(target=_run_loads, args=(loads, results))
    process.start()
    try:
        results.get(timeout=120)
        yield Generator(loads, results)
    finally:
        loads.put(None)
        process.join(10)
        if process.is_alive():
            process.kill()
