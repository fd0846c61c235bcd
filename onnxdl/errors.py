"""The errors that onnxdl raises on purpose: one small family, so that one `except` catches them all.

Each message is one line that says what went wrong, where (file, layer, operator, shapes) and what to do.
"""


class OnnxdlError(Exception):
    """Any error that onnxdl raises on purpose."""

    def __str__(self) -> str:
        """The message in one line: what a stranger's file calls its parts can neither break it nor steer a terminal."""
        return "".join(c if c.isprintable() else repr(c)[1:-1] for c in super().__str__())


class GraphError(OnnxdlError):
    """An operator was called wrongly: unknown name or attribute, wrong count or kind of inputs, mixed traces."""


class ShapeError(GraphError):
    """Shapes or element types do not fit together."""


class GradientError(OnnxdlError):
    """A gradient was asked for that does not exist, or whose rule is missing."""


class FormatError(OnnxdlError):
    """A file is missing, damaged, of an unknown kind, or breaks its format's promises."""


class ConversionError(OnnxdlError):
    """Another framework's model holds something that has no equal here."""


class DataError(OnnxdlError):
    """Training data that no step can use: wrong shape or type, labels out of range, NaN."""


class TrainingError(OnnxdlError):
    """A model was trained, evaluated or saved before it was ready for it, or its numbers went bad."""


class RuntimeFailure(OnnxdlError):
    """ONNX Runtime could not load or run a model."""
