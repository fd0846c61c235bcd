"""Checkpoints of a run: the State, where the run stands, and what the callbacks remember."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxdl.errors import FormatError, TrainingError
from onnxdl.io.atomic import make_folder
from onnxdl.io.checkpoint import load_checkpoint, save_checkpoint
from onnxdl.train.callbacks import CallbackList

if TYPE_CHECKING:
    from onnxdl.train.model import Model

CHECKPOINT = "checkpoint.safetensors"
_KEY = "onnxdl.run"
_CALLBACK = "callbacks/"


@dataclass
class Place:
    """Where a run stands: the epoch, the batch within it, the loss summed over it so far, its metrics; whether a callback ended it."""

    epoch: int = 0
    batch: int = 0
    total: float = 0.0
    samples: int = 0
    metrics: dict[str, float] = field(default_factory=dict)
    stopped: bool = False


def save_run(file: Path | None, model: Model, place: Place, callbacks: CallbackList) -> None:
    """Writes the checkpoint, whole or not at all; without a file, does nothing."""
    if file is None:
        return
    make_folder(file.parent)
    state, kept = dict(model.state), {}
    for name, callback in callbacks.names().items():
        entries = callback.state()
        arrays = {key: a for key, a in entries.items() if isinstance(a, np.ndarray)}
        state.update((f"{_CALLBACK}{name}/{key}", a) for key, a in arrays.items())
        kept[name] = {key: value for key, value in entries.items() if key not in arrays}
    save_checkpoint(file, state, {_KEY: json.dumps({"place": asdict(place), "callbacks": kept})})


def load_run(model: Model, file: Path | None, callbacks: CallbackList) -> Place | None:
    """Puts model and callbacks where a run was left; None where there is no checkpoint yet."""
    if file is None:
        raise TrainingError("resume=True needs checkpoint=FOLDER, where the run left its checkpoint")
    if not file.exists():
        return None
    state, metadata = load_checkpoint(file)
    if _KEY not in metadata:
        raise FormatError(f"{file} holds weights but no run to resume; load it with ox.load_checkpoint and model.load_state")
    try:
        run = json.loads(metadata[_KEY])
        place, kept = Place(**run["place"]), {str(name): dict(entries) for name, entries in run["callbacks"].items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FormatError(f"{file} does not say where its run stood ({type(error).__name__}: {error}); it is damaged") from error
    model.load_state({name: a for name, a in state.items() if not name.startswith(_CALLBACK)})
    for name, callback in callbacks.names().items():
        entries: dict[str, Any] = kept.get(name, {})
        prefix = f"{_CALLBACK}{name}/"
        entries.update((key.removeprefix(prefix), a) for key, a in state.items() if key.startswith(prefix))
        if entries:
            callback.load_state(entries)
    return place
