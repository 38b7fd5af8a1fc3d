"""Which tools a trace used: each execution counts once."""

from __future__ import annotations

import pytest

from tests.span_table import ROOT, Span, span, summarize


def tools(*spans: Span) -> list[tuple[str, int, int]]:
    row = summarize(ROOT, *spans)
    return list(zip(row["tools.name"], row["tools.calls"], row["tools.errors"], strict=True))


TOOLS: dict[str, tuple[list[Span], list[tuple[str, int, int]]]] = {
    "in order of their first call": (
        [
            span("b", "root", 1, 2, "tool", tool="beta"), span("a", "root", 3, 4, "tool", tool="alpha"),
            span("c", "root", 5, 6, "tool", tool="beta", error="E"),
        ],
        [("beta", 2, 1), ("alpha", 1, 0)],
    ),
    "a span of the same tool inside it": (
        [span("outer", "root", 1, 9, "tool", tool="t", error="E"), span("inner", "outer", 2, 8, "tool", tool="t", error="E")],
        [("t", 1, 1)],
    ),
    # More at a time than are looked at.
    "two instrumentations of many calls at a time": (
        [span(f"s{n}", "root", n, 900, "tool", tool="t", scope_name="ab"[n % 2]) for n in range(400)],
        [("t", 200, 0)],
    ),
    # AutoGen's own span inside OpenInference's, which says OK.
    "an error inside it": (
        [
            span("outer", "root", 1, 9, "tool", tool="t", status="ok"), span("middle", "outer", 2, 8, "tool", tool="t"),
            span("inner", "middle", 3, 7, "tool", tool="t", error="E"),
        ],
        [("t", 1, 1)],
    ),
    # Qwen Code: what is run before and after a tool by configuration.
    "a hook around it that failed": (
        [
            span("call", "root", 1, 9, "tool", tool="read_file"),
            span("before", "call", 2, 3, name="qwen-code.hook", error="hook_error"),
            span("run", "call", 4, 7, "tool", tool="read_file"),
        ],
        [("read_file", 1, 0)],
    ),
    "an error inside it that another attempt made up for": (
        [
            span("outer", "root", 1, 9, "tool", tool="t"), span("first", "outer", 2, 4, "tool", tool="t", error="E"),
            span("again", "outer", 5, 8, "tool", tool="t"),
        ],
        [("t", 1, 0)],
    ),
    "with a helper between them": (
        [
            span("outer", "root", 1, 9, "tool", tool="t"), span("mcp", "outer", 2, 8, "other"),
            span("inner", "mcp", 3, 7, "tool", tool="t"),
        ],
        [("t", 1, 0)],
    ),
    # Tools of the Claude Agent SDK are served by MCP in the same process.
    "an MCP server's spans beside it": (
        [
            span("one", "root", 1, 9, "tool", tool="t", scope_name="sdk"),
            span("two", "root", 2, 20, "tool", tool="t", scope_name="sdk"),
            span("serve1", "root", 3, 8, "tool", tool="t", scope_name="mcp"),
            span("serve2", "root", 4, 19, "tool", tool="t", scope_name="mcp", error="E"),
            span("serve3", "root", 30, 40, "tool", tool="t", scope_name="mcp"),
        ],
        [("t", 3, 1)],
    ),
    # LangChain by OpenLLMetry and OpenInference at once.
    "another instrumentation's span beside it": (
        [
            span("step", "root", 1, 9), span("one", "step", 2, 7, "tool", tool="t", scope_name="a"),
            span("task", "root", 1, 9), span("copy", "task", 3, 8, "tool", tool="t", scope_name="b"),
            span("again", "root", 10, 19, "tool", tool="t", scope_name="b"),
        ],
        [("t", 2, 0)],
    ),
    "refused in another instrumentation's span beside it": (
        [
            span("one", "root", 1, 9, "tool", tool="t", scope_name="a", error="E"),
            span("copy", "root", 2, 8, "tool", tool="t", scope_name="b", error="E", signal="refused_call"),
        ],
        [],
    ),
    "another service's span beside it is another call": (
        [
            span("one", "root", 1, 9, "tool", tool="t", scope_name="a"),
            span("other", "root", 2, 8, "tool", tool="t", scope_name="b", service="shop"),
        ],
        [("t", 2, 0)],
    ),
    "another framework's call through an agent is another call": (
        [
            span("outer", "root", 1, 9, "tool", tool="t", scope_name="a"), span("agent", "outer", 2, 8, "agent"),
            span("inner", "agent", 3, 7, "tool", tool="t", scope_name="b"),
        ],
        [("t", 2, 0)],
    ),
    "another tool inside it is another call": (
        [span("outer", "root", 1, 9, "tool", tool="t"), span("inner", "outer", 2, 8, "tool", tool="u")],
        [("t", 1, 0), ("u", 1, 0)],
    ),
    "a tool that calls itself through an agent": (
        [
            span("outer", "root", 1, 9, "tool", tool="t"), span("agent", "outer", 2, 8, "agent"),
            span("inner", "agent", 3, 7, "tool", tool="t"),
        ],
        [("t", 2, 0)],
    ),
    "a repeated call id": (
        [
            span("one", "root", 1, 5, "tool", tool="t", tool_call_id="c1"),
            span("two", "root", 1, 5, "tool", tool="t", tool_call_id="c1", error="E"),
        ],
        [("t", 1, 1)],
    ),
    "one call id of two tools": (
        [
            span("one", "root", 1, 5, "tool", tool="t", tool_call_id="c1"),
            span("two", "root", 6, 9, "tool", tool="u", tool_call_id="c1"),
        ],
        [("t", 1, 0), ("u", 1, 0)],
    ),
    "a refused call is none": ([span("one", "root", 1, 5, "tool", tool="t", signal="refused_call", error="E")], []),
    "refused in the execution step below": (
        [span("one", "root", 1, 5, "tool", tool="t"), span("exec", "one", 2, 4, "other", signal="refused_call", error="E")], []
    ),
    "error in the execution step below": (
        [span("one", "root", 1, 5, "tool", tool="t"), span("exec", "one", 2, 4, "other", error="E")], [("t", 1, 1)]
    ),
    "error below a tool that says ok": (
        [span("one", "root", 1, 5, "tool", tool="t", status="ok"), span("http", "one", 2, 4, "other", error="E")], [("t", 1, 0)]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOOLS)
def test_each_execution_of_a_tool_counts_once(case: str) -> None:
    spans, expected = TOOLS[case]

    assert tools(*spans) == expected
