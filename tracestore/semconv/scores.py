"""Results of evaluations: how spans, their events and log records tell them."""

from __future__ import annotations

import hashlib

# The result of an evaluation: a log record or an event of a span, with gen_ai.evaluation.name, .score.value, .score.label and
# .explanation (OpenTelemetry's GenAI events). A later result with the same id takes the place of an earlier one.
EVALUATION_EVENT = "gen_ai.evaluation.result"
SCORE_IDS = ("tracestore.score.id", "openlit.score.idempotency_key")
SCORE_ANNOTATOR = "tracestore.score.annotator"
# "true" on a result that takes the one with its id away.
SCORE_WITHDRAWN = "tracestore.score.withdrawn"
# The name of what people say about a run on its page: a value above 0 is good, another one bad, and without a value it is a note.
REVIEW = "review"
# What names a result without an id has so many hex digits.
SCORE_ID_DIGITS = 32
# OpenInference: annotations.0.annotation.score, trace.evaluations.2.evaluation.label. Nine digits bound what a sender may write.
ANNOTATION_FIELD = (
    r"^((?:(?:trace|session)\.)?(?:annotations\.[0-9]{1,9}\.annotation|evaluations\.[0-9]{1,9}\.evaluation)\.)"
    r"(?:name|score|label|explanation|annotator_kind|identifier)$"
)
# Each such name holds one of these.
ANNOTATION_MARKS = (".annotation.", ".evaluation.")
# Logfire: a span below the one that it judges, of a scope whose name ends so; the attribute of that name holds the value.
FEEDBACK_SCOPE, FEEDBACK_NAME, FEEDBACK_COMMENT = "feedback", "logfire.feedback.name", "logfire.feedback.comment"


def derive_score_id(*parts: str) -> str:
    """Return what names an evaluation result that has no id of its own, from what it is about and where it stands."""
    return hashlib.sha256("\x1f".join(parts).encode(errors="surrogatepass")).hexdigest()[:SCORE_ID_DIGITS]
