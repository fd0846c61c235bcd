"""A layered layout (Sugiyama, Tagawa and Toda, IEEE Trans. SMC 11, 1981; the phases of Gansner et al., IEEE TSE 19, 1993).

Longest-path ranks; one dummy vertex where a wire crosses a rank; barycentre sweeps that keep the order with the fewest
crossings; then ``placement``. All that a wire connects shares one trunk.

Our own, for want of a library: grandalf is pure Python, but GPL or EPL, and had its last change in 2022; fast-sugiyama
(MIT, compiled) knows one box size only and shares no trunks.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from onnxdl.errors import GraphError
from onnxdl.viz.placement import Edge, Layout, abscissae, routed

_SWEEPS = 12


@dataclass(frozen=True)
class Wire:
    """What leaves one box and goes to others: pairs of a box and its operand slot."""

    source: int
    targets: tuple[tuple[int, int], ...]


def layout(sizes: Sequence[tuple[float, float]], wires: Sequence[Wire]) -> Layout:
    """Places boxes of given sizes in rows so that every wire runs downwards; the same input gives the same layout."""
    ranks = _ranks(len(sizes), wires)
    edges: list[Edge] = []
    for w, wire in enumerate(wires):
        upper = wire.source
        last = max((ranks[t] for t, _ in wire.targets), default=0)
        for rank in range(ranks[upper] + 1, last + 1):
            edges.extend(Edge(upper, t, w, slot) for t, slot in wire.targets if ranks[t] == rank)
            if rank < last:
                edges.append(Edge(upper, len(ranks), w, 0))
                upper = len(ranks)
                ranks.append(rank)
    rows = _with_fewest_crossings(_initial_rows(ranks, edges), edges)
    x = abscissae(rows, [width for width, _ in sizes], edges)
    return routed(sizes, ranks, x, edges, len(wires))


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


def _initial_rows(ranks: Sequence[int], edges: Sequence[Edge]) -> list[list[int]]:
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


def _with_fewest_crossings(rows: list[list[int]], edges: Sequence[Edge]) -> list[list[int]]:
    above: dict[int, list[int]] = defaultdict(list)
    below: dict[int, list[int]] = defaultdict(list)
    for e in edges:
        above[e.lower].append(e.upper)
        below[e.upper].append(e.lower)
    best, fewest = rows, _crossings(rows, edges)
    for sweep in range(_SWEEPS):
        if not fewest:
            break
        rows = [list(row) for row in rows]
        near = below if sweep % 2 else above
        position: dict[int, float] = {v: i for row in rows for i, v in enumerate(row)}
        for row in reversed(rows) if sweep % 2 else rows:
            wished = {v: sum(position[u] for u in near[v]) / len(near[v]) if near[v] else position[v] for v in row}
            row.sort(key=wished.__getitem__)
            position.update((v, i) for i, v in enumerate(row))
        crossings = _crossings(rows, edges)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _crossings(rows: Sequence[Sequence[int]], edges: Sequence[Edge]) -> int:
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
