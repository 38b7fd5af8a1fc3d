"""Spans with secrets in them, and policies that know these."""

from __future__ import annotations

import json
import os

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.ingest.conftest import build_span
from tracestore.privacy.masking import build_masker
from tracestore.privacy.policy import Policy

SECRET = "jane.secretive@example.com"
TOKEN = "sk-proj-abcdefghijklmnopqrstuvwxyz123456"


def text(value: str) -> AnyValue:
    return AnyValue(string_value=value)


def policy(*presets: str, content: bool = True, errors: bool = True, hash_key: bytes = b"") -> Policy:
    return Policy(build_masker(presets, (), hash_key=hash_key), content, errors)


def build_full_span(secret: str) -> Span:
    """Return a span with the secret in every text that a span has."""
    nested = AnyValue(
        kvlist_value=KeyValueList(
            values=[KeyValue(key="deep", value=AnyValue(array_value=ArrayValue(values=[text(f"a {secret} b")])))]
        )
    )
    span = build_span(name=f"mail {secret}", trace_state=f"v={secret}")
    span.status.code, span.status.message = Status.STATUS_CODE_ERROR, f"no route to {secret}"
    span.attributes.extend(
        [
            KeyValue(key="plain", value=text(f"{secret},{secret}")),
            KeyValue(key="json", value=text(json.dumps({"to": f"x\n{secret}", "inner": json.dumps({"a": f"\n{secret}"})}))),
            KeyValue(key="nested", value=nested),
            KeyValue(key="raw", value=AnyValue(bytes_value=b"\xff " + secret.encode())),
            KeyValue(key="user.id", value=text(secret)),
        ]
    )
    span.events.add(name=f"sent to {secret}").attributes.extend([KeyValue(key="body", value=nested)])
    span.links.add(trace_id=os.urandom(16), span_id=os.urandom(8), trace_state=f"v={secret}").attributes.extend(
        [KeyValue(key="why", value=text(secret))]
    )
    return span
