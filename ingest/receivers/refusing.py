"""Requests that are not accepted, whatever protocol brought them: what the sender is told, and that it is counted."""

from __future__ import annotations

import random
from dataclasses import dataclass

from django.conf import settings
from google.rpc.error_details_pb2 import BadRequest
from google.rpc.status_pb2 import Status

from tracestore.intake.refusals import refusals
from tracestore.keys import DEFAULT_PROJECT_ID, extract_key, recall_key
from tracestore.projects import recall_project_id


@dataclass
class Refused(Exception):
    """A request that is not accepted. `status` is HTTP's; the message is for the sender."""

    status: int
    message: str


def too_large() -> Refused:
    return Refused(
        413,
        f"The body is larger than {settings.MAX_BODY_BYTES} bytes, as sent or inflated, or holds too many small values. "
        "Send smaller batches.",
    )


def no_memory() -> Refused:
    return Refused(503, "The server is busy with other large requests.")


def note_refusal(refused: Refused, headers: dict[str, str], request_line: str, slug: str = "") -> None:
    """Count it for the data quality page: except after 503 an exporter drops what it sent, and few of them say so.

    It counts for the project of the key, or where none is demanded for that of the address (`slug`), else for the default one.
    """
    project_id, key_name = recall_key(extract_key(headers))
    if project_id is None and not settings.KEY_REQUIRED:
        project_id = recall_project_id(slug)
    refusals.note(
        f"http_{refused.status}",
        project_id=project_id or DEFAULT_PROJECT_ID,
        ingest_key=key_name,
        sdk=headers.get("user-agent", ""),
        sample=f"{request_line}: {refused.message}",
    )


def choose_retry_delay_s() -> int:
    """SDKs give a whole export 10 s and drop it when asked to wait longer; the spread keeps them from coming back together."""
    return random.choice((1, 2))


def build_status(refused: Refused, code: int) -> Status:
    """Return the google.rpc.Status of a refusal; `code` is of google.rpc.Code, of which HTTP and gRPC say different ones."""
    status = Status(code=code, message=refused.message)
    if refused.status == 400:
        violation = BadRequest.FieldViolation(field="body", description=refused.message)
        status.details.add().Pack(BadRequest(field_violations=[violation]))
    return status
