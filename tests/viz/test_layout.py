"""The layout on random graphs: rows, room between boxes, wires around them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from onnxdl.errors import GraphError
from onnxdl.viz.layout import Wire, layout


def random_graph(seed: int, n: int) -> tuple[list[tuple[float, float]], list[Wire]]:
    rng = np.random.default_rng(seed)
    sizes = [(float(w), float(h)) for w, h in rng.uniform((30, 20), (150, 80), (n, 2))]
    wires = []
    for source in range(n - 1):
        targets = rng.integers(source + 1, n, int(rng.integers(1, 4)))
        wires.append(Wire(source, tuple((int(t), slot) for slot, t in enumerate(targets))))
    return sizes, wires


@pytest.mark.parametrize("seed", range(6))
def test_wires_run_downwards_and_around_boxes(seed: int) -> None:
    sizes, wires = random_graph(seed, 40)
    placed = layout(sizes, wires)
    rectangles = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(placed.corners, sizes, strict=True)]
    assert min(r[0] for r in rectangles) >= -1e-9
    assert max(r[2] for r in rectangles) <= placed.width + 1e-9
    for wire, route in zip(wires, placed.routes, strict=True):
        assert sum(s.arrives for s in route) == len(wire.targets)
        for s in route:
            assert s.top <= s.start < s.end <= s.bottom
            own = {wire.source, *(t for t, _ in wire.targets)}
            for i, (left, top, right, bottom) in enumerate(rectangles):
                if i in own:
                    continue
                for x, high, low in ((s.x0, s.top, s.start), (s.x1, s.end, s.bottom)):
                    assert not (left < x < right and max(top, high) < min(bottom, low))
                assert not (top < s.end and bottom > s.start)  # between the rows stands nothing


@pytest.mark.parametrize("seed", range(6))
def test_every_wire_starts_and_ends_at_its_boxes(seed: int) -> None:
    sizes, wires = random_graph(seed, 30)
    placed = layout(sizes, wires)
    for wire, route in zip(wires, placed.routes, strict=True):
        (x, y), (w, h) = placed.corners[wire.source], sizes[wire.source]
        assert any(x <= s.x0 <= x + w and s.top == pytest.approx(y + h) for s in route)
        ends = sorted((s.x1, s.bottom) for s in route if s.arrives)
        for end, bottom in ends:
            assert any(
                placed.corners[t][0] <= end <= placed.corners[t][0] + sizes[t][0] and bottom == pytest.approx(placed.corners[t][1])
                for t, _ in wire.targets
            )


def test_a_chain_is_straight_whatever_stands_beside_it() -> None:
    n = 8  # boxes 0..n-1 in a chain, each but the first with two weights
    sizes = [(60.0, 30.0)] * n + [(120.0, 30.0)] * (2 * n - 2)
    wires = [Wire(i, ((i + 1, 0),)) for i in range(n - 1)]
    wires += [Wire(n + 2 * i + k, ((i + 1, k + 1),)) for i in range(n - 1) for k in range(2)]
    centres = [x + 30 for x, _ in layout(sizes, wires).corners[1:n]]
    assert max(centres) - min(centres) < 8


def test_operands_stand_in_their_order() -> None:
    placed = layout([(40.0, 20.0)] * 4, [Wire(2, ((3, 0),)), Wire(0, ((3, 1),)), Wire(1, ((3, 2),))])
    assert placed.corners[2] < placed.corners[0] < placed.corners[1]


def test_an_avoidable_crossing_is_avoided() -> None:
    # two roots, two readers, given crosswise
    placed = layout([(40.0, 20.0)] * 5, [Wire(0, ((3, 0),)), Wire(1, ((2, 0),)), Wire(2, ((4, 0),)), Wire(3, ((4, 1),))])
    assert (placed.corners[0] < placed.corners[1]) == (placed.corners[3] < placed.corners[2])


def test_a_long_wire_is_one_vertical() -> None:
    n = 10
    sizes = [(50.0, 20.0)] * n
    wires = [Wire(0, ((1, 0), (n - 1, 1)))] + [Wire(i, ((i + 1, 0),)) for i in range(1, n - 1)]
    long_way = [s for s in layout(sizes, wires).routes[0] if not s.arrives]
    assert len(long_way) == n - 2
    assert all(a.x1 == pytest.approx(b.x1) for a, b in pairwise(long_way))


def test_a_cycle_is_an_error() -> None:
    with pytest.raises(GraphError, match="cycle"):
        layout([(10.0, 10.0)] * 2, [Wire(0, ((1, 0),)), Wire(1, ((0, 0),))])
