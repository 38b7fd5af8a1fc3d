"""Documents tell the truth: their commands run, their Python compiles, their links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from urllib.parse import quote

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from tests.live import ROOT, LiveServer, start_server

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)((?:(?: {4,}|\t)[^\n]*\n|\n(?= {4}))+)")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A block of code: `language` is "" for an indented one."""

    document: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}: {self.text.strip().splitlines()[0][:60]}"


def read_blocks(document: Path) -> list[Block]:
    text = document.read_text()
    fenced = [Block(document.name, match[2], dedent(match[3])) for match in FENCE.finditer(text)]
    indented = [Block(document.name, "", dedent(match[1])) for match in INDENTED.finditer(FENCE.sub("", text))]
    return fenced + indented


BLOCKS = [block for document in DOCUMENTS for block in read_blocks(document)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    server = start_server(tmp_path_factory.mktemp("docs"))
    yield server
    server.stop()


def runs_here(block: Block) -> bool:
    """Whether a block is curl against a fresh local instance: no placeholder of a key, no id that only an example has."""
    is_shell = block.language in ("", "sh")
    foreign = ("KEY", "/api/v1/traces/4bf92f", "export ", "http://tracestore")
    return is_shell and "curl " in block.text and not any(word in block.text for word in foreign)


CURL_BLOCKS = [block for block in BLOCKS if runs_here(block)]
# Others verify what comes from an instance; tests/alerts/test_webhook.py runs that.
PYTHON_BLOCKS = [block for block in BLOCKS if block.language == "python" and "opentelemetry" in block.text]


def point_at(server: LiveServer, text: str) -> str:
    """Replace the documented addresses by the instance's, and let curl fail on a refusal."""
    text = text.replace("http://localhost:8000", server.url).replace("http://localhost:4318", server.otlp_url)
    return re.sub(r"(?<![\w-])curl ", "curl --fail-with-body --max-time 90 ", text)


def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=250, check=False, **options)  # type: ignore[call-overload, no-any-return]


def wait_for_trace(server: LiveServer, query: str) -> None:
    deadline = time.monotonic() + 120
    url = f"{server.url}/api/v1/traces?q={quote(query)}&limit=1"
    while time.monotonic() < deadline:
        with urllib.request.urlopen(url, timeout=90) as answer:
            if b'"trace_id"' in answer.read():
                return
        time.sleep(0.3)
    raise AssertionError(f"no trace matches {query}")


def test_readme_sending_and_api_have_commands_that_run() -> None:
    assert {"README.md", "sending-traces.md", "api.md", "operating.md"} <= {block.document for block in CURL_BLOCKS}


@pytest.mark.parametrize("block", CURL_BLOCKS, ids=str)
def test_documented_curl_command_is_accepted(block: Block, server: LiveServer) -> None:
    done = run(["bash", "-euo", "pipefail", "-c", point_at(server, block.text)])

    assert done.returncode == 0, done.stderr + done.stdout
    assert "partialSuccess" not in done.stdout


@pytest.mark.parametrize(
    ("document", "query"),
    [("README.md", "service:curl name:hello"), ("sending-traces.md", "service:curl-agent error:OrderNotFound tool:lookup")],
)
def test_what_the_documented_curl_sends_can_be_found(document: str, query: str, server: LiveServer) -> None:
    for block in CURL_BLOCKS:
        if block.document == document and "/v1/traces -H" in block.text:
            run(["bash", "-c", point_at(server, block.text)])

    wait_for_trace(server, query)


@pytest.mark.parametrize("block", PYTHON_BLOCKS, ids=str)
def test_documented_python_sends_a_trace(block: Block, server: LiveServer, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    sending = (
        "" if "start_as_current_span" in block.text else 'with trace.get_tracer("readme").start_as_current_span("x"):\n    pass\n'
    )
    script.write_text(point_at(server, block.text) + sending + "provider.shutdown()\n")

    done = run([sys.executable, str(script)], env=os.environ | {"OTEL_SDK_DISABLED": "false", "OTEL_EXPORTER_OTLP_TIMEOUT": "60"})

    assert done.returncode == 0, done.stderr
    assert "Failed" not in done.stderr, done.stderr


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "yaml"], ids=str)
def test_documented_yaml_parses(block: Block) -> None:
    assert isinstance(yaml.safe_load(block.text), dict)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        linked = (document.parent / path).resolve() if path else document
        assert linked.exists(), f"{document.name} links to {target}"
        if anchor and linked.suffix == ".md":
            headings = re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, f"{document.name} links to {target}"


def test_index_lists_every_document() -> None:
    index = ROOT / "docs" / "README.md"

    linked = {target for target in LINK.findall(index.read_text()) if target.endswith(".md")}

    assert linked == {path.name for path in index.parent.glob("*.md")} - {"README.md"}


def test_documented_page_of_failing_refunds_is_served(server: LiveServer) -> None:
    link = next(target for target in LINK.findall((ROOT / "README.md").read_text()) if "localhost:8000/traces?" in target)

    with urllib.request.urlopen(point_at(server, link), timeout=90) as answer:
        assert answer.status == 200


def test_make_targets_that_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))

    for document in DOCUMENTS:
        named = set(re.findall(r"^ +make ([a-z-]+)", document.read_text(), re.MULTILINE))
        named |= set(re.findall(r"`make ([a-z-]+)`", document.read_text()))
        assert named <= targets, f"{document.name} names {sorted(named - targets)}"


def test_operating_lists_every_command_of_ours() -> None:
    files = ROOT.glob("*/management/commands/[a-z]*.py")
    manual = (ROOT / "docs" / "operating.md").read_text().split("## Commands")[1].split("\n## ")[0]

    listed = set(re.findall(r"^\| `(\w+)", manual, re.MULTILINE))

    assert listed == {path.stem for path in files}


def test_commands_and_options_that_documents_name_exist() -> None:
    for document in DOCUMENTS:
        for name, arguments in re.findall(r"manage\.py ([a-z]\w+)([^`\n|]*)", document.read_text()):
            command = load_command_class(get_commands()[name], name)
            known = command.create_parser("manage.py", name)._option_string_actions
            options = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", arguments.partition("#")[0]))
            assert options <= known.keys(), f"{document.name} gives {name} {sorted(options - known.keys())}"
