"""An index of all errors raised on purpose: each says what, where, and is a sentence that names something at hand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from onnxdl import errors

ROOT = Path(__file__).parents[1]
FAMILY = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.OnnxdlError)}
SOURCES = sorted(p for folder in ("onnxdl", "converters", "models") for p in (ROOT / folder).rglob("*.py"))
SHORTEST = 15
COLLECTED = ("converters/torch/source.py",)
"""Where errors are reasons that are gathered into one message."""


def raised(tree: ast.AST) -> Iterator[ast.Call | ast.Name]:
    """What every ``raise``, and every function that makes an error for one, says of our family."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_of(node.func) in FAMILY:
            yield node
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name | ast.Attribute) and name_of(node.exc) in FAMILY:
            yield node.exc  # type: ignore[misc]


def name_of(node: ast.AST) -> str | None:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def length(message: ast.AST) -> int | None:
    """The fixed letters of a message; None where it is made elsewhere."""
    match message:
        case ast.Constant(value=str(text)):
            return len(text)
        case ast.JoinedStr(values=parts):
            return sum(length(part) or 0 for part in parts if isinstance(part, ast.Constant)) + 8 * sum(
                isinstance(part, ast.FormattedValue) for part in parts
            )
        case ast.BinOp(left=left, right=right):
            return (length(left) or 0) + (length(right) or 0)
        case ast.IfExp(body=body, orelse=other):
            return min(length(body) or SHORTEST, length(other) or SHORTEST)
    return None


def all_errors() -> list[tuple[str, ast.Call | ast.Name]]:
    found = []
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [(f"{path.relative_to(ROOT)}:{call.lineno}", call) for call in raised(tree)]
    return found


INDEX = all_errors()


def test_the_index_is_not_empty_and_every_kind_is_used() -> None:
    used = {name_of(call.func) for _, call in INDEX if isinstance(call, ast.Call)}
    assert len(INDEX) > 400
    assert FAMILY - used <= {"OnnxdlError"}


def test_every_error_has_one_message_that_is_a_sentence() -> None:
    bad = []
    for where, call in INDEX:
        if not isinstance(call, ast.Call) or len(call.args) != 1 or call.keywords:
            bad.append(f"{where} says nothing")
        elif not where.startswith(COLLECTED) and (count := length(call.args[0])) is not None and count < SHORTEST:
            bad.append(f"{where} says too little: {ast.unparse(call.args[0])}")
    assert not bad, "\n".join(bad)


def test_no_message_has_line_breaks() -> None:
    bad = [
        where
        for where, call in INDEX
        if isinstance(call, ast.Call)
        for part in ast.walk(call)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and "\n" in part.value and not _joins_lines(call)
    ]
    assert not bad, "\n".join(bad)


def _joins_lines(call: ast.Call) -> bool:
    """Whether the line break is one that the message gets rid of: ``.replace("\\n", " ")``, ``.split("\\n")``."""
    return any(isinstance(n, ast.Call) and name_of(n.func) in ("replace", "split", "partition") for n in ast.walk(call))


@pytest.mark.parametrize("kind", sorted(FAMILY - {"OnnxdlError"}))
def test_the_family_is_small_and_told_apart(kind: str) -> None:
    error = getattr(errors, kind)
    assert issubclass(error, errors.OnnxdlError)
    assert error.__doc__
    assert len(FAMILY) <= 10
