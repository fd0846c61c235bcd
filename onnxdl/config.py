"""Configurations: what an object was made with, as plain data that makes it again."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Self

import numpy as np

from onnxdl.errors import GraphError


@dataclass(frozen=True)
class Arguments:
    """What a constructor was given."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Configurable:
    """An object that remembers its constructor's arguments: ``type(x).from_config(x.get_config())`` makes its like."""

    _arguments = Arguments((), {})

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        self = super().__new__(cls)
        object.__setattr__(self, "_arguments", Arguments(args, kwargs))  # so for frozen ones too
        return self

    def constructor_arguments(self) -> dict[str, Any]:
        """The constructor's arguments by name, as they were given."""
        bound = inspect.signature(type(self).__init__).bind(self, *self._arguments.args, **self._arguments.kwargs)
        bound.apply_defaults()
        found: dict[str, Any] = {}
        for name, value in list(bound.arguments.items())[1:]:
            kind = bound.signature.parameters[name].kind
            found.update(value if kind is inspect.Parameter.VAR_KEYWORD else {name: value})
        return found

    def parts(self) -> Iterable[Any]:
        """What it is made of."""
        return self.constructor_arguments().values()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments by name, as plain data."""
        return {name: serialize(value) for name, value in self.constructor_arguments().items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The object of a configuration."""
        return cls(**{name: deserialize(value) for name, value in config.items()})


def serialize(value: Any) -> Any:
    """Objects as ``{"class_name", "config"}``, functions as their names, inside any nest of lists and dicts."""
    if isinstance(value, Configurable):
        return {"class_name": type(value).__name__, "config": value.get_config()}
    if isinstance(value, Mapping):
        return {k: serialize(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [serialize(v) for v in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, np.dtype):
        return value.name
    return value.__name__ if isinstance(value, FunctionType) else value


def as_text(value: Any) -> str:
    """``serialize`` as JSON; raises GraphError where the text would not say all, as of a function that is none of ours."""
    for part in _parts(value):
        if isinstance(part, FunctionType) and part.__module__.partition(".")[0] != __name__.partition(".")[0]:
            raise GraphError(f"the function {part.__name__!r} cannot be written down")
    try:
        return json.dumps(serialize(value))
    except (TypeError, ValueError) as error:
        raise GraphError(f"{value!r} cannot be written down: {error}") from None


def _parts(value: Any) -> Iterator[Any]:
    """A value and everything that it was made of."""
    yield value
    members: Iterable[Any] = ()
    if isinstance(value, Configurable):
        members = value.parts()
    elif isinstance(value, Mapping):
        members = value.values()
    elif isinstance(value, list | tuple):
        members = value
    for member in members:
        yield from _parts(member)


def deserialize(value: Any, base: type[Configurable] | None = None) -> Any:
    """The inverse of ``serialize``; functions stay names, which layers understand. ``base`` is what the object's class is a kind of."""
    if isinstance(value, Mapping) and set(value) == {"class_name", "config"}:
        return class_named(value["class_name"], base).from_config(value["config"])
    if isinstance(value, Mapping):
        return {k: deserialize(v) for k, v in value.items()}
    return [deserialize(v) for v in value] if isinstance(value, list) else value


def class_named(name: str, base: type[Configurable] | None = None) -> type[Configurable]:
    """The class of that name among those defined; the last one defined, where a user's has the name of one of ours."""
    pending: list[type[Configurable]] = [base or Configurable]
    found: type[Configurable] | None = None
    while pending:
        cls = pending.pop(0)
        found = cls if cls.__name__ == name else found
        pending.extend(cls.__subclasses__())
    if found is None:
        raise GraphError(f"no class is called {name!r}; import the module that defines it first")
    return found
