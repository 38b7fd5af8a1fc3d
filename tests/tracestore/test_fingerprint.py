"""Which errors are one: on the errors of the recordings, and for whatever a sender may write."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.corpus.recordings import recordings
from tracestore.fingerprint import (
    FINGERPRINT_HEX_DIGITS,
    find_own_frames,
    fingerprint,
    normalize_message,
    split_stack_trace,
)

# Texts of the recordings, and how they read without what varies.
MESSAGES = {
    "payment gateway timeout for A-1099 after 30000 ms (trace-ref=pg-7f3a)": (
        "payment gateway timeout for <id> after <n> ms (trace-ref=<id>)"
    ),
    "Error code: 429 - Rate limit reached for requests. Limit: 3 / min. Please try again in 20s.": (
        "Error code: 429 - Rate limit reached for requests. Limit: <n> / min. Please try again in <n>."
    ),
    "status_code: 500, model_name: gpt-4.1, body: {'message': 'The server had an error', 'param': None}": (
        "status_code: 500, model_name: <id>, body: {'message': 'The server had an error', 'param': None}"
    ),
    "HTTP Error 500: Internal Server Error": "HTTP Error 500: Internal Server Error",
    "This model's maximum context length is 8,192 tokens. However, your messages resulted in 12034 tokens.": (
        "This model's maximum context length is <n> tokens. However, your messages resulted in <n> tokens."
    ),
    'invalid order id \'{"order_id": "A-10\'': "invalid order id <value>",
    "'unknown tool delete_customer'": "'unknown tool delete_customer'",
    "Tool 'lookup_order' exceeded max retries count of 1": "Tool <value> exceeded max retries count of <n>",
    "1 validation error for Refund\norder_id\n  Field required [type=missing, input_value={'a': 'b c'}, input_type=dict]": (
        "<n> validation error for Refund order_id Field required [type=missing, input_value=<value>, input_type=dict]"
    ),
    "cannot open /srv/app/data/a.json:12": "cannot open <path>",
    "see https://errors.pydantic.dev/2.14/v/missing": "see <url>",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301 at 0x7f3a2b1c, deadbeefcafe for bob@example.com on 2026-11-20T10:11:12.123Z": (
        "<id> at <id> for <email> on <time>"
    ),
    "ids [1, 2, 3] of 50%": "ids [<n>] of <n>",
}


@pytest.mark.parametrize("message", MESSAGES)
def test_message_reads_without_what_varies(message: str) -> None:
    assert normalize_message(message) == MESSAGES[message]


ids = st.one_of(
    st.uuids().map(str),
    st.integers(0, 10**12).map(str),
    st.integers(0, 2**64).map(hex),
    st.binary(min_size=8, max_size=16).map(bytes.hex),
    st.tuples(st.sampled_from(["ord", "A", "req"]), st.integers(0, 10**6)).map(lambda pair: f"{pair[0]}-{pair[1]}"),
)
TEMPLATES = (
    "order {} not found",
    "lock 'held by {}' timed out",
    "HTTP 502 from upstream, request {}",
    '{{"error": "no such customer", "id": "{}"}}',
    "could not read /var/data/{}/part.json:{}",
)


@given(st.sampled_from(TEMPLATES), ids, ids)
def test_same_error_keeps_its_fingerprint_when_ids_change(template: str, one: str, other: str) -> None:
    # A bare number and an id are told apart: a counter is no id. So both stand as a word here.
    one, other = f"x{one}", f"x{other}"

    assert fingerprint("E", template.format(one, one)) == fingerprint("E", template.format(other, other))


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_same_error_keeps_its_fingerprint_when_numbers_change(one: int, other: int) -> None:
    assert fingerprint("E", f"waited {one} ms of {one}") == fingerprint("E", f"waited {other} ms of {other}")


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=300))
def test_every_text_has_a_fingerprint_and_always_the_same(error_type: str, message: str, stack: str) -> None:
    result = fingerprint(error_type, message, stack)

    assert len(result) == FINGERPRINT_HEX_DIGITS
    assert set(result) <= set(string.hexdigits.lower())
    assert result == fingerprint(error_type, message, stack)


def test_different_errors_have_different_fingerprints() -> None:
    errors = [
        ("RateLimitError", "Error code: 429 - slow down"),
        ("RateLimitError", "Error code: 529 - slow down"),
        ("InternalServerError", "Error code: 429 - slow down"),
        ("RateLimitError", "Error code: 429 - quota exceeded"),
        ("RateLimitError", ""),
        ("", "Error code: 429 - slow down"),
        ("", ""),
    ]

    assert len({fingerprint(*error) for error in errors}) == len(errors)


@pytest.mark.parametrize(
    "written", ["ToolFailure: gateway timeout for A-1", "ToolFailure('gateway timeout for A-1')", "gateway timeout for A-7"]
)
def test_type_repeated_in_the_message_makes_no_other_error(written: str) -> None:
    assert fingerprint("ToolFailure", written) == fingerprint("ToolFailure", "gateway timeout for A-2")


PYTHON = """Traceback (most recent call last):
  File "/srv/one/lib/python3.11/site-packages/agents/run.py", line 10, in run
    tool()
  File "/srv/{folder}/tools.py", line {line}, in issue_refund
    return post(order)
  File "/srv/{folder}/gateway.py", line {line}, in post
    raise GatewayError(order)
gateway.GatewayError: {line}
"""
STACKS = {
    "Python": (PYTHON.format(folder="app", line=41), ("gateway.py post", "tools.py issue_refund")),
    "JavaScript": (
        "Error: no\n    at async Refund.post (file:///srv/app/gateway.mjs:41:9)\n    at /srv/app/index.js:3:1\n"
        "    at Module._compile (node:internal/modules/cjs/loader:1105:14)\n    at run (/srv/node_modules/ai/dist/index.js:1:2)",
        ("gateway.mjs Refund.post", "index.js"),
    ),
    "Java": (
        "com.shop.GatewayException: no\n\tat com.shop.Gateway.post(Gateway.java:41)\n"
        "\tat java.base/java.lang.Thread.run(Thread.java:840)\nCaused by: java.io.IOException\n\tat com.shop.Io.read(Io.java:1)",
        ("Gateway.java com.shop.Gateway.post",),
    ),
    ".NET": (
        "Shop.GatewayException: no\n   at Shop.Gateway.Post(String order) in C:\\src\\Gateway.cs:line 41\n"
        "   at System.Threading.Tasks.Task.Wait()",
        ("Gateway.cs Shop.Gateway.Post(String order)",),
    ),
    "Go": (
        "goroutine 7 [running]:\nmain.post(0xc0000, 0x5)\n\t/src/app/gateway.go:41 +0x1d\n"
        "runtime.main()\n\t/usr/local/go/src/runtime/proc.go:250 +0x1",
        ("gateway.go main.post",),
    ),
    "Ruby": ("gateway.rb:41:in `post': no (GatewayError)\n\tfrom /usr/lib/ruby/3.1/net/http.rb:3:in `get'", ("gateway.rb post",)),
    "PHP": ("#0 /srv/app/Gateway.php(41): Gateway->post('A-1')\n#1 {main}", ("Gateway.php Gateway->post",)),
    "nothing": ("no frames here", ()),
}


@pytest.mark.parametrize("language", STACKS)
def test_own_frames_are_found_in_any_language(language: str) -> None:
    stack, frames = STACKS[language]

    assert find_own_frames(stack) == frames


def test_error_of_own_code_is_told_by_its_place_not_by_its_message_or_line() -> None:
    here = fingerprint("E", "could not parse: I think", PYTHON.format(folder="app", line=41))

    assert here == fingerprint("E", "could not parse: well, maybe", PYTHON.format(folder="releases/77/app", line=52))
    assert here != fingerprint("E", "could not parse: I think", PYTHON.replace("post", "get").format(folder="app", line=41))
    assert here != fingerprint("F", "could not parse: I think", PYTHON.format(folder="app", line=41))


def test_error_of_a_library_is_told_by_its_message() -> None:
    stack = 'Traceback (most recent call last):\n  File "/x/site-packages/openai/_base.py", line 1, in request\n    raise error\n'

    assert fingerprint("E", "Error code: 400 - too long", stack) == fingerprint("E", "Error code: 400 - too long")
    assert fingerprint("E", "Error code: 400 - too long", stack) != fingerprint("E", "Error code: 400 - bad schema", stack)


def test_long_stack_trace_is_read_where_the_error_left_it() -> None:
    library = '  File "/x/site-packages/a.py", line 1, in call\n    call()\n'
    own = '  File "/srv/app/gateway.py", line 2, in post\n    raise E()\n'

    assert find_own_frames(f"Traceback (most recent call last):\n{library * 1000}{own}") == ("gateway.py post",)
    assert find_own_frames(library * 300 + own) == ("gateway.py post",)
    assert find_own_frames("Error\n    at post (/srv/app/a.js:1:1)\n" + "    at x (node:internal/y:1:1)\n" * 1000) == (
        "a.js post",
    )


def test_stack_trace_appended_to_the_message_counts_as_one() -> None:
    stack = PYTHON.format(folder="app", line=41)

    assert split_stack_trace("no " + stack)[0] == "no"
    assert split_stack_trace("no") == ("no", "")
    assert fingerprint("E", stack) == fingerprint("E", "no", stack)
    assert fingerprint("E", "no " + stack) == fingerprint("E", "no", stack)


@pytest.mark.parametrize(
    "text",
    [
        "'" * 50_000,
        "a '" * 20_000,
        "='" * 20_000,
        "/a" * 20_000,
        "a.b" * 20_000,
        "\n  at  [as" * 5000,
        "  at " + " [as " * 9000,
        " " * 50_000,
        "\n" * 2_000_000,
    ],
)
def test_hostile_text_is_named_without_trying_every_way_to_read_it(text: str) -> None:
    # Would a pattern go back over what it has read, this test would not end.
    assert len(fingerprint("E", text, text)) == FINGERPRINT_HEX_DIGITS


def recorded_errors() -> list[tuple[str, str, str]]:
    """Return (type, message, stack trace) of every exception event of the recordings."""
    errors = []
    for recording in recordings():
        for body in recording.trace_requests():
            request = ExportTraceServiceRequest.FromString(body)
            for span in (span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans):
                for event in span.events:
                    said = {pair.key: pair.value.string_value for pair in event.attributes}
                    if "exception.stacktrace" in said:
                        errors.append((said["exception.type"], said["exception.message"], said["exception.stacktrace"]))
    return errors


def test_recorded_errors_group_as_a_person_would() -> None:
    errors = recorded_errors()
    groups: dict[str, set[str]] = {}
    for error_type, message, stack in errors:
        name = error_type.rsplit(".", 1)[-1]
        groups.setdefault(fingerprint(name, message, stack), set()).add(name)

    # The same tool fails in many frameworks: at one place of the code, whatever called it.
    tools = {fingerprint("ToolFailure", message, stack) for kind, message, stack in errors if kind.endswith("ToolFailure")}
    assert len(tools) == 1
    assert len(errors) > 500
    assert len(groups) < len(errors) / 3
    assert all(len(names) == 1 for names in groups.values())
