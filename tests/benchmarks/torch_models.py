"""PyTorch's models side by side with what they become here: ``python -m tests.benchmarks.torch_models [torchvision|transformers|timm]``.

For each model, random weights and statistics: the largest difference in eval and in training (dropout at 0) of the
outputs' scale, of the gradients (each as a part of its weight's largest), of the running statistics, and whether the
state goes back strictly. Needs torch, torchvision, timm and transformers.

A deep net's gradient in float32 jumps where rounding turns a ReLU on or off: torch's own is then 1e-2 to 1 from its
float64, at any size of batch, and says nothing of ours. So training is judged against torch in float64, at a setting at
which torch's float32 is itself within the limits: as made, else with the biases of batch normalization moved away from
ReLU's kink, and with larger batches. A net for which there is no such setting does not count.
"""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import onnxdl as ox
from tests.benchmarks.torch_models_zoo import FAMILIES
from tests.converters.torch_parity import Pass, away, factors, flat, theirs

EVAL, TRAIN, GRADIENTS = 1e-4, 1e-3, 1e-3

SETTINGS = (("as made", 1), ("either side", 1), ("above", 1), ("either side", 4), ("above", 4), ("either side", 1), ("above", 4))
"""Where batch normalization's outputs lie beside ReLU's kink, and how many times the batch."""


class Training(NamedTuple):
    """How far one training pass is from torch's in float64: outputs, gradients and whose is worst, next statistics."""

    outputs: float
    gradients: float
    worst: str
    statistics: float

    @property
    def near(self) -> bool:
        """Whether all is within the limits."""
        return self.outputs < TRAIN and self.gradients < GRADIENTS and self.statistics < GRADIENTS


def prepare(module: Any) -> None:
    """Dropout of every kind off, random running statistics."""
    import torch

    for part in module.modules():
        for option in ("p", "drop_prob", "drop_rate", "dropout", "attn_drop_rate", "attention_dropout"):
            if isinstance(getattr(part, option, None), float):
                setattr(part, option, 0.0)
        if isinstance(part, torch.nn.modules.batchnorm._BatchNorm) and part.running_mean is not None:
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 1.5)


def place(module: Any, where: str) -> None:
    """Moves what batch normalization gives away from 0, by about four of its standard deviations."""
    import torch

    for part in module.modules():
        if where != "as made" and isinstance(part, torch.nn.modules.batchnorm._BatchNorm) and part.affine:
            with torch.no_grad():
                part.weight.uniform_(0.3, 0.6)
                part.bias.fill_(2.0)
                if where == "either side":
                    part.bias.mul_(torch.where(torch.rand_like(part.bias) < 0.7, 1.0, -1.0))


def enlarged(inputs: Mapping[str, Any], times: int) -> dict[str, Any]:
    """Inputs of a larger batch: new random numbers, or the same ids again."""
    import torch

    return {
        n: torch.randn(v.shape[0] * times, *v.shape[1:]) if v.is_floating_point() else v.repeat(times, *[1] * (v.ndim - 1))
        for n, v in inputs.items()
    }


class Pair:
    """A module and the Model that it became."""

    def __init__(self, module: Any, inputs: dict[str, Any], *, by_name: bool) -> None:
        start = time.perf_counter()
        self.module, self.by_name = module, by_name
        self.model = ox.load(module, example_inputs=inputs if by_name else tuple(inputs.values()))
        self.took = time.perf_counter() - start
        self.training_pass = Pass(self.model)
        self.names = dict(zip(inputs, [s.name for s in self.model.input_specs], strict=True))

    def arrays(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The inputs under our names."""
        return {self.names[n]: v.numpy() for n, v in inputs.items()}

    def inference(self, inputs: Mapping[str, Any]) -> float:
        """How far the outputs are from each other in eval."""
        import torch

        self.module.eval()
        with torch.no_grad():
            expected = flat(self.module(**inputs) if self.by_name else self.module(*inputs.values()))
        arrays = self.arrays(inputs)
        got = self.model.predict_on_batch(arrays if len(arrays) > 1 else next(iter(arrays.values())))
        got = got if isinstance(got, list) else list(got.values()) if isinstance(got, dict) else [got]
        return max(away(g, e.numpy()) for g, e in zip(got, expected, strict=False))

    def training(self, inputs: Mapping[str, Any]) -> tuple[Training, Training]:
        """Ours and torch's own float32, from torch's float64."""
        double = {n: v.double() if v.is_floating_point() else v for n, v in inputs.items()}
        exact_module = copy.deepcopy(self.module).double()
        own = theirs(self.module, inputs, factors, by_name=self.by_name)
        seeds = factors([v for n, v in own.items() if n.startswith("output/")])
        exact = theirs(exact_module, double, lambda _: [None if f is None else f.astype(float) for f in seeds], by_name=self.by_name)
        found = self.training_pass(self.arrays(inputs), seeds)
        back = {f"grad/{own}": f"grad/{theirs}" for theirs, own in self.names.items()}
        return _from(exact, {back.get(n, n): a for n, a in found.items()}), _from(exact, own)

    def exchange(self) -> None:
        """The Model's state into the module, strictly, and the module's into the Model."""
        import torch

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "state.pth"
            self.model.export(path, format="torch")
            copy.deepcopy(self.module).load_state_dict(torch.load(path, weights_only=True), strict=True)
            torch.save(self.module.state_dict(), path)
            ox.load(path, self.model)


def _from(exact: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> Training:
    gradients = {n: v for n, v in exact.items() if n.startswith("grad/")}
    largest = {n: float(np.abs(v).max()) for n, v in gradients.items()}
    scale = max(largest.values())

    def furthest(n: str) -> float:
        # that of a bias before a normalization is 0, and rounding alone is compared where its own size is the measure
        size = max(largest[n], 1e-3 * scale) if largest[n] > 1e-9 * scale else scale
        return float(np.abs(found.get(n, 0.0) - gradients[n]).max()) / size

    worst = max(gradients, key=furthest)
    outputs = max(away(found[n], v) for n, v in exact.items() if n.startswith("output/"))
    statistics = max((away(found[n], v) for n, v in exact.items() if n.startswith("next/") and n in found), default=0.0)
    return Training(outputs, furthest(worst), worst.removeprefix("grad/"), statistics)


def tried(make: Any, *, by_name: bool) -> tuple[bool, str]:
    """Whether a model holds, and its numbers at the setting that judges it."""
    import torch

    torch.manual_seed(0)
    module, inputs = make()
    prepare(module)
    pair = Pair(module, inputs, by_name=by_name)
    inference = pair.inference(inputs)
    for where, times in SETTINGS:
        place(module, where)
        pair.exchange()
        mine, own = pair.training(enlarged(inputs, times))
        if mine.near and own.near:
            break
    numbers = (
        f"eval {inference:.1e} train {mine.outputs:.1e} grad {mine.gradients:.1e} {mine.worst[:36]:36} statistics {mine.statistics:.1e}"
    )
    told = f"{numbers} (torch's own {own.outputs:.0e} {own.gradients:.0e} {own.statistics:.0e}; {where}, batch x{times})"
    return inference < EVAL and mine.near and own.near, f"load {pair.took:5.1f}s {told}"


def main() -> int:
    """Tries all models of the families named, and says how many hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=list(FAMILIES))
    parser.add_argument("--only", default="", help="models whose names hold this, or one of several with commas between")
    told = parser.parse_args()
    held = count = 0
    for family in told.families:
        for name, make in FAMILIES[family]():
            if not any(part in name for part in told.only.split(",")):
                continue
            count += 1
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    good, numbers = tried(make, by_name=family == "transformers")
                except (ox.OnnxdlError, RuntimeError, ValueError, KeyError, AttributeError) as error:
                    good, numbers = False, f"FAILS {type(error).__name__}: {str(error)[:300]}"
            held += good
            print(f"{name:40} {'ok' if good else 'NO':3} {numbers}", flush=True)
    print(f"{held} of {count}")
    return 0 if held == count else 1


if __name__ == "__main__":
    sys.exit(main())
