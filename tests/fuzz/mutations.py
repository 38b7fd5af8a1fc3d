"""Hostile and merely odd OTLP bodies, made from the corpus. Pure: the same random generator gives the same bodies.

Two kinds. Of a body that was changed as bytes nothing is expected but an answer that is no 5xx. Where only one span or record
was changed as structure, the body also holds a guard: an intact span or record, which must be stored whatever stands beside it.
"""

from __future__ import annotations

import gzip
import json
import random
import struct
import time
import zlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ingest.otlp.check import CHECKS
from ingest.receivers.body import Allowance, MemoryBudget, inflate
from tests.corpus.recordings import recordings
from tests.otlp_messages import to_otlp_dict
from tracestore.model import Signal
from tracestore.varint import encode_varint

Request = ExportTraceServiceRequest | ExportLogsServiceRequest

PROTOBUF, JSON = "application/x-protobuf", "application/json"
GUARD = b"guard"
_SEED_BYTES = 8 * 2**10  # a larger one costs time and teaches little: sizes have tests of their own
_ITEMS_A_SEED = 3
_TYPES: dict[Signal, type[Request]] = {Signal.TRACES: ExportTraceServiceRequest, Signal.LOGS: ExportLogsServiceRequest}


@dataclass(frozen=True)
class Body:
    """One request to send. `guards` are trace ids that must be stored when it has been answered; then it must be answered 200."""

    mutation: str
    signal: Signal
    content_type: str
    encoding: str
    content: bytes
    guards: tuple[bytes, ...] = ()


def load_seeds() -> list[tuple[Signal, Request]]:
    """Return the requests of every recording, cut into small ones."""
    seeds: list[tuple[Signal, Request]] = []
    for recording in recordings():
        for path, sent, headers in recording.requests():
            if path not in ("/v1/traces", "/v1/logs"):
                continue
            signal = Signal(path.removeprefix("/v1/"))
            with Allowance(MemoryBudget(), max_body_bytes=2**26) as allowance:
                body = inflate(sent, headers.get("Content-Encoding", "identity"), allowance)
            checked = CHECKS[signal, headers["Content-Type"].startswith(JSON)](body)
            seeds += ((signal, seed) for seed in _cut(_TYPES[signal].FromString(checked.payload)))
    return seeds


def _copy(request: Request) -> Request:
    return type(request).FromString(request.SerializeToString())


def _cut(request: Request) -> list[Request]:
    cut = []
    for envelope, scope in _scopes(request):
        items = _items(scope)
        for first in range(0, len(items), _ITEMS_A_SEED):
            part = type(request)()
            resource = _envelopes(part).add()
            resource.resource.CopyFrom(envelope.resource)
            inner = _scope_list(resource).add()
            inner.scope.CopyFrom(scope.scope)
            _items(inner).extend(items[first : first + _ITEMS_A_SEED])
            if part.ByteSize() <= _SEED_BYTES:
                cut.append(part)
    return cut


def _envelopes(request: Request) -> Any:
    return request.resource_spans if isinstance(request, ExportTraceServiceRequest) else request.resource_logs


def _scope_list(envelope: Any) -> Any:
    return envelope.scope_spans if hasattr(envelope, "scope_spans") else envelope.scope_logs


def _items(scope: Any) -> Any:
    return scope.spans if hasattr(scope, "spans") else scope.log_records


def _scopes(request: Request) -> list[tuple[Any, Any]]:
    return [(envelope, scope) for envelope in _envelopes(request) for scope in _scope_list(envelope)]


class Mutator:
    """Makes bodies without end. `name` tells the guards of several mutators apart."""

    def __init__(self, seeds: list[tuple[Signal, Request]], random_seed: int, name: int) -> None:
        self._seeds, self._random, self._name = seeds, random.Random(f"{random_seed}:{name}"), name
        self._guards = 0
        self._kinds: list[tuple[int, Callable[[], Body]]] = [
            (6, self._change_bytes),
            (6, self._change_wire),
            (5, self._change_message),
            (6, self._change_json),
            (3, self._change_json_text),
            (2, self._change_compressed),
            (1, self._random_bytes),
            (2, self._intact),
        ]

    def make(self) -> Body:
        weights = [weight for weight, _ in self._kinds]
        [(_, kind)] = self._random.choices(self._kinds, weights)
        return self._compress(kind())

    def _seed(self) -> tuple[Signal, Request]:
        signal, request = self._random.choice(self._seeds)
        return signal, _copy(request)

    def _new_guard(self) -> bytes:
        self._guards += 1
        return GUARD + self._name.to_bytes(3, "big") + self._guards.to_bytes(8, "big")

    def _add_guard(self, request: Request) -> bytes:
        """Put an intact span or record beside the others, somewhere among them."""
        trace_id = self._new_guard()
        _, scope = self._random.choice(_scopes(request))
        now_ns = time.time_ns()
        item: Span | LogRecord
        if isinstance(request, ExportTraceServiceRequest):
            item = Span(
                trace_id=trace_id, span_id=trace_id[8:], name="guard", start_time_unix_nano=now_ns, end_time_unix_nano=now_ns + 9
            )
        else:
            item = LogRecord(trace_id=trace_id, time_unix_nano=now_ns, body=AnyValue(string_value="guard"))
        items = _items(scope)
        items.insert(self._random.randint(0, len(items)), item)
        return trace_id

    def _compress(self, body: Body) -> Body:
        if body.encoding != "identity" or self._random.random() < 0.8:
            return body
        if self._random.random() < 0.5:
            return Body(body.mutation, body.signal, body.content_type, "gzip", gzip.compress(body.content, 1), body.guards)
        return Body(body.mutation, body.signal, body.content_type, "deflate", zlib.compress(body.content, 1), body.guards)

    # Without expectations

    def _change_bytes(self) -> Body:
        signal, request = self._seed()
        return Body("bytes", signal, PROTOBUF, "identity", self._damage(request.SerializeToString()))

    def _change_json_text(self) -> Body:
        signal, request = self._seed()
        return Body("json text", signal, JSON, "identity", self._damage(json.dumps(to_otlp_dict(request)).encode()))

    def _change_compressed(self) -> Body:
        signal, request = self._seed()
        encoding = self._random.choice(("gzip", "deflate"))
        content = request.SerializeToString()
        content = gzip.compress(content, 1) if encoding == "gzip" else zlib.compress(content, 1)
        if self._random.random() < 0.3:
            content += self._random.choice((content, b"\0" * 30, b"x"))
        return Body("compressed", signal, PROTOBUF, encoding, self._damage(content))

    def _random_bytes(self) -> Body:
        content_type, encoding = self._random.choice((PROTOBUF, JSON)), self._random.choice(("identity", "gzip", "deflate"))
        content = self._random.randbytes(self._random.randint(0, 300))
        return Body("random bytes", self._random.choice(list(Signal)), content_type, encoding, content)

    def _damage(self, content: bytes) -> bytes:
        data = bytearray(content)
        for _ in range(self._random.choice((1, 1, 1, 2, 4, 16))):
            at = self._random.randrange(len(data) + 1)
            match self._random.randrange(8):
                case 0 if at < len(data):
                    data[at] ^= 1 << self._random.randrange(8)
                case 1 if at < len(data):
                    data[at] = self._random.choice((0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x5C, 0x0A, self._random.randrange(256)))
                case 2:
                    del data[at : at + self._random.choice((1, 2, 8, 64))]
                case 3:
                    data[at:at] = self._random.randbytes(self._random.choice((1, 2, 8, 64)))
                case 4:
                    data[at:at] = data[at : at + self._random.choice((4, 32, 256))] * self._random.choice((1, 2, 20))
                case 5:
                    del data[at:]
                case 6:
                    data[at:at] = self._random.choice(
                        (b"\xff" * 10, b"\x80" * 10, b"\xed\xa0\xbd", b"\0" * 8, b"\xf4\x90\x80\x80")
                    )
                case _:
                    other = self._random.choice(self._seeds)[1].SerializeToString()
                    start = self._random.randrange(len(other) + 1)
                    data[at : at + 50] = other[start : start + self._random.choice((10, 100, 1000))]
        return bytes(data[: 64 * _SEED_BYTES])

    def _change_wire(self) -> Body:
        """Change one field somewhere in the tree and put the lengths around it right again, so that the rest is read."""
        signal, request = self._seed()
        return Body("wire", signal, PROTOBUF, "identity", self._change_field(request.SerializeToString(), 0))

    def _change_field(self, data: bytes, depth: int) -> bytes:
        fields = _split(data)
        if not fields:
            return self._damage(data)
        index = self._random.randrange(len(fields))
        number, wire_type, content = fields[index]
        if wire_type == 2 and depth < 12 and content and self._random.random() < 0.75:
            return _join([*fields[:index], (number, 2, self._change_field(content, depth + 1)), *fields[index + 1 :]])
        match self._random.randrange(9):
            case 0:
                changed = [(self._random.choice((number + 1, 1, 15, 2**29 - 1, 15000, 15001, 15010, 15011)), wire_type, content)]
            case 1:
                changed = [(number, 2, self._random.randbytes(self._random.choice((0, 1, 7, 8, 16, 200))))]
            case 2:
                value = self._random.choice((0, 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1))
                changed = [(number, 0, encode_varint(value))]
            case 3:
                changed = [(number, 1, struct.pack("<Q", self._random.choice((0, 1, 2**63, 2**64 - 1, 10**18))))]
            case 4:
                changed = [(number, 5, struct.pack("<I", self._random.choice((0, 1, 2**31, 2**32 - 1))))]
            case 5:
                changed = [(number, wire_type, content)] * self._random.choice((2, 3, 50))
            case 6:
                changed = []
            case 7:
                changed = [(number, 2, content + self._random.choice((b"\xff", b"\xed\xa0\x80", b"\0", b"\xc3")))]
            case _:
                deep = content
                for _ in range(self._random.choice((5, 35, 60, 120))):
                    deep = _join([(number, 2, deep)])[: 4 * _SEED_BYTES]
                changed = [(number, 2, deep)]
        joined = _join([*fields[:index], *changed, *fields[index + 1 :]])
        return joined if len(joined) < 64 * _SEED_BYTES else data

    # With a guard beside

    def _intact(self) -> Body:
        signal, request = self._seed()
        guard = self._add_guard(request)
        if self._random.random() < 0.5:
            return Body("none", signal, PROTOBUF, "identity", request.SerializeToString(), (guard,))
        return Body("none", signal, JSON, "identity", json.dumps(to_otlp_dict(request)).encode(), (guard,))

    def _change_message(self) -> Body:
        """Set fields of one span or record, and of its resource and scope, to extreme values of their types."""
        signal, request = self._seed()
        envelope, scope = self._random.choice(_scopes(request))
        for _ in range(self._random.randint(1, 4)):
            target = self._random.choice((*_items(scope), *_items(scope), envelope.resource, scope.scope))
            self._set_extreme(target)
        guard = self._add_guard(request)
        return Body("message", signal, PROTOBUF, "identity", request.SerializeToString(), (guard,))

    def _set_extreme(self, message: Message, depth: int = 0) -> None:
        field: Any = self._random.choice(message.DESCRIPTOR.fields)
        if field.message_type is not None:
            nested = getattr(message, field.name)
            if depth == 8:
                return
            if not field.is_repeated:
                self._set_extreme(nested, depth + 1)
            elif nested and self._random.random() < 0.7:
                self._set_extreme(self._random.choice(nested), depth + 1)
            else:
                for _ in range(self._random.choice((1, 1, 40 if depth == 0 else 2))):
                    self._set_extreme(nested.add(), depth + 1)
        elif not field.is_repeated:
            setattr(message, field.name, self._extreme(field))

    def _extreme(self, field: FieldDescriptor) -> Any:
        choose = self._random.choice
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
                size = choose((0, 1, 7, 8, 9, 15, 16, 17, 32))
                return choose((bytes(size), self._random.randbytes(size), b"\xff" * size))
            case FieldDescriptor.CPPTYPE_STRING:
                return choose(_TEXTS)
            case FieldDescriptor.CPPTYPE_UINT64:
                return choose((0, 1, 2**63, 2**64 - 1, 946_684_799 * 10**9, 4_102_444_800 * 10**9, self._random.getrandbits(64)))
            case FieldDescriptor.CPPTYPE_INT64:
                return choose((0, -1, 2**63 - 1, -(2**63), self._random.getrandbits(63)))
            case FieldDescriptor.CPPTYPE_UINT32:
                return choose((0, 1, 2**31, 2**32 - 1, self._random.getrandbits(32)))
            case FieldDescriptor.CPPTYPE_INT32 | FieldDescriptor.CPPTYPE_ENUM:
                return choose((0, 1, 2, 3, 99, -1, 2**31 - 1, -(2**31)))
            case FieldDescriptor.CPPTYPE_DOUBLE:
                return choose((0.0, -0.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"), 1e19, -1.5))
            case _:
                return choose((True, False))

    def _change_json(self) -> Body:
        """Replace, rename, drop or repeat values inside one span or record of a JSON document."""
        signal, request = self._seed()
        if not all(len(_items(scope)) for _, scope in _scopes(request)):
            return self._intact()
        _, scope = _scopes(request)[0]
        victim = self._random.randrange(len(_items(scope)))
        document = to_otlp_dict(request)
        guarded = _copy(request)
        del _items(_scopes(guarded)[0][1])[:]
        guard = self._add_guard(guarded)
        envelopes, scopes, items = (
            ("resourceSpans", "scopeSpans", "spans") if signal is Signal.TRACES else ("resourceLogs", "scopeLogs", "logRecords")
        )
        inner = document[envelopes][0][scopes][0]
        for _ in range(self._random.choice((1, 1, 2, 5))):
            inner[items][victim] = self._change_node(inner[items][victim])
        inner[items] += to_otlp_dict(guarded)[envelopes][0][scopes][0][items]
        self._random.shuffle(inner[items])
        content = json.dumps(document, ensure_ascii=self._random.random() < 0.5).encode("utf-8", "surrogatepass")
        return Body("json", signal, JSON, "identity", content, (guard,))

    def _change_node(self, node: Any) -> Any:
        if isinstance(node, dict) and node and self._random.random() < 0.85:
            name = self._random.choice(list(node))
            match self._random.randrange(8):
                case 0:
                    del node[name]
                case 1:
                    node[self._random.choice((name.upper(), name + "x", "", "\0", "trace_id", "value", "kvlistValue"))] = (
                        node.pop(name)
                    )
                case 2:
                    node[self._random.choice(("stringValue", "intValue", "arrayValue", "attributes", "droppedLinksCount"))] = (
                        self._any_json()
                    )
                case _:
                    node[name] = self._change_node(node[name])
            return node
        if isinstance(node, list) and node and self._random.random() < 0.85:
            at = self._random.randrange(len(node))
            match self._random.randrange(5):
                case 0:
                    del node[at]
                case 1:
                    node[at:at] = [node[at]] * self._random.choice((1, 30))
                case _:
                    node[at] = self._change_node(node[at])
            return node
        return self._any_json()

    def _any_json(self) -> Any:
        choose = self._random.choice
        deep: Any = choose(("x", {"stringValue": "x"}, {}))
        for _ in range(choose((1, 30, 60, 120))):
            deep = choose(
                (
                    [deep],
                    {"a": deep},
                    {"arrayValue": {"values": [deep]}},
                    {"kvlistValue": {"values": [{"key": "k", "value": deep}]}},
                )
            )
        return deep if self._random.random() < 0.05 else deepcopy(choose(_JSON_VALUES))  # later changes write into it


_KEYS = ("gen_ai.usage.input_tokens", "gen_ai.request.model", "session.id", "gen_ai.input.messages", "langfuse.observation.type",
         "openinference.span.kind", "llm.token_count.prompt", "gen_ai.tool.name", "error.type", "service.version")  # fmt: skip


_TEXTS = ("", "\0", "\0" * 9, "é" * 300, "\u202e<script>", "🦊" * 50, "x" * 5000, "'; DROP TABLE spans", "{}", "NaN", "9" * 400,
          "-1", "1e999", '{"a":', "[[[[", '["a"]', "\ufffe\uffff", *_KEYS)  # fmt: skip
_ODD_BYTES = (b"\xff" * 10, b"\x80" * 10, b"\xed\xa0\xbd", b"\0" * 8, b"\xf4\x90\x80\x80")
_JSON_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**21, 10**400, -(2**63), 2**64, 1.5, 1e308, -1e-308, float("inf"), float("nan"), "", "NaN",
    "Infinity", "1e21", "0x10", " 7 ", "abc", "zz" * 16, "a" * 33, "\ud83d", "\udc00x", "\0", "é" * 200, "AAAA====",
    {"stringValue": 7}, {"intValue": "x"}, {"intValue": 1e30}, {"boolValue": "maybe"}, {"bytesValue": "!"}, {"arrayValue": 7},
    {"kvlistValue": [1]}, [], {}, [[]], [None], {"": None}, {"key": None, "value": None},
)  # fmt: skip


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError


def _split(data: bytes) -> list[tuple[int, int, bytes]]:
    """Return (field number, wire type, content) of a message, [] when the bytes are none."""
    fields = []
    at = 0
    try:
        while at < len(data):
            key, at = _read_varint(data, at)
            start = at
            match key & 7:
                case 0:
                    _, at = _read_varint(data, at)
                case 1:
                    at += 8
                case 2:
                    size, start = _read_varint(data, at)
                    at = start + size
                case 5:
                    at += 4
                case _:
                    return []
            if at > len(data) or not key >> 3:
                return []
            fields.append((key >> 3, key & 7, data[start:at]))
    except ValueError:
        return []
    return fields


def _join(fields: list[tuple[int, int, bytes]]) -> bytes:
    return b"".join(
        encode_varint(number << 3 | wire_type) + (encode_varint(len(content)) if wire_type == 2 else b"") + content
        for number, wire_type, content in fields
    )
