"""What a run was asked and what it answered, out of the contents of the few steps that tell it. Pure and total."""

from __future__ import annotations

from collections.abc import Sequence

from tracestore.content.keys import REDACTED
from tracestore.content.payload_readers import ABSENT, Payload
from tracestore.content.values import decode_value

Payloads = Sequence[Payload | None]


def find_asked(inputs: Payloads) -> str:
    """Return the question among the inputs of the root, the first and the last model call, in that order; "" for none.

    What the root says is what the run was asked; a model call may hold a template around it.
    """
    return _find_text(inputs, "user")


def find_answered(outputs: Payloads) -> str:
    """Return the answer among the outputs of the root and the last model call, in that order; "" for none.

    Where a step failed after the last model call, what that call said went into what failed, and is not to be among them.
    """
    return _find_text(outputs, "assistant")


def _find_text(payloads: Payloads, role: str) -> str:
    """Return the text of the first payload that has one: its last message of that role, or all of it when it is plain.

    An input may hold the whole conversation so far: its last message is the one of this turn. What a model says while it calls a
    tool ("Let me check that for you") is no answer.
    """
    for payload in payloads:
        if payload is None:
            continue
        for message in reversed(payload.messages):
            text = "\n".join(part.text for part in message.parts if part.kind == "text").strip()
            calls = any(part.kind == "tool_call" for part in message.parts)
            if message.role == role and _is_told(text) and not calls:
                return text
        if not payload.messages and _is_told(text := _plain_text(payload)):
            return text
    return ""


def _is_told(text: str) -> bool:
    """Whether a text is none that is not stored, of which the usage may be left behind the mark."""
    return text not in ABSENT and not text.startswith(REDACTED)


def _plain_text(payload: Payload) -> str:
    """Return a text that is no JSON, or the only one of a JSON object: `{"question": "Where is my order?"}`."""
    if not payload.is_json:
        return payload.text.strip()
    decoded = decode_value(payload.text)
    values = list(decoded.values()) if isinstance(decoded, dict) else []
    return values[0].strip() if len(values) == 1 and isinstance(values[0], str) else ""
