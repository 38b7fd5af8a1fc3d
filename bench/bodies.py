"""Pre-encoded OTLP requests like those of a busy support agent: 512 spans of about 1.7 KB, many traces at once.

What makes them realistic, because it decides how they compress and how they are joined to traces again: each model call repeats
the system prompt and the conversation so far, words follow Zipf's law, spans of sixteen running traces interleave, and a child
ends (and so arrives) before its parent.
"""

from __future__ import annotations

import json
import random
import time
from itertools import accumulate

import numpy
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

SPANS_A_REQUEST = 512
DISTINCT_BODIES = 32
_SPANS_A_TRACE = 8
_TRACES_AT_ONCE = 16
# Every id starts with these four bytes, which the sender replaces by a counter: no two requests share an id.
_MARK = b"\xfe\xed\xfa\xce"
_VOCABULARY = 3000
_SYLLABLES = (
    "re",
    "fun",
    "d",
    "or",
    "der",
    "ship",
    "ment",
    "pol",
    "i",
    "cy",
    "cus",
    "tom",
    "er",
    "pay",
    "late",
    "in",
    "voice",
    "ac",
    "count",
)


def _build_words() -> list[str]:
    chance = random.Random(0)
    return ["".join(chance.choices(_SYLLABLES, k=chance.randrange(1, 4))) for _ in range(_VOCABULARY)]


_WORDS = _build_words()
_WEIGHTS = list(accumulate(1 / rank for rank in range(1, _VOCABULARY + 1)))


def build_text(chance: random.Random, words: int) -> str:
    """Return words of six bytes on average, frequent and rare ones as in prose."""
    return " ".join(chance.choices(_WORDS, cum_weights=_WEIGHTS, k=words))


_SYSTEM_PROMPTS = [build_text(random.Random(seed), 60) for seed in range(3)]


def _message(role: str, content: str) -> dict[str, object]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


class _Turn:
    """One trace: an agent's run that asks the model, calls tools, and asks again with everything said so far."""

    def __init__(self, chance: random.Random, end_ns: int) -> None:
        self._chance, self._end_ns = chance, end_ns
        self._trace_id = _MARK + chance.randbytes(12)
        self._ids = [_MARK + chance.randbytes(4) for _ in range(_SPANS_A_TRACE)]
        self._agent = chance.randrange(len(_SYSTEM_PROMPTS))
        self._common: dict[str, str | int] = {
            "session.id": f"session-{chance.randrange(10**6)}",
            "user.id": f"user-{chance.randrange(10**5)}",
        }
        self._messages = [_message("system", _SYSTEM_PROMPTS[self._agent]), _message("user", build_text(chance, 40))]

    def build_spans(self) -> list[Span]:
        """Return the spans in the order in which they end: the root last."""
        steps = [self._span(step) for step in range(1, _SPANS_A_TRACE)]
        return [*steps, self._span(0)]

    def _span(self, step: int) -> Span:
        kind = "agent" if not step else "model" if step % 2 else "tool"
        name = {"agent": "invoke_agent support", "model": "chat gpt-4o-mini", "tool": "execute_tool"}[kind]
        start_ns = self._end_ns + step * 10**8
        span = Span(
            trace_id=self._trace_id, span_id=self._ids[step], parent_span_id=self._ids[0] if step else b"", name=name,
            kind=Span.SPAN_KIND_INTERNAL, start_time_unix_nano=start_ns,
            end_time_unix_nano=start_ns + (self._chance.randrange(10**7, 10**8) if step else 9 * 10**8),
        )  # fmt: skip
        for key, value in (self._common | getattr(self, f"_{kind}_attributes")()).items():
            attribute = span.attributes.add(key=key)
            if isinstance(value, int):
                attribute.value.int_value = value
            else:
                attribute.value.string_value = value
        if step and self._chance.random() < 0.03:
            span.status.code, span.status.message = Status.STATUS_CODE_ERROR, "TimeoutError: the order service did not answer"
        return span

    def _agent_attributes(self) -> dict[str, str | int]:
        return {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": f"support-{self._agent}",
            "gen_ai.input.messages": json.dumps(self._messages[1:2]),
            "gen_ai.output.messages": json.dumps(self._messages[-1:]),
        }

    def _model_attributes(self) -> dict[str, str | int]:
        chance, asked = self._chance, json.dumps(self._messages)
        answer = _message("assistant", build_text(chance, 25))
        self._messages.append(answer)
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
            "gen_ai.response.id": f"chatcmpl-{chance.randrange(10**12)}",
            "gen_ai.usage.input_tokens": chance.randrange(200, 4000),
            "gen_ai.usage.output_tokens": chance.randrange(10, 800),
            "gen_ai.request.temperature": "0.2",
            "gen_ai.input.messages": asked,
            "gen_ai.output.messages": json.dumps([answer]),
        }

    def _tool_attributes(self) -> dict[str, str | int]:
        chance, result = self._chance, build_text(self._chance, 60)
        self._messages.append(_message("tool", result))
        return {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": chance.choice(("lookup_order", "refund", "search_policy")),
            "gen_ai.tool.call.id": f"call_{chance.randrange(10**9)}",
            "gen_ai.tool.call.arguments": json.dumps({"order_id": chance.randrange(10**6), "note": build_text(chance, 12)}),
            "gen_ai.tool.call.result": result,
        }


def build_body(seed: int) -> bytes:
    """Return one serialized request of SPANS_A_REQUEST spans in traces of eight, sixteen of them running at a time."""
    chance = random.Random(seed)
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    for key, value in {
        "service.name": "support-agent",
        "service.version": f"v{seed % 4}",
        "deployment.environment.name": "prod",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "opentelemetry",
    }.items():
        resource_spans.resource.attributes.add(key=key).value.string_value = value
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = "bench"
    now_ns = time.time_ns()
    for _ in range(SPANS_A_REQUEST // _SPANS_A_TRACE // _TRACES_AT_ONCE):
        turns = [_Turn(chance, now_ns - chance.randrange(10**9)).build_spans() for _ in range(_TRACES_AT_ONCE)]
        for spans in zip(*turns, strict=True):
            scope_spans.spans.extend(spans)
    return request.SerializeToString()


class Template:
    """An HTTP request as bytes whose ids can be made new in place."""

    def __init__(self, host: str, path: str, body: bytes) -> None:
        fields = {"Host": host, "Content-Type": "application/x-protobuf", "Content-Length": len(body)}
        head = "\r\n".join([f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""])
        self.data = numpy.frombuffer(bytearray(head.encode() + body), dtype=numpy.uint8)
        raw, at, marks = self.data.tobytes(), 0, []
        while (at := raw.find(_MARK, at)) >= 0:
            marks.append(at)
            at += 4
        self._places = numpy.array(marks)[:, None] + numpy.arange(4)

    def renew(self, number: int) -> None:
        self.data[self._places] = numpy.frombuffer(number.to_bytes(4, "little"), dtype=numpy.uint8)
