"""Layered layout: every node has its place, none on another, and edges lead to the right where no ring forbids it."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.agents.layout import Sizes, lay_out

SIZES = Sizes()


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 14))
    ends = st.integers(0, count - 1)
    return count, draw(st.lists(st.tuples(ends, ends), max_size=30, unique=True))


@given(_graphs())
@settings(max_examples=150, deadline=None)
def test_nodes_never_overlap_and_stay_on_the_canvas(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = graph

    layout = lay_out(count, edges, SIZES)

    assert len(layout.places) == count
    assert len(layout.curves) == len(edges)
    for place in layout.places:
        assert place.x >= 0
        assert place.y >= 0
        assert place.x + SIZES.node_width <= layout.width
        assert place.y + SIZES.node_height <= layout.height
    for one, other in combinations(layout.places, 2):
        assert one.column != other.column or abs(one.y - other.y) >= SIZES.node_height + SIZES.row_gap - 0.01


@given(_graphs())
@settings(max_examples=100, deadline=None)
def test_edges_of_a_graph_without_rings_lead_to_the_right(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = graph
    forward = [(min(edge), max(edge)) for edge in edges if edge[0] != edge[1]]

    layout = lay_out(count, forward, SIZES)

    assert all(layout.places[start].column < layout.places[end].column for start, end in forward)


def test_ring_is_laid_out_with_one_edge_back() -> None:
    layout = lay_out(3, [(0, 1), (1, 2), (2, 0)], SIZES)

    assert [place.column for place in layout.places] == [0, 1, 2]


def test_crossing_that_can_be_avoided_is_avoided() -> None:
    layout = lay_out(4, [(0, 3), (1, 2)], SIZES)

    upper, lower = (0, 1) if layout.places[0].y < layout.places[1].y else (1, 0)
    assert layout.places[3 - upper].y < layout.places[3 - lower].y


def test_empty_graph_has_no_places() -> None:
    assert lay_out(0, [], SIZES).places == []
