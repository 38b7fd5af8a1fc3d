"""What exporters send and are answered over HTTP, as tests need it."""

from __future__ import annotations

import json

from google.rpc.status_pb2 import Status

from tests.ingest.conftest import JSON

JSON_HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
JSON_SPAN = {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "name": "chat"}


def json_body(*spans: object) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}).encode()


def read_status(answer_body: bytes, content_type: str) -> tuple[int, str]:
    if content_type == JSON:
        document = json.loads(answer_body)
        return document["code"], document["message"]
    status = Status.FromString(answer_body)
    return status.code, status.message
