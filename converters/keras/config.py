"""Configurations: Keras's JSON as our layers, initializers, regularizers, constraints and activations.

A class is looked for among ``custom_objects``, by its registered name and by its own; then in the table, if Keras defines it;
then among the subclasses of Layer that a program has defined. Nothing else is ever made, and no code of the file is run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from onnxdl import nn
from onnxdl.config import Configurable
from onnxdl.converters.keras import operations, other_layers
from onnxdl.converters.keras.archive import Archive
from onnxdl.converters.keras.layers import ENTRIES, IGNORED, ONLY, Entry, accepted, axis_of_kernel, class_name
from onnxdl.errors import OnnxdlError
from onnxdl.nn import activations, constraints, initializers, regularizers
from onnxdl.nn.layer import Layer

MODELS = ("Functional", "Model", "Sequential")
KINDS = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints, "activation": activations}
_NESTED = ("layer", "backward_layer", "forward_layer", "cell")
_LARGEST = 1 << 26
WRONG = (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError, ZeroDivisionError, OnnxdlError)
"""What a constructor raises when a configuration makes no sense."""


class Reader:
    """Makes layers of configurations.

    Args:
        archive: the file, for errors and versions.
        custom_objects: classes and functions by name, the user's own.
        model: makes a nested model of its configuration.
    """

    def __init__(
        self, archive: Archive, custom_objects: Mapping[str, Any] | None, model: Callable[[Reader, dict[str, Any]], Layer]
    ) -> None:
        self.archive, self.custom, self._model = archive, dict(custom_objects or {}), model
        self.old = archive.old
        self.mixed = False
        self.frozen: list[Layer] = []
        self._shared: dict[Any, Layer] = {}

    # ---- classes ----------------------------------------------------------------------------------------------------

    def user_class(self, config: Mapping[str, Any]) -> Any:
        """The user's class or function that a configuration names; None where it names one of Keras's."""
        names = [config.get("registered_name"), config.get("class_name")]
        names += [n.rpartition(">")[2] for n in names if isinstance(n, str)]
        for name in names:
            if isinstance(name, str) and name in self.custom:
                return self.custom[name]
        module = config.get("module")
        if isinstance(module, str) and (module == "keras" or module.startswith(("keras.layers", "keras.models"))):
            return None
        name = str(config.get("class_name", "")).rpartition(">")[2]
        if module is None and config.get("registered_name") is None and (self.entry(config) is not None or name in MODELS):
            return None  # Keras 2 does not say whose class it is
        own = [c for c in _subclasses(Layer) if c.__name__ == name and not c.__module__.startswith("onnxdl.")]
        return own[-1] if own else None

    def users_function(self, name: str) -> Any:
        """The user's function of a registered name, ``pkg>name`` or ``name``; None if there is none."""
        return self.custom.get(name, self.custom.get(name.rpartition(">")[2]))

    def entry(self, config: Mapping[str, Any]) -> Entry | None:
        """The table's entry for a configuration."""
        name = str(config.get("class_name", "")).rpartition(">")[2]
        return ENTRIES.get(name) or other_layers.ENTRIES.get(name)

    def unknown(self, config: Any) -> Iterator[str]:
        """What in a configuration has no class here, layer by layer."""
        if not isinstance(config, dict) or not isinstance(config.get("config"), dict | list):
            return
        name, inner = config.get("class_name"), config["config"]
        if self.user_class(config) is None and name not in MODELS and not isinstance(inner, list):
            own_name = inner.get("name") or config.get("name")
            if operations.is_operation(config):
                if not operations.known(config):
                    yield f"{own_name!r} ({operations.described(config)})"
                return
            if "layers" not in inner and self.entry(config) is None:
                yield f"{own_name!r} ({config.get('registered_name') or name})"
                return
        layers = inner if isinstance(inner, list) else inner.get("layers") or []
        cells = [] if isinstance(inner, list) else [inner.get(n) for n in _NESTED]
        cells += inner["cells"] if isinstance(inner, dict) and isinstance(inner.get("cells"), list) else []
        for each in [*layers, *cells] if isinstance(layers, list) else []:
            yield from self.unknown(each)

    # ---- layers -----------------------------------------------------------------------------------------------------

    def layer(self, config: Any) -> Layer:
        """The layer of a configuration."""
        if not isinstance(config, dict) or not isinstance(config.get("class_name"), str) or "config" not in config:
            raise self.archive.damaged("a layer has no class_name and config")
        inner = config["config"]
        number = config.get("shared_object_id")
        if not isinstance(number, int | None):
            raise self.archive.damaged(f"a {config['class_name']} has the shared_object_id {number!r}")
        keys: list[tuple[str, Any, str]] = [("id", number, config["class_name"])]
        if (
            "module" in config and isinstance(inner, dict) and isinstance(inner.get("name"), str)
        ):  # Keras 3 forgets the number where it writes a shared layer first
            keys.append(("name", inner.get("name"), config["class_name"]))
        if number is not None:
            known = next((self._shared[k] for k in keys if k in self._shared), None)
            if known is not None:
                return known
        made = self._layer(config)
        name = config["class_name"].rpartition(">")[2]
        if class_name(made) != name and name != "GroupQueryAttention":  # the public name; weight files have the class's
            made.keras_class = name  # type: ignore[attr-defined]
        if isinstance(inner, dict) and inner.get("trainable") is False:
            self.frozen.append(made)
        self._shared.update((key, made) for key in keys if key[1] is not None)
        return made

    def _layer(self, config: dict[str, Any]) -> Layer:
        name, inner = config["class_name"], config["config"]
        user = self.user_class(config)
        if user is not None and name != "Lambda":
            return self._users(user, config)
        if name in MODELS or (isinstance(inner, dict) and "layers" in inner):
            return self._model(self, config)
        if not isinstance(inner, dict):
            raise self.archive.damaged(f"the configuration of a {name} is no object")
        if operations.is_operation(config):
            return operations.made(self, config)
        if name == "Lambda":
            return self._lambda(inner)
        entry = self.entry(config)
        if entry is None:
            raise self.archive.unsupported(
                f"it needs the class of {inner.get('name')!r} ({name}): give custom_objects={{{name!r}: its class}}"
            )
        prepared = self._prepared(name, inner)
        if self.policy(inner.get("dtype"), repr(inner.get("name"))) in _MIXED:  # only layers beside it that have another say so
            self.dtype(prepared.pop("dtype"), name)
        return self._known(entry, name, prepared)

    def _prepared(self, name: str, config: dict[str, Any]) -> dict[str, Any]:
        """A configuration in today's words, the caller's own."""
        if name == "Discretization" and config.get("bin_boundaries") is not None:
            config = {**config, "num_bins": None}
        if name == "BatchNormalization" and isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
            config = {**config, "axis": config["axis"][0]}
        if name in ("GRU", "GRUCell") and self.old:
            config = {"reset_after": False, **config}
        if name == "Dropout" and "p" in config:
            config = {**{k: v for k, v in config.items() if k != "p"}, "rate": config["p"]}
        return dict(other_layers.prepared(name, config))

    def _known(self, entry: Entry, name: str, config: dict[str, Any]) -> Layer:
        kind: Any = entry.layer
        takes, only = accepted(kind), {**ONLY, **entry.only}
        arguments: dict[str, Any] = {}
        where = f"the layer {config.get('name')!r} ({name})"
        for option, value in config.items():
            argument = entry.renamed.get(option, option)
            if option in entry.ignored or (option in IGNORED and argument not in takes):
                continue
            if option in only and value not in only[option]:
                wanted = f"save it with {option}={only[option][0]!r}, or give custom_objects={{{name!r}: a class of yours}}"
                raise self.archive.unsupported(f"{where} has {option}={value!r}, which is not supported; {wanted}")
            if option in only:
                continue
            if argument in takes:
                arguments[argument] = self._turned(kind, option, self.value(option, value, where), where)
            elif value is not None:
                wanted = f"give custom_objects={{{name!r}: a class of yours}}"
                raise self.archive.unsupported(f"{where} has the option {option}={value!r}, which is not known here; {wanted}")
        if "data_format" in takes and arguments.get("data_format") is None:
            arguments["data_format"] = "channels_last"
        arguments = {**entry.absent, **arguments, **entry.given}
        made: Layer = self.attempt(where, lambda: entry.layer(**arguments))
        return made

    def _turned(self, layer: type[Layer], option: str, value: Any, where: str) -> Any:
        """A constraint on a kernel with its axes counted in our layout."""
        if not isinstance(value, constraints.MaxNorm | constraints.UnitNorm | constraints.MinMaxNorm) or option == "bias_constraint":
            return value
        given = [value.axis] if isinstance(value.axis, int) else list(value.axis)
        axes = [axis_of_kernel(layer, option, a) for a in given]
        if None in axes:
            raise self.archive.unsupported(f"{where} has {option} over the axes {given}, which our depthwise kernels have as one; use none")
        return value if axes == given else type(value)(**{**value.constructor_arguments(), "axis": axes})

    def attempt(self, where: str, make: Callable[[], Any]) -> Any:
        """What ``make`` gives; an error names the file and the layer."""
        try:
            return make()
        except WRONG as e:
            raise self.archive.unsupported(f"{where} cannot be made: {e}") from e

    def _users(self, user: Any, config: dict[str, Any]) -> Layer:
        """A layer of a user's own class, from its ``from_config``."""
        inner = config["config"]
        where = f"the layer {inner.get('name') if isinstance(inner, dict) else ''!r} ({config['class_name']})"
        if not (isinstance(user, type) and issubclass(user, Layer)):
            raise self.archive.unsupported(f"{where} needs a class of layers, a subclass of nn.Layer, not {user!r}")
        if isinstance(inner, dict) and "layers" in inner and "input_layers" in inner and _plain_model(user):
            return self._model(self, config)
        arguments = {k: self.value(k, v, where) for k, v in inner.items()}
        arguments.pop("build_input_shape", None)
        return self.attempt(where, lambda: user.from_config(arguments))  # type: ignore[no-any-return]

    def _lambda(self, config: dict[str, Any]) -> Layer:
        name, function = config.get("name"), config.get("function")
        if isinstance(function, dict) and function.get("class_name") == "function":
            function = function.get("config")
        found = self.custom.get(str(name)) or (self.users_function(function) if isinstance(function, str) else None)
        if not callable(found):
            raise self.archive.unsupported(
                f"the Lambda layer {name!r} holds Python code, which is never run from a file; give the function yourself: "
                f"custom_objects={{{name!r}: function}}"
            )
        arguments = config.get("arguments") or {}
        return self.attempt(f"the Lambda layer {name!r}", lambda: nn.Lambda(found, arguments=arguments, name=name))  # type: ignore[no-any-return]

    # ---- values -----------------------------------------------------------------------------------------------------

    def value(self, option: str, value: Any, where: str) -> Any:
        """The value of an option: an object, a layer, an array or plain data."""
        kind = "activation" if option.endswith("activation") else option.rpartition("_")[2]
        if option == "dtype":
            return self.dtype(value, where)
        if kind in KINDS and isinstance(value, str | dict):
            return self.object(kind, value, where)
        if option in _NESTED and isinstance(value, dict) and "class_name" in value:
            return self.layer(value)
        if option == "cells" and isinstance(value, list):
            return [self.layer(each) for each in value]
        return self.plain(value, where)

    def plain(self, value: Any, where: str) -> Any:
        """Plain data: arrays, slices and numbers, in lists and dicts."""
        if isinstance(value, list):
            return [self.plain(v, where) for v in value]
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 1 << 53:
            raise self.archive.damaged(f"{where} has the number {value}")
        if not isinstance(value, dict):
            return value
        name, config = value.get("class_name"), value.get("config")
        if name in ("__numpy__", "__tensor__") and isinstance(config, dict):
            return self.attempt(where, lambda: np.array(config["value"], _numbers(config.get("dtype"))))
        if name == "__slice__" and isinstance(config, dict):
            return slice(*(self.plain(config.get(k), where) for k in ("start", "stop", "step")))
        if name == "__ellipsis__":
            return Ellipsis
        if name == "__lambda__":
            raise self.archive.unsupported(f"{where} holds Python code, which is never run from a file; give it by custom_objects")
        if name == "__tuple__" or value.get("class_name") == "tuple":
            return tuple(self.plain(v, where) for v in value.get("items") or config or [])
        if name == "TypedDict" or not isinstance(name, str) or "config" not in value:
            return {k: self.plain(v, where) for k, v in value.items()}
        return self.thing(value, where)

    def thing(self, value: dict[str, Any], where: str) -> Any:
        """An object of whatever kind its class is: for the arguments of users' own layers."""
        name = value["class_name"]
        if name == "DTypePolicy":
            return self.dtype(value, where)
        if name == "function":
            own = self.users_function(str(value["config"]))
            return own if own is not None else str(value["config"])
        user = self.user_class(value)
        if user is not None and isinstance(user, type) and not issubclass(user, Layer):
            return self.attempt(where, lambda: _from_config(user, value["config"]))
        if user is not None or self.entry(value) is not None or name in MODELS:
            return self.layer(value)
        for kind, module in KINDS.items():
            if isinstance(getattr(module, name, None), type):
                return self.object(kind, value, where)
        raise self.archive.unsupported(f"{where} needs a {name}: give custom_objects={{{name!r}: its class}}")

    def object(self, kind: str, value: str | dict[str, Any], where: str) -> Any:
        """An initializer, a regularizer, a constraint or an activation, from a name or a configuration."""
        module = KINDS[kind]
        if isinstance(value, dict) and value.get("class_name") == "function":
            value = str(value.get("config"))
        if isinstance(value, str):
            if (own := self.users_function(value)) is not None:
                return own
            if kind == "activation" and self.old and value == "hard_sigmoid":
                return other_layers.hard_sigmoid_of_keras_2
            plain = value.rpartition(">")[2]
            self.attempt(where, lambda: module.get(plain))
            return plain
        name, config = str(value.get("class_name")), value.get("config") or {}
        if self.user_class(value) is not None and kind != "activation":
            return self.attempt(where, lambda: _from_config(self.user_class(value), config))
        cls = getattr(module, name, None)
        if cls is None and name in getattr(module, "NAMES", getattr(module, "_NAMES", {})):
            cls = type(module.get(name))
        if kind == "activation":
            return self.layer(value)
        if not isinstance(cls, type) or not isinstance(config, dict):
            raise self.archive.unsupported(
                f"{where} has the {kind} {name!r}, which is not known here; give custom_objects={{{name!r}: ...}}"
            )
        return self.attempt(where, lambda: cls(**_arguments(cls, {k: self.plain(v, where) for k, v in config.items()})))

    def policy(self, value: Any, where: str) -> str:
        """The name of a dtype policy, which stands alone or in an object."""
        if isinstance(value, dict):
            if value.get("class_name") not in ("DTypePolicy", "Policy", "PolicyV1"):
                raise self.archive.unsupported(
                    f"{where} has the dtype policy {value.get('class_name')}, which is not supported; save it without"
                )
            value = (value.get("config") or {}).get("name", "float32")
        if value is None:
            return "float32"
        if value not in (*_MIXED, *_DTYPES):
            raise self.archive.unsupported(f"{where} has dtype={value!r}, which is not supported; known are {', '.join(_DTYPES)}")
        return str(value)

    def dtype(self, value: Any, where: str) -> str:
        """The element type of a layer's weights; a mixed policy keeps them in float32, and that of bfloat16 computes in it too."""
        policy = self.policy(value, where)
        self.mixed = self.mixed or policy == "mixed_float16"
        return "float32" if policy in _MIXED else policy


_MIXED = ("mixed_float16", "mixed_bfloat16")
_DTYPES = ("float32", "float16", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")


def _numbers(dtype: Any) -> np.dtype[Any]:
    if dtype not in _DTYPES:
        raise ValueError(f"an array cannot hold {dtype!r}")
    return np.dtype("float32" if dtype == "bfloat16" else dtype)


def _subclasses(cls: Any) -> Iterator[type]:
    for each in cls.__subclasses__():
        yield each
        yield from _subclasses(each)


def _plain_model(user: type) -> bool:
    """Whether a model class takes ``inputs, outputs``, as Model does, and has no ``from_config`` of its own."""
    return "inputs" in inspect.signature(user).parameters and not _own_from_config(user)


def _own_from_config(user: Any) -> bool:
    return getattr(user.from_config, "__func__", None) is not Configurable.from_config.__func__  # type: ignore[attr-defined]


def _from_config(user: Any, config: Any) -> Any:
    return user.from_config(config) if hasattr(user, "from_config") else user(**config)


def _arguments(cls: type, config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of an initializer, regularizer or constraint in today's words; what was never set is left out."""
    config = {k: v for k, v in config.items() if k not in ("dtype", "partition_info")}
    if config.get("distribution") == "normal":
        config["distribution"] = "truncated_normal"
    if cls is constraints.MaxNorm and "m" in config:
        config["max_value"] = config.pop("m")
    takes = inspect.signature(cls).parameters
    return {k: v for k, v in config.items() if v is not None or k in takes}


def check_size(archive: Archive, where: str, shape: Any) -> list[int | None]:
    """A shape of a file, if no size in it is absurd."""
    if not isinstance(shape, list | tuple) or not all(d is None or (isinstance(d, int) and 0 <= d <= _LARGEST) for d in shape):
        raise archive.damaged(f"{where} has the shape {shape!r}")
    return list(shape)
