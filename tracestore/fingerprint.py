"""Which errors are the same error: a short name for all failures that differ only in their ids, numbers and values.

An error with a stack trace that passes through the application's own code is told apart by its type and the place where it
left off: the innermost functions of that code with their files, without line numbers, folders or versions. Where all frames
belong to libraries (an SDK raises every answer of its server at one place) or there is no stack trace, the message tells, with
what varies replaced:

    payment gateway timeout for A-1099 after 30000 ms      payment gateway timeout for <id> after <n> ms
    Error code: 429 - Limit: 3 / min, retry in 20s         Error code: 429 - Limit: <n> / min, retry in <n>
    invalid order id '{"order_id": "A-10'                  invalid order id <value>
    cannot open /srv/app/data/a.json:12                    cannot open <path>

A number that a word for a status stands before (`status_code: 429`, `HTTP Error 500`) is kept: it says which error it is. Text
in quotes is a value after a word or an equals sign; after punctuation it is part of what is said (the message in the body of an
HTTP error, the argument of an exception).
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

from tracestore.remember import remember_short

FINGERPRINT_HEX_DIGITS = 12
# Callers differ in how they reach the place of an error, and in how often a loop or a wrapper stands above it.
_FRAMES = 3
# What follows is seldom text of the program, and nothing here may take long.
STACK_CHARS = 16_384
_MESSAGE_CHARS, _LINE_CHARS, _TYPE_CHARS = 500, 400, 100

# Some senders append the stack trace to the message.
_APPENDED_STACK = re.compile(r"Traceback \(most recent call last\):|\n\s{1,40}at \S{1,400} \(|\nStack trace:")

_QUOTED = r"""'(?:[^'\\\n]|\\.|'(?=\w))*'(?!\w)|"(?:[^"\\\n]|\\.)*"|`[^`\n]*`|“[^”\n]*”|‘[^’\n]*’"""
_VARIABLE = re.compile(
    r"(?P<status>(?i:\b(?:[a-z]+_)?(?:code|status|http(?:/\d(?:\.\d)?)?(?:[ _](?:error|status|code))*))[\"']?[ :=]{1,3}[1-5]\d\d"
    r"(?![\w.,-]*\w))"
    r"|(?P<url>\b[a-zA-Z][\w+.-]{1,20}://[^\s'\"<>]+)"
    r"|(?P<email>\b[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+)"
    r"|(?P<time>\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?|\b\d\d:\d\d:\d\d(?:[.,]\d+)?)"
    r"|(?P<path>(?<![\w<])(?:[A-Za-z]:|~|\.{1,2})?(?:[/\\][\w.@+-]+){2,}[/\\]?(?::\d+){0,2})"
    rf"|(?<=\w )(?P<quoted>{_QUOTED})"
    rf"|=\s?(?P<assigned>\{{[^{{}}\n]*\}}|\[[^\[\]\n]*\]|{_QUOTED})"
    r"|(?P<number>(?<![\w.-])[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][+-]?\d+)?(?:[a-zA-Zµ]{1,2}|%)?(?![\w-]|\.\d))"
    r"|(?P<word>\w+(?:[.:-]\w+)*)"
)
_ID = re.compile(r"\d|^[0-9a-fA-F]{8,}$")
_NUMBERS = re.compile(r"<(n|id)>(?:\s*,\s*<(?:n|id)>)+")
_SPACE = re.compile(r"\s+")

# A frame as the runtimes of ten languages print it: which line, in which file, which function. Order: the first that fits.
_FRAME_FORMS = (
    re.compile(r'^\s*File "(?P<file>[^"]+)", line \d+, in (?P<function>.+)$'),  # Python
    re.compile(r"^\s*at (?P<function>[^()\n]+?)\((?P<file>[\w$-]+\.(?:java|kt|kts|scala|groovy|clj)):\d+\)"),  # Java, Kotlin
    re.compile(r"^\s*at (?P<function>[^()\n]+?)\((?P<file>Native Method|Unknown Source|<generated>)\)"),
    re.compile(
        r"^\s*at (?:async |new )?(?P<function>[^()\n]+?)(?: \[as [^]\n]+])? \((?P<file>[^()\n]+?):\d+:\d+\)"
    ),  # JavaScript
    re.compile(r"^\s*at (?P<function>[^()\n]+\([^()\n]*\))(?: in (?P<file>[^\n]+?):line \d+)?\s*$"),  # .NET
    re.compile(r"^\s*at (?:async )?(?P<file>[^\s()]+?):\d+:\d+\s*$"),  # JavaScript, Rust
    re.compile(r"^\s*#\d+ (?P<file>[^\s(]+)\(\d+\): (?P<function>[^(\n]+)"),  # PHP
    re.compile(r"^\s*(?:from )?(?P<file>[^\s:]+\.rb):\d+:in [`'](?P<function>[^'\n]+)'"),  # Ruby
    re.compile(r"^\t(?P<file>\S+\.go):\d+"),  # Go: the function stands on the line before
)
_GO_FUNCTION = re.compile(r"^(?:created by )?(?P<function>[^\s(]+(?:\(\*?\w+\)[^\s(]*)?)")
_LIBRARY_FILE = re.compile(
    r"site-packages|dist-packages|node_modules|^node:|^internal/|/lib/python\d|^<|/usr/(?:local/)?lib/|/usr/(?:local/)?go/|/pkg/mod/"
    r"|/vendor/|/gems/|/ruby/\d|/rustc/|/\.cargo/|^(?:Native Method|Unknown Source)$|^native$"
)
_LIBRARY_FUNCTION = re.compile(
    r"^(?:java|javax|jdk|sun|com\.sun|kotlin|kotlinx|scala|clojure|groovy|reactor|io\.netty|org\.(?:springframework|apache|junit)"
    r"|System|Microsoft|runtime|net/http)\b"
)
_GENERATED = re.compile(r"0x[0-9a-fA-F]+|[0-9a-f]{8,}|\d+")
_FRAME_OF_PYTHON = re.compile(r'^ {2}File "[^"\n]{1,400}", line \d+, in ', re.MULTILINE)
_PYTHON_STACK = "Traceback (most recent call last):"
# No \s, which crosses lines: over a run of empty ones it would look at each rest of the run again.
_CAUSE = re.compile(r"^[^\S\n]*(?:Caused by:|--->|\[cause\]:)", re.MULTILINE)


def fingerprint(error_type: str, message: str, stack_trace: str = "") -> str:
    """Return the name of the error: FINGERPRINT_HEX_DIGITS hex digits, the same for errors that differ only in values.

    `stack_trace` is that of the exception, "" where there is none; one that is appended to the message is found there. All
    three may be any text.
    """
    message, appended = split_stack_trace(message)
    kind = error_type if len(error_type) <= _TYPE_CHARS and not _SPACE.search(error_type) else normalize_message(error_type)
    frames = find_own_frames(stack_trace or appended)
    said = frames or (normalize_message(_without_type(message, error_type)),)
    text = "\0".join((kind, "at" if frames else "says", *said))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=FINGERPRINT_HEX_DIGITS // 2).hexdigest()


def split_stack_trace(message: str) -> tuple[str, str]:
    """Return the message without the stack trace that its sender appended to it, and that stack trace ("" for none)."""
    match = _APPENDED_STACK.search(message, 0, STACK_CHARS)
    if match is None:
        return message, ""
    return message[: match.start()].rstrip(), message[match.start() :].strip("\n")


def normalize_message(message: str) -> str:
    """Return one line of the message with everything that varies from failure to failure replaced by a word in <>."""
    return _normalize(message[: 4 * _MESSAGE_CHARS])


@lru_cache(maxsize=4096)
def _normalize(message: str) -> str:
    text = _VARIABLE.sub(_replace, message)
    return _SPACE.sub(" ", _NUMBERS.sub(r"<\1>", text)).strip()[:_MESSAGE_CHARS]


def _replace(match: re.Match[str]) -> str:
    kind, text = match.lastgroup, match.group()
    if kind == "status":
        return text
    if kind == "word":
        return "<id>" if _ID.search(text) else text
    if kind in ("quoted", "assigned"):
        return "=<value>" if kind == "assigned" else "<value>"
    return "<n>" if kind == "number" else f"<{kind}>"


def _without_type(message: str, error_type: str) -> str:
    """Some dialects write `Type: message` or `Type('message')` where others write the message."""
    if not error_type or not message.startswith(error_type):
        return message
    rest = message[len(error_type) :]
    if rest.startswith(": "):
        return rest[2:]
    if rest.startswith("(") and rest.endswith(")"):
        inner = rest[1:-1]
        return inner[1:-1] if len(inner) > 1 and inner[0] == inner[-1] and inner[0] in "'\"" else inner
    return message


@remember_short(256, 2 * STACK_CHARS)
def find_own_frames(stack_trace: str) -> tuple[str, ...]:
    """Return the innermost frames of the application's own code as `file function`, innermost first; () when there is none.

    Of a longer stack trace the STACK_CHARS where it was left count: the last of a Python one, the first of others.
    """
    is_python = _FRAME_OF_PYTHON.search(stack_trace) is not None
    if is_python:
        # The last of a chain of exceptions is the one that was raised, and its last frame is where.
        stack_trace = stack_trace[max(0, stack_trace.rfind(_PYTHON_STACK)) :][-STACK_CHARS:]
    elif cause := _CAUSE.search(stack_trace, 1):
        stack_trace = stack_trace[: cause.start()]
    frames: list[str] = []
    lines = stack_trace[:STACK_CHARS].splitlines()
    pairs = list(pairwise(["", *lines]))
    for line_before, line in reversed(pairs) if is_python else pairs:
        frame = _read_frame(line[:_LINE_CHARS], line_before[:_LINE_CHARS])
        if frame and (not frames or frames[-1] != frame):
            frames.append(frame)
        if len(frames) == _FRAMES:
            break
    return tuple(frames)


def _read_frame(line: str, line_before: str) -> str:
    """Return `file function` of a frame of the application's own code, "" for any other line."""
    for form in _FRAME_FORMS:
        match = form.match(line)
        if match is None:
            continue
        found = match.groupdict()
        file, function = found.get("file") or "", found.get("function") or ""
        if line.startswith("\t") and file.endswith(".go") and (named := _GO_FUNCTION.match(line_before)):
            function = named["function"]
        if _LIBRARY_FILE.search(file) or _LIBRARY_FUNCTION.match(function):
            return ""
        name = re.split(r"[/\\]", file)[-1]
        return _GENERATED.sub("#", f"{name} {function.strip()}").strip()
    return ""
