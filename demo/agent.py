"""One turn of the invented agent: model calls and tool calls, with the spans that a real one would leave."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from demo import story
from demo.spans import CLIENT, Attributes, Failure, NewId, Recorder, Service, set_attributes

SCOPE = "support_agent"
_CHARACTERS_PER_TOKEN = 4
_MESSAGE_OVERHEAD_TOKENS = 900  # the provider's own framing and the schema of the tools, as the model reads them

Message = dict[str, Any]


def text_message(role: str, text: str) -> Message:
    """Return a message as the GenAI conventions write it (gen_ai.input.messages)."""
    return {"role": role, "parts": [{"type": "text", "content": text}]}


@dataclass
class Customer:
    """Who writes, and the order it is about."""

    user_id: str
    name: str
    email: str
    order_id: str
    product: str
    price: float


@dataclass
class Conversation:
    """What turns share. `history` grows by each turn's messages."""

    session_id: str
    customer: Customer
    service: Service
    version: story.Version
    model: story.Model
    streams: bool
    history: list[Message] = field(default_factory=list)


@dataclass
class Usage:
    """Tokens of all model calls of a turn; input includes cached, output includes reasoning."""

    input_tokens: int = 0
    output_tokens: int = 0


ToolBody = Callable[["Run", dict[str, Any]], Any]  # runs inside the tool's span; returns its result or raises Failure


class Run:
    """One turn under way. Scenes call `answer` and `use`; both move the clock and leave spans."""

    def __init__(
        self,
        recorder: Recorder,
        rng: random.Random,
        new_id: NewId,
        conversation: Conversation,
        tool_bodies: Mapping[str, ToolBody],
    ) -> None:
        self.recorder, self.rng, self.new_id, self.conversation = recorder, rng, new_id, conversation
        self._tool_bodies = tool_bodies
        self.usage = Usage()
        self.tools_called: list[str] = []

    @property
    def customer(self) -> Customer:
        return self.conversation.customer

    @property
    def version(self) -> story.Version:
        return self.conversation.version

    def chance(self, rate: float) -> bool:
        return self.rng.random() < rate

    def wait(self, median_s: float, spread: float = 0.35) -> None:
        """Let a skewed time pass, as latencies are."""
        self.recorder.wait(median_s * self.rng.lognormvariate(0, spread))

    def hear(self, text: str) -> None:
        self.conversation.history.append(text_message("user", text))

    def answer(self, text: str) -> str:
        """Let the model answer the customer; returns what it said, longer where the version is wordy."""
        if self.version.wordiness > 1:
            text += self.rng.choice(story.EXPLANATIONS)
        self._complete([{"type": "text", "content": text}], "stop")
        return text

    def use(self, tool: str, arguments: dict[str, Any]) -> Any:
        """Let the model call a tool; returns its result. Raises the tool's Failure, which the model is told as well."""
        call_id = "call_" + self.new_id(8).hex()
        self._complete([{"type": "tool_call", "id": call_id, "name": tool, "arguments": arguments}], "tool_call")
        self.tools_called.append(tool)
        attributes: Attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.description": story.TOOLS[tool].description,
            "gen_ai.tool.call.id": call_id,
            "gen_ai.tool.call.arguments": to_json(arguments),
        }
        result: Any = None
        try:
            with self.span(f"execute_tool {tool}", attributes) as span:
                result = self._tool_bodies[tool](self, arguments)
                set_attributes(span, {"gen_ai.tool.call.result": to_json(result)})
        except Failure as failure:
            result = {"error": failure.type_name, "message": failure.message}
            raise
        finally:
            part = {"type": "tool_call_response", "id": call_id, "response": result}
            self.conversation.history.append({"role": "tool", "parts": [part]})
        return result

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Attributes,
        *,
        scope: str = SCOPE,
        kind: Span.SpanKind.ValueType = Span.SPAN_KIND_INTERNAL,
        service: Service | None = None,
    ) -> Iterator[Span]:
        with self.recorder.span(service or self.conversation.service, scope, name, attributes, kind=kind) as span:
            yield span

    def _complete(self, parts: list[Message], finish_reason: str) -> None:
        """One model call with the whole conversation; now and then the provider says 429 first and the client tries again."""
        if self.chance(0.012):
            self._refuse()
        reply: Message = {"role": "assistant", "parts": parts, "finish_reason": finish_reason}
        record_call(
            self, self.conversation.model, story.SYSTEM_PROMPTS[self.version.prompt_version], self.conversation.history, reply,
            prompt=("support-system", self.version.prompt_version), tools=story.TOOLS, streams=self.conversation.streams,
        )  # fmt: skip
        self.conversation.history.append({"role": "assistant", "parts": parts})

    def _refuse(self) -> None:
        model = self.conversation.model
        failure = Failure("RateLimitError", "429: rate limit reached for requests per minute", story.RATE_LIMIT_STACK)
        try:
            with self.span(f"chat {model.name}", _request_attributes(model), scope=model.scope, kind=CLIENT):
                self.wait(0.2)
                raise failure
        except Failure:
            self.wait(1.0)


def record_call(
    run: Run,
    model: story.Model,
    system: str,
    messages: list[Message],
    reply: Message,
    *,
    prompt: tuple[str, str],
    tools: dict[str, story.Tool],
    streams: bool = False,
    service: Service | None = None,
) -> None:
    """Record one chat call with its messages, tokens and times, and let as much time pass."""
    read, written = to_json(messages), to_json([reply])
    input_tokens = _count_tokens(system) + _count_tokens(read) + (_MESSAGE_OVERHEAD_TOKENS if tools else 60)
    visible_tokens = int(_count_tokens(written) * run.version.wordiness)
    reasoning_tokens = int(model.reasoning_share * run.rng.uniform(150, 700))
    cached_tokens = int(input_tokens * model.cache_share * run.rng.uniform(0.6, 1.0)) // 128 * 128
    output_tokens = visible_tokens + reasoning_tokens
    run.usage.input_tokens += input_tokens
    run.usage.output_tokens += output_tokens
    first_chunk_s = model.first_chunk_s * run.version.slowness * run.rng.lognormvariate(0, 0.3)

    attributes: dict[str, Any] = {
        **_request_attributes(model),
        "gen_ai.conversation.id": run.conversation.session_id,
        "gen_ai.prompt.name": prompt[0],
        "gen_ai.prompt.version": prompt[1],
        "gen_ai.system_instructions": to_json([{"type": "text", "content": system}]),
        "gen_ai.input.messages": read,
    }
    if tools:
        attributes["gen_ai.tool.definitions"] = _TOOL_DEFINITIONS
    if streams:
        attributes["gen_ai.request.stream"] = True
    with run.span(f"chat {model.name}", attributes, scope=model.scope, kind=CLIENT, service=service) as span:
        run.recorder.wait(first_chunk_s)
        run.wait(output_tokens / model.speed * run.version.slowness, 0.15)
        answer: dict[str, Any] = {
            "gen_ai.response.model": model.answers_as,
            "gen_ai.response.id": "resp_" + run.new_id(12).hex(),
            "gen_ai.response.finish_reasons": [reply["finish_reason"]],
            "gen_ai.usage.input_tokens": input_tokens,
            "gen_ai.usage.output_tokens": output_tokens,
            "gen_ai.output.messages": written,
        }
        if cached_tokens:
            answer["gen_ai.usage.cache_read.input_tokens"] = cached_tokens
        if reasoning_tokens:
            answer["gen_ai.usage.reasoning.output_tokens"] = reasoning_tokens
        if streams:
            answer["gen_ai.response.time_to_first_chunk"] = round(first_chunk_s, 3)
        set_attributes(span, answer)


def _request_attributes(model: story.Model) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": model.provider,
        "gen_ai.request.model": model.name,
        "gen_ai.request.max_tokens": 2048,
        "server.address": model.host,
        "server.port": 443,
    }


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _count_tokens(text: str) -> int:
    return max(1, len(text) // _CHARACTERS_PER_TOKEN)


_TOOL_DEFINITIONS = to_json(
    [
        {
            "type": "function",
            "name": name,
            "description": tool.description,
            "parameters": {
                "type": "object",
                "properties": {key: {"type": kind, "description": text} for key, (kind, text) in tool.parameters.items()},
                "required": list(tool.parameters),
            },
        }
        for name, tool in story.TOOLS.items()
    ]
)
