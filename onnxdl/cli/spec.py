"""SPEC: a gallery name, a .py file of the user's, or any .onnx file, as something to build and train.

A .py file, like a gallery file, defines ``build()``, which returns a compiled Model, and may define ``data(path)``, which
returns ``(x, y), (x_test, y_test)``, and the numbers ``EPOCHS`` and ``BATCH_SIZE``. ``build`` may take ``shape``, that of a sample, and
``classes``, their number: they are given where --data names other data. Where training is no plain ``fit`` (two
models in turn, several runs compared, pictures), it defines ``main(folder)`` instead, which does all of it, writes what it makes
into the folder, a Path, and returns its results, numbers by name. It may also take ``epochs``, and ``data``, the path of --data or None.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from onnxdl.errors import FormatError, OnnxdlError, TrainingError
from onnxdl.train.model import Model


class Spec:
    """What a SPEC stands for.

    Args:
        name: what its run folder is called.
        module: the Python module, None for an .onnx file.
        file: the .onnx file, None for a module.
    """

    def __init__(self, name: str, module: ModuleType | None = None, file: Path | None = None) -> None:
        self.name, self.module, self.file = name, module, file

    @property
    def epochs(self) -> int:
        """How many epochs it asks for."""
        return int(getattr(self.module, "EPOCHS", 1))

    @property
    def batch_size(self) -> int:
        """How many samples a step it asks for."""
        return int(getattr(self.module, "BATCH_SIZE", 32))

    def build(self, x: Any = None, y: Any = None) -> Model:
        """The model, compiled where the SPEC says how; for data of the user's, if given, where ``build`` takes what differs there."""
        if self.file is not None:
            from onnxdl.converters.registry import load

            return load(self.file)
        known = {} if y is None else {"shape": tuple(x.shape[1:]), "classes": y.shape[1] if y.ndim > 1 else int(y.max()) + 1}
        model = self._call("build", **{name: value for name, value in known.items() if name in self.takes("build")})
        if not isinstance(model, Model):
            raise TrainingError(f"{self.name}: build() returned {type(model).__name__}, but must return an ox.Model")
        return model

    @property
    def has_main(self) -> bool:
        """Whether it runs its training itself."""
        return hasattr(self.module, "main")

    def takes(self, function: str) -> set[str]:
        """The names of what one of its functions takes."""
        found = getattr(self.module, function, None)
        return set(inspect.signature(found).parameters) if found is not None else set()

    def main(self, folder: Path, epochs: int | None, data: str | None = None) -> dict[str, float]:
        """Runs its training; returns the results."""
        options: dict[str, Any] = {"epochs": epochs or self.epochs} if "epochs" in self.takes("main") else {}
        if "data" in self.takes("main"):
            options["data"] = data
        return dict(self._call("main", folder, **options) or {})

    def data(self, path: str | None) -> Any:
        """Training and test data: ``(x, y), (x_test, y_test)``; ``(x, y), None`` from a plain data file."""
        if self.module is not None and hasattr(self.module, "data"):
            return self._call("data", path) if path is not None else self._call("data")
        if path is None:
            raise TrainingError(f"{self.name} brings no data of its own: give some with --data FILE.npz (arrays x and y)")
        from onnxdl.data.files import read_data

        return read_data(path), None

    def _call(self, function: str, *args: Any, **options: Any) -> Any:
        if not hasattr(self.module, function):
            raise TrainingError(f"{self.name} defines no {function}(); see the README, 'A file of your own'")
        return getattr(self.module, function)(*args, **options)


def resolve(spec: str) -> Spec:
    """The Spec of a gallery name, a .py file, or an .onnx file."""
    path = Path(spec)
    if path.suffix == ".py":
        return Spec(path.stem, module=_from_file(path))
    if path.suffix:
        if not path.exists():
            raise FormatError(f"{spec}: no such file")
        return Spec(path.stem, file=path)
    return Spec(spec, module=_from_gallery(spec))


def gallery() -> list[str]:
    """The names of all gallery systems."""
    import onnxdl.models

    return sorted(m.name for m in pkgutil.iter_modules(onnxdl.models.__path__) if not m.name.startswith("_"))


def _from_gallery(name: str) -> ModuleType:
    if name not in gallery():
        near = difflib.get_close_matches(name, gallery(), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"the gallery has {', '.join(gallery())}"
        raise OnnxdlError(f"unknown SPEC {name!r}: neither a file nor a gallery system; {hint}")
    return importlib.import_module(f"onnxdl.models.{name}")


def _from_file(path: Path) -> ModuleType:
    if not path.exists():
        raise FormatError(f"{path}: no such file")
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None and found.loader is not None  # a .py file has a loader
    module = importlib.util.module_from_spec(found)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        found.loader.exec_module(module)
    except SyntaxError as error:
        raise FormatError(f"{path}, line {error.lineno}: {error.msg}") from error
    finally:
        sys.path.pop(0)
    return module
