"""The agent graph's page and API, over spans that came through the real tables and the real summary job."""

from __future__ import annotations

import itertools
import re
import time
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from dashboards.agents.graph import MAX_NODES, find_measure
from dashboards.agents.graph import draw as draw_graph
from dashboards.search.query_string import parse_search
from tests.factories import new_trace_id
from tests.spans import build_request
from tracestore.agent_graph import AgentGraph, Edge, Node
from tracestore.clickhouse.client import Store
from tracestore.clickhouse.landing import insert_batch
from tracestore.jobs.summarize import summarize_pending

pytestmark = pytest.mark.usefixtures("default_project")
_batches = itertools.count(1)


def _run(store: Store, *, version: str = "v2", tool: str = "search", fails: bool = False, count: int = 1) -> None:
    spans, now_ns = [], time.time_ns()
    for _ in range(count):
        trace_id = new_trace_id()
        failure = {"error": "no answer"} if fails else {}
        spans += [
            {
                "trace_id": trace_id, "span_id": "1" * 16, "name": "invoke_agent support", "start_ns": now_ns - 60 * 10**9,
                "attributes": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "support"}, **failure,
            },
            {
                "trace_id": trace_id, "span_id": "2" * 16, "parent": "1" * 16, "name": f"execute_tool {tool}",
                "start_ns": now_ns - 59 * 10**9,
                "attributes": {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": tool}, **failure,
            },
        ]  # fmt: skip
    request = build_request(*spans, resource={"service.version": version})
    insert_batch(store, [(1, now_ns, request)], writer="agents", batch_seq=next(_batches))
    summarize_pending()


def _text(response: Any) -> str:
    return unescape(response.content.decode())


def _links(text: str, row: str) -> list[str]:
    """The queries behind the nodes or edges of the drawing."""
    hrefs = re.findall(rf'<a class="graph__{row}[^>]*? href="([^"]*)"', text)
    return [parse_qs(urlsplit(href).query).get("q", [""])[0] for href in hrefs]


def test_page_comes_before_the_counting(client: Client, store: Store) -> None:
    response = client.get("/agents", {"q": "version:v2", "start": "now-7d", "against": "version:v1", "by": "p95"})

    text = _text(response)
    assert response.status_code == 200
    assert 'hx-get="/agents/graph?q=version%3Av2&start=now-7d&against=version%3Av1&by=p95"' in text
    assert '<svg class="graph' not in text


def test_drawing_has_nodes_edges_and_the_same_numbers_as_tables(client: Client, store: Store) -> None:
    _run(store, count=3)
    _run(store, fails=True)

    text = _text(client.get("/agents/graph", {"q": "version:v2"}))

    assert "4 traces" in text
    assert len(_links(text, "node")) == 3
    assert set(_links(text, "node")) == {"version:v2 service:support-bot", "version:v2 agent:support", "version:v2 tool:search"}
    assert len(_links(text, "edge")) == 2
    found = re.findall(r'<tr id="edge-\d+">(.*?)</tr>', text.replace("<wbr>", ""), re.S)
    rows = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]
    assert rows == ["support calls search 4 4 100% 1 · 25% 1 s – –", "support-bot starts support 4 4 100% 1 · 25% 1 s – –"]


def test_link_of_an_edge_finds_its_traces(client: Client, store: Store) -> None:
    _run(store, tool="refund")
    _run(store, tool="search")

    text = _text(client.get("/agents/graph"))
    query = next(query for query in _links(text, "edge") if "refund" in query)

    assert client.get("/api/v1/traces", {"q": query}).json()["results"][0]["tools"][0]["name"] == "refund"
    assert len(client.get("/api/v1/traces", {"q": query}).json()["results"]) == 1


def test_comparison_marks_what_is_new_gone_and_worse(client: Client, store: Store) -> None:
    _run(store, version="v2", count=40)
    _run(store, version="v2", tool="lookup")
    _run(store, version="v3", count=20)
    _run(store, version="v3", fails=True, count=20)
    _run(store, version="v3", tool="refund")

    text = _text(client.get("/agents/graph", {"q": "version:v3", "against": "version:v2"}))

    tones = dict(re.findall(r'class="graph__node graph__node--tool graph__node--(\w+)".*?graph__name[^>]*>(\w+)<', text, re.S))
    assert tones == {"worse": "search", "new": "refund", "gone": "lookup"}
    assert "+50 points" in text
    assert "41 traces" in text
    assert any(query == "version:v2 tool:lookup" for query in _links(text, "node"))


def test_no_trace_and_no_agent_say_what_to_do(client: Client, store: Store) -> None:
    empty = _text(client.get("/agents/graph"))
    now_ns = time.time_ns()
    plain = {"trace_id": new_trace_id(), "span_id": "1" * 16, "name": "GET /", "start_ns": now_ns - 10**9}
    insert_batch(store, [(1, now_ns, build_request(plain))], writer="agents", batch_seq=next(_batches))
    summarize_pending()

    assert "No trace has arrived yet" in empty
    assert 'href="/setup"' in empty
    assert "No agent, model or tool" in _text(client.get("/agents/graph"))
    assert "No trace matches" in _text(client.get("/agents/graph", {"q": "tool:nobody"}))


def test_bad_queries_are_explained(client: Client, store: Store) -> None:
    bad, bad_against = client.get("/agents", {"q": "verison:v3"}), client.get("/agents", {"against": "verison:v3"})

    assert bad.status_code == bad_against.status_code == 422
    assert "verison" in _text(bad)
    assert "Compare with: " in _text(bad_against)
    assert "verison" in _text(client.get("/agents/graph", {"q": "verison:v3"}))


def test_api_gives_both_graphs(client: Client, store: Store) -> None:
    _run(store, version="v2")
    _run(store, version="v3", fails=True)

    answer = client.get("/api/v1/agents", {"q": "version:v3", "against": "version:v2"}).json()

    edge = next(edge for edge in answer["edges"] if edge["callee"] == {"kind": "tool", "name": "search"})
    assert edge["caller"] == {"kind": "agent", "name": "support"}
    assert (edge["calls"], edge["errors"], edge["failure_rate"], edge["is_handoff"]) == (1, 1, 1.0, False)
    assert answer["against"]["trace_count"] == answer["trace_count"] == 1
    assert client.get("/api/v1/agents").json()["against"] is None
    refused = client.get("/api/v1/agents", {"against": "verison:v3"})
    error = refused.json()["error"]
    assert (refused.status_code, error["parameter"], error["suggestion"]) == (400, "against", "version")


def test_numbers_that_would_cover_each_other_give_way_to_failing_and_frequent_calls() -> None:
    tool = Node("tool", "search", calls=120, trace_count=1)
    agents = [Node("agent", f"helper {at}", calls=at + 1, trace_count=1) for at in range(12)]
    edges = [Edge(agent.key, tool.key, agent.calls, int(agent.name == "helper 3"), 1, 1.0) for agent in agents]

    drawing = draw_graph(parse_search({}), AgentGraph([*agents, tool], edges, 1, 1), None, "", find_measure(""))

    labelled = [edge for edge in drawing.edges if edge.is_labelled]
    assert 1 < len(labelled) < 12
    assert {"helper 3", "helper 11"} <= {edge.caller.name for edge in labelled}
    heights = sorted(edge.label_y for edge in labelled)
    assert all(above + 12 <= below for above, below in itertools.pairwise(heights))


def test_hundreds_of_tools_stay_in_the_tables(client: Client, store: Store) -> None:
    agent = Node("agent", "support", calls=5)
    tools = [Node("tool", f"tool-{at}", calls=500 - at, trace_count=1) for at in range(300)]
    edges = [Edge(agent.key, tool.key, tool.calls, 0, 1, 1.0) for tool in tools]
    graph = AgentGraph([agent, *tools], edges, trace_count=1, span_count=1)

    drawing = draw_graph(parse_search({}), graph, None, "", find_measure(""))

    assert len(drawing.nodes) == 301
    assert sum(node.place is not None for node in drawing.nodes) == MAX_NODES
    assert drawing.hidden_nodes == 301 - MAX_NODES
    assert next(node for node in drawing.nodes if node.kind == "agent").place is not None
    assert sum(bool(edge.path) for edge in drawing.edges) == MAX_NODES - 1


def test_name_that_no_query_can_hold_leads_to_all_traces_and_leaves_the_page_small(client: Client, store: Store) -> None:
    _run(store, tool="w" * 200_000)

    page = client.get("/agents/graph?start=now-1h&q=version:v2")

    assert len(page.content) < 100_000
    assert "version:v2" in _links(_text(page), "node")
