"""Texts of strangers as pages show them."""

from __future__ import annotations

import pytest

from dashboards.text import EXCERPT_CHARS, split_stacktrace

STACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in run'


@pytest.mark.parametrize(
    ("message", "said", "stack"),
    [
        (f"it broke\n\n  {STACK}", "it broke", STACK),
        ("it broke\n \n    at run (a.js:1:2)", "it broke", "    at run (a.js:1:2)"),
        ("it broke\nStack trace:\n#0 a.php(1): run()", "it broke", "Stack trace:\n#0 a.php(1): run()"),
        (f"\n {STACK}", f"\n {STACK}", ""),  # all there is
        ("it broke at noon", "it broke at noon", ""),
    ],
)
def test_stack_trace_is_cut_off_what_was_said_before_it(message: str, said: str, stack: str) -> None:
    assert split_stacktrace(message) == (said, stack)


def test_runs_of_white_space_are_read_once() -> None:
    # Would the pattern go back over each run that it has read, this test would not end.
    for number in range(400):
        text = f"{number}" + "\n " * EXCERPT_CHARS
        assert split_stacktrace(text) == (text, "")
