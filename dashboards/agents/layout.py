"""Places for the nodes of a directed graph, in columns from left to right, and the curves of its edges. Pure.

The steps of Sugiyama, Tagawa and Toda (IEEE Trans. Syst. Man Cybern. 11, 1981): turn the edges that close a ring, put each node a
column after the last of its predecessors, order columns so that few edges cross, and place nodes level with their neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 8
# What stands for an edge in a column that it passes.
_PASSAGE_HEIGHT = 14.0
# Between the end of a label and the node that its edge leads to: room for an arrow.
_LABEL_GAP = 12.0
# Between the ends of edges at one side of a node.
_END_GAP = 13.0


@dataclass(frozen=True)
class Sizes:
    """Lengths in the units of the drawing."""

    node_width: float = 196
    node_height: float = 56
    column_gap: float = 96
    row_gap: float = 20
    margin: float = 12


@dataclass(frozen=True)
class Place:
    """Upper left corner of a node; `column` counts from 0."""

    x: float
    y: float
    column: int


@dataclass(frozen=True)
class Curve:
    """An edge as SVG path data, and the point where a label may end."""

    path: str
    label_x: float
    label_y: float


@dataclass(frozen=True)
class Layout:
    """One place a node and one curve an edge, in the order they were given."""

    places: list[Place]
    curves: list[Curve]
    width: float
    height: float


def lay_out(node_count: int, edges: Sequence[tuple[int, int]], sizes: Sizes) -> Layout:
    """Place nodes 0 to node_count - 1. `edges` are (from, to); earlier nodes are roots where a ring leaves the choice."""
    turned = _turn_back_edges(node_count, edges)
    columns_of = _assign_columns(node_count, turned)
    chains, passages = _add_passages(node_count, turned, columns_of)
    column_of = columns_of + passages
    columns: list[list[int]] = [[] for _ in range(max(column_of, default=-1) + 1)]
    for vertex, column in enumerate(column_of):
        columns[column].append(vertex)
    links = [link for chain in chains for link in pairwise(chain)]
    before, after = _neighbours(len(column_of), links)
    _order_columns(columns, before, after, links)
    heights = [sizes.node_height if vertex < node_count else _PASSAGE_HEIGHT for vertex in range(len(column_of))]
    centres = _place_rows(columns, before, after, heights, sizes.row_gap)

    def left(vertex: int) -> float:
        return sizes.margin + column_of[vertex] * (sizes.node_width + sizes.column_gap)

    top = min((centres[vertex] - heights[vertex] / 2 for vertex in range(len(column_of))), default=0) - sizes.margin
    centres = [centre - top for centre in centres]
    places = [Place(left(node), centres[node] - sizes.node_height / 2, column_of[node]) for node in range(node_count)]
    outgoing, incoming = _spread_ends(chains, centres, sizes)
    curves = [
        _draw(edge, chain, left, centres, sizes, (outgoing[number], incoming[number]))
        for number, (edge, chain) in enumerate(zip(edges, chains, strict=True))
    ]
    below = [place.y + sizes.node_height for place in places] + [curve.label_y for curve in curves]
    width = 2 * sizes.margin + len(columns) * sizes.node_width + max(0, len(columns) - 1) * sizes.column_gap
    return Layout(places, curves, width, max(below, default=0) + sizes.margin)


def _turn_back_edges(node_count: int, edges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the edges with those turned round that lead back to a node still being visited, depth first."""
    outgoing: list[list[int]] = [[] for _ in range(node_count)]
    incoming = [0] * node_count
    for start, end in edges:
        if start != end:
            outgoing[start].append(end)
            incoming[end] += 1
    order = sorted(range(node_count), key=lambda node: (incoming[node] > 0, node))
    entered, left = [-1] * node_count, [-1] * node_count
    clock = 0
    for root in order:
        if entered[root] >= 0:
            continue
        entered[root], clock = clock, clock + 1
        stack = [(root, iter(outgoing[root]))]
        while stack:
            node, rest = stack[-1]
            following = next((end for end in rest if entered[end] < 0), None)
            if following is None:
                left[node], clock = clock, clock + 1
                stack.pop()
            else:
                entered[following], clock = clock, clock + 1
                stack.append((following, iter(outgoing[following])))
    # An edge leads back when its end was entered before its start and left after it.
    return [(end, start) if entered[end] < entered[start] and left[end] > left[start] else (start, end) for start, end in edges]


def _assign_columns(node_count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """Return each node's column, one after the last of its predecessors."""
    outgoing: list[list[int]] = [[] for _ in range(node_count)]
    waiting = [0] * node_count
    for start, end in edges:
        if start != end:
            outgoing[start].append(end)
            waiting[end] += 1
    columns = [0] * node_count
    ready = [node for node in range(node_count) if not waiting[node]]
    while ready:
        node = ready.pop()
        for end in outgoing[node]:
            columns[end] = max(columns[end], columns[node] + 1)
            waiting[end] -= 1
            if not waiting[end]:
                ready.append(end)
    return columns


def _add_passages(node_count: int, edges: Sequence[tuple[int, int]], columns: Sequence[int]) -> tuple[list[list[int]], list[int]]:
    """Return each edge as a chain of vertices, one a column, and the columns of the vertices that were added for that."""
    chains: list[list[int]] = []
    added: list[int] = []
    for start, end in edges:
        chain = [start]
        for column in range(columns[start] + 1, columns[end]):
            chain.append(node_count + len(added))
            added.append(column)
        chains.append([*chain, end])
    return chains, added


def _neighbours(count: int, links: Sequence[tuple[int, int]]) -> tuple[list[list[int]], list[list[int]]]:
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for start, end in links:
        if start != end:
            before[end].append(start)
            after[start].append(end)
    return before, after


def _order_columns(
    columns: list[list[int]], before: list[list[int]], after: list[list[int]], links: Sequence[tuple[int, int]]
) -> None:
    """Order each column by where its neighbours stand, there and back, and keep the order with the fewest crossings."""
    best = [list(column) for column in columns]
    fewest = _count_crossings(columns, links)
    for sweep in range(_SWEEPS):
        rows = {vertex: row for column in columns for row, vertex in enumerate(column)}
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            beside = before if forward else after
            middles = {
                vertex: sum(rows[other] for other in beside[vertex]) / len(beside[vertex])
                if beside[vertex]
                else float(rows[vertex])
                for vertex in column
            }
            column.sort(key=lambda vertex: middles[vertex])
            rows |= {vertex: row for row, vertex in enumerate(column)}
        crossings = _count_crossings(columns, links)
        if crossings < fewest:
            best, fewest = [list(column) for column in columns], crossings
    columns[:] = best


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _count_crossings(columns: list[list[int]], links: Sequence[tuple[int, int]]) -> int:
    place = {vertex: (number, row) for number, column in enumerate(columns) for row, vertex in enumerate(column)}
    between: dict[int, list[tuple[int, int]]] = {}
    for start, end in links:
        between.setdefault(place[start][0], []).append((place[start][1], place[end][1]))
    crossings = 0
    for rows in between.values():
        ends = [end for _, end in sorted(rows)]
        crossings += sum(later < end for at, end in enumerate(ends) for later in ends[at + 1 :])
    return crossings


def _place_rows(
    columns: list[list[int]], before: list[list[int]], after: list[list[int]], heights: Sequence[float], gap: float
) -> list[float]:
    """Return the height of each vertex's centre: as near to its neighbours' mean as the order and the gaps allow."""
    centres = [0.0] * len(heights)
    for column in columns:
        _spread(column, [0.0] * len(column), heights, gap, centres)
    for sweep in range(_SWEEPS):
        forward = sweep % 2 == 0
        for column in columns if forward else list(reversed(columns)):
            beside = before if forward else after
            wanted = [_mean([centres[other] for other in beside[vertex]], centres[vertex]) for vertex in column]
            _spread(column, wanted, heights, gap, centres)
    return centres


def _spread(column: Sequence[int], wanted: Sequence[float], heights: Sequence[float], gap: float, centres: list[float]) -> None:
    """Set the centres of a column nearest to those wanted that keep its order and gaps.

    Least squares: with the offsets taken off it is isotonic regression, by pooling adjacent violators (Barlow and others, 1972).
    """
    offsets = [0.0]
    for above, below in pairwise(column):
        offsets.append(offsets[-1] + heights[above] / 2 + gap + heights[below] / 2)
    blocks: list[list[float]] = []  # sum, count
    for centre, offset in zip(wanted, offsets, strict=False):
        blocks.append([centre - offset, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] >= blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += count
    levels = [total / count for total, count in blocks for _ in range(int(count))]
    for vertex, level, offset in zip(column, levels, offsets, strict=False):
        centres[vertex] = level + offset


def _spread_ends(chains: Sequence[Sequence[int]], centres: Sequence[float], sizes: Sizes) -> tuple[list[float], list[float]]:
    """Return how far from its node's middle each edge leaves and arrives, so that edges of one node do not lie on each other."""
    leaving, arriving = [0.0] * len(chains), [0.0] * len(chains)
    for ends, end, beside in ((leaving, 0, 1), (arriving, -1, -2)):
        by_node: dict[int, list[int]] = {}
        for number, chain in enumerate(chains):
            by_node.setdefault(chain[end], []).append(number)
        for numbers in by_node.values():
            numbers.sort(key=lambda number: centres[chains[number][beside]])
            step = min(_END_GAP, (sizes.node_height - _END_GAP) / len(numbers))
            for rank, number in enumerate(numbers):
                ends[number] = (rank - (len(numbers) - 1) / 2) * step
    return leaving, arriving


def _draw(
    edge: tuple[int, int],
    chain: Sequence[int],
    left: Callable[[int], float],
    centres: Sequence[float],
    sizes: Sizes,
    offsets: tuple[float, float],
) -> Curve:
    """Return the curve of an edge: through its passages, or below the nodes when it leads back."""
    start, end = edge
    if chain[0] != start or start == end:
        return _draw_back(left(start), centres[start], left(end), centres[end], sizes)
    points = [(left(start) + sizes.node_width, centres[start] + offsets[0])]
    for passage in chain[1:-1]:
        points += [(left(passage), centres[passage]), (left(passage) + sizes.node_width, centres[passage])]
    points.append((left(end), centres[end] + offsets[1]))
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for number, ((x1, y1), (x2, y2)) in enumerate(pairwise(points)):
        middle = (x1 + x2) / 2
        path += f" L{x2:.1f} {y2:.1f}" if number % 2 else f" C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    # Lines that leave one node together have parted where they end.
    return Curve(path, points[-1][0] - _LABEL_GAP, points[-1][1])


def _draw_back(x1: float, y1: float, x2: float, y2: float, sizes: Sizes) -> Curve:
    """From the lower edge of one node to the lower edge of the other, beneath both."""
    x1, x2 = x1 + sizes.node_width * 0.6, x2 + sizes.node_width * 0.4
    y1, y2 = y1 + sizes.node_height / 2, y2 + sizes.node_height / 2
    low = max(y1, y2) + sizes.row_gap + 24
    return Curve(
        f"M{x1:.1f} {y1:.1f} C{x1:.1f} {low:.1f} {x2:.1f} {low:.1f} {x2:.1f} {y2:.1f}",
        (x1 + x2) / 2,
        0.125 * y1 + 0.75 * low + 0.125 * y2,
    )
