"""What people say about a run on its page: a verdict, a note.

Each is a score of the name REVIEW, sent to the API as any other, so that metrics, alerts and lists of scores have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracestore.clickhouse.client import get_store
from tracestore.language import format_filter
from tracestore.model import Score, TraceSummary
from tracestore.queries.scores import find_scores
from tracestore.semconv.scores import REVIEW
from tracestore.timerange import DAY_NS, MAX_NS, TimeRange

_MOST_SHOWN = 20


@dataclass(frozen=True)
class Review:
    """A review with its verdict, "good", "bad" or "" for a note alone; `is_own` when the reader may withdraw it here."""

    score: Score
    verdict: str
    is_own: bool

    @property
    def query(self) -> str:
        """What finds the traces with this verdict."""
        return format_filter(f"score.{REVIEW}", self.verdict or "note")


def find_reviews(project_id: int, summary: TraceSummary, reader: str) -> list[Review]:
    """Return the newest reviews of a trace and its steps, oldest first. `reader` is the name of who looks, "" without a login:
    what nobody signed is everybody's. Raises StoreError.
    """
    found = find_scores(
        get_store(), project_id=project_id, time_range=TimeRange(max(0, summary.start_ns - DAY_NS), MAX_NS),
        trace_id=summary.trace_id, name=REVIEW, limit=_MOST_SHOWN,
    )  # fmt: skip
    return build_reviews(found.items, reader)


def build_reviews(scores: Sequence[Score], reader: str) -> list[Review]:
    """Turn scores, newest first, into reviews, oldest first."""
    return [Review(score, find_verdict(score), score.annotator in ("", reader)) for score in reversed(scores)]


def find_verdict(score: Score) -> str:
    """Return what a review says: "good", "bad", or "" for a note alone; "" for what is no review."""
    return "" if score.name != REVIEW or score.value is None else "good" if score.value > 0 else "bad"
