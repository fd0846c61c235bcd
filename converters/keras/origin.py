"""What a Model remembers of the Keras file that it came from, so that it can go back as it came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onnxdl.nn.layer import Layer


@dataclass(frozen=True)
class Origin:
    """The source of a Model: ``origin_of(model)``.

    Args:
        config: the model's configuration as the file has it: ``class_name``, ``config`` and, from Keras 3, ``module``,
            ``registered_name``, ``build_config`` and ``compile_config``.
        version: the version of Keras that wrote it, such as ``"3.15.1"`` or ``"2.0.5"``.
        training: how the model was compiled, as the file says it; None where it does not.
    """

    config: dict[str, Any]
    version: str
    training: dict[str, Any] | None

    @property
    def modern(self) -> bool:
        """Whether Keras 3 wrote it."""
        return "module" in self.config


def origin_of(model: Layer) -> Origin | None:
    """Where a Model came from; None if it did not come from a Keras file."""
    return getattr(model, "keras_origin", None)


def set_origin(model: Layer, origin: Origin) -> None:
    """Notes where a Model came from."""
    model.keras_origin = origin  # type: ignore[attr-defined]
