"""Where the channels of images stand, for layers that are not told: ``channels_first``, ONNX's own, unless it is set."""

from __future__ import annotations

from onnxdl.errors import GraphError

_FORMATS = ("channels_first", "channels_last")
_default = _FORMATS[0]


def image_data_format() -> str:
    """The data format of layers that are not told one."""
    return _default


def set_image_data_format(data_format: str) -> None:
    """Sets it for the layers made from now on: ``channels_last`` before a script that was written for Keras's default."""
    global _default
    _default = format_of(data_format)


def format_of(data_format: str | None) -> str:
    """What a layer was told, or the default."""
    if data_format is not None and data_format not in _FORMATS:
        raise GraphError(f"data_format is 'channels_first' or 'channels_last', not {data_format!r}")
    return data_format or _default


def channel_axis(axis: int | None) -> int:
    """The axis that a layer was told, or that of the channels in the default format."""
    if axis is None:
        return 1 if _default == "channels_first" else -1
    return axis
