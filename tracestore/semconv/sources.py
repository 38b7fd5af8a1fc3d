"""Where a value may stand in a span, which texts stand for none, and what an event is called."""

from __future__ import annotations

from dataclasses import dataclass

# Placeholders that frameworks send instead of leaving an attribute out. Logfire's scrubber writes "[Scrubbed due to '...']".
# "OpenAI Agent" is what an instrumentation of the OpenAI Agents SDK calls every agent, "(merged tools)" no tool but several.
# "__fake_id__" is the id that the OpenAI Agents SDK gives to every answer of a chat completion. "none" is Micrometer's
# KeyValue.NONE_VALUE, which Spring AI sends for a model or id that it does not know. "__REDACTED__" stands where OpenInference
# hides content (spec/configuration.md). "<synthetic>" is the model of what Claude Code says itself ("API Error: 500").
ABSENT = (
    "<REDACTED>", "[REDACTED]", "__REDACTED__", "<not specified>", "N/A", "null", "undefined", "None", "OpenAI Agent",
    "(merged tools)", "__fake_id__", "none", "<synthetic>",
)  # fmt: skip
SCRUBBED_PREFIX = "[Scrubbed due to "


@dataclass(frozen=True)
class Source:
    """Where a value may stand: a span or resource attribute, in an attribute's JSON or text, or told in USAGE_TEXTS."""

    key: str
    # plain, resource, json (text or number at path), pattern (group 1 of path[0]), told (key is a member's name in a usage text)
    form: str = "plain"
    path: tuple[str, ...] = ()


def resource(*keys: str) -> tuple[Source, ...]:
    return tuple(Source(key, "resource") for key in keys)


def json_at(key: str, *path: str) -> Source:
    return Source(key, "json", path)


def told(*names: str) -> tuple[Source, ...]:
    return tuple(Source(name, "told") for name in names)


def pattern(key: str, pattern: str) -> Source:
    return Source(key, "pattern", (pattern,))


def plain(*keys: str) -> tuple[Source, ...]:
    return tuple(Source(key) for key in keys)


# How instrumentations mark a value that they cut: "... [truncated]", "(litellm_truncated 812 chars)", "[TRUNCATED - Content
# exceeds 60KB limit]", "<truncated due to size exceeding limit>". A sentence that ends in the word does not count.
TRUNCATION_MARK = r"(?i)(\.\.\.|…|[\[(<])[^\[\](<>]{0,24}truncated[^\[(<]{0,40}$"

# What Rust's `tracing` calls an event that was given no name: where it stands in the source.
UNNAMED_EVENT = "^event .+:[0-9]+$"
EVENT_NAME = "event.name"
