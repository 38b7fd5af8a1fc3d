"""A week of traffic that ends now: who writes when, which version answers, and what becomes of each turn."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from demo import scenes, story
from demo.agent import Conversation, Customer, Run, record_call, text_message, to_json
from demo.spans import NS_PER_S, Attributes, Failure, Killed, NewId, Recorder, Service, set_attributes
from demo.tools import TOOL_BODIES

_WEEK_S = 7 * story.DAY_S
_TURN_ROOM_S = 160  # a turn and the pause before it take less than this
_STAGING_SHARE = 0.07
_STAGING_LEAD_DAYS = 0.6  # versions reach staging this much earlier
_ROLLOUT_DAYS = 0.2  # until then some instances still run the version before
_INTERRUPTED_RATE = 0.006
_USER_COUNT = 240


@dataclass(frozen=True)
class Turn:
    """One trace, and what a reader of it should find. A turn that was interrupted counts as failed."""

    trace_id: str
    resource_spans: list[ResourceSpans]
    version: str
    environment: str
    session_id: str
    tools: tuple[str, ...]
    failed: bool
    start_ns: int

    @property
    def span_count(self) -> int:
        return sum(len(scope.spans) for resource in self.resource_spans for scope in resource.scope_spans)


def generate_week(trace_count: int, *, seed: int, now_ns: int, new_id: NewId = os.urandom) -> Iterator[Turn]:
    """Yield `trace_count` traces, conversation by conversation, the oldest first.

    Everything but the ids follows from the seed and `now_ns`; ids are random, so that the week can be sent twice.
    """
    rng = random.Random(seed)
    planned: list[tuple[float, list[scenes.Scene]]] = []
    left = trace_count
    while left:
        turns = _plan_scenes(rng)[:left]
        planned.append((_draw_age(rng, now_ns, len(turns) * _TURN_ROOM_S), turns))
        left -= len(turns)
    for age_s, turns in sorted(planned, key=lambda conversation: -conversation[0]):
        yield from _play(rng, now_ns, age_s, turns, new_id)


def _plan_scenes(rng: random.Random) -> list[scenes.Scene]:
    openings, weights = zip(*scenes.OPENINGS, strict=True)
    planned: list[scenes.Scene] = rng.choices(openings, weights)
    planned += [scene for scene, rate in scenes.FOLLOW_UPS if rng.random() < rate]
    return planned


def _draw_age(rng: random.Random, now_ns: int, youngest_s: float) -> float:
    """Return when a conversation starts, in seconds before now: busy days, quiet nights, half as much at weekends."""
    while True:
        age_s = rng.uniform(youngest_s, _WEEK_S - 3600)
        if rng.random() < _traffic(now_ns / NS_PER_S - age_s):
            return age_s


def _traffic(unix_s: float) -> float:
    """Return the share of the peak, 0 to 1, at this moment in UTC."""
    hour = unix_s % story.DAY_S / 3600
    weekday = int(unix_s // story.DAY_S + 3) % 7  # Monday is 0; 1970-01-01 was a Thursday
    daylight = 0.5 - 0.5 * math.cos((hour - 2) / 24 * 2 * math.pi)
    return (0.12 + 0.88 * daylight) * (0.5 if weekday >= 5 else 1.0)


def _play(rng: random.Random, now_ns: int, age_s: float, turns: list[scenes.Scene], new_id: NewId) -> Iterator[Turn]:
    conversation = _open_conversation(rng, age_s, new_id)
    start_ns = now_ns - int(age_s * NS_PER_S)
    for scene in turns:
        if scene is not scenes.ask_human or rng.random() < conversation.version.escalation_rate / scenes.ASK_HUMAN_RATE:
            turn, end_ns = _play_turn(rng, conversation, scene, start_ns, new_id)
        else:
            turn, end_ns = _play_turn(rng, conversation, scenes.ask_question, start_ns, new_id)
        yield turn
        if turn.failed:
            conversation.history.clear()  # the failed turn's half-told story is not sent to the model again
        start_ns = end_ns + int(rng.uniform(15, 75) * NS_PER_S)


def _open_conversation(rng: random.Random, age_s: float, new_id: NewId) -> Conversation:
    staging = rng.random() < _STAGING_SHARE
    version = _pick_version(rng, age_s / story.DAY_S - (_STAGING_LEAD_DAYS if staging else 0))
    models, weights = zip(*version.models, strict=True)
    user = int(_USER_COUNT * rng.random() ** 2)  # some write often
    name = story.NAMES[user % len(story.NAMES)]
    product, price = rng.choice(story.PRODUCTS)
    return Conversation(
        session_id="conv_" + new_id(8).hex(),
        customer=Customer(
            user_id=f"qa-{user % 3 + 1}" if staging else f"user-{1000 + user}",
            name=name,
            email=f"user{1000 + user}@mail.example",
            order_id=f"NL-{rng.randrange(20_000, 99_999)}",
            product=product,
            price=price,
        ),
        service=Service("support-agent", version.name, "staging" if staging else "prod", f"support-agent-{rng.randrange(3)}"),
        version=version,
        model=rng.choices(models, weights)[0],
        streams=rng.random() < 0.7,
    )


def _pick_version(rng: random.Random, age_days: float) -> story.Version:
    lag_days = rng.uniform(0, _ROLLOUT_DAYS)
    deployed = [version for version in story.VERSIONS if version.age_days - lag_days >= age_days]
    return deployed[-1] if deployed else story.VERSIONS[0]


def _kill(run: Run, arguments: dict[str, Any]) -> Any:
    run.wait(0.5)
    raise Killed


# Out of memory while it waits for anything but the database: the look-up before still arrives, the agent's own span never.
_KILLING_TOOLS = TOOL_BODIES | {name: _kill for name in TOOL_BODIES if name != "lookup_order"}


def _play_turn(
    rng: random.Random, conversation: Conversation, scene: scenes.Scene, start_ns: int, new_id: NewId
) -> tuple[Turn, int]:
    recorder = Recorder(start_ns, new_id)
    bodies = _KILLING_TOOLS if rng.random() < _INTERRUPTED_RATE else TOOL_BODIES
    run = Run(recorder, rng, new_id, conversation, bodies)
    failed = False
    try:
        _answer_turn(run, scene)
    except Failure:
        failed = True
    except Killed:
        failed = True
        run.tools_called.pop()  # its span never arrives
    turn = Turn(
        trace_id=recorder.trace_id.hex(),
        resource_spans=recorder.build(),
        version=conversation.version.name,
        environment=conversation.service.environment,
        session_id=conversation.session_id,
        tools=tuple(dict.fromkeys(run.tools_called)),
        failed=failed,
        start_ns=start_ns,
    )
    return turn, recorder.now_ns


def _answer_turn(run: Run, scene: scenes.Scene) -> None:
    conversation = run.conversation
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "support",
        "gen_ai.agent.description": "Answers customers of the Nordlicht shop.",
        "gen_ai.provider.name": conversation.model.provider,
        "gen_ai.request.model": conversation.model.name,
        "gen_ai.conversation.id": conversation.session_id,
        "user.id": conversation.customer.user_id,
    }
    heard_before = len(conversation.history)
    with run.span("invoke_agent support", attributes) as root:
        run.wait(0.01)
        if conversation.version.name != "v1":
            _check_input(run)
        try:
            answer = scene(run)
            said = text_message("assistant", answer) | {"finish_reason": "stop"}
            set_attributes(root, {"gen_ai.output.messages": to_json([said])})
        finally:
            asked = [message for message in conversation.history[heard_before:] if message["role"] == "user"]
            set_attributes(
                root,
                {
                    "gen_ai.input.messages": to_json(asked),
                    "gen_ai.usage.input_tokens": run.usage.input_tokens,
                    "gen_ai.usage.output_tokens": run.usage.output_tokens,
                },
            )


def _check_input(run: Run) -> None:
    """Since v2 a guardrail reads along, and a small model of the house sorts some of the mail."""
    guardrail: Attributes = {
        "gen_ai.operation.name": "apply_guardrail",
        "gen_ai.guardrail.name": "personal-data",
        "gen_ai.guardrail.triggered": False,
    }
    with run.span("apply_guardrail personal-data", guardrail):
        run.wait(0.015)
    if run.chance(0.12):
        asked = [text_message("user", "Sort the next message.")]
        word = text_message("assistant", run.rng.choice(("order", "refund", "product"))) | {"finish_reason": "stop"}
        record_call(run, story.ROUTER, story.ROUTER_PROMPT, asked, word, prompt=("router", "1"), tools={})
