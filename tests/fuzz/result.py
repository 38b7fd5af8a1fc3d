"""What a fuzz run found and its figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutations import Body
from tracestore.model import Signal

_ANSWERS = {200, 400, 413, 415}
_KEPT_FAILURES = 20


@dataclass
class Result:
    """What came of it. `failures` say what must not be; all else are figures."""

    bodies: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    guards: dict[Signal, set[bytes]] = field(default_factory=lambda: {signal: set() for signal in Signal})
    dead_letters: Counter[str] = field(default_factory=Counter)
    spans: int = 0
    guard_count: int = 0
    failures: list[str] = field(default_factory=list)
    failure_count: int = 0

    def add(self, body: Body, status: int, detail: str, folder: Path) -> None:
        """Note one answer; keep the body in `folder` when it is not as it must be."""
        self.bodies += 1
        self.answers[f"{body.mutation} {status}"] += 1
        if status in _ANSWERS and (status == 200 or not body.guards):
            if status == 200:
                self.guards[body.signal].update(body.guards)
            return
        path = folder / f"failure-{self.failure_count}.body"
        if self.failure_count < _KEPT_FAILURES:
            path.write_bytes(body.content)
        self.fail(f"{body.mutation} ({body.signal}, {body.content_type}, {body.encoding}): {status} {detail}; body in {path}")

    def fail(self, sentence: str) -> None:
        self.failure_count += 1
        if len(self.failures) < _KEPT_FAILURES:
            self.failures.append(sentence)

    def describe(self, seconds: float) -> str:
        """Return the figures as lines of text."""
        lines = [f"{self.bodies:,} bodies in {seconds:,.0f} s, {self.guard_count:,} guards, {self.spans:,} spans acknowledged"]
        lines += [f"  {count:9,}  {answer}" for answer, count in sorted(self.answers.items())]
        lines += [f"  {count:9,}  dead letters: {reason}" for reason, count in self.dead_letters.most_common(20)]
        lines += [f"FAILED: {failure}" for failure in self.failures]
        return "\n".join([*lines, f"{self.failure_count} failures"])

    def join(self, other: Result) -> None:
        self.bodies += other.bodies
        self.answers += other.answers
        self.dead_letters += other.dead_letters
        self.spans += other.spans
        self.guard_count += other.guard_count
        self.failures += other.failures
        self.failure_count += other.failure_count
