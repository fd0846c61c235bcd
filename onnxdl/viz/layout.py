"""A layered layout (Sugiyama, Tagawa and Toda, IEEE Trans. SMC 11, 1981; the phases of Gansner et al., IEEE TSE 19, 1993).

Longest-path ranks; one dummy vertex where a wire crosses a rank; barycentre sweeps that keep the order with the fewest
crossings; coordinates by weighted least squares under minimum distances. All that a wire connects shares one trunk.

Our own, for want of a library: grandalf is pure Python, but GPL or EPL, and had its last change in 2022; fast-sugiyama
(MIT, compiled) knows one box size only and shares no trunks.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from onnxdl.errors import GraphError

_GAP, _DUMMY_GAP, _ROW_GAP = 26.0, 12.0, 46.0
_SWEEPS = 12


@dataclass(frozen=True)
class Wire:
    """What leaves one box and goes to others: pairs of a box and its operand slot."""

    source: int
    targets: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Segment:
    """A vertical from ``top`` to ``start`` at ``x0``, a curve, and a vertical from ``end`` to ``bottom`` at ``x1``."""

    x0: float
    top: float
    start: float
    x1: float
    end: float
    bottom: float
    arrives: bool


@dataclass(frozen=True)
class Layout:
    """The upper left corner of each box, the segments of each wire, the size of the whole."""

    corners: list[tuple[float, float]]
    routes: list[list[Segment]]
    width: float
    height: float


@dataclass(frozen=True)
class _Edge:
    upper: int
    lower: int
    wire: int
    slot: int


Neighbours = Mapping[int, Sequence[tuple[int, float]]]  # vertex -> vertices of the next row and how hard they pull


def layout(sizes: Sequence[tuple[float, float]], wires: Sequence[Wire]) -> Layout:
    """Places boxes of given sizes in rows so that every wire runs downwards; the same input gives the same layout."""
    ranks = _ranks(len(sizes), wires)
    edges: list[_Edge] = []
    for w, wire in enumerate(wires):
        upper = wire.source
        last = max((ranks[t] for t, _ in wire.targets), default=0)
        for rank in range(ranks[upper] + 1, last + 1):
            edges.extend(_Edge(upper, t, w, slot) for t, slot in wire.targets if ranks[t] == rank)
            if rank < last:
                edges.append(_Edge(upper, len(ranks), w, 0))
                upper = len(ranks)
                ranks.append(rank)
    above, below = _neighbours(edges, len(sizes))
    rows = _with_fewest_crossings(_initial_rows(ranks, edges), edges, above, below)
    x = _abscissae(rows, [w for w, _ in sizes], above, below)
    return _routed(sizes, ranks, len(rows), x, edges, len(wires))


def _ranks(n: int, wires: Sequence[Wire]) -> list[int]:
    """Longest-path ranks; what has no input, or only such things as inputs, then moves down to its first reader."""
    above: list[list[int]] = [[] for _ in range(n)]
    below: list[list[int]] = [[] for _ in range(n)]
    for wire in wires:
        for target, _ in wire.targets:
            below[wire.source].append(target)
            above[target].append(wire.source)
    waiting = [len(a) for a in above]
    order = [v for v in range(n) if not waiting[v]]
    ranks = [0] * n
    for v in order:
        for t in below[v]:
            ranks[t] = max(ranks[t], ranks[v] + 1)
            waiting[t] -= 1
            if not waiting[t]:
                order.append(t)
    if len(order) < n:
        raise GraphError("the graph has a cycle; a computation graph must have none")
    for v in reversed(order):
        if below[v] and not any(above[a] for a in above[v]):
            ranks[v] = min(ranks[t] for t in below[v]) - 1
    first = min(ranks, default=0)
    return [r - first for r in ranks]


def _neighbours(edges: Sequence[_Edge], n_boxes: int) -> tuple[Neighbours, Neighbours]:
    above: dict[int, list[tuple[int, float]]] = defaultdict(list)
    below: dict[int, list[tuple[int, float]]] = defaultdict(list)
    fed = {e.lower for e in edges}
    for e in edges:
        dummies = (e.upper >= n_boxes) + (e.lower >= n_boxes)
        # long wires are kept straight; a weight follows its operation, not the other way round
        pull = (1.0, 2.0, 8.0)[dummies] if e.upper in fed else 0.01
        above[e.lower].append((e.upper, pull))
        below[e.upper].append((e.lower, pull))
    return above, below


def _initial_rows(ranks: Sequence[int], edges: Sequence[_Edge]) -> list[list[int]]:
    """Rows in the order of a depth-first walk up from the results, operands from left to right."""
    operands: dict[int, list[int]] = defaultdict(list)
    for e in sorted(edges, key=lambda e: e.slot):
        operands[e.lower].append(e.upper)
    read = {e.upper for e in edges}
    stack = [v for v in reversed(range(len(ranks))) if v not in read]
    seen: dict[int, None] = {}
    while stack:
        v = stack.pop()
        if v not in seen:
            seen[v] = None
            stack.extend(reversed(operands[v]))
    rows: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
    for v in seen:
        rows[ranks[v]].append(v)
    return rows


def _with_fewest_crossings(rows: list[list[int]], edges: Sequence[_Edge], above: Neighbours, below: Neighbours) -> list[list[int]]:
    best, fewest = rows, _crossings(rows, edges)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        rows = [list(row) for row in rows]
        down = sweep % 2 == 0
        position: dict[int, float] = {v: i for row in rows for i, v in enumerate(row)}
        for row in rows if down else reversed(rows):
            near = above if down else below
            wished = {v: _mean([position[u] for u, _ in near[v]]) if near.get(v) else position[v] for v in row}
            row.sort(key=lambda v, wished=wished: wished[v])  # type: ignore[misc]
            position.update((v, i) for i, v in enumerate(row))
        crossings = _crossings(rows, edges)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def _crossings(rows: Sequence[Sequence[int]], edges: Sequence[_Edge]) -> int:
    place = {v: (r, i) for r, row in enumerate(rows) for i, v in enumerate(row)}
    crossings = 0
    reached: list[int] = []
    current = -1
    for (row, _), (_, i) in sorted((place[e.upper], place[e.lower]) for e in edges):
        if row != current:
            reached, current = [], row
        crossings += len(reached) - bisect(reached, i)
        insort(reached, i)
    return crossings


def _abscissae(rows: Sequence[Sequence[int]], widths: Sequence[float], above: Neighbours, below: Neighbours) -> list[float]:
    """The centre of every vertex: each row in turn as near to its neighbours above and below as its boxes allow."""
    x = [0.0] * sum(len(row) for row in rows)
    offsets = [_offsets(row, widths) for row in rows]
    for row, offset in zip(rows, offsets, strict=True):
        for v, at in zip(row, offset, strict=True):
            x[v] = at - offset[-1] / 2
    for sweep in range(3 * _SWEEPS):
        down = sweep % 2 == 0
        near = (below, above)[down] if sweep < _SWEEPS else None  # first from one side, then from both
        for row, offset in zip(rows, offsets, strict=True) if down else zip(reversed(rows), reversed(offsets), strict=True):
            wishes = []
            for v, at in zip(row, offset, strict=True):
                pulls = near.get(v, ()) if near is not None else (*above.get(v, ()), *below.get(v, ()))
                weight = sum(p for _, p in pulls)
                wish = sum(x[u] * p for u, p in pulls) / weight if weight else x[v]
                wishes.append((wish - at, weight or 1e-3))
            for v, at, moved in zip(row, offset, _monotone(wishes), strict=True):
                x[v] = moved + at
    return x


def _offsets(row: Sequence[int], widths: Sequence[float]) -> list[float]:
    """How far each vertex of a row must at least stand from the first."""
    offsets = [0.0] * len(row)
    for i, (a, b) in enumerate(zip(row, row[1:], strict=False)):
        boxes = [widths[v] for v in (a, b) if v < len(widths)]
        offsets[i + 1] = offsets[i] + sum(boxes) / 2 + (_GAP if boxes else _DUMMY_GAP)
    return offsets


def _monotone(wishes: Sequence[tuple[float, float]]) -> list[float]:
    """The non-decreasing numbers nearest to (number, weight) in weighted squares: pool adjacent violators."""
    pools: list[tuple[float, float, int]] = []
    for wish, weight in wishes:
        count = 1
        while pools and pools[-1][0] > wish:
            mean, other, n = pools.pop()
            wish = (wish * weight + mean * other) / (weight + other)
            weight, count = weight + other, count + n
        pools.append((wish, weight, count))
    return [mean for mean, _, count in pools for _ in range(count)]


def _routed(
    sizes: Sequence[tuple[float, float]], ranks: Sequence[int], n_rows: int, x: Sequence[float], edges: Sequence[_Edge], n_wires: int
) -> Layout:
    left = min((x[v] - w / 2 for v, (w, _) in enumerate(sizes)), default=0.0)
    left = min([left, *x[len(sizes) :]])
    centre = [at - left for at in x]
    tall = [0.0] * n_rows
    for v, (_, h) in enumerate(sizes):
        tall[ranks[v]] = max(tall[ranks[v]], h)
    reach = [0.0] * n_rows
    for e in edges:
        reach[ranks[e.upper]] = max(reach[ranks[e.upper]], abs(x[e.upper] - x[e.lower]))
    tops = [0.0]
    for height, far in zip(tall, reach, strict=True):
        tops.append(tops[-1] + height + _ROW_GAP + min(0.08 * far, 50.0))
    corners = [(centre[v] - w / 2, tops[ranks[v]] + (tall[ranks[v]] - h) / 2) for v, (w, h) in enumerate(sizes)]
    leaving = _ports(sizes, centre, [(e.upper, e.wire, centre[e.lower]) for e in edges])
    arriving = _ports(sizes, centre, [(e.lower, (e.wire, e.slot), centre[e.upper]) for e in edges])
    routes: list[list[Segment]] = [[] for _ in range(n_wires)]
    for e in edges:
        upper, lower = ranks[e.upper], ranks[e.lower]
        is_box = e.lower < len(sizes)
        start, end = tops[upper] + tall[upper], tops[lower]
        top = corners[e.upper][1] + sizes[e.upper][1] if e.upper < len(sizes) else start
        bottom = corners[e.lower][1] if is_box else end + tall[lower]
        x0, x1 = leaving[e.upper, e.wire], arriving[e.lower, (e.wire, e.slot)]
        routes[e.wire].append(Segment(x0, top, start, x1, end, bottom, is_box))
    right = max([*(cx + w for (cx, _), (w, _) in zip(corners, sizes, strict=True)), *centre[len(sizes) :]], default=0.0)
    bottom = max((cy + h for (_, cy), (_, h) in zip(corners, sizes, strict=True)), default=0.0)
    return Layout(corners, routes, right, bottom)


def _ports(
    sizes: Sequence[tuple[float, float]], centre: Sequence[float], ends: Sequence[tuple[int, Hashable, float]]
) -> dict[tuple[int, Hashable], float]:
    """Where wires touch each vertex: spread over the middle of a box, in the order in which they come or go."""
    at: dict[int, dict[Hashable, list[float]]] = defaultdict(lambda: defaultdict(list))
    for vertex, key, other in ends:
        at[vertex][key].append(other)
    ports: dict[tuple[int, Hashable], float] = {}
    for vertex, keys in at.items():
        spread = 0.6 * sizes[vertex][0] if vertex < len(sizes) else 0.0
        step = min(spread / len(keys), 22.0)
        for i, key in enumerate(sorted(keys, key=lambda k, keys=keys: _mean(keys[k]))):  # type: ignore[misc]
            ports[vertex, key] = centre[vertex] + (i - (len(keys) - 1) / 2) * step
    return ports
