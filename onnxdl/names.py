"""Objects by name: ``"relu"``, ``"adam"``, ``"glorot_uniform"``, ``"Dense"``; and names from classes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from onnxdl.errors import GraphError


def snake_case(name: str) -> str:
    """``MaxPooling2D`` as ``max_pooling2d``, as Keras names layers."""
    spaced = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def resolve(kind: str, given: Any, known: Mapping[str, Any]) -> Any:
    """The object of that name, made if it is a class; anything that is no string comes back as it is."""
    if not isinstance(given, str):
        return given
    name = next((n for n in (given, snake_case(given), given.lower()) if n in known), given)
    if name not in known:
        near = difflib.get_close_matches(name, known, 3)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known are {', '.join(sorted(known))}"
        raise GraphError(f"no {kind} is called {given!r}; {hint}")
    found = known[name]
    return found() if isinstance(found, type) else found
