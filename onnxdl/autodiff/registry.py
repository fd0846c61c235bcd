"""Which rule differentiates which operator.

A rule is ``(g, y, *inputs, **attributes) -> gradients of the inputs``: ``g`` is the gradient of the output ``y``, absent
optional inputs are None, attributes arrive as keywords with the schema's defaults. It returns one gradient, or a tuple
with one an input, None where there is none; trailing Nones may be left out. The reverse pass undoes broadcasting, sums
contributions and casts, so a rule reads like the formula. Rules emit only operators that have rules themselves.

A rule registered with ``multiple=True`` receives tuples ``g`` and ``y``, one entry an output; ``g``'s entry is None
where no gradient reaches that output.

Two other forms: a lowering, ``(*inputs, **attributes) -> outputs``, computes the operator by simpler ones, whose rules
then differentiate it; and a node rule, ``(node, g, reverse) -> pairs of a value and its gradient``, for operators with
bodies, whose gradient reaches what those take from around them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from onnxdl.graph.operator import operator_names

Rule = Callable[..., Any]


Form = Literal["single", "multiple", "lowering", "node"]


class VJP(NamedTuple):
    """A vector-Jacobian product, and what it is called with."""

    rule: Rule
    form: Form


_rules: dict[tuple[str, str], VJP] = {}
_no_gradient: set[tuple[str, str]] = set()
_straight_through: set[tuple[str, str]] = set()


def vjp(*op_types: str, domain: str = "", multiple: bool = False) -> Callable[[Rule], Rule]:
    """Registers the decorated rule for one operator, or for several that share it."""
    return _register(op_types, domain, "multiple" if multiple else "single")


def vjp_node(*op_types: str, domain: str = "") -> Callable[[Rule], Rule]:
    """Registers the decorated node rule, which sees the node itself and may pass gradients on to any value."""
    return _register(op_types, domain, "node")


def lowering(*op_types: str, domain: str = "") -> Callable[[Rule], Rule]:
    """Registers the decorated function as the operator's definition by simpler ones, which is differentiated in its place."""
    return _register(op_types, domain, "lowering")


def _register(op_types: tuple[str, ...], domain: str, form: Form) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        for op_type in op_types:
            _claim(op_type, domain)
            _rules[domain, op_type] = VJP(rule, form)
        return rule

    return register


def no_gradient(*op_types: str, domain: str = "") -> None:
    """Declares operators whose derivative is zero wherever it exists, or whose outputs are not numbers to differentiate."""
    for op_type in op_types:
        _claim(op_type, domain)
        _no_gradient.add((domain, op_type))


def straight_through(*op_types: str, domain: str = "") -> None:
    """Declares operators whose integer outputs stand for real numbers, so that gradients go through their rounding."""
    _straight_through.update((domain, op_type) for op_type in op_types)


def is_straight_through(op_type: str, domain: str = "") -> bool:
    """Whether the operator's integer outputs carry gradients."""
    _load()
    return (domain, op_type) in _straight_through


def _claim(op_type: str, domain: str) -> None:
    key = domain, op_type
    if key in _rules or key in _no_gradient:
        raise ValueError(f"{op_type} has a rule already")
    if domain == "" and op_type not in operator_names():
        raise ValueError(f"the standard has no operator {op_type!r}")


def find(op_type: str, domain: str = "") -> VJP | None:
    """The rule of an operator, None where it has none."""
    _load()
    return _rules.get((domain, op_type))


def has_no_gradient(op_type: str, domain: str = "") -> bool:
    """Whether the operator was declared to pass no gradient on."""
    _load()
    return (domain, op_type) in _no_gradient


def registered() -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """All (domain, operator) with a rule, and all declared without gradient."""
    _load()
    return set(_rules), set(_no_gradient)


def _load() -> None:
    import onnxdl.autodiff.rules  # noqa: F401  (each family file registers its rules)
