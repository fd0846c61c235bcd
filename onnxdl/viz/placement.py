"""Where the vertices of an ordered layered graph stand, and how its wires run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

_GAP, _DUMMY_GAP, _ROW_GAP = 26.0, 12.0, 46.0
_ONE_SIDED, _TWO_SIDED = 8, 13  # sweeps; the last runs down, so that results stand below what computes them
_LEAF_PULL, _DUMMY_PULL, _STIFFNESS = 0.002, 0.3, 4.0


@dataclass(frozen=True)
class Edge:
    """One step of a wire from a row to the next; vertices past the boxes are dummies."""

    upper: int
    lower: int
    wire: int
    slot: int


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


Pulls = dict[int, list[tuple[int, float]]]  # vertex -> vertices of the next row, and how hard they pull


def abscissae(rows: Sequence[Sequence[int]], widths: Sequence[float], edges: Sequence[Edge]) -> list[float]:
    """The centre of every vertex: each row in turn as near to its neighbours above and below as its boxes allow."""
    above, below = _pulls(edges, len(widths))
    x = [0.0] * sum(len(row) for row in rows)
    offsets = [_offsets(row, widths) for row in rows]
    for row, offset in zip(rows, offsets, strict=True):
        for v, at in zip(row, offset, strict=True):
            x[v] = at - offset[-1] / 2
    placed = list(zip(rows, offsets, strict=True))
    for sweep in range(_ONE_SIDED + _TWO_SIDED):
        sides = (above, below) if sweep >= _ONE_SIDED else (below,) if sweep % 2 else (above,)
        for row, offset in reversed(placed) if sweep % 2 else placed:
            wishes = []
            for v, at in zip(row, offset, strict=True):
                pulls = [pull for side in sides for pull in side[v]]
                weight = sum(p for _, p in pulls)
                wish = sum(x[u] * p for u, p in pulls) / weight if weight else x[v]
                wishes.append((wish - at, weight or _LEAF_PULL))
            for v, at, moved in zip(row, offset, _monotone(wishes), strict=True):
                x[v] = moved + at
    _straighten(x, placed, edges, len(widths))
    return x


def _pulls(edges: Sequence[Edge], n_boxes: int) -> tuple[Pulls, Pulls]:
    """Pulls from above and from below. Boxes line up with boxes; a weight follows its operation, a wire its box, not the reverse."""
    above: Pulls = defaultdict(list)
    below: Pulls = defaultdict(list)
    fed = {e.lower for e in edges}
    for e in edges:
        upper, lower = e.upper >= n_boxes, e.lower >= n_boxes
        from_box = 1.0 if e.upper in fed or lower else _LEAF_PULL
        to_box = 1.0 if e.upper in fed else _LEAF_PULL
        on_lower = _STIFFNESS if upper and lower else _DUMMY_PULL if upper else from_box
        on_upper = _STIFFNESS if upper and lower else _DUMMY_PULL * to_box if lower else to_box
        above[e.lower].append((e.upper, on_lower))
        below[e.upper].append((e.lower, on_upper))
    return above, below


def _offsets(row: Sequence[int], widths: Sequence[float]) -> list[float]:
    """How far each vertex of a row must at least stand from the first."""
    offsets = [0.0] * len(row)
    for i, (a, b) in enumerate(pairwise(row)):
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


def _straighten(x: list[float], placed: Sequence[tuple[Sequence[int], list[float]]], edges: Sequence[Edge], n_boxes: int) -> None:
    """Puts the dummies of a wire into one vertical, for as many rows at a time as their neighbours leave room for."""
    room: dict[int, tuple[int, float, int, float]] = {}  # left neighbour and its distance, right neighbour and its distance
    for row, offset in placed:
        for i, v in enumerate(row):
            left, right = (row[i - 1] if i else -1), (row[i + 1] if i + 1 < len(row) else -1)
            room[v] = (left, offset[i] - offset[i - 1] if i else 0.0, right, offset[i + 1] - offset[i] if right >= 0 else 0.0)
    chains: dict[int, list[int]] = defaultdict(list)
    for e in edges:
        if e.lower >= n_boxes:
            chains[e.wire].append(e.lower)
    for chain in chains.values():
        run: list[int] = []
        low, high = float("-inf"), float("inf")
        for v in [*chain, -1]:
            if v >= 0:
                left, before, right, after = room[v]
                least = x[left] + before if left >= 0 else float("-inf")
                most = x[right] - after if right >= 0 else float("inf")
                if max(low, least) <= min(high, most):
                    low, high = max(low, least), min(high, most)
                    run.append(v)
                    continue
            wish = sum(x[u] for u in run) / max(len(run), 1)
            for u in run:
                x[u] = min(max(wish, low), high)
            if v >= 0:
                run, low, high = [v], least, most


def routed(sizes: Sequence[tuple[float, float]], ranks: Sequence[int], x: Sequence[float], edges: Sequence[Edge], n_wires: int) -> Layout:
    """Rows below one another, wires from port to port."""
    left = min([x[v] - w / 2 for v, (w, _) in enumerate(sizes)] + list(x[len(sizes) :]), default=0.0)
    centre = [at - left for at in x]
    tall = [0.0] * (max(ranks, default=-1) + 1)
    reach = list(tall)
    for v, (_, h) in enumerate(sizes):
        tall[ranks[v]] = max(tall[ranks[v]], h)
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
        is_box = e.lower < len(sizes)
        start, end = tops[ranks[e.upper]] + tall[ranks[e.upper]], tops[ranks[e.lower]]
        top = corners[e.upper][1] + sizes[e.upper][1] if e.upper < len(sizes) else start
        bottom = corners[e.lower][1] if is_box else end + tall[ranks[e.lower]]
        x0, x1 = leaving[e.upper, e.wire], arriving[e.lower, (e.wire, e.slot)]
        routes[e.wire].append(Segment(x0, top, start, x1, end, bottom, is_box))
    width = max([cx + w for (cx, _), (w, _) in zip(corners, sizes, strict=True)] + centre[len(sizes) :], default=0.0)
    height = max((cy + h for (_, cy), (_, h) in zip(corners, sizes, strict=True)), default=0.0)
    return Layout(corners, routes, width, height)


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
        in_order = sorted((sum(others) / len(others), i, key) for i, (key, others) in enumerate(keys.items()))
        for i, (_, _, key) in enumerate(in_order):
            ports[vertex, key] = centre[vertex] + (i - (len(keys) - 1) / 2) * step
    return ports
