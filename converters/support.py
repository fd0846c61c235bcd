"""The support tables of converters/README.md, generated from the registries: ``python -m onnxdl.converters.support`` writes it.

A test compares the file with what the registries say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from onnxdl.converters.contract import Converter
from onnxdl.converters.registry import CONVERTERS

README = Path(__file__).with_name("README.md")
_WIDTH = 140


class File(NamedTuple):
    """A kind of file: whose converter's, which versions, which ways, and what it was checked against."""

    converter: str
    kind: str
    versions: str
    ways: str
    checked: str


FILES: tuple[File, ...] = (
    File(
        "onnx",
        ".onnx",
        "any opset, of any producer; old ones are upgraded",
        "in, out",
        "ONNX Runtime and onnx.reference: the scoreboard in README.md",
    ),
    File("keras", ".keras", "Keras 3.0 to 3.15", "in, out", "stock Keras 3.15.1 on JAX: outputs, weights, 10 + 10 steps of training"),
    File(
        "keras",
        ".h5, .hdf5",
        "Keras 1, 2 and 3",
        "in, out",
        "stock Keras 3.15.1 on JAX; it takes up no optimizer's state from .h5, not its own either",
    ),
    File("keras", ".weights.h5", "Keras 3; with an architecture", "in, out", "stock Keras 3.15.1"),
    File("keras", "a keras.Model", "Keras 3", "in", "the model itself"),
    File("torch", "a torch.nn.Module", "torch 2.13 and later", "in", "the module itself: outputs, gradients, state_dict"),
    File("torch", ".pt2", "schema 8", "in", "torch 2.13.0"),
    File(
        "torch", ".pth, .pt, .safetensors", "zip and before 1.6; with an architecture", "in, out", "torch 2.13.0: load_state_dict, strictly"
    ),
    File(
        "torch",
        ".ckpt, or any .pth of two states",
        "weights, and the state of Adam, AdamW, SGD or RMSprop; with an architecture",
        "in, out",
        "torch 2.13.0: the losses go on, from torch here and from here in torch",
    ),
    File("torch", ".py", "an nn.Module as source, for models made here", "out", "torch 2.13.0: outputs, state_dict"),
    File(
        "tensorflow",
        "SavedModel",
        "Keras 2's layers without TensorFlow; other graphs by TensorFlow and tf2onnx",
        "in",
        "tensorflow-cpu 2.21.0, tf_keras 2.21.0, tf2onnx 1.17.0",
    ),
    File("tensorflow", "model.json", "layers models of TensorFlow.js", "in", "the Keras model that it was made of"),
    File(
        "mxnet",
        "-symbol.json + .params",
        "MXNet 0.8 to 1.9, Module and Gluon",
        "in",
        "mxnet 1.9.1; the layout of 0.8, made by hand of its files",
    ),
    File("caffe2", "init_net + predict_net", "binary and text", "in", "onnx's light_*.onnx of the same nets on the same weights"),
    File("sklearn", "a fitted estimator", "linear models and MLPs", "in", "the estimator itself"),
)
"""Kept by hand: what no registry knows. A test sees to it that no converter is missing."""


def readme() -> str:
    """The text of converters/README.md."""
    parts = [_HEAD, _overview(CONVERTERS), _files(), _whole(), _keras(), _torch(), _mxnet(), _caffe2()]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


_HEAD = """\
# Converters

This page is generated: `python -m onnxdl.converters.support` writes it, and a test compares it with the registries.

    model = ox.load("resnet50.keras")                    # by suffix, then by content; trains after compile, or as it was compiled
    model = ox.load("weights.safetensors", model)        # a file of weights alone goes into an architecture
    model.export("back.keras", format="keras")
    model.export("run.ckpt", format="torch")             # state_dict and optimizer_state_dict: torch.optim goes on with it
    ox.convert("resnet50.keras", "resnet50.onnx")
    onnxdl convert resnet50.keras resnet50.onnx --check  # the parity report: per layer, the largest difference to the source's own

Where the source's framework is not installed, `--reference values.npz` compares with stored arrays: the model's inputs by name, its
outputs as `output.<name>`, layers by the names that the State has too. What has no equal here is refused by name, never approximated.

A converter is a package here with a `CONVERTER` (see `contract.py`): suffixes, `recognises`, `read`, `write`, and `activations` for the
report. `registry.py` lists them all. Nothing but the model object itself makes one import its framework.
"""


WHOLE = (
    ("keras.applications", "39 of 40", "outputs, layers, a falling loss, what we write opened by stock Keras", "keras_applications"),
    ("torchvision, transformers", "27 of 27", "outputs, a training pass, `state_dict`", "torch_models torchvision transformers"),
    ("timm", "49 of 50", "the same", "torch_models timm"),
    ("Caffe2's classifiers", "7 of 7", "onnx's light_*.onnx of the same nets on the same weights", "caffe2_models FOLDER"),
)
"""What the benchmarks told last: models, how many hold, what is compared, the benchmark's command."""


def _whole() -> str:
    rows = [(*row[:3], f"`python -m tests.benchmarks.{row[3]}`") for row in WHOLE]
    return f"""
## Whole models

Random weights and statistics, small inputs. Outputs are within 1e-4 of their scale, and mostly within 1e-6, but for EfficientNetV2L with
3.3e-4; every BatchNormalization and Dropout of a Keras file is there; a `state_dict` loads back strictly.

{_table(("models", "hold", "what is compared", "command"), rows)}

In a training pass, dropout at 0, outputs, gradients and running statistics are within 1e-3 of torch's in float64 where torch's own
float32 is. As made, deep nets of ReLUs and batch normalization are no measure: rounding turns ReLUs on or off, and torch's float32
gradients are 1e-2 to 1 from its float64, with batches of 3 as of 8, with images of 64 as of 128. They are judged with normalization's
biases moved away from the kink; ours are then up to 5e-4 away, as torch's own are. timm's convmixer_768_32 is well conditioned at no
setting that was tried.
"""


def _overview(converters: Sequence[Converter]) -> str:
    rows = [
        (
            c.name,
            _suffixes(c.suffixes),
            _suffixes(c.writes) if c.write is not None else "–",
            "yes" if c.activations is not None else "stored values",
        )
        for c in converters
    ]
    return _table(("converter", "reads", "writes", "parity report"), rows)


def _suffixes(suffixes: Iterable[str]) -> str:
    return ", ".join(f"`{s}`" if s else "a folder" for s in suffixes) or "objects"


def _files() -> str:
    return "## Files\n\n" + _table(File._fields, [*FILES])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["--"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _listed(names: Iterable[str]) -> str:
    """Names as a paragraph of lines of limited length."""
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) + 2 > _WIDTH:
            lines.append("")
        lines[-1] += f"{name}, "
    return "\n".join(line.strip() for line in lines).rstrip(",") + "."


def _keras() -> str:
    from onnxdl.converters.keras import expressions, other_layers
    from onnxdl.converters.keras.compiling import SCHEDULES
    from onnxdl.converters.keras.functions import FUNCTIONS
    from onnxdl.converters.keras.layers import ENTRIES, ONLY
    from onnxdl.converters.keras.optimizer import OPTIMIZERS
    from onnxdl.nn import losses, metrics

    entries = {**ENTRIES, **other_layers.ENTRIES}
    plain = sorted(n for n, e in entries.items() if e.layer.__name__ == n and not e.only and not e.ignored and n != "Layer")
    others = sorted(n for n in entries if n not in plain and n != "Layer")
    rows = [
        (f"`{n}`", "" if (e := entries[n]).layer.__name__ == n else f"`{e.layer.__name__}`", _options(e.only), _names(e.ignored))
        for n in others
    ]
    return f"""
## Keras

Layers, checked one by one against Keras 3.15.1 on JAX: outputs and gradients in `tests/nn`, `.keras` and `.h5` there and back in
`tests/converters/test_keras_writing.py`. Sequential, functional, nested and shared layers; a subclass by `custom_objects`, or by being
defined in the program. Going back, a layer of your own stands under the `registered_name` of its class. Lambda holds Python code: its
function is given as `custom_objects`, and it is written only into the file that it came from.

Under the same name, with all options ({len(plain)}): {_listed(plain)}

Under another name here, with options for some values alone, or with options that change nothing and are read over ({len(rows)}; any layer:
{_options(ONLY)}):

{_table(("Keras", "here", "for these values alone", "read over"), rows)}

Operations between layers ({len(FUNCTIONS)}): {_listed(sorted(FUNCTIONS))}

Operators of ours between layers, written as Keras's operations ({len(expressions.OPERATORS)}): {_listed(sorted(expressions.OPERATORS))}

Training: optimizers with their state, both ways, so that a loss curve goes on as it would have ({len(OPTIMIZERS) + 1}):
{_listed([*(kind.__name__ for kind in OPTIMIZERS), "LossScaleOptimizer"])}
Learning rate schedules: {_listed(SCHEDULES)}
Losses: {_listed(kind.__name__ for kind in losses.KINDS)}
Metrics: {_listed(kind.__name__ for kind in metrics.KINDS)}

The policy mixed_float16 comes in and goes back as `mixed_precision=True`; weights stay in float32. One of mixed_bfloat16 comes in as
float32. Predictions are computed in float32 here.
"""


def _options(only: Mapping[str, tuple[Any, ...]]) -> str:
    return ", ".join(f"`{option}={values[0]!r}`" for option, values in sorted(only.items()))


def _names(options: Iterable[str]) -> str:
    return ", ".join(f"`{option}`" for option in sorted(options))


def _torch() -> str:
    from onnxdl.converters.torch.aten import FAMILIES, table

    families: dict[str, list[str]] = defaultdict(list)
    for operator in table().values():
        families[operator.family].append(operator.name.removeprefix("aten."))
    count = sum(map(len, families.values()))
    parts = [f"**{family.replace('_', ' ')}**: {_listed(sorted(families[family]))}" for family in FAMILIES]
    return f"## PyTorch\n{_TORCH}\n{count} ATen operators, checked against torch 2.13.0 in `tests/converters`.\n\n" + "\n\n".join(parts)


_TORCH = """
Both programs of a module are exported, that of training and that of inference. An LSTM may have a projection. A PackedSequence is
refused: give padded sequences. An optimizer's state goes both ways for one group of parameters; `epsilon` of Adam and RMSprop stands
elsewhere in torch's formula, which matters where a second moment is near it. Torch keeps two biases in a recurrent module and
optimizes both: the optimizer's state of an `nn.LSTM` or `nn.SimpleRNN` made here, which have their sum, is refused.
"""


def _mxnet() -> str:
    from onnxdl.converters.mxnet import operators, reading

    assert reading  # which enters the other families into the table
    names = sorted(operators.TABLE.functions)
    return f"## MXNet\n\n{len(names)} operators, checked against mxnet 1.9.1: {_listed(names)}"


def _caffe2() -> str:
    from onnxdl.converters.caffe2 import operators

    names = sorted(operators.TABLE.functions)
    return f"## Caffe2\n\n{len(names)} operators: {_listed(names)}"


if __name__ == "__main__":
    README.write_text(readme(), encoding="utf-8")
