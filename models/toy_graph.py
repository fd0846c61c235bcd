"""The toy computation graph of the lecture, f = (x * 2 + y) * (x - 5): forward in topological order, backward by the chain rule.

Run it to draw the graph, every node with its topological index, its value and its gradient.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import onnxdl as ox

X, Y = np.array(3, np.float32), np.array(1, np.float32)


def f(x: ox.Tensor, y: ox.Tensor) -> list[ox.Tensor]:
    """(x * 2 + y) * (x - 5), all its steps."""
    a = x * 2
    b = a + y
    c = x - 5
    return [a, b, c, b * c]


def evaluate() -> dict[str, float]:
    """The dynamic way: values and derivatives, the second one too."""
    x, y = ox.tensor(X), ox.tensor(Y)
    result = f(x, y)[-1]
    dx, dy = ox.gradient(result, [x, y])
    (dxx,) = ox.gradient(dx, [x])
    return {"f": float(result), "df/dx": float(dx), "df/dy": float(dy), "d2f/dx2": float(dxx)}


def picture(path: Path) -> None:
    """The static way: one graph that holds the function and the gradients of all its steps, and a picture of the function."""
    with ox.Trace("toy") as trace:
        x, y = trace.input("x", "float32", []), trace.input("y", "float32", [])
        *inner, result = f(x, y)
        names = ["x", "y", *(str(t.name) for t in inner), "f"]
        gradients = ox.gradient(result, [x, y, *inner, result])
        model = trace.model({"f": result, **{f"grad/{name}": g for name, g in zip(names, gradients, strict=True)}})
    values = ox.viz.node_values(model, {"x": X, "y": Y})

    with ox.Trace("toy") as trace:
        x, y = trace.input("x", "float32", []), trace.input("y", "float32", [])
        function = trace.model({"f": f(x, y)[-1]})
    ox.viz.draw(function, path, {key: values[key] for name in names for key in (name, f"grad/{name}")})


def main(folder: Path) -> dict[str, float]:
    """Draws toy_graph.svg; returns the values and derivatives."""
    picture(folder / "toy_graph.svg")
    return evaluate()


if __name__ == "__main__":
    print(main(Path()))
