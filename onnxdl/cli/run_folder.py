"""The folder that a training run leaves."""

from __future__ import annotations

import json
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxdl.cli.info import PACKAGES, installed_version
from onnxdl.errors import TrainingError
from onnxdl.train.callbacks import History
from onnxdl.train.model import Model
from onnxdl.train.resume import CHECKPOINT

RECORD = "run.json"


class RunFolder:
    """model.onnx, checkpoint.safetensors, history.json, curves.png and run.json in one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began = time.time()

    def begin(self, resume: bool) -> None:
        """Makes the folder and writes down the command; a finished or cut run is not overwritten without ``--resume``."""
        if self.path.exists() and not self.path.is_dir():
            raise TrainingError(f"{self.path} is a file, but the run needs a folder; choose another with --output")
        self.path.mkdir(parents=True, exist_ok=True)
        if resume and not (self.path / CHECKPOINT).exists():
            raise TrainingError(f"{self.path} holds no checkpoint to resume; run without --resume, or name the folder with --output")
        if not resume and ((self.path / CHECKPOINT).exists() or (self.path / RECORD).exists()):
            self._set_aside()
        self._write_run()

    def _set_aside(self) -> None:
        """An earlier run of the same name is kept under a number of its own."""
        k = 1
        while (kept := self.path.with_name(f"{self.path.name}-{k}")).exists():
            k += 1
        self.path.rename(kept)
        self.path.mkdir()

    def finish(self, model: Model, history: History) -> None:
        """Writes the model, the history and its picture."""
        from onnxdl.viz import save_curves

        model.save(self.path / "model.onnx")
        (self.path / "history.json").write_text(json.dumps({"epoch": history.epoch, **history.history}, indent=1))
        if installed_version("matplotlib") is not None:
            save_curves(history.history, self.path / "curves.png")
        self.record({})

    def record(self, results: Mapping[str, float]) -> None:
        """Writes down how long the run took, and its results."""
        self._write_run(seconds=round(time.time() - self.began, 3), **({"results": dict(results)} if results else {}))

    def _write_run(self, **results: Any) -> None:
        run = {
            "command": shlex.join(["onnxdl", *sys.argv[1:]]),
            "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(self.began)),
            "python": platform.python_version(),
            "platform": platform.platform(),
            "versions": {name: version for name in PACKAGES if (version := installed_version(name)) is not None},
            **results,
        }
        (self.path / RECORD).write_text(json.dumps(run, indent=1))
