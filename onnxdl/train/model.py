"""Model: a Layer that can be compiled, fit and saved."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from onnxdl.config import as_text
from onnxdl.errors import FormatError, TrainingError
from onnxdl.io.checkpoint import load_checkpoint, save_checkpoint
from onnxdl.train import architecture, testing
from onnxdl.train import fit as fitting
from onnxdl.train.callbacks import Callback, History
from onnxdl.train.export import export_model, save_model
from onnxdl.train.feed import ClassWeight, feed, is_stream, unpack
from onnxdl.train.matching import split
from onnxdl.train.network import Network
from onnxdl.train.programs import Evaluation, Prediction, TrainStep, cached
from onnxdl.train.step import Spec
from onnxdl.train.summary import print_summary
from onnxdl.train.testing import values_of


class Model(Network):
    """A network with its training: ``Model(inputs, outputs)`` from symbolic calls, or a subclass that defines ``call``.

    Args:
        inputs: one ``Input``, or several as a list or a dict by name.
        outputs: what is computed from them.
        name: the model's name.
    """

    def train_step(self, weights: tuple[Spec, ...] = ()) -> TrainStep:
        """The train step, built at first use: call it with a batch. ``weights`` are inputs that weight the samples."""
        if not self.target_specs:
            raise TrainingError("the model does not know its targets yet: call fit first, or train_on_batch with data")
        self.ensure_built()
        return cached(self, TrainStep, weights)

    def evaluation(self, weights: tuple[Spec, ...] = ()) -> Evaluation:
        """The evaluation program, built at first use."""
        self.ensure_built()
        return cached(self, Evaluation, weights)

    def prediction(self) -> Prediction:
        """The inference program, built at first use."""
        self.ensure_built()
        return cached(self, Prediction)

    # ---- fit, evaluate, predict ---------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: ClassWeight | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Collection[int] = 1,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | None = None,
        resume: bool = False,
        profile: bool = False,
    ) -> History:
        """Trains for a number of epochs.

        Args:
            x: one array, a list or dict of arrays by input; or what gives batches ``(x, y)`` or ``(x, y, sample_weight)``: an
                iterable, a generator, a function that makes one, a sequence of batches.
            y: the targets, where ``x`` is arrays.
            batch_size: samples a step, 32 by default.
            epochs: the epoch to stop after.
            verbose: ``auto`` or 1 a progress bar on a terminal and a line an epoch elsewhere, 2 lines, 0 nothing.
            callbacks: what happens beside training.
            validation_split: the fraction of the samples, the last ones, that are kept for validation.
            validation_data: ``(x, y)``, ``(x, y, sample_weight)`` or what gives batches, to evaluate on after each epoch.
            shuffle: whether each epoch has an order of its own; decided by the seed and the epoch alone.
            class_weight: how much the samples of a class count, by the class's number; 1 where it is not named.
            sample_weight: how much each sample counts: one number each, or a list of arrays with one for each output.
            initial_epoch: the epoch to start at.
            steps_per_epoch: the steps of an epoch; the next one goes on where it ended.
            validation_steps: the batches of a validation.
            validation_batch_size: the samples of its batches, by default those of a step.
            validation_freq: validate after every so many epochs, or after those named, counted from 1.
            checkpoint: a folder that gets a checkpoint after each epoch, and when the run is interrupted.
            checkpoint_every: the steps after which it gets one within an epoch too.
            resume: whether to go on from the checkpoint in that folder, bit for bit as if the run had not stopped.
            profile: whether to print, after the first epoch, where the time of a step goes, as ``onnxdl profile`` does.

        Returns:
            The loss and metrics of each epoch.
        """
        given, held_out = [x, y, sample_weight], validation_data
        if validation_split:
            given, held_out = split(given, validation_split)
        training = feed(
            self,
            *given,
            class_weight=class_weight,
            batch_size=batch_size,
            shuffle=shuffle,
            steps=steps_per_epoch,
            training=True,
            first_epoch=initial_epoch,
        )
        validation = None
        if held_out is not None:
            data = unpack(held_out) if isinstance(held_out, tuple) or not is_stream(held_out) else (held_out,)
            validation = feed(self, *data, batch_size=validation_batch_size or batch_size, steps=validation_steps)
        return fitting.fit(
            self,
            training,
            epochs=epochs,
            initial_epoch=initial_epoch,
            validation=validation,
            validation_freq=validation_freq,
            callbacks=callbacks or (),
            verbose=verbose,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
            profile=profile,
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """The loss, followed by the metrics, over all samples; by name if ``return_dict``. ``x`` and ``y`` as ``fit`` takes them.

        ``verbose`` is ``auto`` for a bar on a terminal that goes when it is done, 1 or 2 for a line with the result, 0 for nothing.
        """
        data = feed(self, x, y, sample_weight, batch_size=batch_size, steps=steps)
        logs = testing.evaluate(self, data, callbacks or (), verbose)
        return logs if return_dict else values_of(logs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
    ) -> Any:
        """The outputs for all samples, or for all batches of an iterable: an array, or a list of arrays with several outputs."""
        data = feed(self, x, batch_size=batch_size, steps=steps, targets=False)
        return testing.predict(self, data, callbacks or (), verbose)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: ClassWeight | None = None, return_dict: bool = False
    ) -> Any:
        """One step on a batch: its loss, followed by its metrics; by name if ``return_dict``."""
        logs = testing.train_on_batch(self, x, y, sample_weight, class_weight)
        return logs if return_dict else values_of(logs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss of a batch, followed by its metrics; by name if ``return_dict``."""
        logs = testing.test_on_batch(self, x, y, sample_weight)
        return logs if return_dict else values_of(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for a batch."""
        self.ensure_built(x)
        return self.in_structure(dict(self.prediction().session(self.batch(x))))

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], Any] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Prints its layers with output shapes and numbers of parameters.

        Args:
            line_length: the width in characters, by default the terminal's.
            positions: Keras's; the columns are as wide as what they hold.
            print_fn: what is given the text, in place of printing it.
            expand_nested: whether the layers of inner models are shown too.
            show_trainable: whether to say which layers are trained.
            layer_range: the names of the first and the last layer to show.
        """
        self.ensure_built()
        print_summary(self, line_length, print_fn, expand_nested=expand_nested, show_trainable=show_trainable, layer_range=layer_range)

    # ---- as data and as files ---------------------------------------------------------------------------------------

    def parts(self) -> Iterable[Any]:
        """Its layers."""
        return self.layers

    def get_config(self) -> dict[str, Any]:
        """What makes it again, as plain data: layers and calls, or the constructor's arguments of a subclass; no weights."""
        if self._inputs is not None and "inputs" in inspect.signature(type(self).__init__).parameters:
            return architecture.describe(self)
        return super().get_config()

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The model of a configuration, with weights of its own."""
        if "calls" not in config:
            return super().from_config(config)
        return cls(*architecture.rebuild(config), name=config["name"])

    def to_json(self) -> str:
        """The configuration as text."""
        return as_text(self)

    def save(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Writes one .onnx file: inference graph, weights and, if the model was compiled and has targets, its training_info."""
        if not overwrite and os.path.exists(filepath):
            raise FormatError(f"{os.fspath(filepath)} is there already; overwrite=True replaces it")
        save_model(self, filepath)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Writes the weights alone, as ``.safetensors``."""
        path = _of_weights(filepath)
        if not overwrite and path.exists():
            raise FormatError(f"{path} is there already; overwrite=True replaces it")
        self.ensure_built()
        save_checkpoint(path, {name: parameter.value for name, parameter in self.named_parameters()})

    def load_weights(self, filepath: str | os.PathLike[str]) -> None:
        """Takes the weights from a file that ``save_weights`` or a checkpoint wrote."""
        state, _ = load_checkpoint(_of_weights(filepath))
        parameters = dict(self.named_parameters())
        self.load_state({name: array for name, array in state.items() if name in parameters})

    def export(self, path: str | os.PathLike[str], format: str = "onnx", batch_size: int | None = None) -> None:
        """Writes the model in a format: ``onnx`` (weights inside, no training) or ``train-step`` (a folder of four programs).

        With a ``batch_size`` the train step takes batches of that size alone. Then its shapes are known, as CUDA graphs demand.
        """
        export_model(self, path, format, batch_size)


def _of_weights(filepath: str | os.PathLike[str]) -> Path:
    path = Path(filepath)
    if path.suffix != ".safetensors":
        raise FormatError(f"weights alone are kept as .safetensors, not {path.name}; ox.load(path, model) reads those of other tools")
    return path
