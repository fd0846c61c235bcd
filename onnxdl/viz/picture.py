"""Graphs as pictures: SVG text, drawn as lectures on computation graphs draw them, without Graphviz.

Shapes and lightness differ as well as colours, so that a black-and-white print says the same: inputs and outputs are
pills, constants and weights are sharp-cornered, operations are rounded; backward operations are darker and dashed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

import onnx_ir as ir

from onnxdl.errors import FormatError
from onnxdl.graph.tensor import TensorLike
from onnxdl.viz.boxes import Box, Diagram, diagram
from onnxdl.viz.layout import layout
from onnxdl.viz.placement import Segment

_MARGIN, _LEGEND_HEIGHT = 20.0, 15.0
_TITLE_SIZE, _LINE_SIZE, _LINE_HEIGHT = 13.0, 10.0, 14.0
_CHARACTER = 0.62  # em; the widest of the usual sans-serif fonts, bold
_LONGEST = 34  # characters of a line; the tip holds the rest
_KINDS = {
    "input": "input",
    "constant": "constant or weight",
    "forward": "operation",
    "backward": "gradient operation",
    "output": "output",
}
_STYLE = """
text { font-family: Helvetica, Arial, 'DejaVu Sans', sans-serif; text-anchor: middle; fill: #1b1f24 } .legend text { text-anchor: start }
.title { font-size: 13px; font-weight: bold }
.constant .title { font-size: 11px; font-weight: normal } .line { font-size: 10px; fill: #4a525c }
.value { font-size: 11px; fill: #0b6b2e } .gradient { font-size: 11px; fill: #b3140c; font-style: italic }
.input rect, .output rect { fill: #d9eaf9; stroke: #1c5d99 } .output .inner { fill: none }
.constant rect { fill: #fff7d6; stroke: #8a6d00 }
.forward rect { fill: #ffffff; stroke: #1b1f24 } .backward rect { fill: #f3c3a8; stroke: #a33b0a; stroke-dasharray: 5 2.5 }
rect { stroke-width: 1.4 } .badge rect { fill: #1b1f24; stroke: none; stroke-dasharray: none }
.backward .badge rect { fill: #a33b0a } .badge text { font-size: 9px; font-weight: bold; fill: #ffffff }
.wire { fill: none; stroke: #6b7480; stroke-width: 1.2 } .tip { fill: #6b7480 } .wire.back { stroke: #c0622f } .tip.back { fill: #c0622f }
.shape { font-size: 9px; fill: #39414a } .halo { fill: #ffffff; fill-opacity: 0.85; stroke: none }
""".strip()
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML cannot hold


def draw(model_or_graph: ir.Model | ir.Graph, path: str | os.PathLike[str], values: Mapping[str, TensorLike] | None = None) -> None:
    """Writes the picture of a graph as an SVG file.

    Data flows downwards. Each operation bears its place in the topological order, each wire the shape of what it carries
    (a scalar has none to bear). A graph of more than 250 operations is drawn with one box for each layer that its node
    names tell of (``encoder/0/...``), at the finest depth that fits.

    Args:
        model_or_graph: what to draw.
        path: the file.
        values: arrays by value name, written into the boxes; ``grad/<name>`` is written as the gradient of ``<name>``.

    Raises:
        GraphError: ``values`` names what the graph does not have, or the graph is not in topological order.
        FormatError: the file cannot be written.
    """
    svg = svg_text(diagram(model_or_graph, values or {}))
    try:
        Path(path).write_text(svg, encoding="utf-8", newline="\n")
    except OSError as error:
        raise FormatError(f"cannot write the picture {os.fspath(path)}: {error.strerror}") from error


def svg_text(drawn: Diagram) -> str:
    """A diagram as SVG text."""
    labels_below = [0.0] * len(drawn.boxes)
    for wire, label in zip(drawn.wires, drawn.labels, strict=True):
        labels_below[wire.source] += _width(label, 9) + 8
    sizes = [_size(box, labels) for box, labels in zip(drawn.boxes, labels_below, strict=True)]
    placed = layout(sizes, drawn.wires)
    legend, legend_width = _legend(drawn)
    width = max(placed.width, legend_width) + 2 * _MARGIN
    height = placed.height + 3 * _MARGIN + _LEGEND_HEIGHT
    shift = (width - placed.width) / 2, 2 * _MARGIN + _LEGEND_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff" stroke="none"/>',
        f'<g transform="translate({_MARGIN:.1f} {_MARGIN:.1f})">',
        *legend,
        "</g>",
        f'<g transform="translate({shift[0]:.1f} {shift[1]:.1f})">',
    ]
    for wire, route in zip(drawn.wires, placed.routes, strict=True):
        back = " back" if drawn.boxes[wire.source].kind == "backward" else ""
        parts.extend(_wire(route, back))
    for i, (wire, route) in enumerate(zip(drawn.wires, placed.routes, strict=True)):
        if drawn.labels[i] and wire.targets:
            parts.append(_shape_label(drawn.labels[i], route[0]))
    for box, corner, size in zip(drawn.boxes, placed.corners, sizes, strict=True):
        parts.extend(_box(box, *corner, *size))
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _size(box: Box, labels: float) -> tuple[float, float]:
    title = _width(box.title, 11 if box.kind == "constant" else _TITLE_SIZE)
    wide = max(title, labels, *(_width(text, size) for _, text, size in _lines(box)), 34)
    return wide + 22, 24 + _LINE_HEIGHT * len(_lines(box))


def _width(text: str, size: float) -> float:
    return min(len(text), _LONGEST) * size * _CHARACTER


def _lines(box: Box) -> list[tuple[str, str, float]]:
    """Class, text and size of the lines below the title."""
    lines = [("line", line, _LINE_SIZE) for line in box.lines]
    if box.value:
        lines.append(("value", f"= {box.value}", 11.0))
    if box.gradient:
        lines.append(("gradient", f"∂ = {box.gradient}", 11.0))
    return lines


def _box(box: Box, x: float, y: float, w: float, h: float) -> list[str]:
    parts = [f'<g class="{box.kind}"><title>{_text(box.tip)}</title>', *_outline(box.kind, x, y, w, h)]
    parts.append(_label("title", box.title, x + w / 2, y + 16.5))
    parts.extend(_label(name, text, x + w / 2, y + 16.5 + _LINE_HEIGHT * (i + 1)) for i, (name, text, _) in enumerate(_lines(box)))
    if box.index:
        wide = max(15.0, len(box.index) * 5.8 + 6)
        parts.append(
            f'<g class="badge"><rect x="{x - 7:.1f}" y="{y - 10:.1f}" width="{wide:.1f}" height="15" rx="7.5"/>'
            f'<text x="{x - 7 + wide / 2:.1f}" y="{y + 0.7:.1f}">{box.index}</text></g>'
        )
    return [*parts, "</g>"]


def _outline(kind: str, x: float, y: float, w: float, h: float) -> list[str]:
    radius = {"constant": 0.0, "forward": 7.0, "backward": 7.0}.get(kind, min(h / 2, 18.0))
    parts = [f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{radius:.1f}"/>']
    if kind == "output":
        parts.append(
            f'<rect class="inner" x="{x + 3:.1f}" y="{y + 3:.1f}" width="{w - 6:.1f}" height="{h - 6:.1f}" rx="{max(radius - 3, 0):.1f}"/>'
        )
    return parts


def _label(name: str, text: str, x: float, y: float) -> str:
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}">{_text(_shortened(text))}</text>'


def _shortened(text: str) -> str:
    """A long name without its middle."""
    keep = (_LONGEST - 1) // 2
    return text if len(text) <= _LONGEST else f"{text[:keep]}…{text[-keep:]}"


def _text(text: str) -> str:
    return escape(_FORBIDDEN.sub("\ufffd", text))


def _wire(route: list[Segment], back: str) -> list[str]:
    """One path for all that a value goes to, and an arrow head at each."""
    path, heads = [], []
    for s in route:
        bend = (s.start + s.end) / 2
        curve = f"C{s.x0:.1f} {bend:.1f} {s.x1:.1f} {bend:.1f} {s.x1:.1f} {s.end:.1f}"
        path.append(f"M{s.x0:.1f} {s.top:.1f}V{s.start:.1f}{curve}V{s.bottom:.1f}")
        if s.arrives:
            heads.append(f"M{s.x1:.1f} {s.bottom:.1f}l-3.5 -7h7z")
    return [f'<path class="wire{back}" d="{"".join(path)}"/>', f'<path class="tip{back}" d="{"".join(heads)}"/>'] if path else []


def _shape_label(text: str, s: Segment) -> str:
    w = _width(text, 9)
    y = s.start + 13
    t = 13 / max(s.end - s.start, 26)
    x = s.x0 + (s.x1 - s.x0) * (3 * t * t - 2 * t**3)
    return f'<rect class="halo" x="{x - w / 2:.1f}" y="{y - 8:.1f}" width="{w:.1f}" height="10"/>' + _label("shape", text, x, y)


def _legend(drawn: Diagram) -> tuple[list[str], float]:
    """A row that explains what occurs in the picture, and its width."""
    parts, x = ['<g class="legend">'], 0.0
    present = {box.kind for box in drawn.boxes}
    for kind in (k for k in _KINDS if k in present):
        parts.append(f'<g class="{kind}">' + "".join(_outline(kind, x, 0, 26, 15)) + _label("line", _KINDS[kind], x + 32, 11) + "</g>")
        x += 44 + _width(_KINDS[kind], _LINE_SIZE)
    for name, text in (("value", "= value"), ("gradient", "∂ = gradient")):
        if any(getattr(box, name) for box in drawn.boxes):
            parts.append(_label(name, text, x, 11))
            x += 12 + _width(text, 11)
    return [*parts, "</g>"], x
